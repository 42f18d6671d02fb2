"""An ε sweep: the test that an attack works at all.

    for each ε: attack, equal noise ─► strength on the real thing ─► Attempt ─► gradients_masked

Where even a budget of everything does not break a victim, or noise does as well as gradients, the
figures of the attack are no evidence of robustness: "gradients masked or attack broken".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from corelic.attacks.attack import Attack
from corelic.attacks.constraints.base import Constraint
from corelic.attacks.constraints.linf import Linf
from corelic.attacks.defences.masking import Attempt, Kind, Verdict, gradients_masked
from corelic.attacks.evaluation.controls import equal_noise
from corelic.attacks.optimisers.pgd import PGD
from corelic.attacks.oracle import Oracle
from corelic.attacks.pixels import clip_of
from corelic.media import Picture

# (clean, attacked) -> strength: larger is worse for the victim
Judge = Callable[[Sequence[Picture], Sequence[Picture]], float]


@dataclass(frozen=True, slots=True)
class Sweep:
    """attempts: the attack and noise at every ε, in 8-bit steps; verdict: what to make of them."""

    attempts: tuple[Attempt, ...]
    verdict: Verdict

    def strengths(self, kind: Kind) -> tuple[float, ...]:
        """By ε, ascending."""
        found = [attempt for attempt in self.attempts if attempt.kind == kind]
        return tuple(one.strength for one in sorted(found, key=lambda one: one.epsilon))


def sweep(
    attack: Attack,
    pictures: Sequence[Picture],
    levels: Sequence[int],
    *,
    judge: Judge | None = None,
    tolerance: float = 0.0,
    full_strength: float | None = None,
) -> Sweep:
    """The attack with L∞ budgets of `levels` of 255; end at 255, where everything is allowed.

    attack         with gradients; its constraint is replaced
    judge          strength of attacked pictures; None: how much they raise the objective's score of
                   the real thing, on average
    tolerance      of strengths: what is within it counts as equal
    full_strength  what the largest budget must reach; None where nothing is known
    """
    judge = judge or real_gain(attack)
    attempts = []
    for level in levels:
        aimed = within(attack, Linf(level / 255))
        searches: Kind = "one-step" if isinstance(aimed, PGD) and aimed.steps == 1 else "iterative"
        both: tuple[tuple[Kind, Attack], ...] = (
            (searches, aimed),
            ("noise", equal_noise(aimed)),
        )
        for kind, one in both:
            result = one(pictures)
            strength = judge(result.clean, result.pictures)
            attempts.append(Attempt(kind, level, strength, one.name))
    verdict = gradients_masked(attempts, tolerance=tolerance, full_strength=full_strength)
    return Sweep(tuple(attempts), verdict)


def within(attack: Attack, constraint: Constraint) -> Attack:
    """The same attack in another set; a stride of its own stays as many radii long."""
    aimed = replace(attack, constraint=constraint)
    if isinstance(aimed, PGD) and aimed.stride is not None:
        radii = aimed.stride / attack.constraint.radius
        return replace(aimed, stride=radii * constraint.radius)
    return aimed


def real_gain(attack: Attack) -> Judge:
    """How much the objective's score of real files rises, on average over frames."""

    def judge(clean: Sequence[Picture], attacked: Sequence[Picture]) -> float:
        oracle = Oracle(attack.victim, attack.objective, clip_of(clean))
        start, end = oracle(clip_of(clean)), oracle(clip_of(attacked))
        return fmean((end - start).tolist())

    return judge
