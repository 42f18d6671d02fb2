"""Masked gradients: a defence that seems to hold because the attack cannot see, not because it can.

    attempts: who attacked, with what budget, how strong it was ─► reasons to disbelieve the figures

The symptoms are those of Athalye, Carlini & Wagner, "Obfuscated Gradients Give a False Sense of
Security", ICML 2018, arXiv:1802.00420, section 3.1, and of Carlini et al., "On Evaluating
Adversarial Robustness", 2019, arXiv:1902.06705. None proves masking, and without any a defence may
mask all the same; but a figure with a symptom is no evidence of robustness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from corelic.attacks.errors import AttackError

# one-step     white box, a single gradient
# iterative    white box, the gradient that `forward` gives, over many steps
# adaptive     the same with what is known of the defence: BPDA, or averages over its draws (EOT)
# black-box    queries of the real thing alone
# transfer     made on another victim
# noise        as large, and random
Kind = Literal["one-step", "iterative", "adaptive", "black-box", "transfer", "noise"]
BLIND: tuple[Kind, ...] = ("black-box", "transfer", "noise")
WHITE: tuple[Kind, ...] = ("one-step", "iterative", "adaptive")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack on the defended victim with one budget, measured on the real thing.

    epsilon   budget, in one unit for all that are compared (8-bit steps of L∞, say)
    strength  larger is stronger: share of pictures that lose their class, dB of damage, rate ratio
    """

    kind: Kind
    epsilon: float
    strength: float
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.kind


@dataclass(frozen=True, slots=True)
class Verdict:
    """reasons  to think that gradients are masked or the attack is broken, a sentence each."""

    reasons: tuple[str, ...]

    @property
    def masked(self) -> bool:
        return bool(self.reasons)

    def __str__(self) -> str:
        if not self.masked:
            return "no sign of masked gradients"
        return f"gradients masked or attack broken: {'; '.join(self.reasons)}"


def gradients_masked(
    attempts: Sequence[Attempt], *, tolerance: float, full_strength: float | None = None
) -> Verdict:
    """Looks for symptoms in the figures of one defended victim.

    tolerance      of strengths: what is within it counts as equal. For shares of N pictures, about
                   1/√N is two standard errors.
    full_strength  what an attack with the largest budget must reach: one minus the accuracy of
                   chance, for a classifier; None where nothing is known

    AttackError without a white-box attempt, for then there is no gradient to be masked.
    """
    white = [attempt for attempt in attempts if attempt.kind in WHITE]
    if not white:
        raise AttackError("the attempts", "hold no white-box attack; add one, best with a sweep")
    found = [
        *_blind_is_stronger(attempts, tolerance),
        *_no_better_than_noise(attempts, tolerance),
        *_one_step_is_stronger(attempts, tolerance),
        *_adaptive_is_stronger(attempts, tolerance),
        *_budget_does_not_help(white, tolerance),
    ]
    if full_strength is not None:
        found += _never_wins(white, full_strength, tolerance)
    return Verdict(tuple(found))


def strongest(attempts: Iterable[Attempt], kinds: Sequence[Kind], epsilon: float) -> Attempt | None:
    """Of these kinds, with no more budget than `epsilon`: what a smaller one finds counts, too."""
    allowed = [one for one in attempts if one.kind in kinds and one.epsilon <= epsilon]
    return max(allowed, key=lambda one: one.strength, default=None)


def _budgets(attempts: Sequence[Attempt]) -> list[float]:
    return sorted({attempt.epsilon for attempt in attempts})


def _compare(
    attempts: Sequence[Attempt],
    weaker: Sequence[Kind],
    stronger: Sequence[Kind],
    tolerance: float,
    why: str,
) -> list[str]:
    """A reason at the first budget at which those that should be weaker are not."""
    for epsilon in _budgets(attempts):
        low, high = (strongest(attempts, kinds, epsilon) for kinds in (weaker, stronger))
        if low is not None and high is not None and low.strength > high.strength + tolerance:
            return [
                f"at ε {epsilon:g} {low.label} reaches {low.strength:.3g} and {high.label} only "
                f"{high.strength:.3g}: {why}"
            ]
    return []


def _blind_is_stronger(attempts: Sequence[Attempt], tolerance: float) -> list[str]:
    why = "an attack without gradients beats those that have them"
    return _compare(attempts, BLIND, WHITE, tolerance, why)


def _no_better_than_noise(attempts: Sequence[Attempt], tolerance: float) -> list[str]:
    """Nowhere: where noise is enough to win everything, both are the same."""
    gains = []
    for epsilon in _budgets(attempts):
        seeing, noise = (strongest(attempts, kinds, epsilon) for kinds in (WHITE, ("noise",)))
        if seeing is not None and noise is not None:
            gains.append(seeing.strength - noise.strength)
    if not gains or max(gains) > tolerance:
        return []
    best = max(gains)
    return [f"gradients gain at most {best:.3g} over noise of the same size: they lead nowhere"]


def _one_step_is_stronger(attempts: Sequence[Attempt], tolerance: float) -> list[str]:
    why = "one step beats many"
    return _compare(attempts, ("one-step",), ("iterative", "adaptive"), tolerance, why)


def _adaptive_is_stronger(attempts: Sequence[Attempt], tolerance: float) -> list[str]:
    why = "the plain gradient misleads, so figures without the adaptive attack mean little"
    return _compare(attempts, ("adaptive",), ("iterative",), tolerance, why)


def _budget_does_not_help(white: Sequence[Attempt], tolerance: float) -> list[str]:
    """A larger budget allows all that a smaller one does, so no attack may lose by it."""
    found = []
    for label in dict.fromkeys(attempt.label for attempt in white):
        sweep = sorted(
            (attempt for attempt in white if attempt.label == label),
            key=lambda attempt: attempt.epsilon,
        )
        best = sweep[0]
        for attempt in sweep[1:]:
            if attempt.strength < best.strength - tolerance:
                found.append(
                    f"{label} reaches {best.strength:.3g} at ε {best.epsilon:g} and only "
                    f"{attempt.strength:.3g} at ε {attempt.epsilon:g}: more budget must not hurt"
                )
                break
            best = max(best, attempt, key=lambda one: one.strength)
    return found


def _never_wins(white: Sequence[Attempt], full_strength: float, tolerance: float) -> list[str]:
    largest = max(attempt.epsilon for attempt in white)
    best = strongest(white, WHITE, largest)
    assert best is not None  # white is not empty
    if best.strength >= full_strength - tolerance:
        return []
    return [
        f"up to ε {largest:g} attacks with gradients reach {best.strength:.3g} at most, and the "
        f"sweep must end at {full_strength:.3g}, which is chance"
    ]
