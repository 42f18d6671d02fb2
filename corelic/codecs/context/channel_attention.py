"""Channel slices × checkerboard with attention over channels and over the whole picture (ACGC).

Wang et al., "S2LIC: Learned Image Compression with the SwinV2 Block, Adaptive Channel-wise and
Global-inter Attention Context"; no code of its authors is used.

    ŷ of earlier slices,  ─┬─► channels: 3×3 GELU 3×3 GELU ─┬─ gates ─┬─► + ─► 2s ─┐
    ■ of this one          │             1×1, depthwise 3×3 ┘         │            │
                           ├─► picture:  deformable attention ┬─ gates ┬─► + ─► s ─┼─► 4 × 1×1 ─►
                           │             1×1, depthwise 3×3 ──┘                    │   index, mean
    hyper ─────────────────┴───────────────────────────────────────────────────────┘
    ŷ of the step, hyper, earlier slices ─► 1×1, 3×3, 1×1 ─► tanh / 2 ─► + ŷ         (refine)

Two branches gate each other: the second's mean over the picture, channel by channel, the first; the
first's channels, position by position, the second. Deformable attention: at every fourth position
each way a query foretells where to look; what it finds there are the keys of all queries.

Ours differs: the figure is followed, in which the anchors of a slice feed its second pass (the
released code feeds both passes alike); one ACGC serves both passes, with zeros where anchors are
not decoded; no batch normalisation, which at coding time is a part of the weights; GELU and gates
from tables. Where the paper is silent, widths and the stride of reference points are our reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from corelic.codecs.base import check_repeats
from corelic.codecs.context.base import GaussianParameters, to_gaussian
from corelic.codecs.context.sliced import SlicedContext
from corelic.entropy.grid import GridConv2d, GridTable, Snap
from corelic.entropy.grid_attention import GridAttention, softmax_weight
from corelic.entropy.grid_norm import GridGelu, GridMean, normal_cdf
from corelic.entropy.grid_sampling import GridSampling

KERNEL = 5  # after attention
REFERENCE_STRIDE = 4  # latents from one reference point to the next, each way
REFERENCE_START = REFERENCE_STRIDE // 2
FARTHEST = 8.0  # latents from a reference point to where it looks; a power of two
REFINEMENT = 0.5  # the most by which a latent is refined, as in Minnen & Singh 2020


@dataclass(frozen=True)
class ChannelAttentionSpec:
    latent_channels: int
    slice_channels: int  # 32 in the paper, of 320
    width: int  # of heads and refinements; as many as latent channels in the paper

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"heads of {self.width} channels cannot be")
        check_repeats(self.latent_channels // max(self.slice_channels, 1), "slices")
        if self.slice_channels < 1 or self.latent_channels % self.slice_channels:
            raise ValueError(
                f"slices of {self.slice_channels} channels do not share {self.latent_channels}"
            )

    @classmethod
    def sized(cls, latent_channels: int) -> ChannelAttentionSpec:
        """Slices of 32 channels as in the paper, but at least four of them."""
        size = 32 if latent_channels >= 128 else latent_channels // 4
        return cls(latent_channels, size, width=latent_channels)

    def build(self) -> ChannelAttention:
        return ChannelAttention(self)


class Functions(nn.Module):
    """The tables that all parts share."""

    def __init__(self) -> None:
        super().__init__()
        self.phi, self.sigmoid = GridTable(normal_cdf), GridTable(torch.sigmoid)
        self.tanh, self.weight = GridTable(torch.tanh), GridTable(softmax_weight)


class ChannelAttention(SlicedContext):
    """Two network passes per slice, at any picture size."""

    reach = None
    refines = True

    def __init__(self, spec: ChannelAttentionSpec) -> None:
        m, size = spec.latent_channels, spec.slice_channels
        count = m // size
        super().__init__([size] * count)
        self.hyper_features = 2 * m
        # The dense convolution after attention unfolds its input in float64.
        # Wider heads than the paper's hold more than that.
        self.working_values = (KERNEL**2 + 7) * m + 10 * size + 6 * max(spec.width - m, 0)
        self.functions = Functions()
        self.channels = nn.ModuleList(
            AcrossChannels((k + 1) * size, 2 * size) for k in range(count)
        )
        self.picture = nn.ModuleList(
            AcrossPicture((k + 1) * size, size, heads=k + 1) for k in range(count)
        )
        # The first anchors know nothing but the hyper features.
        self.heads = nn.ModuleList(
            Head(2 * m + (3 * size if step else 0), spec.width, 2 * size)
            for step in range(self.steps)
        )
        self.residuals = nn.ModuleList(
            Residual(m + (step // 2 + 1) * size, spec.width, size) for step in range(self.steps)
        )

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        number, second = divmod(step, 2)
        parts = [hyper]
        if step:
            known = self.known_channels(step, decoded)
            if not second:
                absent = known.new_zeros((len(known), self.sizes[number], *known.shape[2:]))
                known = torch.cat([known, absent], dim=1)
            parts.append(self.channels[number](known, self.functions))
            parts.append(self.picture[number](known, self.functions))
        found = to_gaussian(self.heads[step](torch.cat(parts, dim=1), self.functions))
        return found.placed(self.channels_of(number), decoded)

    def refine(self, step: int, hyper: Tensor, decoded: Tensor) -> Tensor:
        number, second = divmod(step, 2)
        own = self.channels_of(number)
        known = decoded[:, : own.stop] if second else self.known_channels(step + 1, decoded)
        x = torch.cat([hyper[:, : decoded.shape[1]], known], dim=1)
        change = self.residuals[step](x, self.functions)
        refined = decoded.clone()
        refined[:, own] += change
        return refined


class Gates(nn.Module):
    """Two branches (N, C, h, w) that weight each other -> their sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 4, 4)
        self.mean = GridMean()
        self.by_channel = nn.ModuleList(
            [GridConv2d(channels, hidden), GridConv2d(hidden, channels)]
        )
        self.by_position = nn.ModuleList([GridConv2d(channels, hidden), GridConv2d(hidden, 1)])
        self.gelus = nn.ModuleList([GridGelu(), GridGelu()])
        self.first, self.second = Snap(), Snap()

    def forward(self, first: Tensor, second: Tensor, functions: Functions) -> Tensor:
        def gate(x: Tensor, layers: nn.ModuleList, gelu: nn.Module) -> Tensor:
            weight: Tensor = functions.sigmoid(layers[1](gelu(layers[0](x), functions.phi)))
            return weight

        first, second = self.first(first), self.second(second)
        of_channels = gate(self.mean(second, (2, 3)), self.by_channel, self.gelus[0])
        of_positions = gate(first, self.by_position, self.gelus[1])
        return first * of_channels + second * of_positions


