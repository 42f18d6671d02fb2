"""Scores from real files: what an attack can know that has no gradients.

x ─► 8 bits ─► Victim.code: encode, write, read, decode ─► bytes, picture ─► objective ─► score

A victim that draws lots draws them of the clip it is asked about, others for each query, and codes
the clean clip with the same: as `Probe` has it, the score is of the clip, not of the lots.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corelic.attacks.draws import Draws
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
        scene = Scene(self.clean, x, self.reference(x), really(self.victim, x, x))
        return self.objective(scene)

    def reference(self, x: Tensor) -> Reconstruction:
        """Of the clean clip, drawn like x; once, where nothing is drawn."""
        if self.victim.stochastic:
            return really(self.victim, self.clean, x)
        if self._reference is None:
            self._reference = really(self.victim, self.clean, self.clean)
        return self._reference


def really(victim: Victim, x: Tensor, drawn_like: Tensor) -> Reconstruction:
    """What files and decoded pictures say, in the form that objectives read."""
    pairs = zip(pictures_of(x), pictures_of(drawn_like), strict=True)
    coded = [victim.code(picture, Draws(like)) for picture, like in pairs]
    bits = torch.tensor([8.0 * one.file_bytes for one in coded])
    return Reconstruction(clip_of([one.picture for one in coded]), bits, torch.zeros_like(bits))
