"""Checkpoints: tensors in safetensors, everything else in JSON; written whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from corelic.errors import BadWeightsError


@dataclass(frozen=True)
class Position:
    """How far a run has come."""

    step: int
    elapsed_s: float  # of training, not of the clock
    crops: int
    pixels: int
    skipped_steps: int  # gradients that were not finite


def save(
    folder: Path,
    position: Position,
    model: dict[str, Tensor],
    average: dict[str, Tensor],
    optimiser: dict[int, dict[str, Tensor]],
) -> None:
    """Replaces the checkpoint in `folder`."""
    tensors = {f"model.{name}": tensor for name, tensor in model.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for index, moments in optimiser.items():
        tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in moments.items()}
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    temporary = folder / "checkpoint.tmp"
    save_file(tensors, temporary, metadata={"position": json.dumps(asdict(position))})
    os.replace(temporary, folder / "checkpoint.safetensors")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What `save` was given."""

    position: Position
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]


def load(folder: Path) -> Checkpoint:
    """The checkpoint of a run; BadWeightsError if there is none or it cannot be read."""
    from safetensors import SafetensorError, safe_open

    path = folder / "checkpoint.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
        tensors = load_file(path)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadWeightsError(str(path), f"is not a readable checkpoint ({error})") from error
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}}
    optimiser: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, rest = name.split(".", 1)
        if group == "optimiser":
            index, key = rest.split(".", 1)
            optimiser.setdefault(int(index), {})[key] = tensor
        else:
            groups[group][rest] = tensor
    return Checkpoint(position, groups["model"], groups["average"], optimiser)


def exponential_average(average: list[Tensor], current: list[Tensor], decay: float) -> None:
    """average ← decay · average + (1 − decay) · current, in place."""
    torch._foreach_lerp_(average, current, 1 - decay)
