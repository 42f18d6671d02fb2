"""Mosaic resampling: back to what a sensor would have seen, and developed again.

    x ─ linear light ─ Bayer mosaic, RGGB (+ shot noise) ─ demosaic ─ gamma ─► x'    differentiable

Zhang et al., "All You Need Is RAW", ECCV 2022: RGB is mapped to RAW and back by learned networks,
so that the perturbation does not survive. Only its abstract is known to us, and there is no RAW
data here: ours is the fixed pipeline that they mix in, with gradient-corrected demosaicing (Malvar,
He & Cutler, ICASSP 2004) and no white balance. It keeps one sample of three. The reading is ours.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.defences.base import Cleaning
from corelic.attacks.errors import AttackError

# sRGB, IEC 61966-2-1.
LINEAR_BELOW, SLOPE, OFFSET, GAMMA = 0.04045, 12.92, 0.055, 2.4

# Malvar, He & Cutler, figure 2, in sixteenths: how a colour is found where another was measured.
GREEN = [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]]
ALONG = [
    [0, 0, 1, 0, 0],
    [0, -2, 0, -2, 0],
    [-2, 8, 10, 8, -2],
    [0, -2, 0, -2, 0],
    [0, 0, 1, 0, 0],
]
ACROSS = [list(row) for row in zip(*ALONG, strict=True)]
OPPOSITE = [
    [0, 0, -3, 0, 0],
    [0, 4, 0, 4, 0],
    [-3, 0, 12, 0, -3],
    [0, 4, 0, 4, 0],
    [0, 0, -3, 0, 0],
]
MARGIN_PX = 2
SIDE_MIN_PX = 4  # of what can be reflected by the margin and has whole cells


class Mosaic(Cleaning):
    """photons  that a white sample stands for: shot noise has a variance of signal / photons;
    None: there is no noise, and the result is always the same"""

    def __init__(self, photons: float | None = None, *, seed: int = 0) -> None:
        if photons is not None and not photons > 0:  # nan is none, either
            raise AttackError("the mosaic", f"has {photons:g} photons; give some, or None")
        self.photons, self.seed = photons, seed
        self.stochastic = photons is not None
        noise = "" if photons is None else f" with {photons:g} photons"
        self.title = f"mosaic{noise}"

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        *_, height, width = x.shape
        right, below = (max(side % 2, SIDE_MIN_PX - side) for side in (width, height))
        padded = F.pad(x, (0, right, 0, below), mode="replicate")
        light = to_light(padded)
        raw = (light * bayer(light)).sum(dim=1, keepdim=True)
        if self.photons is not None:
            noise = torch.randn(raw.shape, generator=random).to(raw)
            raw = raw + noise * (raw.clamp_min(1e-6) / self.photons).sqrt()
        return from_light(demosaic(raw))[:, :, :height, :width]


def to_light(x: Tensor) -> Tensor:
    """sRGB in [0, 1] -> linear light in [0, 1]."""
    curve = ((x.clamp_min(LINEAR_BELOW) + OFFSET) / (1 + OFFSET)) ** GAMMA
    return torch.where(x > LINEAR_BELOW, curve, x / SLOPE)


def from_light(light: Tensor) -> Tensor:
    """The inverse; what is beyond [0, 1] is clamped."""
    light = light.clamp(0, 1)
    below = LINEAR_BELOW / SLOPE
    curve = (1 + OFFSET) * light.clamp_min(below) ** (1 / GAMMA) - OFFSET
    return torch.where(light > below, curve, light * SLOPE)


def bayer(x: Tensor) -> Tensor:
    """(1, 3, H, W) of 0 and 1: which colour is measured where; even sides, red first."""
    cell = x.new_tensor([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]])
    return cell.repeat(1, x.shape[-2] // 2, x.shape[-1] // 2)[None]


def demosaic(raw: Tensor) -> Tensor:
    """(N, 1, H, W), RGGB, even sides of at least 4 -> (N, 3, H, W), not clamped."""
    # Reflection about a sample keeps the pattern of colours, repetition would not.
    padded = F.pad(raw, [MARGIN_PX] * 4, mode="reflect")
    green, along, across, opposite = F.conv2d(padded, _filters().to(raw)).chunk(4, dim=1)
    measured = bayer(raw)
    red, _, blue = measured.chunk(3, dim=1)
    red_rows = torch.zeros_like(raw[:1])
    red_rows[:, :, ::2] = 1  # where a green sample has its red neighbours beside it
    greens = measured[:, 1:2]
    beside, above = greens * red_rows, greens * (1 - red_rows)
    return torch.cat(
        [
            raw * red + along * beside + across * above + opposite * blue,
            raw * greens + green * (1 - greens),
            raw * blue + across * beside + along * above + opposite * red,
        ],
        dim=1,
    )


@lru_cache(maxsize=1)
def _filters() -> Tensor:
    return torch.tensor([GREEN, ALONG, ACROSS, OPPOSITE], dtype=torch.float32)[:, None] / 16
