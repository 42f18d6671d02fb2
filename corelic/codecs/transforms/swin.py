"""Residual Swin Transformer V2 at 1/2, 1/4 and 1/8, with a dense block at the pixels.

Wang et al., "S2LIC: Learned Image Compression with the SwinV2 Block, Adaptive Channel-wise and
Global-inter Attention Context"; blocks from Liu et al., "Swin Transformer V2", CVPR 2022,
arXiv:2111.09883.

    x ─ 3×3 ─ dense ─ 5×5 ↓2 ─ blocks ─ 3×3 ↓2 ─ blocks ─ 3×3 ↓2 ─ blocks ─ 3×3 ↓2 ─► y
    x̂ ─ 3×3 ─ dense ─ 3×3 ↑2 ─ blocks ─ 3×3 ↑2 ─ blocks ─ 3×3 ↑2 ─ blocks ─ 3×3 ↑2 ─◄ ŷ

    blocks    x ─┬─ block ─ block, shifted ─ … ─ + ─►
                 └───────────────────────────────┘
    dense     x ─┬─ 3×3 ─┬─ 3×3 ─┬─ 1×1 ─ · s(rate) ─ + ─►      every layer sees all before it
                 └───────┴───────┴────────────────────┘

Where we do not know S2LIC, the reading is ours: two convolutions in the dense block, whose result
is added to its input, and no convolution at the end of a group of blocks. Ours differs in
the linear path beside all this (`pyramid`), strengths that depend on the rate, no stochastic
depth, and shifted windows that do not wrap around the picture (`windows`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.rate import RateTable
from corelic.codecs.transforms.depthwise import Pointwise
from corelic.codecs.transforms.pyramid import (
    STRIDE,
    Chain,
    Convolution,
    PyramidAnalysis,
    PyramidSynthesis,
    Subpixel,
    fixed_floats,
    keep_size,
    start_as_principal_components,
)
from corelic.codecs.transforms.reach import Around, Layer, Within, halo_px
from corelic.codecs.transforms.windows import Window, WindowAttention

UNITS_PX = (2, 4, 8)  # of a position's side, stage by stage
EXPANSION = 4  # of the channels, between the two linear maps of a block
DENSE_LAYERS = 2
DENSE: list[Layer] = [Around(1)] * (1 + DENSE_LAYERS)
WINDOW_MAX = 32  # positions; attention's cost grows with its square


@dataclass(frozen=True)
class SwinSpec:
    """S2LIC has 192, 320 and 64 channels, depths 1, 2, 3, heads 4, 8, 16, and windows of 8.

    depths, heads  at 1/2, 1/4 and 1/8
    """

    channels: int
    latent_channels: int
    dense_channels: int
    depths: tuple[int, int, int]
    heads: tuple[int, int, int]
    window: int  # side, in positions

    def __post_init__(self) -> None:
        if min(self.channels, self.latent_channels, self.dense_channels) < 1:
            raise ValueError("a Swin transform needs channels")
        for heads in self.heads:
            if heads < 1 or self.channels % heads:
                raise ValueError(f"{self.channels} channels do not make {heads} equal heads")
        if not 1 <= self.window <= WINDOW_MAX:
            raise ValueError(f"windows have 1 to {WINDOW_MAX} positions a side")

    @classmethod
    def sized(cls, latent_channels: int) -> SwinSpec:
        """A block a stage, windows as in the paper."""
        channels = max(latent_channels // 8, 1) * 4
        return cls(
            channels=channels,
            latent_channels=latent_channels,
            dense_channels=max(3 * latent_channels // 16, 1),
            depths=(1, 1, 1),
            heads=(2, 4, 4),
            window=8,
        )

    @property
    def stride_px(self) -> int:
        return STRIDE

    @property
    def analysis_halo_px(self) -> int | None:
        """None where the sides of the windows do not divide a tile's: then tiles would show."""
        layers = [*DENSE, Around(2)]
        for unit_px, within in self._stages():
            layers += [*within, Around(unit_px)]
        return halo_px(layers)

    @property
    def synthesis_halo_px(self) -> int | None:
        """As analysis'."""
        layers: list[Layer] = [Around(STRIDE)]
        for unit_px, within in reversed(self._stages()):
            layers += [*within, Around(unit_px)]
        return halo_px([*layers, *DENSE])

    def _stages(self) -> list[tuple[int, list[Within]]]:
        """How large a position is and the windows of each stage, from the pixels inwards."""
        return [
            (
                unit_px,
                [Within(each.height * unit_px, each.shifted) for each in self.windows_at(stage)],
            )
            for stage, unit_px in enumerate(UNITS_PX)
        ]

    @property
    def working_floats(self) -> float:
        """In the dense block, its inputs and what is joined; in a block, attention or expansion."""
        n = self.channels
        peaks = [7.0 * self.dense_channels]
        for stage, unit_px in enumerate(UNITS_PX):
            for window in self.windows_at(stage):
                attention = window.working_floats(n, self.heads[stage], unit_px)
                peaks.append(max(5 * n + attention, (3 + 2 * EXPANSION) * n) / unit_px**2)
        return fixed_floats(self.latent_channels) + max(peaks)

    def windows_at(self, stage: int) -> list[Window]:
        """Of each block."""
        return [
            Window(self.window, self.window, shifted=number % 2 == 1)
            for number in range(self.depths[stage])
        ]

    def build_analysis(self) -> PyramidAnalysis:
        n, m, dense = self.channels, self.latent_channels, self.dense_channels
        return PyramidAnalysis(
            m,
            Chain(
                [
                    Convolution(3, dense, 3),
                    DenseBlock(dense),
                    Convolution(dense, n, 5, stride=2),
                    self.build_group(0),
                    Convolution(n, n, 3, stride=2),
                    self.build_group(1),
                    Convolution(n, n, 3, stride=2),
                    self.build_group(2),
                    Convolution(n, m, 3, stride=2),
                ]
            ),
        )

    def build_synthesis(self) -> PyramidSynthesis:
        n, m, dense = self.channels, self.latent_channels, self.dense_channels
        return PyramidSynthesis(
            m,
            Chain(
                [
                    Subpixel(m, n),
                    self.build_group(2),
                    Subpixel(n, n),
                    self.build_group(1),
                    Subpixel(n, n),
                    self.build_group(0),
                    Subpixel(n, dense),
                    DenseBlock(dense),
                    Convolution(dense, 3, 3),
                ]
            ),
        )

    def build_group(self, stage: int) -> Group:
        windows, heads = self.windows_at(stage), self.heads[stage]
        return Group(SwinBlock(self.channels, heads, window) for window in windows)

    def start(self, analysis: nn.Module, synthesis: nn.Module, pictures: Tensor) -> None:
        """Sets fresh modules to the best linear codec for these pictures."""
        start_as_principal_components(analysis, synthesis, pictures)


