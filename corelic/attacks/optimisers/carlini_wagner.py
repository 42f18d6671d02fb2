"""Carlini–Wagner: the smallest perturbation that reaches a goal.

Carlini & Wagner, "Towards Evaluating the Robustness of Neural Networks", S&P 2017,
arXiv:1608.04644, section VI. Ours differs: the goal is a score of any objective, so that codecs
without a classifier have one, too, such as 100 of `Distortion` or 0 of a margin.

    minimise  MSE(x, clean) + c · max(goal − score(x), 0),  x = (tanh w + 1) / 2,  c by bisection
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from corelic.attacks.attack import GradientAttack, Run
from corelic.attacks.objectives.base import mse
from corelic.attacks.pixels import wide
from corelic.attacks.probe import modified
from corelic.codecs.rate import MSE_UNIT

TINY = 1e-5  # black and white are infinitely far away in w
MORE = 10.0  # times c, while no c is known that reaches the goal
SPARE = 0.02  # of the way to the goal, on top of it: rounding takes some away again


@dataclass(frozen=True)
class CarliniWagner(GradientAttack):
    """goal           to reach, in the objective's own unit
    steps          of each search
    searches       with a new c each
    learning_rate  of w
    first_weight   c of the first search: squared 8-bit steps per unit of score
    """

    goal: float
    steps: int = 40
    searches: int = 5
    learning_rate: float = 0.01
    first_weight: float = 1.0

    keeps_best: ClassVar = True
    weighs: ClassVar = True

    @property
    def name(self) -> str:
        name = f"CW-{self.searches}×{self.steps} to {self.goal:g}"
        return " + ".join([name, *(part.title for part in self.modifiers)])

    def reached(self, start: Tensor, end: Tensor) -> Tensor:
        return end >= self.goal

    def search(self, run: Run) -> Tensor:
        clean, constraint = run.clean, run.constraint.strict
        aim = self.goal + SPARE * (self.goal - run.score(clean)).clamp_min(0)
        weight = torch.full((len(clean),), self.first_weight, device=clean.device)
        low, high = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
        best, least = clean, torch.full_like(weight, torch.inf)  # of those that reach the goal
        nearest, top = clean, torch.full_like(weight, -torch.inf)  # of those that do not
        for number in range(self.searches):
            x = run.beside_clean().clamp(TINY, 1 - TINY)
            w = torch.atanh(2 * x - 1)
            adam = torch.optim.Adam([w], lr=self.learning_rate)
            gradient = modified(run.probe, self.modifiers)
            reached = torch.zeros_like(weight, dtype=torch.bool)
            for step in range(self.steps):
                x = constraint.project((torch.tanh(w) + 1) / 2, clean)
                answer = gradient(run.question(x, self.learning_rate, compared=True))
                there, cost = answer.score >= aim, mse(x, clean)
                smaller, higher = there & (cost < least), ~there & (answer.score > top)
                best, least = torch.where(wide(smaller), x, best), cost.where(smaller, least)
                nearest = torch.where(wide(higher), x, nearest)
                top = answer.score.where(higher, top)
                reached |= there
                pull = 2 * (x - clean) * (MSE_UNIT / clean[0].numel())
                push = answer.gradient * wide(weight * ~there)
                w.grad = (pull - push) * 2 * x * (1 - x)
                adam.step()
                run.progress(number * self.steps + step + 1, self.searches * self.steps)
            high, low = weight.where(reached, high), weight.where(~reached, low)
            weight = torch.where(high.isinf(), weight * MORE, (low + high.nan_to_num(posinf=0)) / 2)
        return torch.where(wide(least.isinf()), nearest, best)
