"""Channel slices in order, each as a checkerboard.

Minnen & Singh, "Channel-wise Autoregressive Entropy Models for Learned Image Compression",
ICIP 2020, arXiv:2007.08739, with the uneven groups and the checkerboards of ELIC: He et al.,
CVPR 2022, arXiv:2203.10886 (groups 16, 16, 32, 64, rest; first channels tell most). Ours differs:
one kind of latent for all rates, so the groups' order is learnt for all of them; exact arithmetic.

    ŷ of earlier slices ─► 5×5 ─► 5×5 ─► 5×5 ─┐
    ■ of this slice ─────────────────────► 5×5 ┼─► 1×1 ─► 1×1 ─► 1×1 ─► scale index, mean
    hyper ────────────────────────────────────┘

Step 2k: ■ of slice k, whose own ■ are not known yet; step 2k + 1: its □.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.context.base import GaussianParameters, to_gaussian
from corelic.codecs.context.sliced import Fusion, SlicedContext
from corelic.entropy.grid import GridConv2d

KERNEL = 5
LEADING = (16, 16, 32, 64)  # of 320 channels, in the paper


@dataclass(frozen=True)
class ChannelSlicesSpec:
    """wide, narrow: hidden channels of what looks at earlier slices, 224 and 128 in the paper."""

    latent_channels: int
    groups: tuple[int, ...]
    wide: int
    narrow: int

    def __post_init__(self) -> None:
        if sum(self.groups) != self.latent_channels or min(self.groups, default=0) < 1:
            raise ValueError(f"groups {self.groups} do not share {self.latent_channels} channels")

    @classmethod
    def sized(cls, latent_channels: int) -> ChannelSlicesSpec:
        """The paper's proportions; small slices have at least one channel."""
        m = latent_channels
        leading = tuple(max(size * m // 320, 1) for size in LEADING)
        return cls(m, (*leading, m - sum(leading)), max(224 * m // 320, 8), max(128 * m // 320, 8))

    def build(self) -> ChannelSlices:
        return ChannelSlices(self)


class ChannelSlices(SlicedContext):
    """Two network passes per slice, at any picture size."""

    reach = 3 * (KERNEL // 2)

    def __init__(self, spec: ChannelSlicesSpec) -> None:
        super().__init__(spec.groups)
        m, count = spec.latent_channels, len(spec.groups)
        self.hyper_features = 2 * m
        self.earlier_slices = nn.ModuleList(
            EarlierSlices(self.starts[k], spec.wide, spec.narrow, 2 * self.sizes[k])
            for k in range(1, count)
        )
        self.own_anchors = nn.ModuleList(
            GridConv2d(size, 2 * size, KERNEL, gain=0.1) for size in self.sizes
        )
        self.fuse = nn.ModuleList(
            Fusion(2 * m + (2 if k else 1) * 2 * size, 2 * size)
            for k, size in enumerate(self.sizes)
        )
        # A dense convolution in float64 unfolds its input.
        unfolded = KERNEL**2 * max(self.starts[-2], spec.wide, spec.narrow, *self.sizes)
        self.working_values = unfolded + 6 * m + 2 * spec.wide

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        number, second = divmod(step, 2)
        parts = [hyper]
        if number:
            known = decoded[:, : self.starts[number]]
            parts.append(self.earlier_slices[number - 1](known))
        if second:
            parts.append(self.own_anchors[number](self.anchors(number, decoded)))
        else:
            shape = (len(hyper), 2 * self.sizes[number], *hyper.shape[2:])
            parts.append(hyper.new_zeros(shape))
        found = to_gaussian(self.fuse[number](torch.cat(parts, dim=1)))
        return found.placed(self.channels_of(number), decoded)


class EarlierSlices(nn.Module):
    """ŷ of all earlier slices (N, C, h, w) -> (N, O, h, w)."""

    def __init__(self, channels: int, wide: int, narrow: int, out_channels: int) -> None:
        super().__init__()
        self.enter = GridConv2d(channels, wide, KERNEL, gain=0.1)
        self.reduce = GridConv2d(wide, narrow, KERNEL)
        self.leave = GridConv2d(narrow, out_channels, KERNEL)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.enter(x))
        x = F.relu(self.reduce(x))
        found: Tensor = self.leave(x)
        return found
