"""Learned resampling: the picture becomes a continuous one, and is read where a network says.

    x' ─┬─ detail ─┬─ shift net ─► shifts, within a pixel ─┐
        │          └─ features at p, with the shift ───────┼─ MLP ─► correction ─► + ─► x''
        └─ bicubic at p + shift(p) ◄───────────────────────┴───────────────────────┘  differentiable

Cao et al., "IRAD: Implicit Representation-driven Image Resampling against Adversarial Attacks",
ICLR 2024: an implicit representation (as in LIIF, arXiv:2012.09161) of the cleaned picture, and a
SampleNet that predicts where to read it. Only abstract and reviews are known to us; the networks,
their sizes and the losses are our reading. Trained in two stages, as there: the representation on
shifts drawn at random, against the clean picture read at the same places; then the shifts, so that
what the codec decodes is what it decodes of the clean picture. Its reviewers note that an attacker
who differentiates through the shifts undoes most of it, and here the shifts have gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corelic.attacks.defences.base import Cleaning
from corelic.attacks.defences.learning import (
    DETAIL_GAIN,
    USUAL,
    Pairs,
    Schedule,
    decoded,
    detail,
    fit,
    zero_initialised,
)
from corelic.attacks.defences.shifts import resampled
from corelic.attacks.victim import Victim

SHIFT_PX = 0.5  # at most, each way


class IradNet(nn.Module):
    """x (N, 3, H, W) in [0, 1] -> the same, resampled; the identity before training."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.settings = {"channels": channels}
        # Dilated: what an attack adds is told from texture by more than its next neighbours.
        self.features = nn.Sequential(
            *_spread(3, channels, 1),
            *_spread(channels, channels, 2),
            *_spread(channels, channels, 4),
        )
        # An MLP of every pixel on its own: features, and how far beside it is read.
        self.correct = nn.Sequential(
            nn.Conv2d(channels + 2, channels, 1),
            nn.ReLU(),
            zero_initialised(nn.Conv2d(channels, 3, 1)),
        )
        self.aim = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.ReLU(),
            zero_initialised(nn.Conv2d(channels, 2, 3, padding=1)),
        )

    def shifts(self, x: Tensor) -> Tensor:
        """(N, 2, H, W) in pixels, within ±SHIFT_PX."""
        return torch.tanh(self.aim(detail(x))) * SHIFT_PX

    def read(self, x: Tensor, shifts_px: Tensor) -> Tensor:
        """The continuous picture at every pixel plus its shift."""
        correction = self.correct(torch.cat([self.features(detail(x)), shifts_px], dim=1))
        picture: Tensor = (resampled(x, shifts_px) + correction / DETAIL_GAIN).clamp(0, 1)
        return picture

    def forward(self, x: Tensor) -> Tensor:
        return self.read(x, self.shifts(x))


def _spread(inputs: int, outputs: int, dilation: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU()


class Irad(Cleaning):
    """The picture, resampled as the network has learned."""

    title = "IRAD"

    def __init__(self, network: IradNet) -> None:
        self.network = network

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        found: Tensor = self.network(x)
        return found


def train_irad(
    victim: Victim,
    pairs: Pairs,
    *,
    schedule: Schedule = USUAL,
    channels: int = 16,
) -> IradNet:
    """Both stages, each as long as the schedule says, from stored attacks."""
    torch.manual_seed(schedule.seed)
    network = IradNet(channels)

    def represents(batch: Pairs, random: torch.Generator) -> Tensor:
        n, _, height, width = batch.clean.shape
        shifts = (torch.rand((n, 2, height, width), generator=random) * 2 - 1) * SHIFT_PX
        wanted = resampled(batch.clean, shifts)
        found, kept = (network.read(x, shifts) - wanted for x in (batch.attacked, batch.clean))
        # Squares: with magnitudes, doing nothing is a plateau, for half of what is seen is clean.
        return found.square().mean() + kept.square().mean()

    def aims(batch: Pairs, random: torch.Generator) -> Tensor:
        with torch.no_grad():
            wanted = decoded(victim, batch.clean, random)
        found = decoded(victim, network(batch.attacked), random)
        kept = network(batch.clean) - batch.clean
        total: Tensor = (found - wanted).square().mean() + kept.square().mean()
        return total

    fit(network, represents, pairs, schedule)
    # The continuous picture stays as it was learned; only where it is read is left to learn.
    aim = network.aim
    fit(aim, aims, pairs, schedule)
    network.eval().requires_grad_(False)
    return network
