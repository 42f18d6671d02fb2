"""The rows that stand beside every attack, without which its figures say nothing.

attack ──────► victim: how bad          attack ──────► classical codec: is it the codec's fault
equal noise ─► victim: how bad anyway   equal noise ─► classical codec
"""

from __future__ import annotations

from collections.abc import Sequence

from corelic.attacks.attack import Attack, AttackResult
from corelic.attacks.evaluation.damage import CleanSide, Row
from corelic.attacks.optimisers.noise import Noise


def equal_noise(attack: Attack) -> Noise:
    """The most noise that the attack's own constraint allows."""
    return Noise(
        attack.victim, objective=attack.objective, constraint=attack.constraint, seed=attack.seed
    )


def with_controls(
    attack: Attack,
    result: AttackResult,
    sides: Sequence[CleanSide],
) -> tuple[Row, ...]:
    """Rows for each victim of `sides`: the attack's own first, then controls; each with noise.

    sides  over the pictures that `attack` made `result` of
    """
    noise = equal_noise(attack)(result.clean)
    return tuple(side.row(one) for side in sides for one in (result, noise))
