"""Small victims: a codec of real files in milliseconds, and one that is known in closed form."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from corelic.attacks.draws import Draws
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import Coded, LearnedVictim, Victim
from corelic.codecs.base import Reconstruction
from corelic.codecs.files import open_codec
from corelic.media import Picture
from tests.tiny import TINY_WEIGHTS, crops


class Transparent(Victim):
    """Loses nothing; its bits are what `rate` says of the picture, 8 per byte of its file."""

    title = "transparent"

    def __init__(self, rate: Callable[[Tensor], Tensor] = lambda x: 800 + 0 * x.sum((1, 2, 3))):
        self.rate = rate
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        self.seen.append(x.detach())
        bits = self.rate(x)
        return Reconstruction(x, bits, torch.zeros_like(bits))

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return Coded(round(self.rate(clip_of([picture])).item() / 8), picture)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def tiny() -> LearnedVictim:
    return LearnedVictim(open_codec(str(TINY_WEIGHTS), "cpu"), 50)


@pytest.fixture(scope="session")
def x() -> Tensor:
    """(2, 3, 48, 40) of photographs, multiples of 1/255."""
    return crops(5, 2, 48)[:, :, :, :40].contiguous()
