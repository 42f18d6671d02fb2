"""What transforms of four halvings share: a linear path, and a network that improves on it.

    x ─┬─ unshuffle 16 ─ 1×1 ────────────────────┬─ + ─► y     (N, M, H/16, W/16)
       └─ body: 1/2 ─ 1/4 ─ 1/8 ─ 1/16 ─ · scale ┘
    x̂ ─┬─ shuffle 16 ─ 1×1 ─ · s(rate) ──────────┬─ ŷ
       └─ body: 1/1 ─ 1/2 ─ 1/4 ─ 1/8 ─ / scale ─┘

The linear path starts as the leading principal components of 16×16 patches, the best linear codec
of its size, and the last layer of each body as zero: step 0 is a transform codec already. It is
the float32 stream of the transform, so that bodies may run in bfloat16. All of this is ours, not
the papers', and the same for every family, so that comparisons compare bodies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.rate import RateTable
from corelic.codecs.transforms.depthwise import LEVEL, Pointwise, channels_last

STRIDE = 16  # pixels per latent: four halvings
BAND_MIN = 1e-3  # standard deviation of a component, in pixel values, below which none is seen


def fixed_floats(latent_channels: int) -> float:
    """Alive while a body runs, per pixel: the linear path, the picture around it, and latents."""
    return 7 + latent_channels / STRIDE**2


class Chain(nn.ModuleList):
    """Layers in a row, each called with features (N, C, h, w) and quality (N,)."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__(layers)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, quality)
        return x


class Convolution(nn.Module):
    """k×k, zero padding: (N, C, h, w) -> (N, O, h/stride, w/stride), the same at every rate."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1
    ) -> None:
        super().__init__()
        self.layer = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2
        )
        keep_size(self.layer, in_channels * kernel_size**2)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        # Float32 even under autocast: what follows adds branches to it.
        y: Tensor = self.layer(x).float()
        return y


class Transposed(nn.Module):
    """k×k transposed: (N, C, h, w) -> (N, O, 2h, 2w), the same at every rate."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.layer = nn.ConvTranspose2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=2,
            padding=kernel_size // 2,
            output_padding=1,
        )
        keep_size(self.layer, in_channels * kernel_size**2 / 4)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        y: Tensor = self.layer(x).float()
        return y


class Subpixel(nn.Module):
    """3×3 and a shuffle: (N, C, h, w) -> (N, O, 2h, 2w), the same at every rate."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)
        keep_size(self.layer, in_channels * 9)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        return channels_last(F.pixel_shuffle(self.layer(x).float(), 2))


def keep_size(layer: nn.Conv2d | nn.ConvTranspose2d, fan_in: float) -> None:
    """Random weights with which outputs are about as large as inputs."""
    bound = math.sqrt(3 / fan_in)
    nn.init.uniform_(layer.weight, -bound, bound)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def zero_last(body: Chain) -> Chain:
    """The same chain, whose last layer starts as zero."""
    last = body[-1]
    assert isinstance(last, Convolution | Transposed | Subpixel)
    nn.init.zeros_(last.layer.weight)
    return body


class PyramidAnalysis(nn.Module):
    """Pictures to latents. x (N, 3, H, W) in [0, 1], H and W multiples of 16."""

    scale: Tensor

    def __init__(self, latent_channels: int, body: Chain) -> None:
        """body: (N, 3, H, W) -> (N, M, H/16, W/16)."""
        super().__init__()
        self.linear = Pointwise(3 * STRIDE**2, latent_channels)
        self.body = zero_last(body)
        self.register_buffer("scale", torch.ones(latent_channels))

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """quality (N,) in [0, 100] -> y (N, M, H/16, W/16), in units of pixel values."""
        x = x - LEVEL
        y = self.linear.forward_float32(channels_last(F.pixel_unshuffle(x, STRIDE)))
        details: Tensor = self.body(channels_last(x), quality)
        return y + details * self.scale[:, None, None]


class PyramidSynthesis(nn.Module):
    """Latents to pictures. y_hat (N, M, h, w) in units of pixel values."""

    scale: Tensor

    def __init__(self, latent_channels: int, body: Chain) -> None:
        """body: (N, M, h, w) -> (N, 3, 16h, 16w)."""
        super().__init__()
        self.linear = Pointwise(latent_channels, 3 * STRIDE**2)
        # Coarsely quantised latents are mostly noise where they are small: a linear decoder
        # trusts them less, channel by channel.
        self.strength = RateTable(torch.ones(latent_channels))
        self.body = zero_last(body)
        self.register_buffer("scale", torch.ones(latent_channels))

    def forward(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """quality (N,) in [0, 100] -> x_hat (N, 3, 16h, 16w), not clamped."""
        y_hat = channels_last(y_hat)
        trusted = y_hat * self.strength(quality)[:, :, None, None]
        x = F.pixel_shuffle(self.linear.forward_float32(trusted), STRIDE)
        details: Tensor = self.body(y_hat / self.scale[:, None, None], quality)
        return x + details + LEVEL


@torch.no_grad()
def start_as_principal_components(
    analysis: nn.Module, synthesis: nn.Module, pictures: Tensor
) -> None:
    """Sets linear paths and scales from photographs: pictures (N, 3, H, W) in [0, 1]."""
    assert isinstance(analysis, PyramidAnalysis)
    assert isinstance(synthesis, PyramidSynthesis)
    patches = F.pixel_unshuffle(pictures - LEVEL, STRIDE).permute(0, 2, 3, 1).flatten(0, 2).double()
    # About the origin, not the mean: mid-grey stays zero, and no bias is needed.
    energies, axes = torch.linalg.eigh(patches.T @ patches / len(patches))
    latents = analysis.linear.weight.shape[0]
    leading = axes[:, -latents:].flip(1).float()
    analysis.linear.weight.copy_(leading.T[:, :, None, None])
    synthesis.linear.weight.copy_(leading[:, :, None, None])
    # As in `depthwise`: components differ a hundredfold in size, so bodies see each divided by
    # the square root of its standard deviation.
    deviations = energies[-latents:].flip(0).float().clamp_min(BAND_MIN**2).sqrt()
    for part in (analysis, synthesis):
        part.scale.copy_(deviations.sqrt())
