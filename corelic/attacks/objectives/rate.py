"""Rate: files become larger.

Liu et al., "Malice: Manipulation Attacks on Learned Image Compression", IEEE TAI 2023,
arXiv:2205.13253. Ours counts the bits of all streams, the hyper-latent's included.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from corelic.attacks.objectives.base import Objective, Scene


@dataclass(frozen=True)
class Rate(Objective):
    """Bits per pixel, all streams."""

    @property
    def title(self) -> str:
        return "rate"

    def __call__(self, scene: Scene) -> Tensor:
        *_, height, width = scene.attacked.shape
        return scene.reconstruction.bits / (height * width)
