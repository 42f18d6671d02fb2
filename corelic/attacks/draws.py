"""Which lots the real thing draws: a key, so that two pictures can be coded with the same ones.

    victim.code(x)               draws of x         ─► C_r(x)  ┐ the same r: what differs is what
    victim.code(x', Draws(x))    the very same ones ─► C_r(x') ┘ x' did, and not the defence's noise

A picture's own draws are those of its pixels, and another picture has others. A defence adds its
seed, which an attacker does not know, and its place among several; nothing else counts, so that
neither order nor process changes a figure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from corelic.media import Picture


@dataclass(frozen=True, slots=True, eq=False)  # eq: pixels do not compare to one bool
class Draws:
    """picture  whose draws they are, which need not be the one that is coded
    path     from the outermost defence to the one that draws, a way number for each step inwards
    """

    picture: Picture
    path: tuple[int, ...] = ()

    def within(self, way: int = 0) -> Draws:
        """For who stands behind; `way` tells several from each other that one defence asks."""
        return Draws(self.picture, (*self.path, way))

    def random(self, seed: int) -> torch.Generator:
        """The same whenever it is asked for."""
        salt = str(seed).encode()[:16]
        digest = hashlib.blake2b(self.picture.pixels.tobytes(), digest_size=7, salt=salt)
        digest.update(bytes(self.path))
        return torch.Generator().manual_seed(int.from_bytes(digest.digest(), "little"))
