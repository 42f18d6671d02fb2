"""Which elements of latents each step of a context decodes, in order: row-major over (M, h, w).

    whole (C, h, w) ─ area of a tile ─ part of a step ─► elements, and back

Where a context's masks are lattices, elements are strided views; else they are gathered by index.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from corelic.codecs.context.base import Lattice
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.tiling import Area

SELECTED = 2**20  # elements of the whole that are gathered at once
POSITIONS_KEPT = 4  # of steps or tiles


class Elements(ABC):
    """A part of a step, in any area of whole cells."""

    @abstractmethod
    def of(self, whole: Tensor, area: Area) -> Tensor:
        """Those in an area of `whole` (M, h, w)."""

    @abstractmethod
    def put(self, whole: Tensor, area: Area, values: Tensor) -> None:
        """Sets them to `values`, which are as `of` gives them."""

    @abstractmethod
    def within(self, parameters: Tensor, area: Area) -> Tensor:
        """As `of`, from what a context says of this part."""


class StepElements:
    """Of all steps of a context, for pictures of one size."""

    def __init__(self, codec: LearnedImageCodec, cell_latents: int, device: torch.device) -> None:
        steps = range(codec.context.steps)
        self.lattices = [codec.context.lattices(step) for step in steps]
        self.masks: list[Tensor] = []
        if None in self.lattices:
            # A cell's elements are every cell's.
            shape = (1, codec.spec.transform.latent_channels, cell_latents, cell_latents)
            masks = codec.context.masks(torch.Size(shape))
            self.masks = [mask.to(device) for mask in masks]
        # Indexes are eight times as large as the masks they come from, and few are used at a time.
        # Of a method, the cache would keep them until garbage is looked for: it would hold `self`.
        self.of_channels = lru_cache(maxsize=POSITIONS_KEPT)(partial(_of_channels, self.masks))

    def parts(self, step: int) -> list[Elements]:
        """In the order in which they are coded."""
        lattices = self.lattices[step]
        if lattices is None:
            return [_Masked(self, step)]
        return [_OnLattice(lattice) for lattice in lattices]

    def select(self, step: int, whole: Tensor) -> NDArray[Any]:
        """A step's elements of `whole` (M, h, w), coded in this order."""
        lattices = self.lattices[step]
        if lattices is None:
            found = [part.view(-1)[where] for part, where in self._gathered(step, whole)]
        else:
            found = [lattice.of(whole).flatten() for lattice in lattices]
        array: NDArray[Any] = torch.cat(found).cpu().numpy()
        return array

    def add(self, step: int, whole: Tensor, values: Tensor) -> None:
        """Adds `values` (n,) to a step's elements of `whole` (M, h, w)."""
        lattices, first = self.lattices[step], 0
        if lattices is None:
            for part, where in self._gathered(step, whole):
                last = first + where.numel()
                part.view(-1)[where] += values[first:last].to(whole.device, whole.dtype)
                first = last
        for lattice in lattices or ():
            view = lattice.of(whole)
            last = first + view.numel()
            view += values[first:last].view(view.shape).to(whole.device, whole.dtype)
            first = last

    def _gathered(self, step: int, whole: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Some channels at a time, and where the step's elements are in them."""
        channels, rows, columns = whole.shape
        count = max(SELECTED // (rows * columns), 1)
        for first in range(0, channels, count):
            last = min(first + count, channels)
            yield whole[first:last], self.of_channels(step, first, last, rows, columns)


def _of_channels(
    masks: list[Tensor], step: int, first: int, last: int, rows: int, columns: int
) -> Tensor:
    """Where a step's elements are in some channels, flattened."""
    mask = masks[step][first:last]
    repeats = (1, rows // mask.shape[1], columns // mask.shape[2])
    return mask.repeat(repeats).flatten().nonzero().squeeze(1)


class _OnLattice(Elements):
    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice

    def of(self, whole: Tensor, area: Area) -> Tensor:
        return self.lattice.of(whole[:, *area])

    def put(self, whole: Tensor, area: Area, values: Tensor) -> None:
        self.lattice.of(whole[:, *area])[:] = values

    def within(self, parameters: Tensor, area: Area) -> Tensor:
        period = self.lattice.period
        rows, columns = (slice(span.start // period, span.stop // period) for span in area)
        return parameters[:, rows, columns]


class _Masked(Elements):
    """All of a step; values are (n,)."""

    def __init__(self, steps: StepElements, step: int) -> None:
        self.steps, self.step = steps, step

    def of(self, whole: Tensor, area: Area) -> Tensor:
        part = whole[:, *area]
        return part.reshape(-1)[self._positions(part)]

    def put(self, whole: Tensor, area: Area, values: Tensor) -> None:
        part = whole[:, *area]
        flat = part.reshape(-1)  # a view where the area is the whole
        flat[self._positions(part)] = values.to(whole.dtype)
        if flat.data_ptr() != part.data_ptr():
            part.copy_(flat.view(part.shape))

    def within(self, parameters: Tensor, area: Area) -> Tensor:
        return self.of(parameters, area)

    def _positions(self, part: Tensor) -> Tensor:
        return self.steps.of_channels(self.step, 0, *part.shape)
