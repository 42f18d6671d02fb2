"""One picture, quantised at one quality after another: what a search for a target is made of.

    picture ─ analysis ─► y ─ gain of a quality ─► hyper-latents ─► steps of the context ─► ŷ

The analysis depends on the quality, too, but weakly: of the latents that it finds for one quality,
those of a few units more or less are made by another gain. So it runs once for a good guess, and
again only where that proves bad. Hyper-latents, and with them the first step of the context, serve
again for a quality that is nearer still.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corelic.codecs.files import FileCodec, colour_of
from corelic.codecs.passes import Passes, Progress, Quantised, Start, silent
from corelic.codecs.rate import QUALITY_MAX, QUALITY_STEPS, nearest_node
from corelic.media import Picture

LAST_STEP = round(QUALITY_MAX * QUALITY_STEPS)
STALE_STEPS = 8 * QUALITY_STEPS  # how far the analysis serves; at 20 units it costs 0.05 … 0.3 dB
NEAR_STEPS = 2 * QUALITY_STEPS  # how far hyper-latents do
SAMPLE_ROWS, SAMPLE_COLUMNS = 2, 3
CLASSES_LOOKED_AT = 16  # cells of each class, at most
LOOKED_AT = 2**20  # samples, of which a picture's activity is taken


class Search:
    """One picture, analysed where the search is, quantised wherever it goes."""

    def __init__(
        self, codec: FileCodec, picture: Picture, memory_bytes: int, progress: Progress
    ) -> None:
        self.codec, self.picture = codec, picture
        size = picture.width_px, picture.height_px
        self.passes: Passes = codec.passes(*size, "search", memory_bytes, progress)
        self.latents: Tensor | None = None
        self.start: Start | None = None
        self.analysed_at = self.started_at = 0
        self.trials = self.analyses = 0

    def quantise(self, step: int) -> Quantised:
        passes, quality = self.passes, self.codec.quality_tensor(step / QUALITY_STEPS)
        self._forget(step, quality)
        first = ("analysis",) if self.latents is None else ()
        before = ("hyper_analysis", "hyper_synthesis") if self.start is None else ()
        passes.expects(*first, *before, "context")
        if self.latents is None:
            self.latents = passes.latents_of(partial(self.codec.window, self.picture), quality)
            self.analysed_at = step
            self.analyses += 1
        self.trials += 1
        y = passes.gain(self.latents, quality, into=torch.empty_like(self.latents))
        if self.start is None:
            self.start = passes.start(y, quality)
            self.started_at = step
        return passes.quantise(y, self.start, again=True)

    def _forget(self, step: int, quality: Tensor) -> None:
        """What does not serve at this quality."""
        if abs(step - self.analysed_at) > (STALE_STEPS if step > 0 else 0):
            self.latents = None
        near = abs(step - self.started_at) <= NEAR_STEPS and step > 0 and self.latents is not None
        if self.start is not None and not (near and self.start.node.equal(nearest_node(quality))):
            self.start = None

    def log_error(self, quantised: Quantised, step: int) -> float:
        """Logarithm of the mean squared error over all samples, in units of the picture."""
        picture, quality = self.picture, self.codec.quality_tensor(step / QUALITY_STEPS)
        self.passes.expects("synthesis")
        total = 0
        for area, part in self.codec.parts_of(
            self.passes,
            quantised.latents.y_hat,
            quality,
            colour_of(picture),
            (picture.height_px, picture.width_px),
            picture.bit_depth,
        ):
            difference = np.subtract(part, picture.pixels[area], dtype=np.int32)
            total += int(np.square(difference, dtype=np.int64).sum())
        # Of a perfect one, too, a logarithm is taken.
        return math.log(max(total, 0.5) / picture.pixels.size)


class Sample:
    """A few cells side by side, which stand for a picture: of equally many of each busyness."""

    def __init__(self, codec: FileCodec, picture: Picture, memory_bytes: int) -> None:
        side = codec.codec.spec.pad_multiple_px
        corners = _representatives(picture.pixels, side, SAMPLE_ROWS * SAMPLE_COLUMNS)
        cells = [
            picture.pixels[row : row + side, column : column + side] for row, column in corners
        ]
        rows = [
            np.concatenate(cells[first : first + SAMPLE_COLUMNS], axis=1)
            for first in range(0, len(cells), SAMPLE_COLUMNS)
        ]
        self.picture = Picture(np.concatenate(rows))
        self.search = Search(codec, self.picture, memory_bytes, silent)
        self.known: dict[int, float] = {}

    @staticmethod
    def stands_for(codec: FileCodec, picture: Picture) -> bool:
        """Whether there are so many whole cells that a sample takes little of the time."""
        side = codec.codec.spec.pad_multiple_px
        cells = (picture.height_px // side) * (picture.width_px // side)
        return cells >= 6 * SAMPLE_ROWS * SAMPLE_COLUMNS

    def log_error(self, step: int) -> float:
        """As `Search.log_error`."""
        if step not in self.known:
            self.known[step] = self.search.log_error(self.search.quantise(step), step)
        return self.known[step]


def _representatives(pixels: NDArray[np.generic], side: int, count: int) -> list[tuple[int, int]]:
    """Corners of whole cells: of as many classes of equally busy ones, each one's median."""
    corners = [
        (row, column)
        for row in range(0, pixels.shape[0] - side + 1, side)
        for column in range(0, pixels.shape[1] - side + 1, side)
    ]
    # Of a large picture, not every cell need be looked at.
    corners = corners[:: len(corners) // (CLASSES_LOOKED_AT * count) + 1]
    ranked = sorted(
        corners, key=lambda at: activity_of(pixels[at[0] : at[0] + side, at[1] : at[1] + side])
    )
    return [ranked[(2 * number + 1) * len(ranked) // (2 * count)] for number in range(count)]


def activity_of(pixels: NDArray[np.generic]) -> float:
    """Mean difference between neighbours, both ways together, in units of the samples."""
    total = 0.0
    for axis in (0, 1):
        across = pixels.swapaxes(0, axis)
        lines = max(across.size // LOOKED_AT, 1)
        chosen = across[:, ::lines].astype(np.float32 if pixels.itemsize > 1 else np.int16)
        if len(chosen) > 1:
            total += float(np.abs(np.diff(chosen, axis=0)).mean())
    return total
