"""How far an attack may go: projections while it searches, and one last word on the 8-bit picture.

    x + step ─► project ─► x in the set, float          every step
    result ───► __call__ ─► 8 bits, in the set, checked  once, and no attack can avoid it

The idea of a final `__call__` that holds any result to the budget is foolbox's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from corelic.attacks.pixels import levels, rounded, wide

BISECTIONS = 16  # of the share of a perturbation that is kept


class Constraint(ABC):
    """A set of clips around a clean one, which itself belongs to it. Final ones are frozen."""

    @property
    @abstractmethod
    def title(self) -> str: ...

    @property
    @abstractmethod
    def radius(self) -> float:
        """The largest step that makes sense, in [0, 1] pixel units, in this set's own norm."""

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

        A frame that rounding pushed out of the set gives up as much of its perturbation as it must.
        """
        aim, allowed = self.project(attacked.detach(), clean), levels(clean)
        result = rounded(aim)
        low = torch.zeros(len(clean), 1, 1, 1, device=clean.device)
        high = torch.ones_like(low)
        outside = ~wide(self.holds(levels(result), allowed))
        if bool(outside.any()):
            best = clean
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                trial = rounded(clean + middle * (aim - clean))
                fits = wide(self.holds(levels(trial), allowed))
                best = torch.where(fits, trial, best)
                low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
            result = torch.where(outside, best, result)
        assert bool(self.holds(levels(result), allowed).all())  # the clean clip is in every set
        return result


def signs(shape: torch.Size, random: torch.Generator) -> Tensor:
    """-1 or 1, each with the same probability."""
    return torch.randint(2, shape, generator=random).float() * 2 - 1
