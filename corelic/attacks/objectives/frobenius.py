"""The Frobenius norm of the change in the reconstruction.

Sui et al., "Reconstruction Distortion of Learned Image Compression with Imperceptible
Perturbations", arXiv:2306.01125, maximises ‖C(x) − C(x + δ)‖_F. Of one frame it has the gradient
of `Distortion`, divided by the norm: steps by sign cannot tell them apart, and those whose size
depends on the gradient (Adam, sums with a penalty) can.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from corelic.attacks.objectives.base import Objective, Scene
from corelic.codecs.rate import MSE_UNIT

TINY = 1e-6  # squared 8-bit steps: a root's gradient at zero is infinite


@dataclass(frozen=True)
class Frobenius(Objective):
    """The norm over a frame, in 8-bit steps."""

    @property
    def title(self) -> str:
        return "Frobenius norm"

    def __call__(self, scene: Scene) -> Tensor:
        change = scene.reconstruction.x_hat - scene.reference.x_hat
        return (change.square().sum(dim=(1, 2, 3)) * MSE_UNIT + TINY).sqrt()
