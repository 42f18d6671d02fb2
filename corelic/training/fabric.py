"""Where a run's networks are: devices, processes, precision."""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision, Precision
from lightning.fabric.utilities.exceptions import MisconfigurationException

from corelic.errors import TrainingError
from corelic.training.recipe import Recipe


def make_fabric(recipe: Recipe, device: str) -> Fabric:
    """One process and one device; under `torchrun`, as many as it started, on all its machines."""
    # Else cuDNN may multiply with ten bits where precision is to be float32.
    torch.backends.cudnn.allow_tf32 = False
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    nodes = int(os.environ.get("WORLD_SIZE", 1)) // here
    accelerator = "cuda" if device == "auto" and torch.cuda.is_available() else device
    accelerator = "cpu" if accelerator == "auto" else accelerator  # MPS has no float64
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=here,
            num_nodes=nodes,
            strategy="ddp" if here * nodes > 1 else "auto",
            plugins=precision_of(recipe, accelerator),
        )
    except MisconfigurationException as error:  # more processes than GPUs, say
        raise TrainingError(f"{here} processes cannot train here ({error})") from error
    before = torch.distributed.is_initialized()
    fabric.launch()
    if torch.distributed.is_initialized() and not before:
        # Else threads of gloo may outlive what they use, and abort a process that is done.
        atexit.register(torch.distributed.destroy_process_group)
    return fabric


class MixedInside(MixedPrecision):
    """Mixed precision inside the networks: Fabric's rounds crops and qualities before they see any.

    A pixel has 8 bits, and so has bfloat16.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def precision_of(recipe: Recipe, accelerator: str) -> Precision:
    if recipe.precision == "32-true":
        return Precision()
    return MixedInside(recipe.precision, accelerator)


def in_words(device: torch.device, processes: int = 1) -> str:
    """For people: which device, or how much of it."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return name if processes == 1 else f"{processes} × {name}"
    threads = torch.get_num_threads()
    each = "1 CPU thread" if threads == 1 else f"{threads} CPU threads"
    return each if processes == 1 else f"{processes} × {each}"
