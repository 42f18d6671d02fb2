"""How a run's networks run: devices, processes, precision, compilation."""

from __future__ import annotations

import atexit
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision, Precision
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from corelic.errors import TrainingError
from corelic.training.recipe import Recipe

# A compiled step adds in another order, and rounds less often: in bfloat16 the gradients of one
# parameter of swift's differ by half of their norm at most.
COMPILED_SHARE, COMPILED_SHARE_OF_ALL = 0.9, 1e-3


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


def compiled(objective: nn.Module, recipe: Recipe, fabric: Fabric) -> nn.Module:
    """The same as one graph, of fewer and larger kernels.

    With the same noise, so that the two can be compared. On GPUs it is replayed as a CUDA graph:
    kernels of small networks are shorter than what it takes to launch them. Not where passes share
    a step: a second pass would overwrite the gradients of the first, which are in the graph's own
    memory.
    """
    if fabric.world_size > 1:
        reason = "compiled steps are for one process; set compiled: false"
        raise TrainingError(reason)
    alone = all(stage.passes == 1 for stage in recipe.stages)
    replayed = fabric.device.type == "cuda" and alone
    options: dict[str, str | int | bool | Callable[..., Any]]  # as torch has it
    options = {"fallback_random": True, "triton.cudagraphs": replayed}
    graph = torch.compile(objective, fullgraph=True, dynamic=False, options=options)
    return cast(nn.Module, graph)


def gradients_agree(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    """Whether a compiled step's gradients are those of a plain one; False where none can tell.

    Compilers have faults: GCC 12 makes a transposition of bfloat16, for CPUs with AVX-512, of
    which most numbers are wrong, and steps with it only fail for their infinities.

    found, wanted  by the names of their parameters; TrainingError names the first that is wrong
    """
    norms = {name: float(gradient.norm()) for name, gradient in wanted.items()}
    of_all = math.hypot(*norms.values())
    if not math.isfinite(of_all):
        return False  # nothing to compare with: the step will be skipped, the next one is checked
    for name, norm in norms.items():
        off = float((found[name] - wanted[name]).norm())
        if not off <= COMPILED_SHARE * norm + COMPILED_SHARE_OF_ALL * of_all:  # nor if NaN
            raise TrainingError(
                f"compiled code finds wrong gradients here ({name}: off by {off:.2g}, of "
                f"{norm:.2g}); set compiled: false, or take another compiler"
            )
    return True


@contextmanager
def sentences(recipe: Recipe) -> Iterator[None]:
    """What a step may fail for, said so that one can do something about it."""
    try:
        yield
    except Exception as error:
        # torch's CPU allocator has no exception of its own.
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            reason = "a step needs more memory than there is; give its stage more passes"
            raise TrainingError(f"{reason}, or a smaller batch ({error})") from error
        if recipe.compiled and type(error).__module__.startswith("torch._"):
            reason = f"the networks cannot be compiled here ({error}); set compiled: false"
            raise TrainingError(reason) from error
        raise


def in_words(device: torch.device, processes: int = 1) -> str:
    """For people: which device, or how much of it."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return name if processes == 1 else f"{processes} × {name}"
    threads = torch.get_num_threads()
    each = "1 CPU thread" if threads == 1 else f"{threads} CPU threads"
    return each if processes == 1 else f"{processes} × {each}"
