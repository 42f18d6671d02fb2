"""Depthwise-separable transform at 1/8 and 1/16: the default codec's.

Starts as the best linear codec and learns to improve on it: the first and last 1×1 are the
orthonormal 8×8 DCT on orthonormal YCbCr, the step to 1/16 projects on the leading principal
components of its output, and the last convolution of every residual branch is zero.

    x ─ unshuffle 8 ─ DCT ─ blocks ─ unshuffle 2 ─ PCA ─ blocks ─► y     (N, M, H/16, W/16)
    x̂ ─ shuffle 8 ─ DCTᵀ ─ blocks ─ shuffle 2 ─ PCAᵀ ─ blocks ─◄ ŷ

The block follows DepthConvBlock of DCVC-RT (Jia et al., CVPR 2025, arXiv:2502.20762); the linear
start, the equalised residual stream and the rate scales are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.rate import RateTable
from corelic.codecs.transforms.depthwise_inference import analyse, synthesise
from corelic.entropy.grid import pointwise

PATCH = 8  # side of the first patch, in pixels: the DCT's
LEVEL = 0.5  # subtracted from x in [0, 1]


@dataclass(frozen=True)
class DepthwiseSpec:
    """Channels, and blocks per stage counted from the pixels inwards, outwards for synthesis."""

    channels: int  # at 1/8; at most 192, the pixels of a patch
    latent_channels: int
    analysis_blocks: tuple[int, int]  # at 1/8, at 1/16
    synthesis_blocks: tuple[int, int]  # at 1/16, at 1/8

    @classmethod
    def sized(cls, latent_channels: int) -> DepthwiseSpec:
        """Between swift and nothing: two blocks a stage."""
        return cls(min(latent_channels, 3 * PATCH**2), latent_channels, (2, 2), (2, 2))

    @property
    def stride_px(self) -> int:
        return 2 * PATCH

    @property
    def analysis_halo_px(self) -> int:
        """A 3×3 convolution in each block, at 1/8 or 1/16."""
        fine, coarse = self.analysis_blocks
        return PATCH * (fine + 2 * coarse)

    @property
    def synthesis_halo_px(self) -> int:
        coarse, fine = self.synthesis_blocks
        return PATCH * (2 * coarse + fine)

    @property
    def working_floats(self) -> float:
        """In a block: its input, three sums, the four-fold expansion and both halves' products."""
        fine, coarse = self.channels / PATCH**2, self.latent_channels / self.stride_px**2
        return max(12 * fine, 12 * coarse, 2 * (fine + 3)) + 3

    def build_analysis(self) -> DepthwiseAnalysis:
        return DepthwiseAnalysis(self)

    def build_synthesis(self) -> DepthwiseSynthesis:
        return DepthwiseSynthesis(self)

    def start(self, analysis: nn.Module, synthesis: nn.Module, pictures: Tensor) -> None:
        """Sets fresh modules to the best linear codec for these pictures."""
        assert isinstance(analysis, DepthwiseAnalysis)
        assert isinstance(synthesis, DepthwiseSynthesis)
        start_as_linear_codec(analysis, synthesis, pictures)


def dct_matrix() -> Tensor:
    """(192, 192) orthonormal: rows are 8×8 DCT-II basis pictures of Y, Cb, Cr, low ones first.

    Columns are ordered as `pixel_unshuffle(x, 8)` orders the pixels of a patch: colour, row,
    column. YCbCr here is the orthonormal opponent basis, not BT.601.
    """
    # NumPy, because networks are also built on torch's meta device, which has no numbers and
    # takes a second to import what it needs to pretend.
    k = np.arange(PATCH)
    basis = np.cos(np.pi / PATCH * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2 / PATCH)
    basis[0] /= math.sqrt(2)
    colour = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, 2.0], [1.0, -1.0, 0.0]])
    colour /= np.linalg.norm(colour, axis=1, keepdims=True)
    rows = np.einsum("ac,iu,jv->aijcuv", colour, basis, basis)
    rows = rows.reshape(3, PATCH * PATCH, 3 * PATCH * PATCH)
    order = np.argsort((k[:, None] + k[None, :]).flatten(), kind="stable")
    # Frequencies outermost, so that a prefix of the rows is a coarser picture in all colours.
    return torch.from_numpy(rows[:, order].transpose(1, 0, 2).reshape(3 * PATCH * PATCH, -1))


def channels_last(x: Tensor) -> Tensor:
    """Laid out so that a 1×1 convolution is one matrix product: 2.6 times faster on CPUs."""
    return x.contiguous(memory_format=torch.channels_last)


@contextmanager
def branches(x: Tensor) -> Iterator[torch.dtype]:
    """Of which type residual branches are; in it, nothing is cast that is not meant to be."""
    kind = x.device.type
    lower = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    with torch.autocast(kind, enabled=False):
        yield lower


class Pointwise(nn.Module):
    """1×1 convolution, (N, C, h, w) -> (N, O, h, w)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        bound = math.sqrt(3 / in_channels)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 1, 1))
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return pointwise(x, self.weight, self.bias)

    def forward_float32(self, x: Tensor) -> Tensor:
        """For the outermost projections: bfloat16 has too few bits for a pixel's 8."""
        with torch.autocast(x.device.type, enabled=False):
            return pointwise(x.float(), self.weight, self.bias)


