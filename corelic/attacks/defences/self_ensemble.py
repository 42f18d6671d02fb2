"""Self-ensemble by flips: four views of one picture, and the one that codes best is kept.

        ┌─ as it is ──────► victim ──────────────┐
    x ──┼─ left–right ────► victim ─ left–right ─┼─► the least of bpp + λ · 255² · MSE ─► x̂
        ├─ upside down ───► victim ─ upside down ┤
        └─ both ──────────► victim ─ both ───────┘

Chen & Ma, "Toward Robust Neural Image Compression", arXiv:2112.08691, name geometric self-ensemble
as a defence; how the views become one file is not known to us. The reading is ours: averaging would
need all four streams, so the encoder keeps one. A perturbation is made for one orientation and does
little in another, until the attacker differentiates through all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corelic.attacks.defences.base import Defence
from corelic.attacks.defences.choice import cheapest, cheapest_coded
from corelic.attacks.draws import Draws
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture

VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))  # axes that are turned round


class SelfEnsemble(Defence):
    """lambda_  what a squared 8-bit step is worth in bpp, as in training; see `lambda_of_victim`"""

    def __init__(self, lambda_: float) -> None:
        self.lambda_ = lambda_
        self.title = "self-ensemble of 4 flips"

    def forward(self, victim: Victim, x: Tensor, random: torch.Generator) -> Reconstruction:
        ways = []
        for axes in VIEWS:
            found = victim.forward(x.flip(axes), random)
            x_hat = found.x_hat.flip(axes)
            ways.append(Reconstruction(x_hat, found.latent_bits, found.hyper_bits))
        return cheapest(x, ways, self.lambda_)

    def code(self, victim: Victim, picture: Picture, draws: Draws) -> Coded:
        x = clip_of([picture])
        ways = []
        for way, axes in enumerate(VIEWS):
            coded = victim.code(pictures_of(x.flip(axes))[0], draws.within(way))
            back = pictures_of(clip_of([coded.picture]).flip(axes))[0]
            ways.append(Coded(coded.file_bytes, back))
        return cheapest_coded(pictures_of(x)[0], ways, self.lambda_)
