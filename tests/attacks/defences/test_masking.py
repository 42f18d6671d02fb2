"""The detector of masked gradients: symptom by symptom, and on defences that really mask."""

import pytest
import torch
from torch import Tensor

from corelic.attacks.constraints import Linf
from corelic.attacks.defences.base import Cleaning, Defended
from corelic.attacks.defences.bit_depth import BitDepth
from corelic.attacks.defences.masking import Attempt, Kind, Verdict, gradients_masked, strongest
from corelic.attacks.errors import AttackError
from corelic.attacks.evaluation.sweep import real_gain
from corelic.attacks.objectives import Rate
from corelic.attacks.optimisers import PGD, Noise
from corelic.attacks.victim import Victim
from tests.attacks.toys import linear, photos

BUDGETS = (2, 8, 32, 128)


def attempts(kind: Kind, *strengths: float, name: str = "") -> list[Attempt]:
    return [Attempt(kind, epsilon, s, name) for epsilon, s in zip(BUDGETS, strengths, strict=True)]


SOUND = [
    *attempts("noise", 0.0, 0.05, 0.2, 0.9),
    *attempts("black-box", 0.1, 0.4, 0.8, 0.9),
    *attempts("one-step", 0.2, 0.5, 0.6, 0.9),
    *attempts("iterative", 0.3, 0.8, 0.9, 0.9),
    *attempts("adaptive", 0.3, 0.8, 0.9, 0.9),
]


def without(*kinds: Kind) -> list[Attempt]:
    return [attempt for attempt in SOUND if attempt.kind not in kinds]


def judged(found: list[Attempt]) -> Verdict:
    return gradients_masked(found, tolerance=0.03, full_strength=0.9)


def test_a_sound_set_of_attacks_is_believed() -> None:
    verdict = judged(SOUND)
    assert not verdict.masked and verdict.reasons == ()
    assert str(verdict) == "no sign of masked gradients"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([*without("black-box"), *attempts("black-box", 0.1, 0.9, 0.9, 0.9)], "without gradients"),
        ([*without("black-box"), *attempts("transfer", 0.4, 0.8, 0.9, 0.9)], "without gradients"),
        ([*without("noise"), *attempts("noise", 0.4, 0.5, 0.6, 0.9)], "without gradients"),
        ([*without("one-step"), *attempts("one-step", 0.4, 0.8, 0.9, 0.9)], "one step beats many"),
        ([*without("adaptive"), *attempts("adaptive", 0.3, 0.9, 0.9, 0.9)], "adaptive"),
        (
            [*without("iterative"), *attempts("iterative", 0.3, 0.8, 0.9, 0.6)],
            "more budget must not hurt",
        ),
        (
            [*attempts("iterative", 0.1, 0.3, 0.4, 0.5), *attempts("noise", 0.0, 0.1, 0.1, 0.1)],
            "the sweep must end at 0.9",
        ),
        (
            [*attempts("iterative", 0.0, 0.0, 0.2, 0.9), *attempts("noise", 0.0, 0.0, 0.2, 0.9)],
            "lead nowhere",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_symptom_is_a_reason(found: list[Attempt], said: str) -> None:
    verdict = judged(found)
    assert verdict.masked
    assert len(verdict.reasons) == 1 and said in verdict.reasons[0]
    assert str(verdict).startswith("gradients masked or attack broken: ")


def test_what_is_within_the_tolerance_is_no_symptom() -> None:
    found = [*without("black-box"), *attempts("black-box", 0.32, 0.82, 0.92, 0.92)]
    assert not judged(found).masked
    assert gradients_masked(found, tolerance=0.01, full_strength=0.9).masked


def test_a_smaller_budgets_find_counts_for_a_larger() -> None:
    # An attack without gradients at ε 3 is compared with the best that had gradients up to there.
    found = [
        Attempt("iterative", 2, 0.8),
        Attempt("iterative", 8, 0.9),
        Attempt("black-box", 3, 0.7),
    ]
    assert not gradients_masked(found, tolerance=0.0).masked
    best = strongest(found, ("iterative",), 3)
    assert best is not None and best.strength == 0.8
    assert strongest(found, ("iterative",), 1) is None


def test_without_a_goal_there_is_nothing_to_reach() -> None:
    found = [*attempts("iterative", 1.0, 2.0, 3.0, 4.0), *attempts("noise", 0.1, 0.2, 0.3, 0.4)]
    assert not gradients_masked(found, tolerance=0.1).masked


def test_names_tell_attacks_apart() -> None:
    # Two sweeps of one kind: neither hurts by more budget, though mixed they would seem to.
    found = [
        *attempts("iterative", 0.5, 0.6, 0.9, 0.9, name="PGD-40"),
        *attempts("iterative", 0.1, 0.2, 0.3, 0.4, name="PGD-4"),
    ]
    assert not judged(found).masked
    assert "PGD-40" in str(judged([*found, *attempts("noise", 0.6, 0.6, 0.9, 0.9)]))


def test_something_must_have_gradients() -> None:
    with pytest.raises(AttackError, match="no white-box attack"):
        gradients_masked(attempts("noise", 0, 0, 0, 0), tolerance=0.1)


# Defences that mask, attacked for real. The rate is linear: how much an attack gains is known.


class HardBitDepth(BitDepth):
    """Rounds as its parent does, and shows attackers the flat steps."""

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        return (x * 31 + 0.5).floor() / 31 + 0 * x


class Shattered(Cleaning):
    """Changes nothing, and shows attackers a gradient of noise."""

    title = "shattered"

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        lie = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        return x.detach() + lie * (x - x.detach())


def measured(victim: Victim, adaptive: Victim | None) -> list[Attempt]:
    """Rate attacks with few steps, and noise; gains in bpp, on the real thing."""
    clean, found = photos(), []
    kinds: list[tuple[Kind, Victim | None]] = [("iterative", victim), ("adaptive", adaptive)]
    for level in (8, 16, 32):
        constraint, objective = Linf(level / 255), Rate()
        attacks = [
            (kind, PGD(aimed, objective=objective, constraint=constraint, steps=6))
            for kind, aimed in kinds
            if aimed is not None
        ]
        for kind, attack in [
            *attacks,
            ("noise", Noise(victim, objective=objective, constraint=constraint)),
        ]:
            judge = real_gain(PGD(victim, objective=objective, constraint=constraint))
            result = attack(clean)
            found.append(Attempt(kind, level, judge(result.clean, result.pictures)))
    return found


@pytest.mark.parametrize("defence", [HardBitDepth(5), Shattered()], ids=lambda one: one.title)
def test_a_defence_that_masks_is_caught(defence: Cleaning) -> None:
    victim = linear()
    alone = gradients_masked(measured(Defended(victim, defence), None), tolerance=4.0)
    assert alone.masked and "lead nowhere" in str(alone)
    # With an attacker who goes round it, the detector knows why.
    both = gradients_masked(measured(Defended(victim, defence), victim), tolerance=4.0)
    assert "the plain gradient misleads" in str(both)


def test_the_same_defence_with_an_honest_gradient_is_not() -> None:
    victim = linear()
    found = measured(Defended(victim, BitDepth(5)), victim)
    verdict = gradients_masked(found, tolerance=4.0)
    assert not verdict.masked, verdict
    assert not gradients_masked(measured(victim, None), tolerance=4.0).masked
