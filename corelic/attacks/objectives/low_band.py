"""Imperceptible, read as a penalty: low frequencies of the perturbation cost score.

Sui et al., arXiv:2306.01125, keep the perturbation to high frequencies, which are hard to see. Only
the abstract could be read, so both readings are offered: this penalty, and the projection of
`constraints.HighBand`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from corelic.attacks.bands import CUTOFF, low_band
from corelic.attacks.objectives.base import Objective, Part, Scene
from corelic.codecs.rate import MSE_UNIT


@dataclass(frozen=True)
class LowBandPenalty(Objective):
    """inner − weight · energy of the perturbation below `cutoff`, in squared 8-bit steps.

    cutoff  cycles per pixel; 0.5 is the finest that pixels hold
    """

    inner: Objective
    weight: float = 10.0
    cutoff: float = CUTOFF

    @property
    def title(self) -> str:
        return f"{self.inner.title} − {self.weight:g} × low band"

    @property
    def fixes(self) -> frozenset[Part]:
        return self.inner.fixes

    def fixed(self, scene: Callable[[], Scene]) -> Objective:
        return replace(self, inner=self.inner.fixed(scene))

    def classes(self, scene: Scene) -> Tensor | None:
        return self.inner.classes(scene)

    def __call__(self, scene: Scene) -> Tensor:
        low = low_band(scene.attacked - scene.clean, self.cutoff)
        return self.inner(scene) - self.weight * MSE_UNIT * low.square().mean(dim=(1, 2, 3))
