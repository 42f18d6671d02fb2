"""Region of interest: only what happens inside a mask counts.

The reconstructions outside are replaced by the clean ones before the inner objective looks; bits
belong to no region, so an objective of rate is what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from corelic.attacks.errors import AttackError
from corelic.attacks.objectives.base import Objective, Part, Scene


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, from the upper left corner; none of them negative."""

    left: int
    top: int
    width: int
    height: int

    def check(self) -> None:
        """AttackError where there is nothing in it."""
        if self.width < 1 or self.height < 1:
            raise AttackError("the region", f"{self} has no pixels; give one that has")

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.width},{self.height}"


@dataclass(frozen=True, eq=False)
class Region(Objective):
    """mask: (H, W) bool, true where damage counts."""

    inner: Objective
    mask: Tensor

    @classmethod
    def box(cls, inner: Objective, width: int, height: int, box: Box) -> Region:
        """A rectangle in pictures of this size, in pixels; AttackError where it is not in them."""
        box.check()
        if box.right > width or box.bottom > height:
            reason = f"{box} is not within {width} × {height} pixels; give one that is"
            raise AttackError("the region", reason)
        mask = torch.zeros(height, width, dtype=torch.bool)
        mask[box.top : box.bottom, box.left : box.right] = True
        return cls(inner, mask)

    @property
    def title(self) -> str:
        return f"{self.inner.title} in a region"

    @property
    def fixes(self) -> frozenset[Part]:
        return self.inner.fixes | {"pixels"}

    def fixed(self, scene: Callable[[], Scene]) -> Objective:
        return replace(self, inner=self.inner.fixed(scene))

    def classes(self, scene: Scene) -> Tensor | None:
        return self.inner.classes(self.within(scene))

    def __call__(self, scene: Scene) -> Tensor:
        return self.inner(self.within(scene))

    def within(self, scene: Scene) -> Scene:
        """As the inner objective sees it; AttackError where the mask is of another size."""
        if self.mask.shape != scene.clean.shape[-2:]:
            found, wanted = tuple(self.mask.shape), tuple(scene.clean.shape[-2:])
            raise AttackError("the region", f"has shape {found}; give {wanted}, as the pictures")
        x_hat = torch.where(
            self.mask.to(scene.clean.device), scene.reconstruction.x_hat, scene.reference.x_hat
        )
        return replace(scene, reconstruction=replace(scene.reconstruction, x_hat=x_hat))
