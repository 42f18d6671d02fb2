"""Projected gradient ascent: the workhorse.

Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018,
arXiv:1706.06083. Without the random start it is I-FGSM (Kurakin, Goodfellow & Bengio, ICLR 2017
workshop, arXiv:1607.02533); with `Momentum` MI-FGSM, with `Nesterov` NI-FGSM; its first step alone,
taken wide, is FGSM.

    x ← start;  repeat: x ← project(x + stride · direction(gradient at x))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from corelic.attacks.attack import GradientAttack, Run
from corelic.attacks.constraints.base import Constraint
from corelic.attacks.modifiers.base import Modifier
from corelic.attacks.objectives.base import Objective
from corelic.attacks.probe import modified
from corelic.attacks.victim import Victim

# Of a radius. Small strides stop short on codecs, whose distortion rises ever more steeply, so that
# corners must be left for other ones. docs/log.md has the figures.
STRIDE = 0.5
WIDE = 1.25  # of FGSM's one stride, in radii (Wong, Rice & Kolter, ICLR 2020, arXiv:2001.03994)


@dataclass(frozen=True)
class PGD(GradientAttack):
    """steps         passes, if no modifier needs more
    stride        of a step, in the constraint's norm; None: half a radius
    random_start  anywhere in the set; else at the clean clip, or at most a level beside it, for
                  at the clip itself a distortion has no gradient (ours)
    """

    steps: int = 40
    stride: float | None = None
    random_start: bool = True

    @property
    def name(self) -> str:
        kind = "PGD" if self.random_start else "I-FGSM"
        return " + ".join([f"{kind}-{self.steps}", *(part.title for part in self.modifiers)])

    def search(self, run: Run) -> Tensor:
        clean, constraint = run.clean, run.constraint
        stride = self.stride
        if stride is None:
            stride = STRIDE * constraint.radius
        gradient = modified(run.probe, self.modifiers)
        if self.random_start:
            x = constraint.start(clean, run.random)
        else:
            x = constraint.project(run.beside_clean(), clean)
        for _ in run.steps(self.steps):
            answer = gradient(run.question(x, stride))
            uphill = constraint.steer(answer.gradient, x, clean)
            x = constraint.project(x + constraint.ascent(uphill, stride), clean)
        return x


def fgsm(
    victim: Victim,
    *,
    objective: Objective,
    constraint: Constraint,
    modifiers: Sequence[Modifier] = (),
    seed: int = 0,
) -> PGD:
    """One wide step from a random start (Wong, Rice & Kolter), for the clean clip has none uphill.

    Goodfellow, Shlens & Szegedy, ICLR 2015, arXiv:1412.6572, start at the clean clip.
    """
    return PGD(
        victim,
        objective=objective,
        constraint=constraint,
        modifiers=modifiers,
        seed=seed,
        steps=1,
        stride=WIDE * constraint.radius,
    )
