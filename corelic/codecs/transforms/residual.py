"""Residual convolutions at 1/2, 1/4 and 1/8: the neutral transform, for comparisons.

He et al., "ELIC: Efficient Learned Image Compression with Unevenly Grouped Space-Channel
Contextual Adaptive Coding", CVPR 2022, arXiv:2203.10886: strided 5×5 convolutions with residual
bottleneck blocks between them.

    x ─ 5×5 ↓2 ─ blocks ─ 5×5 ↓2 ─ blocks ─ 5×5 ↓2 ─ blocks ─ 5×5 ↓2 ─► y
    x̂ ─ 5×5 ↑2 ─ blocks ─ 5×5 ↑2 ─ blocks ─ 5×5 ↑2 ─ blocks ─ 5×5 ↑2 ─◄ ŷ

Ours differs: no attention blocks, since attention is what others are compared for; the linear path
beside the convolutions (`pyramid`); branches that start as zero and depend on the rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.base import check_repeats
from corelic.codecs.rate import RateTable
from corelic.codecs.transforms.depthwise import Pointwise
from corelic.codecs.transforms.pyramid import (
    STRIDE,
    Chain,
    Convolution,
    PyramidAnalysis,
    PyramidSynthesis,
    Transposed,
    fixed_floats,
    keep_size,
    start_as_principal_components,
)
from corelic.codecs.transforms.reach import Around, Layer, halo_px

KERNEL_SIZE = 5  # of strided convolutions
UNITS_PX = (2, 4, 8)  # of a position's side, stage by stage


@dataclass(frozen=True)
class ResidualSpec:
    """ELIC has 192 channels, 320 latent channels and 3 blocks a stage."""

    channels: int
    latent_channels: int
    blocks: int  # per stage

    def __post_init__(self) -> None:
        if self.channels < 2 or self.latent_channels < 1:
            raise ValueError("a residual transform needs 2 channels and 1 latent channel")
        check_repeats(self.blocks, "blocks a stage")

    @classmethod
    def sized(cls, latent_channels: int) -> ResidualSpec:
        """A block a stage."""
        return cls(max(latent_channels // 2, 2), latent_channels, blocks=1)

    @property
    def stride_px(self) -> int:
        return STRIDE

    @property
    def synthesis_halo_px(self) -> int | None:
        return self.analysis_halo_px

    @property
    def analysis_halo_px(self) -> int | None:
        layers: list[Layer] = []
        for unit_px in UNITS_PX:
            # Strided, a 5×5 reads two inputs beyond its own; transposed, one of twice the side.
            layers += [Around(unit_px), *(Around(unit_px) for _ in range(self.blocks))]
        return halo_px([*layers, Around(STRIDE)])

    @property
    def working_floats(self) -> float:
        """At 1/2, in a block: its input, its branch before and after the strength, their sum."""
        return fixed_floats(self.latent_channels) + 4 * self.channels / UNITS_PX[0] ** 2

    def build_analysis(self) -> PyramidAnalysis:
        n, m = self.channels, self.latent_channels
        layers: list[nn.Module] = []
        for inputs in (3, n, n):
            layers += [Convolution(inputs, n, KERNEL_SIZE, stride=2), *self.build_blocks()]
        return PyramidAnalysis(m, Chain([*layers, Convolution(n, m, KERNEL_SIZE, stride=2)]))

    def build_synthesis(self) -> PyramidSynthesis:
        n, m = self.channels, self.latent_channels
        layers: list[nn.Module] = []
        for inputs in (m, n, n):
            layers += [Transposed(inputs, n, KERNEL_SIZE), *self.build_blocks()]
        return PyramidSynthesis(m, Chain([*layers, Transposed(n, 3, KERNEL_SIZE)]))

    def build_blocks(self) -> list[nn.Module]:
        return [Bottleneck(self.channels) for _ in range(self.blocks)]

    def start(self, analysis: nn.Module, synthesis: nn.Module, pictures: Tensor) -> None:
        """Sets fresh modules to the best linear codec for these pictures."""
        start_as_principal_components(analysis, synthesis, pictures)


class Bottleneck(nn.Module):
    """A residual branch through half the channels; its strength depends on the rate.

    x ─┬─► 1×1 ─► relu ─► 3×3 ─► relu ─► 1×1 ─► · s(rate) ─► + ─►
       └─────────────────────────────────────────────────────┘
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.narrow = Pointwise(channels, half)
        self.mix = nn.Conv2d(half, half, 3, padding=1)
        self.widen = Pointwise(half, channels)
        self.strength = RateTable(torch.ones(channels))
        keep_size(self.mix, 9 * half)
        nn.init.zeros_(self.widen.weight)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (N, C, h, w), float32 even under autocast: only the branch loses precision."""
        branch: Tensor = self.widen(F.relu(self.mix(F.relu(self.narrow(x)))))
        strength: Tensor = self.strength(quality)[:, :, None, None]
        return x + branch * strength.to(branch.dtype)
