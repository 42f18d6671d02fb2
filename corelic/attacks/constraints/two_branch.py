"""FTDA's threshold: spend until the budget is gone, then pay back.

Chen & Ma, "Toward Robust Neural Image Compression", TCSVT 2023, arXiv:2112.08691: where the MSE of
the input exceeds the threshold, a step lowers it; elsewhere a step raises the objective. Between
steps only L∞ is clipped. Ours differs: the last word holds the 8-bit picture to both budgets, and a
search that keeps its best clip projects onto both, for beyond the threshold any clip is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.constraints.base import Constraint
from corelic.attacks.constraints.linf import Linf
from corelic.attacks.constraints.mean_square import MeanSquare, rms
from corelic.attacks.constraints.two_budgets import TwoBudgets


@dataclass(frozen=True)
class TwoBranch(Constraint):
    """MSE ≤ mse by steering, L∞ by projection.

    mse      in [0, 1] pixel units squared
    epsilon  as in 16 / 255
    """

    mse: float
    epsilon: float

    def __post_init__(self) -> None:
        # Each refuses a number that makes no sense.
        MeanSquare(self.mse)
        Linf(self.epsilon)

    @property
    def ball(self) -> MeanSquare:
        return MeanSquare(self.mse)

    @property
    def cube(self) -> Linf:
        return Linf(self.epsilon)

    @property
    def title(self) -> str:
        return f"two branches, {self.ball.title}, {self.cube.title}"

    @property
    def radius(self) -> float:
        return self.cube.radius

    @property
    def strict(self) -> TwoBudgets:
        return TwoBudgets(self.ball, self.cube)

    def holds(self, attacked: Tensor, clean: Tensor) -> Tensor:
        return self.strict.holds(attacked, clean)

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        return self.cube.project(x, clean)

    def ascent(self, gradient: Tensor, stride: float) -> Tensor:
        return self.cube.ascent(gradient, stride)

    def steer(self, gradient: Tensor, x: Tensor, clean: Tensor) -> Tensor:
        change = x - clean
        spent = change.square().mean(dim=(1, 2, 3), keepdim=True) > self.mse
        # In the size of the objective's gradient, so that Adam's averages do not jump.
        back = -change * (rms(gradient) / rms(change))
        return torch.where(spent, back, gradient)

    def noise(self, clean: Tensor, random: torch.Generator) -> Tensor:
        return self.strict.noise(clean, random)
