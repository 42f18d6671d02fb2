"""Residual convolutions with long-range crossing attention between them.

Sui et al., "Corner-to-Center Long-range Context Model for Efficient Learned Image Compression",
arXiv:2311.18103. Of the paper we know the abstract, which says that a long-range crossing
attention module (LCAM) in both transforms assigns different window shapes to different channels.
Everything else is our reading: which shapes, how long, where, and what attention.

    x ─ 5×5 ↓2 ─ blocks ─ 5×5 ↓2 ─ blocks, LCAM ─ 5×5 ↓2 ─ blocks, LCAM ─ 5×5 ↓2 ─ LCAM ─ 1×1 ─► y
    x̂ ─ 5×5 ↑2 ─ blocks ─ 5×5 ↑2 ─ LCAM, blocks ─ 5×5 ↑2 ─ LCAM, blocks ─ 5×5 ↑2 ─ LCAM ─ 1×1 ─◄ ŷ

    channels   first third    second      last              the windows of one position: together
               ┌───┐          ┌─┐         ┌───────┐         a cross, and after two modules all
               │ w │          │ │ s·w     └───────┘         that is s·w away
               └───┘ w        │ │          s·w  × w/s
                              └─┘ w/s

Our reading: thirds of the channels get square, tall and wide windows of equal area; in every other
module they are shifted by half a window, if at all; scaled cosine attention (`windows`), whose
scores need no normalisation before them; blocks and strides as in `residual`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
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
    start_as_principal_components,
)
from corelic.codecs.transforms.reach import Around, Beside, Layer, Within, halo_px
from corelic.codecs.transforms.residual import KERNEL_SIZE, UNITS_PX, Bottleneck
from corelic.codecs.transforms.windows import Window, WindowAttention

SHAPES = 3  # square, tall, wide
STAGES = (*UNITS_PX, STRIDE)  # sides of positions, in pixels
LENGTH_MAX = 256  # of a window's longer side, in positions


@dataclass(frozen=True)
class LcamSpec:
    """Modules and windows are counted from 1/4 inwards: at 1/4, 1/8 and 1/16."""

    channels: int  # thirds of which are whole heads
    latent_channels: int
    blocks: int  # residual ones, at 1/2, 1/4 and 1/8 each
    modules: tuple[int, int, int]
    windows: tuple[int, int, int]  # sides of the square ones, in positions
    stretch: int  # tall and wide windows are so much longer, and so much thinner
    head_channels: int
    shift: bool

    def __post_init__(self) -> None:
        if min(self.channels, self.latent_channels, self.head_channels) < 1:
            raise ValueError("an LCAM transform needs channels")
        check_repeats(self.blocks, "blocks a stage")
        if self.channels % (SHAPES * self.head_channels):
            raise ValueError(
                f"{self.channels} channels are not {SHAPES} equal groups of heads of "
                f"{self.head_channels}"
            )
        for side in self.windows:
            if not 1 <= self.stretch <= side or side % self.stretch:
                raise ValueError(f"windows of {side} cannot be made {self.stretch} times thinner")
            if side * self.stretch > LENGTH_MAX:
                raise ValueError(f"windows may be at most {LENGTH_MAX} long")

    @classmethod
    def sized(cls, latent_channels: int) -> LcamSpec:
        """Windows of at most 64 pixels, which divide every tile."""
        head_channels = max(latent_channels // 8, 2)
        return cls(
            channels=2 * SHAPES * head_channels,
            latent_channels=latent_channels,
            blocks=1,
            modules=(1, 2, 1),
            windows=(8, 4, 2),
            stretch=2,
            head_channels=head_channels,
            shift=True,
        )

    @property
    def stride_px(self) -> int:
        return STRIDE

    @property
    def analysis_halo_px(self) -> int | None:
        """None where the sides of the windows do not divide a tile's: then tiles would show."""
        layers = [(*around, *within) for around, within in self._layers()]
        return halo_px([*chain.from_iterable(layers)])

    @property
    def synthesis_halo_px(self) -> int | None:
        """As analysis'."""
        layers = [(*within, *around) for around, within in reversed(self._layers())]
        return halo_px([*chain.from_iterable(layers)])

    def _layers(self) -> list[tuple[list[Layer], list[Layer]]]:
        """Convolutions and windows of each stage, from the pixels inwards."""
        layers: list[tuple[list[Layer], list[Layer]]] = []
        for stage, unit_px in enumerate(STAGES):
            within: list[Layer] = [
                Beside(tuple(Within(window.height * unit_px, window.shifted) for window in windows))
                for windows in self.windows_at(stage)  # as high as they are wide, one with another
            ]
            # The 5×5 is one of the convolutions.
            layers.append(([Around(unit_px)] * (1 + self.blocks_at(stage)), within))
        return layers

    @property
    def working_floats(self) -> float:
        """As in `residual` at 1/2; in a module, what all groups made or what one needs for it."""
        n = self.channels
        peaks = [4 * n / UNITS_PX[0] ** 2]
        for stage, unit_px in enumerate(STAGES):
            for windows in self.windows_at(stage):
                each = (
                    window.working_floats(n // SHAPES, self.heads, unit_px) for window in windows
                )
                peaks.append(max(9 * n, 5 * n + max(each)) / unit_px**2)
        return fixed_floats(self.latent_channels) + max(peaks)

    @property
    def heads(self) -> int:
        """Of each group."""
        return self.channels // SHAPES // self.head_channels

    def blocks_at(self, stage: int) -> int:
        return self.blocks if stage < len(UNITS_PX) else 0

    def windows_at(self, stage: int) -> list[tuple[Window, ...]]:
        """Of each module: the windows of its three groups of channels."""
        if stage == 0:
            return []
        side, count = self.windows[stage - 1], self.modules[stage - 1]
        long, thin = side * self.stretch, side // self.stretch
        return [
            tuple(
                Window(height, width, shifted=self.shift and number % 2 == 1)
                for height, width in ((side, side), (long, thin), (thin, long))
            )
            for number in range(count)
        ]

    def build_analysis(self) -> PyramidAnalysis:
        n = self.channels
        layers: list[nn.Module] = []
        for stage, inputs in enumerate((3, n, n, n)):
            layers.append(Convolution(inputs, n, KERNEL_SIZE, stride=2))
            layers += [*self.build_blocks(stage), *self.build_modules(stage)]
        layers.append(Convolution(n, self.latent_channels, 1))
        return PyramidAnalysis(self.latent_channels, Chain(layers))

    def build_synthesis(self) -> PyramidSynthesis:
        n = self.channels
        layers: list[nn.Module] = [Convolution(self.latent_channels, n, 1)]
        for stage, outputs in ((3, n), (2, n), (1, n), (0, 3)):
            layers += [*self.build_modules(stage), *self.build_blocks(stage)]
            layers.append(Transposed(n, outputs, KERNEL_SIZE))
        return PyramidSynthesis(self.latent_channels, Chain(layers))

    def build_blocks(self, stage: int) -> list[nn.Module]:
        return [Bottleneck(self.channels) for _ in range(self.blocks_at(stage))]

    def build_modules(self, stage: int) -> list[nn.Module]:
        return [
            CrossingAttention(self.channels, self.heads, windows)
            for windows in self.windows_at(stage)
        ]

    def start(self, analysis: nn.Module, synthesis: nn.Module, pictures: Tensor) -> None:
        """Sets fresh modules to the best linear codec for these pictures."""
        start_as_principal_components(analysis, synthesis, pictures)


class CrossingAttention(nn.Module):
    """LCAM: each third of the channels attends within windows of its own shape.

              ┌─► square ─┐
    x ─┬─ 1×1 ┼─► tall ───┼─► 1×1 ─► · s(rate) ─► + ─►
       │      └─► wide ───┘                       │
       └──────────────────────────────────────────┘
    """

    def __init__(self, channels: int, heads: int, windows: tuple[Window, ...]) -> None:
        """heads: of each group."""
        super().__init__()
        self.project = Pointwise(channels, 3 * channels)  # queries, keys and values, by group
        self.groups = nn.ModuleList(WindowAttention(heads, window) for window in windows)
        self.join = Pointwise(channels, channels)
        self.strength = RateTable(torch.ones(channels))
        nn.init.zeros_(self.join.weight)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (N, C, h, w), float32 even under autocast: only the branch loses precision."""
        parts = self.project(x).chunk(SHAPES, dim=1)
        attended = [group(part) for group, part in zip(self.groups, parts, strict=True)]
        branch: Tensor = self.join(torch.cat(attended, dim=1))
        strength: Tensor = self.strength(quality)[:, :, None, None]
        return x + branch * strength.to(branch.dtype)
