"""Encode to a size or to a PSNR: the quality is found, the file is an ordinary one.

    sample of the picture ─► rate and distortion at two qualities ─► first guess
    picture ─ analysis at the guess ─► y ─┬─ quantise at the guess ─► size or PSNR ─► better guess
                                          └─ quantise at that one  ─► …

The analysis depends on the quality, too, but weakly: of the latents that it finds for one quality,
those of a few units more or less are made by another gain. So it runs once for a good guess; only
where that proves bad, it runs again.

Rate and distortion are nearly geometric in λ, hence in quality, so the search goes along straight
lines in their logarithms. Sizes are those of real files: coding takes a twentieth of the time.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corelic.codecs.files import FileCodec, colour_of
from corelic.codecs.learned import pad
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import Passes, Progress, Quantised, silent
from corelic.codecs.rate import QUALITY_MAX, QUALITY_STEPS
from corelic.errors import TargetError
from corelic.media import Picture
from corelic.media.hidden import smooth_hidden

TRIALS = 8  # quantisations of the whole picture, at most
AIM, ENOUGH = 0.987, 0.974  # of a target size: where to go, where to stay
TOLERANCE_DB = 0.04
TRUSTED_DB = 0.2  # a step this small lands within the tolerance, and need not be measured
LAST_STEP = round(QUALITY_MAX * QUALITY_STEPS)
STALE_STEPS = 6 * QUALITY_STEPS  # how far the analysis serves; at 20 units it costs 0.05 … 0.3 dB
SAMPLE_CELLS = 6
# Where a search starts: rate goes about with λ ** 0.45, MSE with λ ** -0.55, a fifth of either
# because of the analysis. A sample, and then the trials, say more of a picture.
RATE_EXPONENT, MSE_EXPONENT = 0.45, -0.55
WITHOUT_ANALYSIS = 0.8


@dataclass(frozen=True, slots=True)
class Found:
    """A file that meets its target, and how often the picture was quantised for it."""

    data: bytes
    quality_step: int
    trials: int
    analyses: int


@dataclass(frozen=True, slots=True)
class Point:
    """`value` is a logarithm, of a rate or of an MSE."""

    step: int
    value: float


def encode_to_size(
    codec: FileCodec,
    picture: Picture,
    target_bytes: int,
    *,
    memory_bytes: int = MEMORY_BYTES,
    progress: Progress = silent,
) -> Found:
    """The best file of at most `target_bytes`; TargetError if even quality 0 takes more."""
    target = f"{target_bytes:,} bytes"
    if target_bytes < 1:
        raise TargetError(target, "a file has at least some; give a positive size")
    picture = smooth_hidden(picture)
    with codec.working_on(picture):
        search = Search(codec, picture, memory_bytes, progress)
        pixels = picture.width_px * picture.height_px
        slope = search.slope(RATE_EXPONENT)
        wanted = math.log(AIM * target_bytes * 8 / pixels)
        step, slope = Sample(codec, picture).guess(wanted, slope, of_rate=True)
        fits: tuple[int, bytes] | None = None
        smallest = sys.maxsize
        points: list[Point] = []
        low, high = 0, LAST_STEP  # where the answer may still be
        while search.trials < TRIALS:
            if search.trials == TRIALS - 1 and fits is None:
                step = 0
            quantised = search.quantise(step)
            crc32, words = quantised.latents.crc32, search.passes.words_of(quantised)
            del quantised  # before the next one is made
            data = codec.file_of(picture, step, crc32, words)
            smallest = min(smallest, len(data))
            points.append(Point(step, math.log(len(data) * 8 / pixels)))
            if len(data) > target_bytes:
                high = step - 1
            else:
                if fits is None or step > fits[0]:
                    fits = step, data
                low = step + 1
                if len(data) >= ENOUGH * target_bytes:
                    break
            if low > high:
                break
            step = min(max(towards(wanted, points, slope), low), high)
        if fits is None:
            raise TargetError(target, f"the smallest file has {smallest:,}; ask for that, or more")
        return Found(fits[1], fits[0], search.trials, search.analyses)


def encode_to_psnr(
    codec: FileCodec,
    picture: Picture,
    target_db: float,
    *,
    memory_bytes: int = MEMORY_BYTES,
    progress: Progress = silent,
) -> Found:
    """A file that decodes to this PSNR; TargetError if even quality 100 decodes to less."""
    target = f"{target_db:g} dB"
    if not 0 < target_db < math.inf:
        raise TargetError(target, "no picture has such a PSNR; ask for 25 to 45 dB")
    picture = smooth_hidden(picture)
    with codec.working_on(picture):
        search = Search(codec, picture, memory_bytes, progress)
        peak = float(np.iinfo(picture.pixels.dtype).max)
        slope = search.slope(MSE_EXPONENT)
        wanted = 2 * math.log(peak) - target_db * math.log(10) / 10
        step, slope = Sample(codec, picture).guess(wanted, slope, of_rate=False)
        points: list[Point] = []
        low, high = 0, LAST_STEP
        while True:
            quantised = search.quantise(step)
            near = bool(points) and _db(points[-1].value - wanted) <= TRUSTED_DB
            trusted = near and low < step < high  # at an end, the target may be beyond it
            if trusted or search.trials == TRIALS:
                break
            points.append(Point(step, math.log(search.squared_error(quantised, step))))
            above = points[-1].value > wanted  # too many errors
            if _db(points[-1].value - wanted) <= TOLERANCE_DB:
                break
            low, high = (step + 1, high) if above else (low, step - 1)
            if low > high:
                break
            step = min(max(towards(wanted, points, slope), low), high)
            del quantised
        if step == LAST_STEP and points and points[-1].value > wanted:
            best_db = (2 * math.log(peak) - points[-1].value) * 10 / math.log(10)
            if target_db - best_db > TOLERANCE_DB:
                reason = f"this codec reaches {best_db:.2f} dB for this picture; ask for less"
                raise TargetError(target, reason)
        words = search.passes.words_of(quantised)
        data = codec.file_of(picture, step, quantised.latents.crc32, words)
        return Found(data, step, search.trials, search.analyses)


def towards(wanted: float, points: list[Point], slope: float) -> int:
    """The next step, from what the last ones gave."""
    last = points[-1]
    for other in reversed(points[:-1]):
        if other.step != last.step:
            secant = (last.value - other.value) / (last.step - other.step)
            # A secant over two neighbours is mostly rounding.
            if abs(last.step - other.step) >= QUALITY_STEPS and 0.4 < secant / slope < 2.5:
                slope = secant
            break
    move = (wanted - last.value) / slope
    return last.step + (math.floor(move) if slope > 0 else round(move))


def _db(nats: float) -> float:
    return abs(nats) * 10 / math.log(10)


class Search:
    """One picture, analysed where the search is, quantised wherever it goes."""

    def __init__(
        self, codec: FileCodec, picture: Picture, memory_bytes: int, progress: Progress
    ) -> None:
        self.codec, self.picture = codec, picture
        size = picture.width_px, picture.height_px
        self.passes: Passes = codec.passes(*size, "search", memory_bytes, progress)
        self.latents: Tensor | None = None
        self.analysed_at = 0
        self.trials = self.analyses = 0

    def slope(self, exponent: float) -> float:
        """Of a logarithm that goes with λ ** exponent, per quality step."""
        spec = self.codec.codec.spec
        return exponent * math.log(spec.lambda_max / spec.lambda_min) / LAST_STEP

    def quantise(self, step: int) -> Quantised:
        passes, quality = self.passes, self.codec.quality_tensor(step / QUALITY_STEPS)
        stale = abs(step - self.analysed_at) > (STALE_STEPS if step > 0 else 0)
        new = self.latents is None or stale
        first = ("analysis",) if new else ()
        passes.expects(*first, "hyper_analysis", "hyper_synthesis", "context")
        if new:
            self.latents = None
            self.latents = passes.latents_of(partial(self.codec.window, self.picture), quality)
            self.analysed_at = step
            self.analyses += 1
        assert self.latents is not None
        self.trials += 1
        y = passes.gain(self.latents, quality, into=torch.empty_like(self.latents))
        return passes.quantise(y, quality)

    def squared_error(self, quantised: Quantised, step: int) -> float:
        """Mean over all samples, in units of the picture."""
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
            difference = part.astype(np.int64) - picture.pixels[area]
            total += int(np.square(difference).sum())
        return max(total, 0.5) / picture.pixels.size  # of a perfect one, too, a logarithm is taken


class Sample:
    """A few cells that stand for a picture: each the median of a class of equally busy ones."""

    def __init__(self, codec: FileCodec, picture: Picture) -> None:
        self.codec = codec
        self.peak = float(np.iinfo(picture.pixels.dtype).max)
        side = codec.codec.spec.pad_multiple_px
        pixels = picture.pixels
        corners = [
            (row, column)
            for row in range(0, picture.height_px, side)
            for column in range(0, picture.width_px, side)
        ]
        if len(corners) > SAMPLE_CELLS:
            # Cells that are cut off at a border are mostly padding, and stand for nothing.
            whole = [
                corner
                for corner in corners
                if corner[0] + side <= picture.height_px and corner[1] + side <= picture.width_px
            ]
            corners = self._representatives(pixels, whole or corners, side)
        self.x = torch.cat(
            [
                pad(
                    codec.to_tensor(Picture(pixels[row : row + side, column : column + side])), side
                )
                for row, column in corners
            ]
        )

    @staticmethod
    def _representatives(
        pixels: NDArray[np.generic], corners: list[tuple[int, int]], side: int
    ) -> list[tuple[int, int]]:
        if len(corners) > 16 * SAMPLE_CELLS:  # of a large picture, not every cell need be looked at
            corners = corners[:: len(corners) // (16 * SAMPLE_CELLS)]

        def activity(corner: tuple[int, int]) -> float:
            row, column = corner
            cell = pixels[row : row + side, column : column + side].astype(np.float32)
            steps = [np.abs(np.diff(cell, axis=axis)).mean() for axis in (0, 1)]
            return float(sum(steps))

        ranked = sorted(corners, key=activity)
        count = min(SAMPLE_CELLS, len(ranked))
        return [ranked[(2 * number + 1) * len(ranked) // (2 * count)] for number in range(count)]

    def measure(self, step: int, *, of_rate: bool) -> Point:
        quality = self.codec.quality_tensor(step / QUALITY_STEPS).expand(len(self.x))
        result = self.codec.codec(self.x, quality)
        if of_rate:
            bits = float(result.bits.sum().item())
            return Point(step, math.log(max(bits, 1) / (self.x.numel() / 3)))
        rounded = (result.x_hat.clamp(0, 1) * self.peak + 0.5).floor()
        error = (rounded - self.x * self.peak).square().mean()
        return Point(step, math.log(max(float(error.item()), 1e-4)))

    def guess(self, wanted: float, slope: float, *, of_rate: bool) -> tuple[int, float]:
        """A step for the wanted value, and the slope there without the analysis's part."""
        middle = self.measure(LAST_STEP // 2, of_rate=of_rate)
        step = _bounded(middle.step + (wanted - middle.value) / slope)
        if abs(step - middle.step) >= QUALITY_STEPS:
            near = self.measure(step, of_rate=of_rate)
            secant = (near.value - middle.value) / (near.step - middle.step)
            if 0.4 < secant / slope < 2.5:
                slope = secant
            step = _bounded(near.step + (wanted - near.value) / slope)
        return step, slope * WITHOUT_ANALYSIS


def _bounded(step: float) -> int:
    return min(max(round(step), 0), LAST_STEP)
