"""Norms, gates, attention and sampling on the grid: under the same tests as the convolutions."""

import copy
import itertools
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.entropy import grid, grid_attention
from corelic.entropy.grid import ACTIVATION_LIMIT, GridTable
from corelic.entropy.grid_attention import GridAttention, attend, softmax_weight
from corelic.entropy.grid_norm import EPSILON, GridGelu, GridLayerNorm, GridMean, normal_cdf
from corelic.entropy.grid_sampling import GridSampling
from tests.entropy.test_grid import exact, threads

FEATURES, HEADS, KEYS = 12, 3, 10


class Normed(GridLayerNorm):
    """Over channels of maps, so that it has a memory layout."""

    def __init__(self) -> None:
        super().__init__(FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Averaged(GridMean):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # axes are given
        return super().forward(x, (2, 3))


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gelu, self.phi = GridGelu(), GridTable(normal_cdf)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.gelu(x, self.phi)
        return found


class Attending(nn.Module):
    """Every position to every other."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = GridAttention(FEATURES, HEADS)
        self.weight = GridTable(softmax_weight)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        keys, values = self.attention.memory_of(tokens)
        found: Tensor = self.attention(tokens, keys, values, self.weight)
        return found.transpose(1, 2).reshape(x.shape)


class Sampling(GridSampling):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # points are given
        steps = torch.arange(20, dtype=x.dtype).expand(len(x), -1)
        return super().forward(x, steps * 0.37 - 0.5, 6.2 - steps * 0.41)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "norm": Normed,
    "mean": Averaged,
    "gelu": Gated,
    "attention": Attending,
    "sampling": Sampling,
}
# The most by which a frozen layer may differ, for inputs of standard deviation 3: a 16-bit grid
# over HEADROOM times the peak has a unit of 2**-10 or so, tables have 2**-8 in arguments, and
# sampling has points of 1/16 between values that differ by some 20.
ERROR = {"norm": 2e-3, "mean": 1e-3, "gelu": 2e-2, "attention": 0.1, "sampling": 1.5}
every_layer = pytest.mark.parametrize("kind", LAYERS)


def made(kind: str) -> nn.Module:
    layer = LAYERS[kind]()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def maps(height: int = 7, width: int = 6) -> Tensor:
    return torch.randn(2, FEATURES, height, width) * 3


@every_layer
def test_the_exact_life_is_close_to_the_trainable_one(kind: str) -> None:
    torch.manual_seed(0)
    layer, x = made(kind), maps()
    trainable = copy.deepcopy(layer).double()(x.double())
    exact(layer, x)
    difference = (layer(x.double()) - trainable).abs().max()
    assert 0 < difference <= ERROR[kind]


@every_layer
def test_exact_layers_do_not_depend_on_threads_library_or_layout(kind: str) -> None:
    torch.manual_seed(1)
    layer = made(kind)
    exact(layer, maps())
    x = 5 * maps(24, 20).double()
    reference = layer(x)
    layouts = (torch.contiguous_format, torch.channels_last)
    for count, onednn, layout in itertools.product((1, 2), (True, False), layouts):
        with threads(count), torch.backends.mkldnn.flags(enabled=onednn):
            assert layer(x.contiguous(memory_format=layout)).equal(reference)


@pytest.mark.parametrize("kind", ["norm", "mean", "sampling"])
def test_the_order_of_what_is_summed_does_not_matter(kind: str) -> None:
    torch.manual_seed(2)
    layer = made(kind)
    exact(layer, maps())
    x = maps().double()
    reference = layer(x)
    if kind == "sampling":  # four neighbours, from the other side
        rows, columns = torch.rand(2, 2, 30, dtype=torch.float64) * 8 - 1
        assert isinstance(layer, GridSampling)
        straight = GridSampling.forward(layer, x, rows, columns)
        # Halves of 1/16 are rounded up, which in the mirror is down.
        rows, columns = (((points * 16 + 0.5).floor() / 16) for points in (rows, columns))
        mirrored = GridSampling.forward(layer, x.flip(2, 3), 6 - rows, 5 - columns)
        assert mirrored.equal(straight)
        return
    for _ in range(10):
        if kind == "norm":
            order = torch.randperm(FEATURES)
            assert layer(x[:, order]).equal(reference[:, order])
        else:
            order = torch.randperm(42)
            assert layer(x.flatten(2)[:, :, order].view(x.shape)).equal(reference)


def test_the_order_of_keys_and_of_features_does_not_matter() -> None:
    torch.manual_seed(3)
    layer = made("attention")
    assert isinstance(layer, Attending)
    exact(layer, maps())
    x = maps().double().flatten(2).transpose(1, 2)
    keys, values = layer.attention.memory_of(x)
    reference = layer.attention(x, keys, values, layer.weight)
    for _ in range(10):
        order = torch.randperm(x.shape[1])
        found = layer.attention(x, keys[:, order], values[:, order], layer.weight)
        assert found.equal(reference)
    # Features of each head: what a score sums.
    size = FEATURES // HEADS
    order = torch.cat([torch.randperm(size) + size * head for head in range(HEADS)])
    for projection in (layer.attention.query, layer.attention.key):
        projection.weight.data = projection.weight[order]
        projection.bias.data = projection.bias[order]
    keys, values = layer.attention.memory_of(x)
    assert layer.attention(x, keys, values, layer.weight).equal(reference)


def test_the_worst_scores_and_values_are_exact() -> None:
    """Everything at the clamp: scores as large as can be, and all keys alike."""
    limit = torch.full((1, 1, 4, 8), float(ACTIVATION_LIMIT), dtype=torch.float64)
    weight = GridTable(softmax_weight)
    weight.freeze()
    scores = limit @ limit.transpose(-1, -2)
    assert (scores == 8 * ACTIVATION_LIMIT**2).all()
    found = attend(limit, limit, limit, weight)
    assert (found == ACTIVATION_LIMIT).all()
    # Opposed keys are as far below as can be, and count nothing.
    opposed = torch.cat([limit, -limit], dim=2)
    assert attend(limit, opposed, opposed, weight).equal(found)
    layer = GridAttention(FEATURES, 1)
    assert layer.accumulator_bound >= 8 * ACTIVATION_LIMIT**2
    most = grid_attention.MOST_KEYS * ACTIVATION_LIMIT * float(weight.table.max()) * 2**14
    assert layer.accumulator_bound >= most


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_worst_input_of_a_norm_a_mean_and_a_sample_stays_exact(sign: float) -> None:
    torch.manual_seed(4)
    for kind in ("norm", "mean", "sampling"):
        layer = made(kind)
        exact(layer, maps())
        (bound,) = grid.check_bounds(layer)
        assert bound.bits < 53
        x = torch.full((1, FEATURES, 6, 6), 1e9 * sign, dtype=torch.float64)
        if kind == "norm":
            x[:, ::2] *= -1  # the largest variance there is
            c = layer.get_submodule("centred")
            unit = 1 / c.scale
            centred = c(layer.get_submodule("snap")(x))
            squares = (centred / unit).square().sum(1)
            assert (squares == FEATURES * ACTIVATION_LIMIT**2).all()
            assert squares.max() == layer.accumulator_bound
            assert layer(x).abs().max() <= 1
        else:
            largest = ACTIVATION_LIMIT / layer.get_submodule("snap").scale
            assert (layer(x) == sign * largest).all()


def test_attention_agrees_with_rational_arithmetic() -> None:
    torch.manual_seed(5)
    weight = GridTable(softmax_weight)
    weight.freeze()
    q, k, v = (torch.randint(-99, 99, (1, 1, n, 3)).double() / 64 for n in (2, KEYS, KEYS))
    bias = torch.randint(-99, 99, (1, 2, KEYS)).double() / 128
    found = attend(q, k, v, weight, bias=bias)

    def fractions(x: Tensor) -> list[list[Fraction]]:
        return [[Fraction(value) for value in row] for row in x.tolist()]

    queries, keys, values = (fractions(part[0, 0]) for part in (q, k, v))
    for query, own_bias, ours in zip(queries, fractions(bias[0]), found[0, 0], strict=True):
        scores = [
            sum(a * b for a, b in zip(query, key, strict=True)) + extra
            for key, extra in zip(keys, own_bias, strict=True)
        ]
        arguments = [float(score - max(scores)) for score in scores]
        weights = [Fraction(value) for value in weight(torch.tensor(arguments).double()).tolist()]
        for feature in range(3):
            total = sum(w * row[feature] for w, row in zip(weights, values, strict=True))
            # A quotient of integers is rounded once, as float64 rounds.
            assert ours[feature].item() == float(total / sum(weights))


def test_attention_is_attention() -> None:
    torch.manual_seed(6)
    q, k, v = (torch.randn(2, HEADS, n, 4, dtype=torch.float64) for n in (5, KEYS, KEYS))
    bias = torch.randn(HEADS, 5, KEYS, dtype=torch.float64)
    valid = torch.rand(2, KEYS) < 0.7
    mask = torch.where(valid[:, None, None], bias, -torch.inf)
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    ours = attend(q, k, v, GridTable(softmax_weight), bias=bias, valid=valid)
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)  # weights lack exp(-8)


def test_keys_that_are_not_valid_count_nothing() -> None:
    torch.manual_seed(7)
    weight = GridTable(softmax_weight)
    weight.freeze()
    q, k, v = (torch.randint(-99, 99, (2, HEADS, n, 4)).double() / 64 for n in (5, KEYS, KEYS))
    valid = torch.ones(2, KEYS, dtype=torch.bool)
    valid[:, 7:] = False
    found = attend(q, k, v, weight, valid=valid)
    assert attend(q, k[:, :, :7], v[:, :, :7], weight).equal(found)
    assert attend(
        q, k * valid[:, None, :, None], v + ~valid[:, None, :, None], weight, valid=valid
    ).equal(found)


@pytest.mark.parametrize("at_once", [1, 3 * HEADS * KEYS, 5 * HEADS * KEYS])
def test_some_queries_at_a_time_give_what_all_give(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(8)
    weight = GridTable(softmax_weight)
    weight.freeze()
    q, k, v = (torch.randint(-99, 99, (3, HEADS, n, 4)).double() / 64 for n in (5, KEYS, KEYS))
    given = {
        "bias": torch.randint(0, 9, (HEADS, 5, KEYS)).double(),
        "valid": torch.rand(3, KEYS) < 0.7,
    }
    with torch.no_grad():
        whole = attend(q, k, v, weight, **given)
        monkeypatch.setattr(grid_attention, "SCORES_AT_ONCE", at_once)
        calls = []
        parts = grid_attention._attend
        monkeypatch.setattr(grid_attention, "_attend", lambda *x: calls.append(0) or parts(*x))
        assert attend(q, k, v, weight, **given).equal(whole)
    assert len(calls) > 1


def test_weights_that_are_all_zero_are_no_nan() -> None:
    """Of a file that lies; what comes after would look up the index of a NaN."""
    weight = GridTable(softmax_weight)
    weight.table = torch.zeros(weight.size, dtype=torch.float64)
    parts = (torch.randn(1, 2, 3, 4).double() for _ in range(3))
    assert attend(*parts, weight).isfinite().all()


def test_heads_must_share_the_features() -> None:
    with pytest.raises(ValueError, match="5 heads"):
        GridAttention(12, 5)


def test_a_norm_is_a_norm_and_a_gelu_a_gelu() -> None:
    torch.manual_seed(9)
    x = torch.randn(3, FEATURES, dtype=torch.float64) * 3 + 5
    theirs = F.layer_norm(x, (FEATURES,), eps=EPSILON)
    torch.testing.assert_close(GridLayerNorm(FEATURES)(x), theirs)
    torch.testing.assert_close(Gated()(x), F.gelu(x))
    torch.testing.assert_close(GridMean()(x, (1,)), x.mean(1, keepdim=True))


def test_a_norm_of_equal_numbers_is_zero() -> None:
    layer = GridLayerNorm(FEATURES)
    exact(layer, torch.randn(4, FEATURES))
    assert not layer(torch.full((1, FEATURES), 7.0, dtype=torch.float64)).any()


def test_a_norm_too_wide_for_its_squares_is_refused() -> None:
    layer = GridLayerNorm(2**23 + 2**10)
    layer.snap.peak = layer.centred.peak = 1.0
    with pytest.raises(OverflowError, match="2\\*\\*53"):
        grid.freeze(layer)


def test_sampling_is_sampling() -> None:
    torch.manual_seed(10)
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    rows, columns = torch.rand(2, 2, 40, dtype=torch.float64) * 9 - 1
    points = torch.stack([columns / 6 * 2 - 1, rows / 4 * 2 - 1], dim=-1)[:, None]
    theirs = F.grid_sample(x, points, align_corners=True, padding_mode="border")
    torch.testing.assert_close(GridSampling()(x, rows, columns), theirs[:, :, 0].transpose(1, 2))


def test_an_offset_learns_the_slope_between_neighbours() -> None:
    torch.manual_seed(11)
    x = torch.randn(1, 3, 5, 7, dtype=torch.float64)
    inside = torch.rand(2, 1, 10, dtype=torch.float64) * 3 + 0.3
    points = [part.requires_grad_() for part in inside]
    assert torch.autograd.gradcheck(lambda *at: GridSampling()(x, *at), points)


def test_exact_points_are_on_sixteenths() -> None:
    layer = GridSampling()
    exact_x = torch.arange(12.0, dtype=torch.float64).view(1, 1, 3, 4)
    layer.snap.peak = 12.0
    grid.freeze(layer)
    rows = torch.tensor([[1.0 + 1 / 33, 1.0 + 1 / 31, -3.0, 9.0]], dtype=torch.float64)
    found = layer(exact_x, rows, torch.zeros_like(rows))
    assert found.flatten().tolist() == [4.0, 4.25, 0.0, 8.0]
