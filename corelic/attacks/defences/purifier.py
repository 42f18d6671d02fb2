"""A small denoiser that estimates the perturbation itself, and takes it off.

    x' ─ detail ─ 3×3 ─ … ─ 3×3 ─► estimated δ ;  D(x') = x' − δ        differentiable

    loss = |D(x') − x|²  +  w · |C(D(x')) − C(x)|²  +  w · |C(x' − D(x') + x) − C(x')|²
           as before       decodes as the clean one   the estimate, put on the clean picture,
                                                      does to the codec C what the attack did

Gong et al., "Reverse Engineering of Imperceptible Adversarial Image Perturbations" (CDD-RED), ICLR
2022. Ours differs: the codec stands in the classifier's place, so what is aligned are decoded
pictures, not classes; half of what it sees is clean, so that clean pictures stay as they are; a few
layers of a few channels, no batch norm, and only the picture's detail to see; squares, because with
magnitudes and clean pictures among what it sees, doing nothing is a plateau; no copies by CutMix,
for which the paper keeps those whose class did not change.
"""

from __future__ import annotations

from itertools import pairwise

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
from corelic.attacks.victim import Victim

# Of either alignment, beside the first term's 1. The paper's 0.025 belongs to cross entropies,
# which are larger by orders of magnitude than squared differences of samples in [0, 1].
ALIGNMENT = 0.5


class PurifierNet(nn.Module):
    """x (N, 3, H, W) -> the estimated perturbation, of the same shape; none before training."""

    def __init__(self, channels: int = 24, layers: int = 5) -> None:
        super().__init__()
        self.settings = {"channels": channels, "layers": layers}
        widths = [3, *[channels] * (layers - 1)]
        body: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            body += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*body)
        self.leave = zero_initialised(nn.Conv2d(channels, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        estimate: Tensor = self.leave(self.body(detail(x))) / DETAIL_GAIN
        return estimate


class Purifier(Cleaning):
    """The picture without what the network takes for a perturbation."""

    title = "purifier"

    def __init__(self, network: PurifierNet) -> None:
        self.network = network

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        purified: Tensor = (x - self.network(x)).clamp(0, 1)
        return purified


def train_purifier(
    victims: tuple[Victim, ...],
    pairs: Pairs,
    *,
    schedule: Schedule = USUAL,
    channels: int = 24,
    layers: int = 5,
) -> PurifierNet:
    """From stored attacks, made on any codecs; decoded pictures are aligned for one victim a step.

    A denoiser trained for several victims hears of each as often.
    """
    torch.manual_seed(schedule.seed)
    network = PurifierNet(channels, layers)

    def loss(batch: Pairs, random: torch.Generator) -> Tensor:
        turn = int(torch.randint(len(victims), (), generator=random))
        return red_loss(network, victims[turn], batch, random)

    return fit(network, loss, pairs, schedule)


def red_loss(network: nn.Module, victim: Victim, batch: Pairs, random: torch.Generator) -> Tensor:
    """The three terms over attacked pictures, and the first over clean ones, too."""
    estimate = network(batch.attacked)
    purified = batch.attacked - estimate
    with torch.no_grad():
        wanted = decoded(victim, batch.clean, random)
        broken = decoded(victim, batch.attacked, random)
    restored = decoded(victim, purified.clamp(0, 1), random)
    transplanted = decoded(victim, (batch.clean + estimate).clamp(0, 1), random)
    denoised = (purified - batch.clean).square().mean()
    untouched = network(batch.clean).square().mean()
    alignment = (restored - wanted).square().mean() + (transplanted - broken).square().mean()
    total: Tensor = denoised + untouched + ALIGNMENT * alignment
    return total
