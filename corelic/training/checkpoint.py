"""Checkpoints: tensors in safetensors, everything else in JSON; written whole or not at all.

    run/checkpoint.json ─► run/checkpoint-000500-3fa1/ ─► 00.safetensors, 01.safetensors, …
    (position, folder)     (weights, averages, moments; no file above 16 MiB)

The JSON is replaced last, so it always names a complete folder.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from corelic.disk import atomic_write
from corelic.errors import BadWeightsError, OutputError

INDEX = "checkpoint.json"
OURS = re.compile(r"checkpoint-\d{6,}-[0-9a-f]{4}")
SHARD_BYTES = 15 * 2**20  # of tensors: with its header a file stays under 16 MiB


@dataclass(frozen=True)
class Position:
    """How far a run has come."""

    step: int
    elapsed_s: float  # in steps, pauses not counted
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
    """Replaces the checkpoint in `folder`; OutputError, and the old one kept, if it cannot."""
    tensors = {f"model.{name}": tensor for name, tensor in model.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for index, moments in optimiser.items():
        tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in moments.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # A name of its own: the index must never name a folder that is being written.
    shards = folder / f"checkpoint-{position.step:06}-{secrets.token_hex(2)}"
    try:
        shards.mkdir()
        for number, part in enumerate(_parts(tensors)):
            path = shards / f"{number:02}.safetensors"
            save_file(part, path)
            _sync(path)
        facts = {"folder": shards.name, "tensors": len(tensors), "position": asdict(position)}
        atomic_write(folder / INDEX, json.dumps(facts).encode(), overwrite=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(shards, ignore_errors=True)
        raise OutputError(str(shards), f"the checkpoint cannot be written ({error})") from error
    for old in folder.iterdir():
        if old != shards and OURS.fullmatch(old.name):
            shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """To the disk, before the index names it and the last checkpoint goes."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parts(tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """All of them, in order, as few as it takes with none above SHARD_BYTES."""
    part: dict[str, Tensor] = {}
    room = SHARD_BYTES
    for name, tensor in tensors.items():
        if part and tensor.nbytes > room:
            yield part
            part, room = {}, SHARD_BYTES
        part[name] = tensor
        room -= tensor.nbytes
    yield part


def exists(folder: Path) -> bool:
    """Whether a run was begun there."""
    return (folder / INDEX).exists()


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What `save` was given."""

    position: Position
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]


def load(folder: Path) -> Checkpoint:
    """The checkpoint of a run; BadWeightsError if there is none or it cannot be read."""
    index = folder / INDEX
    try:
        plain = json.loads(index.read_text())
        position = Position(**plain["position"])
        tensors: dict[str, Tensor] = {}
        for path in sorted((folder / Path(plain["folder"]).name).glob("*.safetensors")):
            tensors |= load_file(path)
        if len(tensors) != plain.get("tensors", len(tensors)):  # which older ones do not say
            raise ValueError(f"{len(tensors)} tensors are there, of {plain['tensors']}")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadWeightsError(str(index), f"is not a readable checkpoint ({error})") from error
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}}
    optimiser: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, rest = name.split(".", 1)
        if group == "optimiser":
            number, key = rest.split(".", 1)
            optimiser.setdefault(int(number), {})[key] = tensor
        else:
            groups[group][rest] = tensor
    return Checkpoint(position, groups["model"], groups["average"], optimiser)
