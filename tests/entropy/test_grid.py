import copy
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from corelic.entropy import grid
from corelic.entropy.blocks import GridBlock
from corelic.entropy.grid import (
    ACTIVATION_LIMIT,
    HEADROOM,
    TABLE_RANGE,
    GridConv2d,
    GridLinear,
    GridTable,
    Snap,
)

CHANNELS = 12
CONVOLUTIONS: dict[str, Callable[[], GridConv2d]] = {
    "1x1": lambda: GridConv2d(CHANNELS, 8),
    "3x3": lambda: GridConv2d(CHANNELS, 8, 3),
    "depthwise 3x3": lambda: GridConv2d(CHANNELS, CHANNELS, 3, groups=CHANNELS),
    "depthwise 5x5": lambda: GridConv2d(CHANNELS, CHANNELS, 5, groups=CHANNELS),
    "linear": lambda: GridLinear(CHANNELS, 8),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    **CONVOLUTIONS,
    "table": lambda: GridTable(torch.sigmoid),
    "snap": Snap,
    "block": lambda: GridBlock(CHANNELS, 3, 16),
}
every_layer = pytest.mark.parametrize("kind", LAYERS)
every_convolution = pytest.mark.parametrize("kind", CONVOLUTIONS)


def input_for(layer: nn.Module, shape: tuple[int, ...] = (2, CHANNELS, 7, 6)) -> Tensor:
    x = torch.randn(shape) * 3
    return x.movedim(1, -1) if isinstance(layer, GridLinear) else x


def made(kind: str) -> nn.Module:
    """A layer of which every parameter matters."""
    layer = LAYERS[kind]()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def exact(layer: nn.Module, *inputs: Tensor) -> nn.Module:
    with grid.watching(layer):
        for x in inputs:
            layer(x)
    grid.freeze(layer)
    return layer


