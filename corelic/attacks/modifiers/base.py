"""What goes with any attack that climbs gradients: averages, memories, other views, other victims.

modifiers=[Smooth(), Momentum(1.0)]:  victim ─► gradient ─► Smooth ─► Momentum ─► attack
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Gradient


class Modifier(ABC):
    """Final ones are frozen dataclasses: what a run must remember lives in what `wrap` returns."""

    # Whether scores are of the clip that was asked about, and of the same victims each time.
    keeps_scores: ClassVar[bool] = True

    @property
    @abstractmethod
    def title(self) -> str: ...

    @abstractmethod
    def wrap(self, inner: Gradient) -> Gradient:
        """A gradient that asks `inner`; for one run, so that memories start empty."""


def require_scores(attack: str, modifiers: Sequence[Modifier]) -> None:
    """AttackError where one gives scores of something else, for attacks that keep the best clip."""
    for modifier in modifiers:
        if not modifier.keeps_scores:
            reason = f"keeps the clip with the best score, and scores behind {modifier.title} are"
            raise AttackError(attack, f"{reason} of another place or victim; use pgd for it")
