"""Codecs of one line each, whose worst clips are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from corelic.attacks.draws import Draws
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture

SHAPE = (2, 3, 16, 24)
RATE = 100.0  # bits per sample, from black to white: large, for files have whole bytes
BASE_BITS = 2e6  # so that bits stay positive


def grey(level: int = 128, shape: tuple[int, ...] = SHAPE) -> list[Picture]:
    """Frames of one level, far from black and white."""
    frames, _, height, width = shape
    return [Picture(np.full((height, width, 3), level, np.uint8)) for _ in range(frames)]


def photos(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> list[Picture]:
    """Random levels 40 … 215: no step of 40 reaches black or white."""
    frames, _, height, width = shape
    random = np.random.default_rng(seed)
    size = (frames, height, width, 3)
    return [Picture(frame) for frame in random.integers(40, 216, size).astype(np.uint8)]


def weights(seed: int = 0) -> Tensor:
    """(3, H, W), none near zero; about RATE."""
    normal = torch.randn(SHAPE[1:], generator=torch.Generator().manual_seed(seed))
    return RATE * (normal + 0.1 * normal.sign())


@dataclass(frozen=True, eq=False)
class Linear(Victim):
    """x̂ = ½ + mix · (x − ½) over colours; bits = BASE_BITS + Σ rate · x."""

    mix: Tensor  # (3, 3)
    rate: Tensor  # (3, H, W)
    title: str = "linear"

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        x_hat = 0.5 + torch.einsum("ij,tjhw->tihw", self.mix, x - 0.5)
        bits = BASE_BITS + (x * self.rate).sum(dim=(1, 2, 3))
        return Reconstruction(x_hat, bits, torch.zeros(len(x)))

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return real(self, picture)


class Constant(Victim):
    """Whatever it is given, it codes grey."""

    title = "constant"

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        return Reconstruction(
            torch.full_like(x, 0.5).detach(), torch.full((len(x),), 800.0), torch.zeros(len(x))
        )

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return real(self, picture)


@dataclass(frozen=True, eq=False)
class Masked(Victim):
    """A victim behind a defence that rounds to coarse steps, so that no gradient comes through;
    `shattered` gives a random one instead."""

    inner: Victim
    shattered: bool = False
    title: str = "masked"

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        seen = (x * 64).round() / 64
        if self.shattered:
            lie = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
            seen = seen.detach() + (lie * (x - x.detach()))
        return self.inner.forward(seen, random)

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        x = clip_of([picture])
        return self.inner.code(pictures_of((x * 64).round() / 64)[0], draws)


@dataclass(frozen=True, eq=False)
class Dim(Victim):
    """A linear victim that sees each picture darkened by a random factor."""

    inner: Victim
    title: str = "dim"
    stochastic: bool = True

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        return self.inner.forward(x * torch.rand((), generator=random), random)

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return self.inner.code(picture, draws)


def linear(seed: int = 0) -> Linear:
    return Linear(torch.eye(3), weights(seed))


def real(victim: Victim, picture: Picture) -> Coded:
    """A victim that has no files, measured as if it had: whole bytes, 8-bit pictures."""
    with torch.no_grad():
        found = victim.forward(clip_of([picture]), torch.Generator())
    return Coded(round(found.bits.item() / 8), pictures_of(found.x_hat)[0])
