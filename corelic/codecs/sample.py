"""A few cells that stand for a picture: what PSNR it has, from a tenth of its latents.

┌──┬──┬──┬──┐      cells of every busyness, their latents side by side
│╔╗│╔╗│╔╗│╔╗│      ─► quantise ─► synthesis ─► errors inside
├╚╝┼╚╝┼╚╝┼╚╝┤
│╔╗│╔╗│╔╗│╔╗│      The rim of one latent is not looked at: beyond it is another cell,
└╚╝┴╚╝┴╚╝┴╚╝┘      and such edges no picture has.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from corelic.codecs.files import FileCodec, colour_of
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.rate import QUALITY_STEPS
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
        self.codec, self.picture = codec, picture
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
        self.cells = [corners[number] for number in chosen]
        self.rim_px = codec.codec.spec.transform.stride_px
        self.insides: list[Area] = [self._inside(row, column) for row, column in self.cells]
        self.weights = 1 / activities[chosen]
        self.activity = self.mean(np.array([activity_of(pixels[area]) for area in self.insides]))

    def _inside(self, row: int, column: int) -> Area:
        """Of the cell there, without its rim."""
        inner = self.codec.codec.spec.pad_multiple_px - 2 * self.rim_px
        rows, columns = (slice(at + self.rim_px, at + self.rim_px + inner) for at in (row, column))
        return rows, columns

    @staticmethod
    def can_be_had(codec: FileCodec, picture: Picture) -> bool:
        side = codec.codec.spec.pad_multiple_px
        rows, columns = (length // side for length in picture.pixels.shape[:2])
        return min(rows, columns) > 3 and rows * columns >= LEAST_CELLS

    def mean(self, of_cells: NDArray[np.float64]) -> float:
        return float(np.average(of_cells, weights=self.weights))

    def error(self, search: Search, step: int) -> float:
        """Mean squared error at a quality, of `search`'s latents and in units of the picture."""
        codec, spec = self.codec, self.codec.codec.spec
        latents, side, stride = search.analyse(step), spec.pad_multiple_px, self.rim_px
        span = side // stride
        parts = []
        for row, column in self.cells:
            top, left = row // stride, column // stride
            parts.append(latents[:, :, top : top + span, left : left + span])
        firsts = range(0, len(parts), COLUMNS)
        whole = torch.cat([torch.cat(parts[at : at + COLUMNS], 3) for at in firsts], 2)

        height, width = ROWS * side, COLUMNS * side
        passes = codec.passes(width, height, "search", MEMORY_BYTES, silent)
        quality = codec.quality_tensor(step / QUALITY_STEPS)
        y = passes.gain(whole, quality, into=whole)
        quantised = passes.quantise(y, passes.start(y, quality))
        decoded = np.empty((height, width, *self.picture.pixels.shape[2:]), np.int64)
        for area, part in codec.parts_of(
            passes,
            quantised.latents.y_hat,
            quality,
            colour_of(self.picture),
            (height, width),
            self.picture.bit_depth,
        ):
            decoded[area] = part
        found = []
        for number, area in enumerate(self.insides):
            row, column = (place * side for place in divmod(number, COLUMNS))
            cell = decoded[self._inside(row, column)]
            found.append(np.square(cell - self.picture.pixels[area]).mean())
        return self.mean(np.array(found))


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
