"""Hyperprior: side information from which the parsing path starts. Shared by all codecs.

Ballé et al., "Variational Image Compression with a Scale Hyperprior", ICLR 2018,
arXiv:1802.01436. Ours differs: depthwise-separable blocks, a rate embedding, exact synthesis.

    y · gain ─ asinh ─ 1×1 ─ block ─ unshuffle 2 ─ 1×1 ─ block ─ unshuffle 2 ─ 1×1 ─► z
    ẑ ─ 1×1 + rate ─ block ─ 1×1 ─ shuffle 2 ─ block ─ 1×1 ─ shuffle 2 ─► hyper features
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.rate import NODES
from corelic.entropy.blocks import GridBlock
from corelic.entropy.grid import GridConv2d, Snap


def _asinh(y: Tensor) -> Tensor:
    """A fourth of the time of PyTorch's, which alone has a gradient at 0."""
    if torch.is_grad_enabled():
        return y.asinh()
    return (y * y + 1).sqrt_().add_(y.abs()).log_().copysign_(y)


class HyperAnalysis(nn.Module):
    """Gained latents (N, M, h, w), h and w multiples of 4, -> hyper-latents (N, C, h/4, w/4).

    Runs in the encoder alone, so it is an ordinary network.
    """

    REACH = 3  # latents each way that a hyper-latent depends on, beyond its own 4 × 4

    @staticmethod
    def values(latent_channels: int, hyper_channels: int) -> int:
        """Alive at its peak, per latent, input included."""
        # 12 are ours; on processors with AMX, oneDNN holds a quarter of one beside them.
        return latent_channels + max(13 * hyper_channels, latent_channels + 2 * hyper_channels)

    def __init__(self, latent_channels: int, hyper_channels: int) -> None:
        super().__init__()
        c = hyper_channels
        self.enter = GridConv2d(latent_channels, c)
        self.blocks = nn.ModuleList(GridBlock(c, 3, 2 * c) for _ in range(2))
        self.reduce = nn.ModuleList(GridConv2d(4 * c, c) for _ in range(2))

    def forward(self, y: Tensor) -> Tensor:
        with torch.autocast(y.device.type, enabled=False):  # z is rounded: 8 bits are too few
            # Latents span three decades; their logarithms are what scales are made of.
            x: Tensor = self.enter(_asinh(y))
            for block, reduce in zip(self.blocks, self.reduce, strict=True):
                x = reduce(F.pixel_unshuffle(block(x), 2))
        return x


class HyperSynthesis(nn.Module):
    """Hyper-latents (N, C, h, w) and rate nodes (N,) -> hyper features (N, F, 4h, 4w); exact."""

    REACH = 2  # hyper-latents each way that a feature depends on

    @staticmethod
    def values(hyper_channels: int, features: int) -> int:
        """Alive at its peak, per latent."""
        return max(2 * features, 4 * hyper_channels) + hyper_channels

    def __init__(self, hyper_channels: int, features: int) -> None:
        super().__init__()
        c = hyper_channels
        self.enter = GridConv2d(c, c)
        self.rate = GridConv2d(NODES, c)
        self.blocks = nn.ModuleList(GridBlock(c, 3, 2 * c) for _ in range(2))
        self.extend = nn.ModuleList(GridConv2d(c, 4 * n) for n in (c, features))
        self.leave = Snap()
        nn.init.zeros_(self.rate.weight)

    def forward(self, z_hat: Tensor, node: Tensor) -> Tensor:
        one_hot = F.one_hot(node, NODES).to(z_hat.dtype)[:, :, None, None]
        with torch.autocast(z_hat.device.type, enabled=False):  # cheap, and nearer to the grid
            x = self.enter(z_hat) + self.rate(one_hot)
            for block, extend in zip(self.blocks, self.extend, strict=True):
                x = F.pixel_shuffle(extend(block(x)), 2)
        snapped: Tensor = self.leave(x)
        return snapped