def in_units(layer: GridConv2d) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases as Python's integers, which know no overflow and no rounding."""

    def integers(x: Tensor) -> np.ndarray:
        assert x.equal(x.round())
        return np.vectorize(int, otypes=[object])(x.detach().numpy())

    return integers(layer.weight / layer.weight_unit), integers(layer.bias / layer.bias_unit)


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(C, h, w), (O, C or 1, k, k), (O,), all of Python's integers -> (O, h, w)."""
    size = weight.shape[-1]
    _, height, width = x.shape
    padded = np.pad(x, [(0, 0), *[(size // 2, size // 2)] * 2], constant_values=0)
    y = np.empty((len(weight), height, width), object)
    for out, row, column in itertools.product(*map(range, y.shape)):
        own = slice(None) if weight.shape[1] == len(x) else slice(out, out + 1)
        window = padded[own, row : row + size, column : column + size]
        y[out, row, column] = (window * weight[out]).sum() + bias[out]
    return y


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def rounding_error(layer: nn.Module, x: Tensor) -> Tensor:
    """The most by which a frozen layer may differ from what it was, elementwise or for all."""
    if isinstance(layer, GridConv2d):
        # w·x − w'·x' = (w − w')·x + w'·(x − x'), where each rounding is at most half a unit.
        ones, absolute = torch.ones_like(x), copy.deepcopy(layer)
        absolute.snap = Snap()
        absolute.bias.data.fill_(layer.bias_unit / 2)
        absolute.weight.data.fill_(layer.weight_unit / 2)
        of_weights = absolute(x.abs())
        absolute.bias.data.zero_()
        absolute.weight.data = layer.weight.abs()
        return of_weights + absolute(ones / layer.snap.scale / 2)
    if isinstance(layer, GridTable):
        # The slope of a sigmoid is at most 1/4; 2^-11.5 is what it lacks to 1 where the table ends.
        return torch.tensor(max(2.0**-9 / 4, 2.0**-11.5) + 2.0**-15)
    if isinstance(layer, Snap):
        return torch.tensor(0.5 / layer.scale)
    return torch.tensor(2.0**-9 * 3)  # the sigmoid's 2^-11, times values and weights of a few units


@every_layer
def test_the_exact_life_is_close_to_the_trainable_one(kind: str) -> None:
    torch.manual_seed(0)
    layer = made(kind)
    x = input_for(layer)
    trainable = copy.deepcopy(layer).double()(x.double())
    exact(layer, x)
    difference = (layer(x.double()) - trainable).abs()
    assert difference.max() > 0
    assert (difference <= rounding_error(layer, x.double())).all()


@every_layer
def test_exact_layers_do_not_depend_on_threads_library_or_layout(kind: str) -> None:
    torch.manual_seed(1)
    layer = made(kind)
    exact(layer, input_for(layer))
    # Large enough that kernels split it between threads; larger values than seen before.
    x = 5 * input_for(layer, (2, CHANNELS, 48, 40)).double()
    reference = layer(x)
    memory_formats = (torch.contiguous_format, torch.channels_last)
    for count, onednn, memory_format in itertools.product((1, 2), (True, False), memory_formats):
        if kind != "linear":
            layer.to(memory_format=memory_format)
        with threads(count), torch.backends.mkldnn.flags(enabled=onednn):
            assert layer(x.contiguous(memory_format=memory_format)).equal(reference)


@pytest.mark.parametrize("kind", ["1x1", "3x3", "linear"])
def test_the_order_of_summed_channels_does_not_matter(kind: str) -> None:
    torch.manual_seed(2)
    layer = made(kind)
    assert isinstance(layer, GridConv2d)
    x = input_for(layer)
    exact(layer, x)
    x = x.double()
    reference = layer(x)
    channel_axis = -1 if kind == "linear" else 1
    weight = layer.weight.data
    for _ in range(10):
        order = torch.randperm(CHANNELS)
        layer.weight.data = weight[:, order]
        assert layer(x.index_select(channel_axis, order)).equal(reference)


@pytest.mark.parametrize("kind", ["depthwise 3x3", "depthwise 5x5"])
def test_the_order_of_summed_taps_does_not_matter(kind: str) -> None:
    """What a depthwise convolution sums is one channel's window: PyTorch's kernel does it its way,
    and a mirrored picture under a mirrored kernel has it summed from the other end."""
    torch.manual_seed(3)
    layer = made(kind)
    assert isinstance(layer, GridConv2d)
    x = input_for(layer)
    exact(layer, x)
    x = x.double()
    reference = layer(x)
    theirs = F.conv2d(layer.snap(x), layer.weight, layer.bias, padding="same", groups=layer.groups)
    assert theirs.equal(reference)
    layer.weight.data = layer.weight.data.flip(-1, -2)
    assert layer(x.flip(-1, -2)).flip(-1, -2).equal(reference)


def test_the_order_of_hidden_channels_of_a_block_does_not_matter() -> None:
    torch.manual_seed(4)
    block = made("block")
    assert isinstance(block, GridBlock)
    x = input_for(block)
    exact(block, x)
    x = x.double()
    reference = block(x)
    hidden, gate = torch.randperm(CHANNELS), torch.randperm(16)
    both = torch.cat([gate, gate + 16])
    for layer, order in ((block.mix, hidden), (block.spread, hidden), (block.expand, both)):
        layer.weight.data = layer.weight.data[order]
        layer.bias.data = layer.bias.data[order]
    for layer, order in ((block.join, hidden), (block.project, gate)):
        layer.weight.data = layer.weight.data[:, order]
    assert block(x).equal(reference)


@every_convolution
@pytest.mark.parametrize("sign", [1, -1])
def test_the_worst_input_reaches_the_bound_exactly(kind: str, sign: int) -> None:
    torch.manual_seed(5)
    layer = made(kind)
    assert isinstance(layer, GridConv2d)
    exact(layer, input_for(layer))
    layer.bias.data = layer.bias.abs() * sign
    weight, bias = in_units(layer)
    reached = abs(weight).reshape(len(weight), -1).sum(1) * ACTIVATION_LIMIT + abs(bias)
    worst = int(np.argmax(reached))
    assert reached[worst] == layer.accumulator_bound

    size = layer.weight.shape[-1]
    channels = slice(None) if layer.groups == 1 else slice(worst, worst + 1)
    x = torch.zeros(1, CHANNELS, size, size, dtype=torch.float64)
    x[:, channels] = layer.weight[worst].sign() * sign * 2.0**40  # far beyond the clamp
    y = layer(x.movedim(1, -1)).movedim(-1, 1) if kind == "linear" else layer(x)
    centre = y[0, worst, size // 2, size // 2].item() / layer.bias_unit
    assert centre == sign * layer.accumulator_bound
    units = np.vectorize(int, otypes=[object])((layer.snap(x)[0] * layer.snap.scale).numpy())
    assert centre == convolved(units, weight, bias)[worst, size // 2, size // 2]


small_layers = st.tuples(
    st.sampled_from(["1x1", "3x3", "5x5", "depthwise 3x3", "depthwise 5x5"]),
    st.integers(1, 4),  # channels
    st.integers(1, 4),  # height and width
    st.integers(1, 4),
    st.integers(0, 2**32),
    st.sampled_from([1e-3, 1.0, 1e3]),
)


@given(small_layers)
@settings(deadline=None, max_examples=60)
def test_exact_convolutions_agree_with_integer_arithmetic(
    case: tuple[str, int, int, int, int, float],
) -> None:
    kind, channels, height, width, seed, size = case
    torch.manual_seed(seed)
    groups = channels if kind.startswith("depthwise") else 1
    layer = GridConv2d(channels, channels, int(kind[-1]), groups=groups)
    nn.init.normal_(layer.weight, std=1 / size)
    nn.init.normal_(layer.bias, std=size)
    x = torch.randn(1, channels, height, width) * size
    exact(layer, x)
    x = 4 * x.double()  # some of it is clamped
    units = np.vectorize(int, otypes=[object])((layer.snap(x)[0] * layer.snap.scale).numpy())
    expected = convolved(units, *in_units(layer))
    found = (layer(x)[0] / layer.bias_unit).detach().numpy()
    assert (found == expected).all()  # float with int, compared exactly


@every_convolution
def test_an_accumulator_beyond_53_bits_is_refused(kind: str) -> None:
    layer = made(kind)
    assert isinstance(layer, GridConv2d)
    exact(layer, input_for(layer))
    (bound,) = grid.check_bounds(layer)
    assert 2**bound.bits == pytest.approx(layer.accumulator_bound)
    weights = layer.weight.abs().flatten(1).sum(1) / layer.weight_unit * ACTIVATION_LIMIT
    room = 2**53 - int(weights[0].item())
    layer.bias.data.zero_()
    layer.bias.data[0] = (room - 2) * layer.bias_unit  # the last even number below
    grid.check_bounds(layer)
    layer.bias.data[0] = -room * layer.bias_unit
    with pytest.raises(OverflowError, match="2\\*\\*53"):
        grid.check_bounds(layer)


def test_freezing_names_the_layer_that_overflows() -> None:
    layers = nn.ModuleDict({"sound": GridConv2d(2, 2), "large": GridConv2d(2, 2)})
    nn.init.constant_(layers["large"].bias, 2.0**60)
    for layer in layers.values():
        layer.snap.peak = 1.0
    with pytest.raises(OverflowError, match="large"):
        exact(layers)


def test_a_snap_that_has_seen_nothing_is_not_frozen() -> None:
    """It would clamp every input to a millionth, and nothing would say so."""
    with pytest.raises(RuntimeError, match="calibrate"):
        grid.freeze(nn.ModuleList([GridConv2d(2, 2)]))


def test_halves_are_rounded_up() -> None:
    """Not to even, and not away from zero: torch.round and roundf would differ on them."""
    snap = Snap()
    snap.fraction_bits = 3
    units = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], dtype=torch.float64)
    assert (snap(units / 8) * 8).tolist() == [-2, -1, 0, 1, 2, 3]


def test_a_snap_clamps_to_16_bits_symmetrically() -> None:
    snap = Snap()
    snap.fraction_bits = -2
    x = torch.tensor([-1e30, -4.0 * 2**15, 4.0 * 2**15, 1e30], dtype=torch.float64)
    assert (snap(x) / 4).tolist() == [-32767, -32767, 32767, 32767]


@given(st.floats(1e-5, 1e9))
def test_a_snap_takes_the_finest_grid_with_headroom(peak: float) -> None:
    snap = Snap()
    snap.watching = True
    snap(torch.tensor([-peak, peak / 2], dtype=torch.float64))
    snap.freeze()
    assert ACTIVATION_LIMIT / 2 < peak * HEADROOM * snap.scale <= ACTIVATION_LIMIT
    assert math.log2(snap.scale).is_integer()


def test_only_a_watching_snap_sees() -> None:
    snap = Snap()
    snap(torch.tensor([100.0]))
    assert snap.peak is None


def test_a_layer_behind_a_dead_one_moves_to_the_grid() -> None:
    snap = Snap()
    snap.watching = True
    snap(torch.zeros(3))
    snap.freeze()
    assert snap(torch.tensor([0.0, 0.5])).tolist() == [0.0, 0.5]


@pytest.mark.parametrize("order", [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0)])
def test_what_is_not_finite_is_no_range(order: tuple[float, float]) -> None:
    snap = Snap()
    snap.watching = True
    for value in order:
        snap(torch.tensor([value, 0.0]))
    with pytest.raises(RuntimeError, match="not finite"):
        snap.freeze()


def test_weights_use_16_bits() -> None:
    layer = made("3x3")
    assert isinstance(layer, GridConv2d)
    exact(layer, input_for(layer))
    weight, _ = in_units(layer)
    assert 2**14 <= abs(weight).max() < 2**15


def test_a_table_holds_its_function_at_every_grid_point() -> None:
    table = GridTable(torch.sigmoid)
    table.freeze()
    x = torch.arange(-TABLE_RANGE * 256, TABLE_RANGE * 256, dtype=torch.float64) / 256
    assert table(x).equal((torch.sigmoid(x) * 2**14).round() / 2**14)
    # Between grid points, halves up; beyond the ends, the ends.
    assert table(x[:-1] + 1 / 512).equal(table(x[1:]))
    assert table(x - 1 / 512).equal(table(x))
    ends = torch.tensor([-1e12, 1e12], dtype=torch.float64)
    assert table(ends).equal(table(x[[0, -1]]))
    assert table.table.shape == table.size


def test_what_is_not_frozen_has_no_grid() -> None:
    with pytest.raises(RuntimeError, match="not on the grid"):
        _ = GridConv2d(1, 1).accumulator_bound
    with pytest.raises(RuntimeError, match="not on the grid"):
        _ = Snap().scale


def test_shapes_that_have_no_exact_kernel_are_refused() -> None:
    with pytest.raises(ValueError, match="odd kernel"):
        GridConv2d(4, 4, 2)
    with pytest.raises(ValueError, match="depthwise"):
        GridConv2d(4, 4, 3, groups=2)


def test_a_depthwise_layer_of_one_tap_has_both_lives() -> None:
    layer = GridConv2d(5, 5, 1, groups=5)
    x = torch.randn(2, 5, 3, 4)
    with grid.watching(layer):
        trainable = layer(x)
    assert torch.allclose(trainable, x * layer.weight.view(5, 1, 1))
    grid.freeze(layer)
    assert torch.allclose(layer(x.double()).float(), trainable, atol=1e-2)


def test_freeze_finds_every_layer_of_a_tree() -> None:
    """A layer that stays in float would be exact on no machine."""
    tree = nn.Sequential(GridBlock(4, 3, 4), nn.ModuleList([GridConv2d(4, 2)]))
    with grid.watching(tree):
        tree[1][0](tree[0](torch.randn(1, 4, 3, 3)))
    bounds = grid.freeze(tree)
    convolutions = ["0.mix", "0.spread", "0.join", "0.expand", "0.project", "1.0"]
    assert [bound.layer for bound in bounds] == convolutions
    for _, layer in grid.grid_layers(tree):
        assert not isinstance(layer, Snap) or layer.fraction_bits is not None
        assert not isinstance(layer, GridTable) or layer.table.numel()
    for parameter in tree.parameters():
        assert parameter.dtype == torch.float64
        assert not parameter.requires_grad


def test_a_table_whose_values_do_not_fit_16_bits_is_refused() -> None:
    with pytest.raises(OverflowError, match="16 bits"):
        GridTable(torch.exp).freeze()
