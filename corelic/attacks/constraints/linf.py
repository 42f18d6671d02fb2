"""No sample may change by more than a number of levels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.constraints.base import Constraint, signs
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import PEAK

SLACK = 1e-6  # of a level: 8 / 255 is not exact in binary


@dataclass(frozen=True)
class Linf(Constraint):
    """|x' − x| ≤ epsilon everywhere. epsilon: as in 8 / 255; rounded down to whole levels."""

    epsilon: float

    def __post_init__(self) -> None:
        if not 1 <= self.epsilon * PEAK + SLACK <= PEAK + 2 * SLACK:  # false for NaN, too
            reason = f"epsilon is {self.epsilon:g}; give 1 / 255 to 1"
            raise AttackError("the constraint", f"{reason}, as a fraction of white")

    @property
    def levels(self) -> int:
        """Of 255."""
        return int(self.epsilon * PEAK + SLACK)

    @property
    def title(self) -> str:
        return f"L∞ {self.levels}/{PEAK}"

    @property
    def radius(self) -> float:
        return self.levels / PEAK

    def holds(self, attacked: Tensor, clean: Tensor) -> Tensor:
        return (attacked - clean).abs().amax(dim=(1, 2, 3)) <= self.levels

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        return (clean + (x - clean).clamp(-self.radius, self.radius)).clamp(0, 1)

    def ascent(self, gradient: Tensor, stride: float) -> Tensor:
        return stride * gradient.sign()

    def noise(self, clean: Tensor, random: torch.Generator) -> Tensor:
        """±epsilon, the signs at random: of all noise in the set that with the most energy.

        Less beside black and white, where one of the signs leads nowhere: all of them the other
        way would have more, and be a change of brightness.
        """
        return self.project(clean + self.radius * signs(clean.shape, random).to(clean), clean)

    def start(self, clean: Tensor, random: torch.Generator) -> Tensor:
        """Uniform in the cube (Madry et al., ICLR 2018, arXiv:1706.06083)."""
        uniform = torch.rand(clean.shape, generator=random).to(clean) * 2 - 1
        return self.project(clean + self.radius * uniform, clean)
