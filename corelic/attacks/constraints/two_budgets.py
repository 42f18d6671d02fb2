"""Two budgets at once, by projection: a ball of energy, and a cube of levels.

Both are convex and the clean clip is in the middle of either, so scaling a clip that is in the cube
until it is in the ball leaves it in the cube.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.constraints.base import Constraint
from corelic.attacks.constraints.linf import Linf
from corelic.attacks.constraints.mean_square import MeanSquare


@dataclass(frozen=True)
class TwoBudgets(Constraint):
    """In both; steps are those of the one with the smaller radius, which is the one that binds."""

    ball: MeanSquare
    cube: Linf

    @property
    def title(self) -> str:
        return f"{self.ball.title}, {self.cube.title}"

    @property
    def radius(self) -> float:
        return min(self.ball.radius, self.cube.radius)

    def holds(self, attacked: Tensor, clean: Tensor) -> Tensor:
        return self.ball.holds(attacked, clean) & self.cube.holds(attacked, clean)

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        return self.ball.project(self.cube.project(x, clean), clean)

    def ascent(self, gradient: Tensor, stride: float) -> Tensor:
        binding = self.ball if self.ball.radius < self.cube.radius else self.cube
        return binding.ascent(gradient, stride)

    def noise(self, clean: Tensor, random: torch.Generator) -> Tensor:
        return self.cube.project(self.ball.noise(clean, random), clean)
