"""APGD: no step size to choose; halved where progress stalls, search resumed at the best.

Croce & Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
Parameter-free Attacks", ICML 2020, arXiv:2003.01690, section 3; the constants are those of the
paper. Steps are halved frame by frame.

    z ← project(x + stride · direction);  x' ← project(x + ¾ (z − x) + ¼ (x − x before))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from corelic.attacks.attack import GradientAttack, Run
from corelic.attacks.pixels import wide
from corelic.attacks.probe import modified

FIRST_STRIDE = 2.0  # radii
INERTIA = 0.75
RISING = 0.75  # of the steps since the last checkpoint must have gained, or the stride is halved


def checkpoints(steps: int) -> set[int]:
    """Steps after which progress is judged: 22 % of all, then ever closer, 6 % at least."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return {math.ceil(share * steps) for share in shares[1:]}


@dataclass(frozen=True)
class APGD(GradientAttack):
    """Returns the best clip met, not the last; it meets none outside of the set."""

    steps: int = 100

    keeps_best: ClassVar = True

    @property
    def name(self) -> str:
        return " + ".join([f"APGD-{self.steps}", *(part.title for part in self.modifiers)])

    def search(self, run: Run) -> Tensor:
        clean, constraint = run.clean, run.constraint.strict
        gradient = modified(run.probe, self.modifiers)
        judged = checkpoints(self.steps)
        unit = constraint.radius
        stride = torch.full((len(clean), 1, 1, 1), FIRST_STRIDE, device=clean.device)
        x = before = best = constraint.start(clean, run.random)
        answer = gradient(run.question(x, FIRST_STRIDE * unit, compared=True))
        score, top, uphill = answer.score, answer.score, answer.gradient
        best_uphill = uphill
        gained = torch.zeros_like(score)
        halved, top_then, judged_last = torch.ones_like(score, dtype=torch.bool), top, 0
        for step in run.steps(self.steps - 1):
            direction = constraint.ascent(constraint.steer(uphill, x, clean), unit)
            z = constraint.project(x + stride * direction, clean)
            share = INERTIA if step else 1.0
            moved = constraint.project(x + share * (z - x) + (1 - share) * (x - before), clean)
            before, x = x, moved
            answer = gradient(run.question(x, float(stride.mean()) * unit, compared=True))
            gained += answer.score > score
            score, uphill = answer.score, answer.gradient
            better = score > top
            top = torch.where(better, score, top)
            best = torch.where(wide(better), x, best)
            best_uphill = torch.where(wide(better), uphill, best_uphill)
            if step + 1 in judged:
                stalled = gained < RISING * (step + 1 - judged_last)
                stuck = ~halved & (top <= top_then)
                halved = stalled | stuck
                stride = torch.where(wide(halved), stride / 2, stride)
                x = torch.where(wide(halved), best, x)
                before = torch.where(wide(halved), best, before)
                uphill = torch.where(wide(halved), best_uphill, uphill)
                score = torch.where(halved, top, score)
                gained, top_then, judged_last = torch.zeros_like(gained), top, step + 1
        return best
