"""Targeted reconstruction: the decoder shows another picture.

Chen & Ma, "Toward Robust Neural Image Compression", TCSVT 2023, arXiv:2112.08691, section IV.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from corelic.attacks.errors import AttackError
from corelic.attacks.objectives.base import Objective, Part, Scene, mse


@dataclass(frozen=True, eq=False)
class Targeted(Objective):
    """Minus the MSE to the target, in squared 8-bit steps.

    target  (3, H, W) for every frame, or (T, 3, H, W); in [0, 1]
    """

    target: Tensor

    @property
    def title(self) -> str:
        return "targeted reconstruction"

    @property
    def fixes(self) -> frozenset[Part]:
        return frozenset({"pixels", "levels"})

    def __call__(self, scene: Scene) -> Tensor:
        x_hat = scene.reconstruction.x_hat
        if self.target.shape not in (x_hat.shape, x_hat.shape[1:]):
            found, wanted = tuple(self.target.shape), tuple(x_hat.shape[1:])
            raise AttackError("the target", f"has shape {found}; give {wanted}, as the pictures")
        return -mse(x_hat, self.target.to(x_hat).expand_as(x_hat))
