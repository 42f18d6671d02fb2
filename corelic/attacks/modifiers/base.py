"""What goes with any attack that climbs gradients: averages, memories, other views, other victims.

modifiers=[Smooth(), Momentum(1.0)]:  victim ─► gradient ─► Smooth ─► Momentum ─► attack
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from corelic.attacks.gradient import Gradient
from corelic.attacks.objectives.base import Part


class Modifier(ABC):
    """Final ones are frozen dataclasses: what a run must remember lives in what `wrap` returns."""

    # Whether scores are of the clip that was asked about, and of the same victims each time.
    keeps_scores: ClassVar[bool] = True
    # Whether gradients are as long as the score is steep; else they are divided by their norm.
    keeps_scale: ClassVar[bool] = True
    moves: ClassVar[frozenset[Part]] = frozenset()  # what a victim sees otherwise than it is

    @property
    @abstractmethod
    def title(self) -> str: ...

    @abstractmethod
    def wrap(self, inner: Gradient) -> Gradient:
        """A gradient that asks `inner`; for one run, so that memories start empty."""
