"""The block that hyper-synthesis and context are built of, in its two lives.

    x ─┬─► 1×1 ─► leaky ─► k×k depthwise ─► 1×1 ─► + ─┬─► 1×1 ─► u · sigmoid(v) ─► 1×1 ─► + ─►
       └───────────────────────────────────────────┘  └─────────────────────────────────┘

Trainable, it is its layers one after the other. Exact, most of their time would go into the passes
over memory with which each of them scales, snaps and scales back. There, values stay whole numbers
of the grid unit, scales (powers of two) and the halves that rounding adds go into weights and
biases, and residuals are added where products are summed: every value is the same, to the bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.entropy.grid import (
    ACTIVATION_LIMIT,
    TABLE_FRACTION_BITS,
    TABLE_RANGE,
    TABLE_VALUE_BITS,
    GridConv2d,
    GridTable,
    Snap,
    Sums,
    require_exact,
    shifted_sums,
)

SLOPE = 0.125  # of the leaky unit: a power of two, so that the product stays on a grid
TABLE_SCALE = 2.0**TABLE_FRACTION_BITS


class GridBlock(Sums):
    """Depthwise-separable residual block, then a gated residual one; (N, C, h, w) to the same."""

    def __init__(self, channels: int, kernel_size: int, gate_channels: int) -> None:
        super().__init__()
        self.stream = Snap()
        self.mix = GridConv2d(channels, channels)
        self.spread = GridConv2d(channels, channels, kernel_size, groups=channels)
        self.join = GridConv2d(channels, channels)
        self.gated_stream = Snap()
        self.expand = GridConv2d(channels, 2 * gate_channels)
        self.sigmoid = GridTable(torch.sigmoid)
        self.value = Snap()
        self.project = GridConv2d(gate_channels, channels)
        nn.init.zeros_(self.join.weight)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.stream.fraction_bits is None:
            return self.layer_by_layer(x)
        return batched([self._exact(picture) for picture in x])

    def layer_by_layer(self, x: Tensor) -> Tensor:
        """What the block is, in either life."""
        x = self.stream(x)
        x = x + self.join(self.spread(F.leaky_relu(self.mix(x), SLOPE)))
        x = self.gated_stream(x)
        value, gate = self.expand(x).chunk(2, dim=1)
        branch: Tensor = self.project(self.value(value) * self.sigmoid(gate))
        return x + branch

    @torch.no_grad()  # what is floored has no gradient
    def _exact(self, x: Tensor) -> Tensor:
        """x (C, h, w) float64. Names of values say in whose units they are whole numbers."""
        of_gated = self._spread(x)
        gated = self.gated_stream.scale
        of_project = self._gated_values(rescaled(of_gated, gated, self.expand.snap.scale))
        result = added(of_gated, gated, self.project, of_project, 1.0, 0.0)
        return result.view(x.shape)

    def _spread(self, x: Tensor) -> Tensor:
        """The first half, (C, h·w)."""
        channels, stream = len(x), self.stream.scale
        of_stream = units(x, self.stream).view(channels, -1)
        of_mix = rescaled(of_stream, stream, self.mix.snap.scale)
        hidden = product(self.mix, of_mix, self.spread.snap.scale)
        of_spread = whole(F.leaky_relu_(hidden, SLOPE).add_(0.5)).view(1, *x.shape)
        up = self.join.snap.scale / self.spread.snap.scale
        bias = self.spread.bias * self.join.snap.scale + 0.5
        sums = shifted_sums(of_spread, self.spread.weight * up, bias)
        of_join = whole(sums[0].flatten(1))
        del hidden, of_spread, sums
        return whole(added(of_stream, stream, self.join, of_join, self.gated_stream.scale, 0.5))

    def _gated_values(self, of_expand: Tensor) -> Tensor:
        """u · sigmoid(v), as it enters the last convolution."""
        half = self.sigmoid.table.numel() // 2
        gates = self.expand.weight.shape[0] // 2
        scales = torch.full((2 * gates, 1), TABLE_SCALE, dtype=torch.float64)
        scales[:gates] = self.value.scale
        scales = scales.to(of_expand.device)
        weight = self.expand.weight.flatten(1) * (scales / self.expand.snap.scale)
        bias = self.expand.bias[:, None] * scales + 0.5
        bias[gates:] += half
        both = torch.mm(weight, of_expand).add_(bias).floor_()
        value, gate = both[:gates], both[gates:]
        value.clamp_(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        table = self.sigmoid.table * (self.project.snap.scale / self.value.scale)
        index = gate.clamp_(0, 2 * half - 1).to(torch.int32).view(-1)
        gate = table.index_select(0, index).view(gate.shape)
        return whole(gate.mul_(value).add_(0.5))

    def check_sums(self, name: str) -> None:
        unit = self.mix.bias_unit
        half = 0.5 / self.spread.snap.scale
        reached = self.mix.accumulator_bound * unit
        require_exact(f"{name}.mix", SLOPE * min(unit, half), reached, half)
        unit, half = self.spread.bias_unit, 0.5 / self.join.snap.scale
        reached = self.spread.accumulator_bound * unit
        require_exact(f"{name}.spread", min(unit, half), reached, half)
        for layer, stream, half in (
            (self.join, self.stream, 0.5 / self.gated_stream.scale),
            (self.project, self.gated_stream, 0.0),
        ):
            unit, step = layer.bias_unit, 1 / stream.scale
            reached = layer.accumulator_bound * unit + half
            finest = min(unit, step, half or unit)
            require_exact(f"{name}, a residual", finest, reached, ACTIVATION_LIMIT * step)
        unit, reached = self.expand.bias_unit, self.expand.accumulator_bound * self.expand.bias_unit
        for scale, offset in ((self.value.scale, 0.0), (TABLE_SCALE, TABLE_RANGE)):
            half = 0.5 / scale
            require_exact(f"{name}.expand", min(unit, half), reached, half, offset)
        unit, half = 2.0**-TABLE_VALUE_BITS / self.value.scale, 0.5 / self.project.snap.scale
        reached = 2 * ACTIVATION_LIMIT / self.value.scale
        require_exact(f"{name}, a gated value", min(unit, half), reached, half)


def whole(x: Tensor) -> Tensor:
    """The snap of values in units of its grid to which a half has been added; in place."""
    return x.floor_().clamp_(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)


def units(x: Tensor, snap: Snap) -> Tensor:
    """What a snap makes of x, in units of its grid; contiguous."""
    half = torch.tensor(0.5, dtype=x.dtype, device=x.device)
    return whole(torch.add(half, x, alpha=snap.scale).contiguous())


def exact_products(weight: Tensor, bias: Tensor, scale: Tensor | float, values: Tensor) -> Tensor:
    """1×1 convolutions on the grid, P at once, of their inputs (N, P, C, h, w) -> (N, P, O, h, w).

    weight (P, O, C); bias (P, O, 1), or (O, 1) of all; scale (P, 1, 1), or that of all: of their
    snaps. `values` are inputs times scales. They and the weights are overwritten.
    """
    columns, scaled = whole(values.add_(0.5)).flatten(3), weight.div_(scale)
    sums = batched([torch.baddbmm(bias, scaled, one) for one in columns])
    return sums.view(*sums.shape[:3], *values.shape[3:])


def batched(pictures: list[Tensor]) -> Tensor:
    """Stacked; a single one is not copied."""
    return torch.stack(pictures) if len(pictures) != 1 else pictures[0].unsqueeze(0)


def rescaled(values: Tensor, scale: float, other: float) -> Tensor:
    """Whole numbers on one grid, snapped to another; those on the same are there already."""
    return values if scale == other else whole((values * (other / scale)).add_(0.5))


def product(layer: GridConv2d, values: Tensor, scale: float) -> Tensor:
    """(C, n) in units of a 1×1 layer's snap -> its result (O, n) times a scale."""
    weight = layer.weight.flatten(1) * (scale / layer.snap.scale)
    # Of whole numbers, sums in any order are the same; `addmm` would begin with a copy of the bias.
    return torch.mm(weight, values).add_(layer.bias[:, None] * scale)


def added(
    base: Tensor, base_scale: float, layer: GridConv2d, values: Tensor, scale: float, offset: float
) -> Tensor:
    """`product` plus an offset, and plus `base`, which is in units of its own grid."""
    bias = layer.bias[:, None] * scale + offset
    total = torch.add(bias, base, alpha=scale / base_scale)
    return total.addmm_(layer.weight.flatten(1) * (scale / layer.snap.scale), values)
