"""Rate and distortion at once.

Wu et al., "On the Adversarial Robustness of Learned Image Compression Against Rate-Distortion
Attacks", arXiv:2405.07717: SRDA attacks at one known quality, ARDA whatever the quality is. Only
the abstract could be read. The reading is ours: SRDA is this objective on one victim, ARDA the
same under `modifiers.Ensemble` over victims of all qualities; either weight may be negative, which
gives the "arbitrary direction".
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from corelic.attacks.objectives.base import Objective, Scene, mse

TINY = 1e-3  # squared 8-bit steps: a logarithm's gradient at zero is infinite


@dataclass(frozen=True)
class RateDistortion(Objective):
    """rate_weight · ln(bits ratio) + distortion_weight · ln(MSE), MSE between reconstruction
    and source.

    Logarithms, because then neither unit matters: e times the bits are worth e times the error.
    """

    rate_weight: float = 1.0
    distortion_weight: float = 1.0

    @property
    def title(self) -> str:
        return f"{self.rate_weight:g} rate + {self.distortion_weight:g} distortion"

    def __call__(self, scene: Scene) -> Tensor:
        bits = (scene.reconstruction.bits / scene.reference.bits.clamp_min(1)).clamp_min(1e-6).log()
        error = (mse(scene.reconstruction.x_hat, scene.clean) + TINY).log()
        return self.rate_weight * bits + self.distortion_weight * error
