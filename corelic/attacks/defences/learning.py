"""Small networks that undo attacks: what they learn from, how, and their files.

    Pairs: clean x, attacked x' ─► loss of the defence's own ─► Adam ─► network ─► .safetensors

A network says what it is made of with `settings`, whole numbers by name; its file holds them, and
`load_network` builds it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corelic.attacks import stored
from corelic.attacks.errors import AttackError
from corelic.attacks.victim import Victim
from corelic.errors import BadWeightsError

LARGEST_SETTING = 4096  # of a network in a file, which may be anybody's
FORMAT = "corelic-defence-2"  # of 1, before any release, networks saw the picture itself
DETAIL_PX, DETAIL_GAIN = 5, 16.0  # 8 of 255 levels become a half


@dataclass(frozen=True, slots=True, eq=False)  # eq: tensors do not compare to one bool
class Pairs:
    """clean and attacked (N, 3, H, W) in [0, 1], one of each in each place."""

    clean: Tensor
    attacked: Tensor

    def __post_init__(self) -> None:
        if self.clean.shape != self.attacked.shape or not len(self.clean):
            found = f"{tuple(self.clean.shape)} and {tuple(self.attacked.shape)}"
            raise AttackError("the pairs", f"have the shapes {found}; give one of each, at least")

    def batch(self, size: int, random: torch.Generator) -> Pairs:
        """Drawn with repetition."""
        chosen = torch.randint(len(self.clean), (size,), generator=random)
        return Pairs(self.clean[chosen], self.attacked[chosen])


def zero_initialised(layer: nn.Conv2d) -> nn.Conv2d:
    """Its output is zero until it is trained, so that a correction starts as none."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def detail(x: Tensor) -> Tensor:
    """(N, C, H, W) in [0, 1] -> what a pixel differs by from its neighbours' mean, enlarged.

    What such networks look at. A perturbation is a few of 255 levels beside brightness and colour a
    hundred times as large, of which their first layers otherwise hear, and hardly of anything else.
    What they say is divided by DETAIL_GAIN again: steps of Adam are as large as its rate, whatever
    the gradient, and would be many perturbations wide.
    """
    margin = DETAIL_PX // 2
    around = F.pad(x, (margin,) * 4, mode="replicate")
    return (x - F.avg_pool2d(around, DETAIL_PX, 1)) * DETAIL_GAIN


class SavedNetwork(stored.Stateful, Protocol):
    """A module that tells how to build it again."""

    settings: dict[str, int]


Network = TypeVar("Network", bound=nn.Module)
Loss = Callable[[Pairs, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Schedule:
    """steps of Adam, each with a batch of so many pairs; its rate falls to nothing as a cosine."""

    steps: int = 400
    batch: int = 4
    learning_rate: float = 3e-3
    seed: int = 0


USUAL = Schedule()


def fit(network: Network, loss: Loss, pairs: Pairs, schedule: Schedule) -> Network:
    """Trains `network`, which `loss` is about, and sets it to evaluate; without gradients after."""
    random = torch.Generator().manual_seed(schedule.seed)
    network.train().requires_grad_(True)
    adam = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, schedule.steps)
    for _ in range(schedule.steps):
        value = loss(pairs.batch(schedule.batch, random), random)
        adam.zero_grad()
        torch.autograd.backward(value)
        adam.step()
        rate.step()
    return network.eval().requires_grad_(False)


def decoded(victim: Victim, x: Tensor, random: torch.Generator) -> Tensor:
    """What the victim makes of x; one draw of its chance for all that are compared."""
    return victim.forward(x, torch.Generator().set_state(random.get_state())).x_hat


def save_network(network: SavedNetwork, path: Path, *, overwrite: bool = False) -> None:
    """As safetensors; OutputError where it cannot be written."""
    kind = type(network).__name__
    metadata = {"format": FORMAT, "kind": kind, "settings": json.dumps(network.settings)}
    stored.write(network, metadata, path, overwrite=overwrite)


def load_network(kind: type[Network], path: Path) -> Network:
    """What `save_network` wrote, of the kind it was; BadWeightsError for anything else."""
    with stored.reading(path, kind.__name__) as file:
        found = file.metadata.get("format"), file.metadata.get("kind")
        if found != (FORMAT, kind.__name__):
            raise BadWeightsError(str(path), f"it holds no {kind.__name__}")
        settings = json.loads(file.metadata["settings"])
        if not all(0 < value <= LARGEST_SETTING for value in settings.values()):
            raise BadWeightsError(str(path), f"it claims a {kind.__name__} of absurd size")
        with torch.device("meta"):  # nothing is allocated for what the file does not hold
            network = kind(**settings)
        network.load_state_dict(
            {name: tensor.float() for name, tensor in file.tensors.items()}, assign=True
        )
    return network.eval().requires_grad_(False)
