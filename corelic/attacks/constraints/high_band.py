"""Imperceptible, read as a projection: the perturbation has high frequencies only.

Sui et al., arXiv:2306.01125, keep the perturbation to high frequencies, which are hard to see. Only
the abstract could be read, so both readings are offered: this projection in every step, and the
penalty of `objectives.LowBandPenalty`. Rounding to 8 bits and clipping bring some low frequencies
back; `low_share` says how much is allowed, and the last word holds the 8-bit picture to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.bands import CUTOFF, high_share, low_band
from corelic.attacks.constraints.base import Constraint
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import PEAK, wide

HIGHEST = math.sqrt(0.5)  # cycles per pixel, along a diagonal
ROUNDS = 4  # of removing the low band, then returning to the inner set: each undoes the other


@dataclass(frozen=True)
class HighBand(Constraint):
    """An inner set, without frequencies below `cutoff` cycles per pixel.

    low_share  of the perturbation's energy may be below all the same
    """

    inner: Constraint
    cutoff: float = CUTOFF
    low_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < HIGHEST or not 0 <= self.low_share < 1:
            reason = f"begins at {self.cutoff:g} cycles per pixel, with {self.low_share:g} below"
            raise AttackError("the high band", f"{reason}; give 0 … 0.7 and 0 … 1, as in high=0.25")

    @property
    def title(self) -> str:
        return f"{self.inner.title}, from {self.cutoff:g} cycles/px"

    @property
    def radius(self) -> float:
        return self.inner.radius

    def holds(self, attacked: Tensor, clean: Tensor) -> Tensor:
        change = (attacked - clean).float() / PEAK
        unchanged = (change == 0).all(dim=(1, 2, 3)).flatten()
        high = high_share(change, self.cutoff) >= 1 - self.low_share
        return self.inner.holds(attacked, clean) & (high | unchanged)

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        for _ in range(ROUNDS):
            change = x - clean
            x = self.inner.project(clean + change - low_band(change, self.cutoff), clean)
        return x

    def ascent(self, gradient: Tensor, stride: float) -> Tensor:
        return self.inner.ascent(gradient - low_band(gradient, self.cutoff), stride)

    def noise(self, clean: Tensor, random: torch.Generator) -> Tensor:
        """The inner set's, without its low band, brought back to the edge by what it lost."""
        change = self.inner.noise(clean, random) - clean
        high = change - low_band(change, self.cutoff)
        scale = change.square().sum((1, 2, 3)) / high.square().sum((1, 2, 3)).clamp_min(1e-20)
        return self.project(clean + high * wide(scale.sqrt()), clean)
