"""What an attack makes larger: one number per frame, from a pass over the attacked clip and one
over the clean clip.

    clean ───► victim ─► reference ──────┐
    attacked ► victim ─► reconstruction ─┴─► objective ─► (T,) scores, to be raised
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from corelic.codecs.base import Reconstruction
from corelic.codecs.rate import MSE_UNIT

Part = Literal["pixels", "levels"]  # of a clip: where they are, and how bright


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Both passes through a victim.

    clean           (T, 3, H, W) in [0, 1]
    attacked        (T, 3, H, W) in [0, 1]
    reference       of the clean clip; no gradient
    reconstruction  of the attacked clip; differentiable with respect to `attacked`
    """

    clean: Tensor
    attacked: Tensor
    reference: Reconstruction
    reconstruction: Reconstruction


class Objective(ABC):
    """A number per frame that an attack makes larger. Final ones are frozen dataclasses."""

    @property
    @abstractmethod
    def title(self) -> str: ...

    @property
    def fixes(self) -> frozenset[Part]:
        """What it looks at as it is in the clip itself, and a transformed one has otherwise."""
        return frozenset()

    def fixed(self, scene: Callable[[], Scene]) -> Objective:
        """The same about this clip, however it may be transformed; `scene` gives the clean one."""
        return self

    def classes(self, scene: Scene) -> Tensor | None:
        """(T,) int64, what is seen in the attacked reconstruction; None where nobody looks."""
        return None

    @abstractmethod
    def __call__(self, scene: Scene) -> Tensor:
        """(T,), differentiable with respect to `scene.attacked` and what came of it."""


def mse(a: Tensor, b: Tensor) -> Tensor:
    """(T, 3, H, W) each, in [0, 1] -> (T,), in squared 8-bit steps."""
    return (a - b).square().mean(dim=(1, 2, 3)) * MSE_UNIT