class AcrossChannels(nn.Module):
    """Known ŷ (N, C, h, w) -> (N, O, h, w): convolutions beside depthwise ones."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        # Latents reach hundreds: hence the small gains.
        first = GridConv2d(channels, out_channels, 3, gain=0.1)
        self.dense = nn.ModuleList([first, GridConv2d(out_channels, out_channels, 3)])
        self.gelus = nn.ModuleList([GridGelu(), GridGelu()])
        self.mix = GridConv2d(channels, out_channels, gain=0.1)
        self.spread = GridConv2d(out_channels, out_channels, 3, groups=out_channels)
        self.gates = Gates(out_channels)

    def forward(self, x: Tensor, functions: Functions) -> Tensor:
        dense = x
        for layer, gelu in zip(self.dense, self.gelus, strict=True):
            dense = gelu(layer(dense), functions.phi)
        found: Tensor = self.gates(dense, self.spread(self.mix(x)), functions)
        return found


class AcrossPicture(nn.Module):
    """Known ŷ (N, C, h, w) -> (N, O, h, w): deformable attention beside a depthwise layer."""

    def __init__(self, channels: int, out_channels: int, heads: int) -> None:
        super().__init__()
        self.enter = GridConv2d(channels, channels, gain=0.1)
        self.look = GridConv2d(channels, channels, 3, groups=channels)
        self.gelu = GridGelu()
        self.offset = GridConv2d(channels, 2, gain=0.1)
        self.sample = GridSampling()
        self.attention = GridAttention(channels, heads)
        self.leave = GridConv2d(channels, out_channels, KERNEL)
        self.mix = GridConv2d(channels, out_channels, gain=0.1)
        self.spread = GridConv2d(out_channels, out_channels, 3, groups=out_channels)
        self.gates = Gates(out_channels)

    def forward(self, x: Tensor, functions: Functions) -> Tensor:
        queries = self.enter(x)
        keys, values = self.attention.memory_of(self._samples(x, queries, functions))
        tokens = queries.flatten(2).transpose(1, 2)
        found = self.attention(tokens, keys, values, functions.weight)
        found = self.leave(found.transpose(1, 2).reshape(queries.shape))
        gated: Tensor = self.gates(found, self.spread(self.mix(x)), functions)
        return gated

    def _samples(self, x: Tensor, queries: Tensor, functions: Functions) -> Tensor:
        """(N, points, C): the latents where reference points look."""
        every = slice(REFERENCE_START, None, REFERENCE_STRIDE)
        seen = self.gelu(self.look(queries)[:, :, every, every], functions.phi)
        offsets = functions.tanh(self.offset(seen)) * FARTHEST
        down, right = (
            torch.arange(side, dtype=x.dtype, device=x.device) * REFERENCE_STRIDE + REFERENCE_START
            for side in seen.shape[2:]
        )
        rows, columns = offsets[:, 0] + down[:, None], offsets[:, 1] + right
        found: Tensor = self.sample(queries, rows.flatten(1), columns.flatten(1))
        return found


class Head(nn.Module):
    """Four 1×1, (N, C, h, w) -> (N, O, h, w), with 5/5, 4/5 and 2/5 of the width between them."""

    def __init__(self, channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        hidden = (max(width * share // 5, 8) for share in (5, 4, 2))
        widths = (channels, *hidden)
        self.hidden = nn.ModuleList(GridConv2d(before, after) for before, after in pairwise(widths))
        self.gelus = nn.ModuleList(GridGelu() for _ in self.hidden)
        self.head = GridConv2d(widths[-1], out_channels, gain=0.1)

    def forward(self, x: Tensor, functions: Functions) -> Tensor:
        for layer, gelu in zip(self.hidden, self.gelus, strict=True):
            x = gelu(layer(x), functions.phi)
        found: Tensor = self.head(x)
        return found


class Residual(nn.Module):
    """What ŷ lacks, predicted: (N, C, h, w) -> (N, O, h, w) within ±1/2."""

    def __init__(self, channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        hidden = max(width * 2 // 5, 8)
        first = GridConv2d(channels, hidden, gain=0.1)
        last = GridConv2d(hidden, out_channels)
        self.layers = nn.ModuleList([first, GridConv2d(hidden, hidden, 3), last])
        self.gelus = nn.ModuleList([GridGelu(), GridGelu()])
        nn.init.zeros_(last.weight)

    def forward(self, x: Tensor, functions: Functions) -> Tensor:
        first, second, last = self.layers
        x = self.gelus[0](first(x), functions.phi)
        x = self.gelus[1](second(x), functions.phi)
        found: Tensor = functions.tanh(last(x)) * REFINEMENT
        return found
