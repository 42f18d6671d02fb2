"""How far an attack may go: projections while it searches, and one last word on the 8-bit picture.

    x + step ─► project ─► x in the set, or close to it  every step
    result ───► __call__ ─► 8 bits, in the set, checked  once, and no attack can avoid it

The idea of a final `__call__` that holds any result to the budget is foolbox's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from corelic.attacks.pixels import levels, rounded, wide

PARTS, BISECTIONS = 64, 10  # of the share of a perturbation that is kept


class Constraint(ABC):
    """A set of clips around a clean one, which itself belongs to it. Final ones are frozen."""

    @property
    @abstractmethod
    def title(self) -> str: ...

    @property
    @abstractmethod
    def radius(self) -> float:
        """The largest step that makes sense, in [0, 1] pixel units, in this set's own norm."""

    @property
    def strict(self) -> Constraint:
        """The same set, whose `project` alone keeps every clip in it, but for rounding.

        For whoever keeps the best clip that it meets: where projections are rough, or leave some of
        the work to `steer`, that would be one outside, of which the last word takes most away.
        """
        return self

    @abstractmethod
    def holds(self, attacked: Tensor, clean: Tensor) -> Tensor:
        """int64 levels (T, 3, H, W) each -> (T,) bool; in whole numbers, so without tolerance."""

    @abstractmethod
    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        """(T, 3, H, W) -> the nearest clip in the set, or one close to it, in [0, 1]."""

    @abstractmethod
    def ascent(self, gradient: Tensor, stride: float) -> Tensor:
        """The step of length `stride`, in this set's norm, that gains most at this gradient."""

    @abstractmethod
    def noise(self, clean: Tensor, random: torch.Generator) -> Tensor:
        """A clip at the edge of the set, in a random direction: as much noise as it allows."""

    def steer(self, gradient: Tensor, x: Tensor, clean: Tensor) -> Tensor:
        """The gradient to follow at x, where the set wants another than the objective's."""
        return gradient

    def start(self, clean: Tensor, random: torch.Generator) -> Tensor:
        """Somewhere inside, where gradients do not vanish as they may at the clean clip."""
        share = torch.rand((len(clean), 1, 1, 1), generator=random).to(clean)
        return clean + share * (self.noise(clean, random) - clean)

    @final
    def __call__(self, attacked: Tensor, clean: Tensor) -> Tensor:
        """The clip that is handed over: multiples of 1/255, in the set, each frame checked.

        A frame that is outside is projected strictly; where rounding pushes it out of the set all
        the same, it gives up as much of its perturbation as it must.
        """
        aim, allowed = self.project(attacked.detach(), clean), levels(clean)
        outside = ~wide(self.holds(levels(aim), allowed))
        if bool(outside.any()):
            aim = torch.where(outside, self.strict.project(aim, clean), aim)
            outside = ~wide(self.holds(levels(aim), allowed))
        result = rounded(aim)
        if bool(outside.any()):
            kept = self._kept(aim, clean)
            result = torch.where(outside, rounded(clean + kept * (aim - clean)), result)
        assert bool(self.holds(levels(result), allowed).all())  # the clean clip is in every set
        return result

    def _kept(self, aim: Tensor, clean: Tensor) -> Tensor:
        """(T, 1, 1, 1): by how much a perturbation is shrunk until it is in the set, in 8 bits."""

        def fits(share: Tensor) -> Tensor:
            trial = levels(clean + share * (aim - clean))
            return wide(self.holds(trial, levels(clean)))

        low = torch.ones(len(clean), 1, 1, 1, device=clean.device)
        # From above: a set may hold what is larger and not what is smaller, for rounding a small
        # perturbation gives it other frequencies.
        for _ in range(PARTS):
            inside = fits(low)
            if bool(inside.all()):
                break
            low = torch.where(inside, low, low - 1 / PARTS)
        high = (low + 1 / PARTS).clamp_max(1)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            inside = fits(middle)
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        return low


def signs(shape: torch.Size, random: torch.Generator) -> Tensor:
    """-1 or 1, each with the same probability."""
    return torch.randint(2, shape, generator=random).float() * 2 - 1
