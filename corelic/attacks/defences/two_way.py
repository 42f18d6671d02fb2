"""Two-way compression: as it is, or through a random transform, whichever costs less.

        ┌─ as it is ──────────────────► victim ─────────────────────┐
    x ──┤                                                           ├─► the least cost ─► x̂
        └─ random resize and margin ──► victim ─ crop, resize back ─┘

Song, Choi & Han, "A Training-Free Defense Framework for Robust Learned Image Compression",
arXiv:2401.11902: clean pictures go the plain way and keep their RD performance; attacked ones, for
which the plain way has become expensive, take the other. We know the abstract: transform and its
strength are our reading.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corelic.attacks.defences.base import Defence, Defended
from corelic.attacks.defences.choice import cheapest, cheapest_coded
from corelic.attacks.defences.geometry import RandomGeometry
from corelic.attacks.draws import Draws
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture


class TwoWay(Defence):
    """lambda_    what a squared 8-bit step is worth in bpp, as in training; see `lambda_of_victim`
    other_way  what the picture meets on the other way"""

    def __init__(self, lambda_: float, other_way: Defence | None = None) -> None:
        self.lambda_ = lambda_
        self.other_way = RandomGeometry() if other_way is None else other_way
        self.stochastic = self.other_way.stochastic
        self.title = f"two ways, plain or {self.other_way.title}"

    def forward(self, victim: Victim, x: Tensor, random: torch.Generator) -> Reconstruction:
        other = Defended(victim, self.other_way)
        ways = [victim.forward(x, random), other.forward(x, random)]
        return cheapest(x, ways, self.lambda_)

    def code(self, victim: Victim, picture: Picture, draws: Draws) -> Coded:
        other = Defended(victim, self.other_way)
        ways = [victim.code(picture, draws.within(1)), other.code(picture, draws)]
        return cheapest_coded(picture, ways, self.lambda_)
