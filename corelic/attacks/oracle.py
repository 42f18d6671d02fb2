"""Scores from real files: what an attack can know that has no gradients.

x ─► 8 bits ─► Victim.code: encode, write, read, decode ─► bytes, picture ─► objective ─► score

A victim that draws lots draws the same for all clips it is asked about, the clean one among them:
two scores differ by what the clips do. How high they are is of those lots as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from corelic.attacks.draws import Draws
from corelic.attacks.objectives.base import Objective, Scene
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture


class Oracle:
    """The objective's score of the real thing; `queries` counts the clips it was asked about.

    drawn_like  a picture for each frame, whose lots are drawn; None: those of the clean clip, as
                figures have them

    Bits are those of whole files, all counted as latent_bits.
    """

    def __init__(
        self,
        victim: Victim,
        objective: Objective,
        clean: Tensor,
        drawn_like: Sequence[Picture] | None = None,
    ) -> None:
        self.victim, self.objective, self.clean = victim, objective, clean
        self.draws = tuple(map(Draws, drawn_like or pictures_of(clean)))
        self.queries = 0

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """x (T, 3, H, W), multiples of 1/255 -> (T,)."""
        self.queries += 1
        return self.objective(Scene(self.clean, x, self.reference, self.really(x)))

    @cached_property
    def reference(self) -> Reconstruction:
        """Of the clean clip."""
        return self.really(self.clean)

    def really(self, x: Tensor) -> Reconstruction:
        pairs = zip(pictures_of(x), self.draws, strict=True)
        return reconstruction([self.victim.code(*pair) for pair in pairs])


def reconstruction(coded: Sequence[Coded]) -> Reconstruction:
    """What files and decoded pictures say, in the form that objectives read."""
    bits = torch.tensor([8.0 * one.file_bytes for one in coded])
    return Reconstruction(clip_of([one.picture for one in coded]), bits, torch.zeros_like(bits))
