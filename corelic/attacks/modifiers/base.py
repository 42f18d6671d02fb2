"""What goes with any attack that climbs gradients: averages, memories, other views, other victims.

modifiers=[Smooth(), Momentum(1.0)]:  victim ─► gradient ─► Smooth ─► Momentum ─► attack
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from corelic.attacks.gradient import Gradient


class Modifier(ABC):
    """Final ones are frozen dataclasses: what a run must remember lives in what `wrap` returns."""

    @property
    @abstractmethod
    def title(self) -> str: ...

    @abstractmethod
    def wrap(self, inner: Gradient) -> Gradient:
        """A gradient that asks `inner`; for one run, so that memories start empty."""
