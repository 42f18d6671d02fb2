"""Adam on the perturbation: FTDA's optimiser.

Chen & Ma, "Toward Robust Neural Image Compression", TCSVT 2023, arXiv:2112.08691: with the
constraint `TwoBranch` and the objective `Distortion`, this is FTDA. The learning rate falls to a
third three times; where the paper is silent, the reading is ours: at a quarter, half and three
quarters of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.attack import GradientAttack, Run
from corelic.attacks.probe import modified

DECAY, DECAYS = 0.33, 3


@dataclass(frozen=True)
class Adam(GradientAttack):
    """learning_rate  of the first quarter, in pixel units."""

    steps: int = 100
    learning_rate: float = 2 / 255

    @property
    def name(self) -> str:
        return " + ".join([f"Adam-{self.steps}", *(part.title for part in self.modifiers)])

    def search(self, run: Run) -> Tensor:
        clean, constraint = run.clean, run.constraint
        gradient = modified(run.probe, self.modifiers)
        x = constraint.start(clean, run.random).clone()
        adam = torch.optim.Adam([x], lr=self.learning_rate, maximize=True)
        for step in run.steps(self.steps):
            decays = step * (DECAYS + 1) // self.steps
            adam.param_groups[0]["lr"] = self.learning_rate * DECAY**decays
            answer = gradient(run.question(x, self.learning_rate))
            x.grad = constraint.steer(answer.gradient, x, clean)
            adam.step()
            x.copy_(constraint.project(x, clean))
        return x