class Group(Chain):
    """Blocks in a row, and a way around them all."""

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        return x + super().forward(x, quality)


class SwinBlock(nn.Module):
    """Attention within windows, then a map of each position; both normalised after, not before.

    x ─┬─ 1×1 ─ attention ─ 1×1 ─ norm ─ · s(rate) ─ + ─► x'
       └───────────────────────────────────────────────┘
    x' ─┬─ 1×1 ─ gelu ─ 1×1 ─ norm ─ · s(rate) ─ + ─►
        └────────────────────────────────────────┘
    The norms' weights start as zero, as SwinV2 has it: a fresh block is the identity.
    """

    def __init__(self, channels: int, heads: int, window: Window) -> None:
        super().__init__()
        self.project = Pointwise(channels, 3 * channels)  # queries, keys and values
        self.attention = WindowAttention(heads, window)
        self.join = Pointwise(channels, channels)
        self.attended = ChannelNorm(channels)
        self.expand = Pointwise(channels, EXPANSION * channels)
        self.reduce = Pointwise(EXPANSION * channels, channels)
        self.mapped = ChannelNorm(channels)
        self.strength = RateTable(torch.ones(2 * channels))

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (N, C, h, w), float32 even under autocast: only the branches lose precision."""
        strengths: Tensor = self.strength(quality)[:, :, None, None]
        of_attended, of_mapped = strengths.chunk(2, dim=1)
        x = x + self.attended(self.join(self.attention(self.project(x)))) * of_attended
        x = x + self.mapped(self.reduce(F.gelu(self.expand(x)))) * of_mapped
        return x


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each position, (N, C, h, w); starts as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.permute(0, 2, 3, 1).float())
        return y.permute(0, 3, 1, 2)


class DenseBlock(nn.Module):
    """Feature enhancement at full resolution, a residual branch; (N, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(seen * channels, channels, 3, padding=1)
            for seen in range(1, 1 + DENSE_LAYERS)
        )
        self.fuse = Pointwise((1 + DENSE_LAYERS) * channels, channels)
        self.strength = RateTable(torch.ones(channels))
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            keep_size(layer, 9 * layer.in_channels)
        nn.init.zeros_(self.fuse.weight)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        seen = x
        for layer in self.layers:
            seen = torch.cat([seen, F.leaky_relu(layer(seen), 0.2).to(x.dtype)], dim=1)
        branch: Tensor = self.fuse(seen)
        strength: Tensor = self.strength(quality)[:, :, None, None]
        return x + branch * strength.to(branch.dtype)