class GatedBlock(nn.Module):
    """Two residual branches; the second one's strength depends on the rate.

    x ─┬─► 1×1 ─► leaky ─► 3×3 depthwise ─► 1×1 ─► + ─► x'
       └───────────────────────────────────────────┘
    x' ─┬─► 1×1 ─► u · sigmoid(v) ─► 1×1 ─► · s(rate) ─► + ─►
        └────────────────────────────────────────────────┘
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = Pointwise(channels, channels)
        self.spread = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.join = Pointwise(channels, channels)
        self.expand = Pointwise(channels, 4 * channels)
        self.project = Pointwise(2 * channels, channels)
        self.strength = RateTable(torch.ones(channels))
        nn.init.zeros_(self.join.weight)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (N, C, h, w), float32 even under autocast: only the branches lose precision."""
        x = x + self.join(self.spread(F.leaky_relu(self.mix(x), 0.125)))
        value, gate = self.expand(x).chunk(2, dim=1)
        branch: Tensor = self.project(value * torch.sigmoid(gate))
        strength: Tensor = self.strength(quality)[:, :, None, None]
        x = x + branch * strength.to(branch.dtype)
        return x


class EqualisedBlocks(nn.Module):
    """Blocks on x / scale, whose result is scaled back.

    DCT coefficients differ a hundredfold in size; a network on them sees little but the lowest.
    `scale` is fixed, the square root of each channel's standard deviation on photographs.
    """

    scale: Tensor

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(channels))
        self.blocks = nn.ModuleList(GatedBlock(channels) for _ in range(count))

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        scale = self.scale[:, None, None]
        x = x / scale
        for block in self.blocks:
            x = block(x, quality)
        return x * scale


class DepthwiseAnalysis(nn.Module):
    """Pictures to latents. x (N, 3, H, W) in [0, 1], H and W multiples of 16."""

    def __init__(self, spec: DepthwiseSpec) -> None:
        super().__init__()
        self.patches = Pointwise(3 * PATCH**2, spec.channels)
        self.fine = EqualisedBlocks(spec.channels, spec.analysis_blocks[0])
        self.reduce = Pointwise(4 * spec.channels, spec.latent_channels)
        self.coarse = EqualisedBlocks(spec.latent_channels, spec.analysis_blocks[1])
        self.patches.weight.data.copy_(dct_matrix()[: spec.channels, :, None, None])

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """quality (N,) in [0, 100] -> y (N, M, H/16, W/16), in units of pixel values."""
        if not torch.is_grad_enabled():
            with branches(x) as dtype:
                return torch.stack(
                    [
                        analyse(self, one - LEVEL, rate, patch=PATCH, dtype=dtype)
                        for one, rate in zip(x, quality[:, None], strict=True)
                    ]
                )
        x = self.patches.forward_float32(channels_last(F.pixel_unshuffle(x - LEVEL, PATCH)))
        x = self.fine(x, quality)
        x = self.reduce.forward_float32(channels_last(F.pixel_unshuffle(x, 2)))
        y: Tensor = self.coarse(x, quality)
        return y


class DepthwiseSynthesis(nn.Module):
    """Latents to pictures. y_hat (N, M, h, w) in units of pixel values."""

    def __init__(self, spec: DepthwiseSpec) -> None:
        super().__init__()
        self.coarse = EqualisedBlocks(spec.latent_channels, spec.synthesis_blocks[0])
        self.extend = Pointwise(spec.latent_channels, 4 * spec.channels)
        self.fine = EqualisedBlocks(spec.channels, spec.synthesis_blocks[1])
        self.patches = Pointwise(spec.channels, 3 * PATCH**2)
        self.patches.weight.data.copy_(dct_matrix()[: spec.channels].T[:, :, None, None])

    def forward(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """quality (N,) in [0, 100] -> x_hat (N, 3, 16h, 16w), not clamped."""
        if not torch.is_grad_enabled():
            with branches(y_hat) as dtype:
                return LEVEL + torch.stack(
                    [
                        synthesise(self, one, rate, patch=PATCH, dtype=dtype)
                        for one, rate in zip(y_hat, quality[:, None], strict=True)
                    ]
                )
        x = self.coarse(channels_last(y_hat), quality)
        x = F.pixel_shuffle(self.extend.forward_float32(x), 2)
        x = self.fine(channels_last(x), quality)
        return F.pixel_shuffle(self.patches.forward_float32(x), PATCH) + LEVEL


@torch.no_grad()
def start_as_linear_codec(
    analysis: DepthwiseAnalysis, synthesis: DepthwiseSynthesis, pictures: Tensor
) -> None:
    """Sets projections and scales from photographs: pictures (N, 3, H, W) in [0, 1].

    Must be called on fresh modules: the statistics are those of the linear path.
    """
    coefficients = analysis.patches.forward_float32(F.pixel_unshuffle(pictures - LEVEL, PATCH))
    fine_scale = coefficients.std(dim=(0, 2, 3)).clamp_min(1e-3).sqrt()
    vectors = F.pixel_unshuffle(coefficients, 2).permute(0, 2, 3, 1).flatten(0, 2).double()
    # About the origin, not the mean: mid-grey stays zero, and no bias is needed.
    energies, axes = torch.linalg.eigh(vectors.T @ vectors / len(vectors))
    latents = analysis.reduce.weight.shape[0]
    axes = axes[:, -latents:].flip(1).float()
    coarse_scale = energies[-latents:].flip(0).float().sqrt().clamp_min(1e-3).sqrt()
    analysis.reduce.weight.copy_(axes.T[:, :, None, None])
    synthesis.extend.weight.copy_(axes[:, :, None, None])
    for part in (analysis, synthesis):
        part.fine.scale.copy_(fine_scale)
        part.coarse.scale.copy_(coarse_scale)
