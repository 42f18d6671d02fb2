"""Distortion: the decoded picture away from what it should be.

Chen & Ma, "Toward Robust Neural Image Compression", TCSVT 2023, arXiv:2112.08691, section III,
attack the distance to the clean reconstruction; the distance to the source is what a viewer sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from corelic.attacks.objectives.base import Objective, Scene, mse


@dataclass(frozen=True)
class Distortion(Objective):
    """MSE of the attacked reconstruction, in squared 8-bit steps.

    to  "reconstruction": what the codec makes of the clean picture; zero, without a gradient, at
        the clean picture itself, so that an attack starts beside it. "source": the clean picture.
    """

    to: Literal["reconstruction", "source"] = "reconstruction"

    @property
    def title(self) -> str:
        return "distortion" if self.to == "reconstruction" else "distortion to the source"

    def __call__(self, scene: Scene) -> Tensor:
        wanted = scene.reference.x_hat if self.to == "reconstruction" else scene.clean
        return mse(scene.reconstruction.x_hat, wanted)
