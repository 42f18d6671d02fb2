"""An ε sweep: the test that an attack works at all.

    for each ε: attack, equal noise ─► strength on the real thing ─► Attempt ─► gradients_masked

Where even a budget of everything does not break a victim, or noise does as well as gradients, the
figures of the attack are no evidence of robustness: "gradients masked or attack broken".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from corelic.attacks.attack import Attack, GradientAttack
from corelic.attacks.constraints.base import Constraint
from corelic.attacks.constraints.linf import Linf
from corelic.attacks.defences.masking import Attempt, Kind, Verdict, gradients_masked
from corelic.attacks.evaluation.controls import equal_noise
from corelic.attacks.optimisers.adam import Adam
from corelic.attacks.optimisers.noise import Noise
from corelic.attacks.optimisers.pgd import PGD
from corelic.attacks.oracle import Oracle
from corelic.attacks.pixels import clip_of
from corelic.media import Picture

# (clean, attacked) -> strength: larger is worse for the victim
Judge = Callable[[Sequence[Picture], Sequence[Picture]], float]


@dataclass(frozen=True, slots=True)
class Sweep:
    """attempts  the attack and noise at every ε, in 8-bit steps
    verdict   what to make of them; None of an attack without gradients that could be masked
    """

    attempts: tuple[Attempt, ...]
    verdict: Verdict | None

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

    attack         its constraint is replaced
    judge          strength of attacked pictures; None: how much they raise the objective's score of
                   the real thing, on average
    tolerance      of strengths: what is within it counts as equal
    full_strength  what the largest budget must reach; None where nothing is known
    """
    judge = judge or real_gain(attack)
    attempts = []
    for level in levels:
        aimed = within(attack, Linf(level / 255))
        both: tuple[tuple[Kind, Attack], ...] = (
            (kind_of(aimed), aimed),
            ("noise", equal_noise(aimed)),
        )
        for kind, one in both:
            result = one(pictures)
            strength = judge(result.clean, result.pictures)
            attempts.append(Attempt(kind, level, strength, one.name))
    if not isinstance(attack, GradientAttack):
        return Sweep(tuple(attempts), None)
    verdict = gradients_masked(attempts, tolerance=tolerance, full_strength=full_strength)
    return Sweep(tuple(attempts), verdict)


def within(attack: Attack, constraint: Constraint) -> Attack:
    """The same attack in another set; steps of a size of its own stay as many radii long."""
    aimed = replace(attack, constraint=constraint)
    growth = constraint.radius / attack.constraint.radius
    if isinstance(aimed, PGD) and aimed.stride is not None:
        return replace(aimed, stride=growth * aimed.stride)
    if isinstance(aimed, Adam):
        return replace(aimed, learning_rate=growth * aimed.learning_rate)
    return aimed


def kind_of(attack: Attack) -> Kind:
    if isinstance(attack, Noise):
        return "noise"
    if attack.is_black_box:
        return "black-box"
    return "one-step" if isinstance(attack, PGD) and attack.steps == 1 else "iterative"


def real_gain(attack: Attack) -> Judge:
    """How much the objective's score of real files rises, on average over frames."""

    def judge(clean: Sequence[Picture], attacked: Sequence[Picture]) -> float:
        oracle = Oracle(attack.victim, attack.objective, clip_of(clean))
        start, end = oracle(clip_of(clean)), oracle(clip_of(attacked))
        return fmean((end - start).tolist())

    return judge
