"""Exact fixed-point layers: the same numbers on every device, thread count and library.

What turns decoded symbols into table indexes and means must not differ in one rounding between
encoder and decoder. Every layer here lives twice, in one piece of code:

    trainable   float parameters, ordinary arithmetic, differentiable
    exact       float64 holding integers times a power of two; weights of 16 bits, inputs snapped
                to 16 bits before each layer, so that no sum of products leaves 2**53

    x ──► Snap: floor(x·2^f + 1/2), clamp ±(2^15−1), ·2^−f ──► Σ w·x + b ──► next layer snaps

A sum of integers below 2**53 is exact in float64, hence independent of the order of summation, of
fused multiply-add and of the library. `freeze` moves a module tree from the first life to the
second and computes, from the weights, the largest value any accumulator can take.

Cf. Ballé et al., "Integer Networks for Data Compression with Latent-Variable Models", ICLR 2019,
which trains with integers; ours trains in float and quantises afterwards, with 16 bits, not 8.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATION_LIMIT = 2**15 - 1  # in units of the input's grid: 16 bits, symmetric
WEIGHT_LIMIT = 2**15 - 1
ACCUMULATOR_LIMIT = 2**53  # float64 holds every integer up to here
PLANES_BYTES = 2**21  # summed at once by a depthwise convolution
HEADROOM = 2.0  # calibration sees a sample; activations may be this much larger before they clamp
TABLE_FRACTION_BITS = 8  # lookup tables: arguments are multiples of 1/256 …
TABLE_RANGE = 8  # … in [-8, 8)
TABLE_VALUE_BITS = 14  # … and values multiples of 2**-14


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1×1 convolution. x (N, C, h, w), weight (O, C, 1, 1), bias (O,) or None -> (N, O, h, w).

    Under autocast a matrix product over channels-last positions trains 1.6 times faster on CPUs
    than the convolution of the same numbers; without it the convolution is the faster one.
    """
    if torch.is_autocast_enabled(x.device.type):
        y = F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)
        return y.permute(0, 3, 1, 2)
    return F.conv2d(x, weight, bias)


