"""A few cells that stand for a picture: what PSNR it has, from a tenth of its latents.

┌──┬──┬──┬──┐      cells of every busyness, their latents side by side
│╔╗│╔╗│╔╗│╔╗│      ─► quantise ─► synthesis ─► errors inside
├╚╝┼╚╝┼╚╝┼╚╝┤
│╔╗│╔╗│╔╗│╔╗│      The rim of one latent is not looked at: beyond it is another cell,
└╚╝┴╚╝┴╚╝┴╚╝┘      and such edges no picture has.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corelic.codecs.files import FileCodec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import at, silent
from corelic.codecs.search import Search
from corelic.codecs.tiling import Area
from corelic.media import Picture

ROWS, COLUMNS = 2, 4
LEAST_CELLS = 6 * ROWS * COLUMNS  # of a picture: a sample of less would take too much of the time
LOOKED_AT = 2**20  # samples, of which a picture's activity is taken
CELLS_LOOKED_AT = 2**10


class Sample:
    """Some cells of a picture, in which no cell touches a border."""

    def __init__(self, codec: FileCodec, picture: Picture) -> None:
        side = codec.codec.spec.pad_multiple_px
        pixels = picture.pixels
        corners = [
            (row, column)
            for row in range(side, pixels.shape[0] - 2 * side + 1, side)
            for column in range(side, pixels.shape[1] - 2 * side + 1, side)
        ]
        corners = corners[:: len(corners) // CELLS_LOOKED_AT + 1]
        cells = [pixels[row : row + side, column : column + side] for row, column in corners]
        activities = np.array([max(activity_of(cell), 1e-3) for cell in cells])
        order = np.argsort(activities, kind="stable")
        # Of busy cells more than their share, for there the errors are; weights undo it.
        mass = activities[order].cumsum()
        shares = (np.arange(ROWS * COLUMNS) + 0.5) / (ROWS * COLUMNS)
        chosen = order[np.searchsorted(mass, shares * mass[-1])]
        rim = codec.codec.spec.transform.stride_px

        def insides(corners: Iterable[tuple[int, int]]) -> list[Area]:
            return [
                (slice(row + rim, row + side - rim), slice(column + rim, column + side - rim))
                for row, column in corners
            ]

        span = side // rim
        self.latents: list[Area] = [
            (slice(row // rim, row // rim + span), slice(column // rim, column // rim + span))
            for row, column in (corners[number] for number in chosen)
        ]
        # In the whole, and in the sample.
        self.insides = insides(corners[number] for number in chosen)
        self.own_insides = insides(
            product(range(0, ROWS * side, side), range(0, COLUMNS * side, side))
        )
        self.weights = 1 / activities[chosen]
        self.activity = self.mean(np.array([activity_of(pixels[area]) for area in self.insides]))
        rows = np.split(np.concatenate([cells[number] for number in chosen], axis=1), ROWS, axis=1)
        self.search = Search(codec, Picture(np.concatenate(rows)), MEMORY_BYTES, silent)

    @staticmethod
    def can_be_had(codec: FileCodec, picture: Picture) -> bool:
        side = codec.codec.spec.pad_multiple_px
        rows, columns = (length // side for length in picture.pixels.shape[:2])
        return min(rows, columns) > 3 and rows * columns >= LEAST_CELLS

    def mean(self, of_cells: NDArray[np.float64]) -> float:
        return float(np.average(of_cells, weights=self.weights))

    def error(self, step: int) -> float:
        """Mean squared error at a quality, in units of the picture."""
        quantised = self.search.quantise(step)
        return self._error(quantised.latents.y_hat, step)

    def error_in(self, y_hat: Tensor, step: int) -> float:
        """The same, where all of the picture is quantised already: y_hat (1, M, h, w)."""
        cells = [y_hat[at(area)] for area in self.latents]
        firsts = range(0, ROWS * COLUMNS, COLUMNS)
        rows = [torch.cat(cells[first : first + COLUMNS], 3) for first in firsts]
        return max(self._error(torch.cat(rows, 2), step), 1e-6)

    def _error(self, y_hat: Tensor, step: int) -> float:
        return self.mean(self.search.errors(y_hat, step, self.own_insides)[1])


def activity_of(pixels: NDArray[np.generic]) -> float:
    """Mean difference between neighbours, both ways together, in units of the samples."""
    total = 0.0
    for axis in (0, 1):
        across = pixels.swapaxes(0, axis)
        lines = max(across.size // LOOKED_AT, 1)
        chosen = across[:, ::lines].astype(np.int32)
        if len(chosen) > 1:
            total += float(np.abs(np.diff(chosen, axis=0)).mean())
    return total
