"""A few cells that stand for a picture: what PSNR it has, from a tenth of it.

┌──┬──┬──┬──┐      cells of every busyness, side by side ─► encoded, decoded ─► errors inside
│╔╗│╔╗│╔╗│╔╗│
├╚╝┼╚╝┼╚╝┼╚╝┤      The rim of one latent is not looked at: beyond it is another cell, and such
│╔╗│╔╗│╔╗│╔╗│      edges no picture has. Some of their effect goes further, so samples are
└╚╝┴╚╝┴╚╝┴╚╝┘      compared with samples.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from corelic.codecs.files import FileCodec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.search import Search, units_of
from corelic.codecs.tiling import Area
from corelic.media import Picture, Samples

ROWS, COLUMNS = 2, 4
LEAST_CELLS = 6 * ROWS * COLUMNS  # of a picture: a sample of less would take too much of the time
LOOKED_AT = 2**20  # samples, of which a picture's activity is taken
CELLS_LOOKED_AT = 2**10
LEAST_ERROR = 1e-6  # of a perfect sample, too, a logarithm is taken
LEAST_ACTIVITY = 0.1  # of a blank one as well


class Sample:
    """Some cells of a picture, of which none touches a border.

    activity  where errors are looked at
    """

    def __init__(self, codec: FileCodec, picture: Picture) -> None:
        spec, pixels = codec.spec, picture.pixels
        side, rim = spec.pad_multiple_px, spec.transform.stride_px
        height, width = pixels.shape[:2]
        rows, columns = (range(side, end - 2 * side + 1, side) for end in (height, width))
        corners = list(product(rows, columns))
        corners = corners[:: len(corners) // CELLS_LOOKED_AT + 1]
        cells = [pixels[row : row + side, column : column + side] for row, column in corners]
        activities = np.array([max(activity_of(cell), LEAST_ERROR) for cell in cells])
        order = np.argsort(activities, kind="stable")
        # Of busy cells more than their share, for there the errors are; weights undo it.
        mass = activities[order].cumsum()
        shares = (np.arange(ROWS * COLUMNS) + 0.5) / (ROWS * COLUMNS)
        chosen = order[np.searchsorted(mass, shares * mass[-1])]
        self.weights = 1 / activities[chosen]
        places = product(range(0, ROWS * side, side), range(0, COLUMNS * side, side))
        self.insides: list[Area] = [
            (slice(row + rim, row + side - rim), slice(column + rim, column + side - rim))
            for row, column in places
        ]
        mosaic = np.concatenate(
            [
                np.concatenate([cells[number] for number in row], axis=1)
                for row in np.split(chosen, ROWS)
            ]
        )
        inside = np.array([activity_of(mosaic[area]) for area in self.insides])
        self.activity = max(self._mean(inside), LEAST_ACTIVITY)
        self.search = Search(codec.drafting, Picture(mosaic), MEMORY_BYTES, silent)

    @staticmethod
    def can_be_had(codec: FileCodec, picture: Picture) -> bool:
        """Whether it would take little of the picture."""
        side = codec.spec.pad_multiple_px
        rows, columns = (length // side for length in picture.pixels.shape[:2])
        return min(rows, columns) > 3 and rows * columns >= LEAST_CELLS

    def error(self, step: int) -> float:
        """Mean squared error at a quality, in units of 8 bits."""
        original = self.search.picture.pixels
        decoded = np.empty_like(original)
        for area, part in self.search.parts(self.search.quantise(step).latents.y_hat, step):
            decoded[area] = part
        differences = np.subtract(decoded, original, dtype=np.float64)
        squares = np.square(differences / units_of(original))
        found = self._mean(np.array([squares[area].mean() for area in self.insides]))
        return max(found, LEAST_ERROR)

    def _mean(self, of_cells: NDArray[np.float64]) -> float:
        return float(np.average(of_cells, weights=self.weights))


def activity_of(pixels: Samples) -> float:
    """Mean difference between neighbours, both ways together, in units of 8 bits."""
    total = 0.0
    for axis in (0, 1):
        across = pixels.swapaxes(0, axis)
        lines = max(across.size // LOOKED_AT, 1)
        chosen = across[:, ::lines].astype(np.int32)
        if len(chosen) > 1:
            total += float(np.abs(np.diff(chosen, axis=0)).mean())
    return total / units_of(pixels)
