"""A Gaussian low pass: much of what attacks add is of high frequency.

x ─ rows ∗ g ─ columns ∗ g ─► x'        differentiable
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.defences.base import Cleaning
from corelic.attacks.errors import AttackError

REACH = 3  # of the window, in standard deviations


class Blur(Cleaning):
    """sigma_px  standard deviation of the window, in pixels, above 0"""

    def __init__(self, sigma_px: float = 0.7) -> None:
        if not 0 < sigma_px <= 16:
            raise AttackError("the blur", f"has a sigma of {sigma_px:g}; give up to 16 pixels")
        self.sigma_px = sigma_px
        self.title = f"blur σ {sigma_px:g}"

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        reach = math.ceil(REACH * self.sigma_px)
        offsets = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
        window = torch.exp(-(offsets**2) / (2 * self.sigma_px**2))
        window = (window / window.sum()).expand(x.shape[1], 1, -1)
        # The edge repeated: black beyond it would darken the border.
        padded = F.pad(x, [reach] * 4, mode="replicate")
        rows = F.conv2d(padded, window[:, :, None, :], groups=x.shape[1])
        return F.conv2d(rows, window[:, :, :, None], groups=x.shape[1]).clamp(0, 1)
