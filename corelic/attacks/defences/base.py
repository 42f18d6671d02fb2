"""What a defence is: something around a victim that gives a victim again.

                       ┌──────────────────── Defended ────────────────────┐
    picture ──────────►│ before ─► victim (perhaps changed inside) ─► after │─► x̂, bits; file bytes
                       └──────────────────────────────────────────────────┘

So defences compose, `defended(victim, first, second)`, and an attacker differentiates through all
of them. Every `forward` computes what the real thing computes, but for rounding to 8 bits between
its parts; where that has no gradient it has the identity's (BPDA: Athalye, Carlini & Wagner, ICML
2018, arXiv:1802.00420). Chance comes from the caller's generator, so that an attacker averages over
draws (EOT, same paper); the real thing draws from the defence's seed and `Draws`: of the picture
itself, or of the one that it is compared with. So a clean and an attacked picture are coded with
the same shifts, sizes, margins and noise, and their difference has none of the defence's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from corelic.attacks.draws import Draws
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture


class Defence(ABC):
    """Around any victim; holds no state but what it was made with."""

    title: str  # for people, as in "median 3 × 3"
    stochastic: bool = False  # whether two calls may differ

    def prepared(self, victim: Victim) -> Victim:
        """The victim that `forward` and `code` are given: another one, where it must be changed
        inside. AttackError where this defence does not fit it."""
        return victim

    @abstractmethod
    def forward(self, victim: Victim, x: Tensor, random: torch.Generator) -> Reconstruction:
        """As `Victim.forward`."""

    @abstractmethod
    def code(self, victim: Victim, picture: Picture, draws: Draws) -> Coded:
        """As `Victim.code`; the victim behind gets `draws.within()`."""


class Defended(Victim):
    """A victim behind a defence."""

    def __init__(self, victim: Victim, defence: Defence) -> None:
        self.victim, self.defence = defence.prepared(victim), defence
        self.title = f"{victim.title} behind {defence.title}"
        self.stochastic = victim.stochastic or defence.stochastic

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        return self.defence.forward(self.victim, x, random)

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return self.defence.code(self.victim, picture, draws or Draws(picture))


def defended(victim: Victim, *defences: Defence) -> Victim:
    """Behind all of them; the first one is the first that a picture meets."""
    for defence in reversed(defences):
        victim = Defended(victim, defence)
    return victim


class Cleaning(Defence):
    """A defence that changes the picture before it is coded, and nothing else.

    The decoded picture stays as it is: what cleaning took away is part of its RD cost.
    """

    seed: int = 0  # of the draws of the real thing

    @abstractmethod
    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        """x (N, 3, H, W) in [0, 1] -> the same shape and range, with a gradient."""

    def forward(self, victim: Victim, x: Tensor, random: torch.Generator) -> Reconstruction:
        return victim.forward(self.clean(x, random), random)

    @torch.no_grad()
    def code(self, victim: Victim, picture: Picture, draws: Draws) -> Coded:
        cleaned = self.clean(clip_of([picture]), draws.random(self.seed))
        return victim.code(pictures_of(cleaned)[0], draws.within())


def straight_through(x: Tensor, real: Tensor) -> Tensor:
    """`real`, with the gradient of x."""
    return x + (real - x).detach()
