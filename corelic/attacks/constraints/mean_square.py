"""A budget of energy: the L2 norm, said as what it is per sample.

‖δ‖₂ ≤ r over n samples is MSE ≤ r²/n, and PSNR ≥ −10 log10 of it; all three are one set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.constraints.base import Constraint
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import PEAK

TINY = 1e-20
FILLS, MOST_GROWTH = 12, 2.0  # rounds in which noise is brought to its budget


@dataclass(frozen=True)
class MeanSquare(Constraint):
    """MSE of each frame at most `mse`, in [0, 1] pixel units squared."""

    mse: float

    def __post_init__(self) -> None:
        if not 0 < self.mse <= 1:
            reason = f"its mean squared error is {self.mse:g}; give one in (0, 1]"
            raise AttackError("the constraint", f"{reason}, for pixels in [0, 1]")

    @classmethod
    def of_psnr(cls, psnr_db: float) -> MeanSquare:
        """A floor: the attacked picture has at least this PSNR; AttackError beyond ±100 dB."""
        if not -100 <= psnr_db <= 100:
            raise AttackError("the constraint psnr", f"has {psnr_db:g} dB; give 20 to 50")
        return cls(10 ** (-psnr_db / 10))

    @classmethod
    def of_norm(cls, norm: float, samples: int) -> MeanSquare:
        """‖δ‖₂ of a frame with so many samples (three per pixel)."""
        return cls(norm**2 / samples)

    @property
    def title(self) -> str:
        return f"PSNR ≥ {-10 * math.log10(self.mse):.2f} dB"

    @property
    def radius(self) -> float:
        """Root mean square."""
        return math.sqrt(self.mse)

    def holds(self, attacked: Tensor, clean: Tensor) -> Tensor:
        difference = attacked - clean
        total = difference.square().sum(dim=(1, 2, 3))  # int64: exact
        return total <= self.mse * PEAK**2 * clean[0].numel()

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        change = x - clean
        # Clamping to [0, 1] only moves samples towards the clean ones, hence stays in the ball.
        return (clean + change * (self.radius / rms(change)).clamp_max(1)).clamp(0, 1)

    def ascent(self, gradient: Tensor, stride: float) -> Tensor:
        return gradient * (stride / rms(gradient))

    def noise(self, clean: Tensor, random: torch.Generator) -> Tensor:
        """White Gaussian, scaled to the budget."""
        change = self.radius * torch.randn(clean.shape, generator=random).to(clean)
        for _ in range(FILLS):  # what is lost beyond black and white goes into the rest
            kept = (clean + change).clamp(0, 1) - clean
            change = change * (self.radius / rms(kept)).clamp_max(MOST_GROWTH)
        return self.project((clean + change).clamp(0, 1), clean)


def rms(x: Tensor) -> Tensor:
    """(T, 3, H, W) -> (T, 1, 1, 1), positive."""
    return (x.square().mean(dim=(1, 2, 3), keepdim=True) + TINY).sqrt()
