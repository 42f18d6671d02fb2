"""Small classifiers, trained here: the task behind a codec that an attack may aim at.

    x (N, 3, H, W) ─ mean over cells ─► 32 × 32 ─ stem ─ at 1/4 ─ at 1/8 ─ mean ─► logits

Two architectures, so that an attack can be made on one and tried on the other: `residual` adds
around pairs of 3×3 convolutions (He et al., CVPR 2016, arXiv:1512.03385), `plain` has 3×3
convolutions and maxima alone (Simonyan & Zisserman, ICLR 2015, arXiv:1409.1556). Ours differs: a
fraction of their width and depth, for a CPU and a weights file of a few hundred kB.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.attacks import stored
from corelic.attacks.labelled import Labelled
from corelic.errors import BadWeightsError

Architecture = Literal["residual", "plain"]
FORMAT = "corelic-classifier-1"
SIDE_PX = 32
SHIPPED = Path(__file__).parent / "weights"
WIDTHS = {"residual": (24, 48, 96), "plain": (16, 32, 64)}  # an epoch of either takes about as long

BATCH = 128
LEARNING_RATE = 0.2
WEIGHT_DECAY = 5e-4
WARM_SHARE = 0.2  # of the steps
LABEL_SMOOTHING = 0.1
SHIFT_PX = 3  # crops are moved by up to so much, each way


class Normed(nn.Sequential):
    """3×3 convolution, batch norm, rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(Normed(channels, channels), Normed(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.branch(x)
        return added


class Classifier(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, classes) logits; H and W at least 32.

    Larger pictures are averaged down to 32 × 32, so that one network serves whatever enlargement
    a codec was given.
    """

    def __init__(self, architecture: Architecture, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.architecture, self.classes = architecture, classes
        first, middle, last = WIDTHS[architecture]
        if architecture == "residual":
            body = [
                Normed(3, first, stride=2),
                Normed(first, middle, stride=2),
                Residual(middle),
                Normed(middle, last, stride=2),
                Residual(last),
            ]
        else:
            body = [
                Normed(3, first),
                nn.MaxPool2d(2),
                Normed(first, middle),
                nn.MaxPool2d(2),
                Normed(middle, last),
                nn.MaxPool2d(2),
                Normed(last, last),
            ]
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(last, len(classes))

    def forward(self, x: Tensor) -> Tensor:
        small = F.adaptive_avg_pool2d(x, SIDE_PX) if x.shape[-2:] != (SIDE_PX, SIDE_PX) else x
        features = self.body((small - 0.5) * 4)
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


@dataclass(frozen=True, slots=True)
class Epoch:
    """How far training is: `number` of `epochs`, and the mean loss in it."""

    number: int
    epochs: int
    loss: float


def train_classifier(
    data: Labelled,
    *,
    architecture: Architecture = "residual",
    epochs: int = 8,
    seed: int = 0,
    progress: Callable[[Epoch], None] = lambda epoch: None,
) -> Classifier:
    """From nothing to a classifier that is ready to use; the same for the same seed on one CPU.

    Flipped and shifted at random, SGD with Nesterov's momentum, rate up then down in straight
    lines; the defaults take a few minutes of one core for 15,000 pictures of 32 × 32.
    """
    random = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    classifier = Classifier(architecture, data.classes)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    optimiser = torch.optim.SGD(
        classifier.parameters(),
        lr=LEARNING_RATE,
        momentum=0.9,
        nesterov=True,
        weight_decay=WEIGHT_DECAY,
    )
    batch = min(BATCH, len(data))
    steps = epochs * (len(data) // batch)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _share(step / steps))
    classifier.train()
    for number in range(1, epochs + 1):
        order = torch.randperm(len(data), generator=random)
        losses = []
        for chosen in order[: len(order) // batch * batch].view(-1, batch):
            x = _varied(data.pixels[chosen].float().div(255), random)
            logits = classifier(x.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, data.labels[chosen], label_smoothing=LABEL_SMOOTHING)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            rate.step()
            losses.append(loss.detach())
        progress(Epoch(number, epochs, float(torch.stack(losses).mean())))
    return classifier.eval().requires_grad_(False)


def _share(done: float) -> float:
    """Of the full learning rate, at a share of the run."""
    return min(done / WARM_SHARE, (1 - done) / (1 - WARM_SHARE)) + 1e-3


def _varied(x: Tensor, random: torch.Generator) -> Tensor:
    """Half of them mirrored, all moved by one draw per batch and axis of up to SHIFT_PX."""
    mirrored = torch.rand(len(x), generator=random) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
    *_, height, width = x.shape
    padded = F.pad(x, [SHIFT_PX] * 4, mode="reflect")
    row, column = torch.randint(2 * SHIFT_PX + 1, (2,), generator=random).tolist()
    return padded[:, :, row : row + height, column : column + width]


@torch.no_grad()
def accuracy(classifier: nn.Module, x: Tensor, labels: Tensor, *, batch: int = 500) -> float:
    """Share of pictures (N, 3, H, W) in [0, 1] that get their label."""
    right = 0
    for first in range(0, len(x), batch):
        found = classifier(x[first : first + batch]).argmax(dim=1)
        right += int((found == labels[first : first + batch]).sum())
    return right / len(x)


def save_classifier(classifier: Classifier, path: Path, *, overwrite: bool = False) -> None:
    """As safetensors; OutputError where it cannot be written."""
    metadata = {
        "format": FORMAT,
        "architecture": classifier.architecture,
        "classes": json.dumps(classifier.classes),
    }
    stored.write(classifier, metadata, path, overwrite=overwrite)


def load_classifier(path: Path) -> Classifier:
    """What `save_classifier` wrote; BadWeightsError for anything else."""
    with stored.reading(path, "classifier") as file:
        known: tuple[Architecture, ...] = get_args(Architecture)
        architectures = [one for one in known if one == file.metadata.get("architecture")]
        if file.metadata.get("format") != FORMAT or not architectures:
            raise BadWeightsError(str(path), "it is no classifier of corelic's")
        with torch.device("meta"):  # nothing is allocated for classes that the file only names
            classifier = Classifier(architectures[0], tuple(json.loads(file.metadata["classes"])))
        classifier.load_state_dict(file.tensors, assign=True)
    return classifier.eval().requires_grad_(False)


def shipped_classifier(architecture: Architecture) -> Classifier:
    """Of the ten classes of CIFAR-10, as `benchmarks/classifier.py` trains it; comes with us."""
    return load_classifier(SHIPPED / f"cifar10-{architecture}.safetensors")
