"""Scores from real files: what an attack can know that has no gradients.

x ─► 8 bits ─► Victim.code: encode, write, read, decode ─► bytes, picture ─► objective ─► score
"""

from __future__ import annotations

import torch
from torch import Tensor

from corelic.attacks.objectives.base import Objective, Scene
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import Victim
from corelic.codecs.base import Reconstruction


class Oracle:
    """The objective's score of the real thing; `queries` counts the clips it was asked about.

    Bits are those of whole files, all counted as latent_bits.
    """

    def __init__(self, victim: Victim, objective: Objective, clean: Tensor) -> None:
        self.victim, self.objective, self.clean = victim, objective, clean
        self.queries = 0
        self._reference: Reconstruction | None = None

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """x (T, 3, H, W), multiples of 1/255 -> (T,)."""
        self.queries += 1
        if self._reference is None:
            self._reference = really(self.victim, self.clean)
        scene = Scene(self.clean, x, self._reference, really(self.victim, x))
        return self.objective(scene)


def really(victim: Victim, x: Tensor) -> Reconstruction:
    """What files and decoded pictures say, in the form that objectives read."""
    coded = [victim.code(picture) for picture in pictures_of(x)]
    bits = torch.tensor([8.0 * one.file_bytes for one in coded])
    return Reconstruction(clip_of([one.picture for one in coded]), bits, torch.zeros_like(bits))
