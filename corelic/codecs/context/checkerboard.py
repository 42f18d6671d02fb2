"""Two-pass checkerboard context.

He et al., "Checkerboard Context Model for Efficient Learned Image Compression", CVPR 2021,
arXiv:2103.15306. Ours differs: exact arithmetic; hidden widths of the fusion in equal steps.

    decoded ─► blank all but ■ ─► 5×5 ─┐           ■ □ ■ □    step 0: ■, from hyper alone
                                       ├─► fuse    □ ■ □ ■    step 1: □, which sees the 12
    hyper ─────────────────────────────┘           ■ □ ■ □    anchors of its 5×5 window

The 5×5 has all 25 taps; at □ those that would meet another □ meet zeros, which is the paper's
mask, and at ■ nothing is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.codecs.context.base import GaussianParameters, to_gaussian
from corelic.codecs.context.sliced import Fusion, SlicedContext
from corelic.entropy.grid import GridConv2d

KERNEL = 5


@dataclass(frozen=True)
class CheckerboardSpec:
    latent_channels: int
    context_channels: int  # out of the 5×5; 2 · latent_channels in the paper

    @classmethod
    def sized(cls, latent_channels: int) -> CheckerboardSpec:
        return cls(latent_channels, 2 * latent_channels)

    def build(self) -> Checkerboard:
        return Checkerboard(self)


class Checkerboard(SlicedContext):
    """Two network passes at any picture size."""

    def __init__(self, spec: CheckerboardSpec) -> None:
        m, context = spec.latent_channels, spec.context_channels
        super().__init__([m])
        self.hyper_features = 2 * m
        self.reach = KERNEL // 2  # all else is 1×1
        # A dense convolution in float64 unfolds its input.
        self.working_values = (KERNEL**2 + 3) * m + context + 2 * max(context - 2 * m, 0)
        self.context_channels = context
        # Latents reach hundreds, hyper features do not: hence the small gain.
        self.neighbours = GridConv2d(m, context, KERNEL, gain=0.1)
        self.fuse = Fusion(2 * m + context, 2 * m)

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        if step:
            context = self.neighbours(self.earlier(step, decoded))
        else:
            context = hyper.new_zeros((len(hyper), self.context_channels, *hyper.shape[2:]))
        return to_gaussian(self.fuse(torch.cat([hyper, context], dim=1)))
