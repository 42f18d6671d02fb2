"""Networks in files: a classifier's or a defence's weights, as safetensors.

network ─► tensors, and metadata that tell how to build it ─► .safetensors ─► both again
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from corelic.disk import atomic_write
from corelic.errors import BadWeightsError


class Stateful(Protocol):
    """A module, as far as it matters here."""

    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def write(network: Stateful, metadata: dict[str, str], path: Path, *, overwrite: bool) -> None:
    """OutputError where it cannot be written."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    atomic_write(path, save(tensors, metadata), overwrite=overwrite)


@contextmanager
def reading(path: Path, what: str) -> Iterator[Stored]:
    """What `write` wrote. Whatever is wrong with it, or with what is made of it inside, is a
    BadWeightsError that says it holds no such thing."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            metadata = file.metadata() or {}
        yield Stored(tensors, metadata)
    except BadWeightsError:
        raise
    except (
        OSError,
        SafetensorError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        AttributeError,
    ) as error:
        raise BadWeightsError(str(path), f"it holds no {what} ({error})") from error