@torch.no_grad()  # its inputs were floored: they have no gradient to pass on
def shifted_sums(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Depthwise convolution with zero padding, as a sum of shifted planes; exact layers' only.

    x (N, C, h, w), weight (C, 1, k, k), k odd. For float64 this is 16 times faster than PyTorch's
    depthwise kernel on CPUs, and on the grid every order of summation gives the same bits.
    """
    size, (count, channels, height, width) = weight.shape[-1], x.shape
    reach, row = size // 2, width + size - 1
    total = torch.empty((count, channels, height * row), dtype=x.dtype, device=x.device)
    # A few channels at a time: their planes stay in a core's cache while the taps go over them.
    few = max(PLANES_BYTES // (count * height * row * x.element_size()), 1)
    for first in range(0, channels, few):
        own = slice(first, first + few)
        # Rows end to end, with what pads them: a shift is one run. One more row, for its end.
        padded = F.pad(x[:, own], (reach, reach, reach, reach + 1)).flatten(2)
        part, start = total[:, own], bias[own, None]
        for down in range(size):
            for right in range(size):
                offset = down * row + right
                window = padded[:, :, offset : offset + height * row]
                torch.addcmul(start, window, weight[own, 0, down, right, None], out=part)
                start = part
    return total.view(count, channels, height, row)[..., :width]


class Snap(nn.Module):
    """Rounds to multiples of 2**-fraction_bits and clamps to 16 bits; the identity until frozen.

    Until then it can watch: `peak` is the largest magnitude seen while `watching`, None before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fraction_bits: int | None = None
        self.watching = False
        self.peak: float | None = None

    def freeze(self) -> None:
        """Chooses the finest grid on which HEADROOM times the peak still fits."""
        if self.peak is None or not math.isfinite(self.peak):
            seen = "nothing" if self.peak is None else "values that are not finite"
            raise RuntimeError(f"calibrate first: this layer has seen {seen}")
        # Of a layer behind a dead one, whose inputs are zeros, any grid is as good.
        largest = (self.peak or 1.0) * HEADROOM
        self.fraction_bits = math.floor(math.log2(ACTIVATION_LIMIT / largest))

    @property
    def scale(self) -> float:
        """A power of two: grid units per unit."""
        if self.fraction_bits is None:
            raise RuntimeError("this layer is not on the grid yet")
        return 2.0**self.fraction_bits

    def forward(self, x: Tensor) -> Tensor:
        if self.fraction_bits is None:
            if self.watching:
                seen = x.detach().abs().max()
                self.peak = torch.maximum(seen, seen.new_tensor(self.peak or 0.0)).item()
            return x
        # floor(x + 1/2), not round: one rule for halves, on every device.
        units = x.mul(self.scale).add_(0.5).floor_()
        return units.clamp_(-ACTIVATION_LIMIT, ACTIVATION_LIMIT).mul_(1.0 / self.scale)


class GridSum(nn.Module):
    """A layer that sums products; the largest magnitude of its sums, in their unit, is known."""

    accumulator_bound: float


class GridConv2d(GridSum):
    """Convolution, (N, C, h, w) -> (N, O, h', w'): 1×1, dense or depthwise, zero padding k // 2."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        groups: int = 1,
        gain: float = 1.0,
    ) -> None:
        """gain: standard deviation of the first outputs, for inputs of standard deviation 1."""
        super().__init__()
        if groups not in (1, in_channels) or kernel_size % 2 == 0:
            raise ValueError("dense or depthwise, with an odd kernel")
        self.snap = Snap()
        fan_in = in_channels // groups * kernel_size**2
        shape = (out_channels, in_channels // groups, kernel_size, kernel_size)
        bound = gain * math.sqrt(3 / fan_in)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.groups = groups
        self.weight_bits: int | None = None

    def freeze(self) -> None:
        """Moves weight and bias to the grid, in float64. The snap must have seen its inputs."""
        self.snap.freeze()
        largest = max(self.weight.abs().max().item(), 2.0**-20)
        self.weight_bits = math.floor(math.log2(WEIGHT_LIMIT / largest))
        for parameter, unit in ((self.weight, self.weight_unit), (self.bias, self.bias_unit)):
            exact = parameter.detach().double()
            parameter.requires_grad_(False)
            parameter.data = exact.div(unit).round().mul(unit)

    @property
    def weight_unit(self) -> float:
        """The power of two of which every weight is a multiple."""
        if self.weight_bits is None:
            raise RuntimeError("this layer is not on the grid yet")
        return 2.0**-self.weight_bits

    @property
    def bias_unit(self) -> float:
        """The accumulator's unit: that of weights times that of inputs."""
        return self.weight_unit / self.snap.scale

    @property
    def accumulator_bound(self) -> float:  # type: ignore[override]  # derived here
        """Over all inputs that `snap` can return."""
        weights = self.weight.double().abs().flatten(1).sum(dim=1) / self.weight_unit
        bias = self.bias.double().abs() / self.bias_unit
        return float((weights * ACTIVATION_LIMIT + bias).max().item())

    def forward(self, x: Tensor) -> Tensor:
        x = self.snap(x)
        kernel = self.weight.shape[-1]
        if kernel == 1 and self.groups == 1:
            return pointwise(x, self.weight, self.bias)
        if self.weight_bits is not None and self.groups > 1:
            return shifted_sums(x, self.weight, self.bias)
        if self.groups > 1 and x.device.type == "cpu":
            # Under autocast, bfloat16 would make a 5×5 train three times slower than float32.
            with torch.autocast("cpu", enabled=False):
                return self.convolve(x.to(self.weight.dtype))
        return self.convolve(x)

    def convolve(self, x: Tensor) -> Tensor:
        padding = self.weight.shape[-1] // 2
        return F.conv2d(x, self.weight, self.bias, padding=padding, groups=self.groups)


class GridLinear(GridConv2d):
    """Linear map of the last axis, (…, C) -> (…, O): a 1×1 convolution seen from the side."""

    def __init__(self, in_features: int, out_features: int, *, gain: float = 1.0) -> None:
        super().__init__(in_features, out_features, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.snap(x), self.weight.flatten(1), self.bias)


class GridTable(nn.Module):
    """An elementwise function: itself while training, a lookup table on the grid afterwards.

    Arguments are rounded to multiples of 1/256 and clamped to [-8, 8); values are multiples of
    2**-14. The table is shipped as integers: `exp` and its kin differ between libraries.
    """

    table: Tensor

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("table", torch.zeros(0, dtype=torch.float64))

    @property
    def size(self) -> torch.Size:
        """Of the table, once there is one."""
        return torch.Size([2 * TABLE_RANGE * 2**TABLE_FRACTION_BITS])

    def freeze(self) -> None:
        steps = 2**TABLE_FRACTION_BITS
        arguments = torch.arange(-TABLE_RANGE * steps, TABLE_RANGE * steps, dtype=torch.float64)
        values = self.function(arguments / steps) * 2.0**TABLE_VALUE_BITS
        if not bool((values.abs() < 2**15).all()):
            raise OverflowError("a table's values are held in 16 bits, below 2 in magnitude")
        self.table = (values.round() * 2.0**-TABLE_VALUE_BITS).to(self.table.device)

    def forward(self, x: Tensor) -> Tensor:
        if self.table.numel() == 0:
            return self.function(x)
        half = self.table.numel() // 2
        index = x.mul(2.0**TABLE_FRACTION_BITS).add_(0.5).floor_().clamp_(-half, half - 1)
        return torch.take(self.table, index.add_(half).long())


class Sums(nn.Module, ABC):
    """A module that adds to an accumulator in place what its layers alone would add afterwards."""

    @abstractmethod
    def check_sums(self, name: str) -> None:
        """OverflowError if a sum could leave 2**53, and so depend on its order."""


def require_exact(name: str, unit: float, *largest: float) -> None:
    """OverflowError unless a sum of such magnitudes, all multiples of `unit`, is exact."""
    if not sum(largest) / unit < ACCUMULATOR_LIMIT:
        raise OverflowError(f"{name} can reach {sum(largest) / unit:.3g}, beyond 2**53")


@dataclass(frozen=True, slots=True)
class AccumulatorBound:
    """What one layer can reach: `bits` = log2 of the largest magnitude, at most 53."""

    layer: str
    bits: float


def grid_layers(root: nn.Module) -> Iterator[tuple[str, Snap | GridConv2d | GridTable]]:
    """Every layer with a life on the grid, by name, each once; a convolution before its snap."""
    for name, module in root.named_modules():
        if isinstance(module, Snap | GridConv2d | GridTable):
            yield name, module


@contextmanager
def watching(root: nn.Module) -> Iterator[None]:
    """Meanwhile every snap below `root` records the range of what it sees."""
    snaps = [layer for _, layer in grid_layers(root) if isinstance(layer, Snap)]
    for snap in snaps:
        snap.watching = True
    try:
        yield
    finally:
        for snap in snaps:
            snap.watching = False


def freeze(root: nn.Module) -> list[AccumulatorBound]:
    """Moves everything below `root` to the grid, for good; as `check_bounds`."""
    for _, layer in grid_layers(root):
        layer.freeze()
    return check_bounds(root)


def check_bounds(root: nn.Module) -> list[AccumulatorBound]:
    """The accumulator bound of each sum, from its weights; OverflowError beyond 2**53."""
    bounds = []
    for name, layer in root.named_modules():
        if isinstance(layer, GridSum):
            bound = layer.accumulator_bound
            if not bound < ACCUMULATOR_LIMIT:
                raise OverflowError(f"{name} can reach {bound:.3g}, beyond 2**53")
            bounds.append(AccumulatorBound(name, math.log2(max(bound, 1.0))))
    for name, module in root.named_modules():
        if isinstance(module, Sums):
            module.check_sums(name)
    return bounds
