"""Imperceptible, read as a projection: the perturbation has high frequencies only.

Sui et al., arXiv:2306.01125, keep the perturbation to high frequencies, which are hard to see. Only
the abstract could be read, so both readings are offered: this projection in every step, and the
penalty of `objectives.LowBandPenalty`. Rounding to 8 bits and clipping bring some low frequencies
back; `low_share` says how much is allowed, and the last word holds the 8-bit picture to it.

In a frame that is nearly black, samples can only rise, and what only rises has low frequencies,
however it is scaled. So there a perturbation is reflected about the high band and clipped, again
and again, and grows back each time: what stays are single samples, a few pixels apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from corelic.attacks.bands import CUTOFF, high_share, low_band
from corelic.attacks.constraints.base import Constraint
from corelic.attacks.constraints.mean_square import rms
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import PEAK, rounded, wide

HIGHEST = math.sqrt(0.5)  # cycles per pixel, along a diagonal
ROUNDS = 4  # of removing the low band, then returning to the inner set: each undoes the other
# Where those do not suffice. Black frames take 15 to 40 for noise of 4 to 16 levels; from a cutoff
# of about 0.3 on, nothing that only rises is high enough, and none would do.
REFLECTIONS = 100
PATIENCE, LEAST_GAIN = 10, 1e-3  # reflections that must raise the share of high frequencies so far
REFLECTED = 2.0  # times the low band, taken away: its opposite is left
INSIDE = 0.95  # of `low_share`: shrinking a frame and rounding it again may add some


@dataclass(frozen=True)
class HighBand(Constraint):
    """An inner set, without frequencies below `cutoff` cycles per pixel.

    low_share  of the perturbation's energy may be below all the same
    strictly   projects until that holds; else a few times, which is enough for most frames
    """

    inner: Constraint
    cutoff: float = CUTOFF
    low_share: float = 0.1
    strictly: bool = False

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

    @property
    def strict(self) -> HighBand:
        return replace(self, inner=self.inner.strict, strictly=True)

    def holds(self, attacked: Tensor, clean: Tensor) -> Tensor:
        change = (attacked - clean).float() / PEAK
        return self.inner.holds(attacked, clean) & self._is_high(change, self.low_share)

    def _is_high(self, change: Tensor, low_share: float) -> Tensor:
        """(T, 3, H, W) of whole levels -> (T,) bool; no change at all is high, too."""
        unchanged = (change == 0).all(dim=(1, 2, 3)).flatten()
        return (high_share(change, self.cutoff) >= 1 - low_share) | unchanged

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        for _ in range(ROUNDS):
            change = x - clean
            x = self.inner.project(clean + change - low_band(change, self.cutoff), clean)
        return self._reflected(x, clean) if self.strictly else x

    def _reflected(self, x: Tensor, clean: Tensor) -> Tensor:
        """Those frames that are not high, until they are, in 8 bits, with some to spare."""
        most = float("-inf")  # of what was high, when it was last asked
        for number in range(REFLECTIONS):
            low = ~wide(self._is_high(rounded(x) - clean, INSIDE * self.low_share))
            if not bool(low.any()):
                break
            if number % PATIENCE == 0:
                high = float(high_share(x - clean, self.cutoff)[low.flatten()].mean())
                if high < most + LEAST_GAIN:
                    break
                most = high
            change = x - clean
            change = (x - REFLECTED * low_band(change, self.cutoff)).clamp(0, 1) - clean
            change = change * (rms(x - clean) / rms(change))
            x = torch.where(low, self.inner.project(clean + change, clean), x)
        return x

    def ascent(self, gradient: Tensor, stride: float) -> Tensor:
        return self.inner.ascent(gradient - low_band(gradient, self.cutoff), stride)

    def steer(self, gradient: Tensor, x: Tensor, clean: Tensor) -> Tensor:
        return self.inner.steer(gradient, x, clean)

    def noise(self, clean: Tensor, random: torch.Generator) -> Tensor:
        """The inner set's, without its low band, brought back to the edge by what it lost."""
        change = self.inner.noise(clean, random) - clean
        high = change - low_band(change, self.cutoff)
        scale = change.square().sum((1, 2, 3)) / high.square().sum((1, 2, 3)).clamp_min(1e-20)
        return self.project(clean + high * wide(scale.sqrt()), clean)
