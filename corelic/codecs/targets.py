"""Encode to a size or to a PSNR: the quality is found, the file is an ordinary one.

    picture ─┬─ forecast of a quality ─┐
             └─────────────────────────┴─► analysis ─► y ─┬─ quantise ─► size, or PSNR
                                                          └─ again, at a better guess ─► …

Rate and distortion are nearly geometric in λ, hence in quality, so the search goes along straight
lines in their logarithms; what a file has beside its latents, alpha and EXIF and the like, is the
same at every quality. Sizes are those of real files: coding takes a thirtieth of the time. A filter
is fitted last, to a file of a given size, the best for which there is room; of a given PSNR, it
would be too good.
PSNRs are those of drafts, decoded (`codecs.search`); of the last small step, which is quantised
exactly, no more is measured than how much its latents differ from what a draft has told.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

from corelic.codecs.chunks import chunks_of
from corelic.codecs.files import FileCodec
from corelic.codecs.forecast import Forecast
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import Progress, Quantised, silent
from corelic.codecs.rate import QUALITY_STEPS
from corelic.codecs.search import LAST_STEP, Search
from corelic.entropy.container import MAX_PIXELS
from corelic.errors import TargetError
from corelic.media import Picture

BPP_MAX = 1e6  # beyond what any file has
TRIALS = 8  # quantisations of the whole picture, drafts among them, at most
USUAL_TRIALS = 4  # from then on files are kept, in case that no trial is near enough
LARGEST_BYTES = 2**62  # no file is as large
HIGHEST_DB = 200.0  # no picture of 16 bits has as much
LEAST_BYTES = 4  # of latents: a logarithm is taken
LOG_PEAK = 2 * math.log(255)  # of a squared error; errors of all depths are in units of 8 bits
AIM, ENOUGH = 0.987, 0.974  # of the room for latents in a target size: where to go, to stay
TOLERANCE_DB = 0.045
# The last step need not be measured if it is this small: a slope told from one quantisation is
# right to a seventh, a secant to a tenth, and 0.05 dB shall be some three times that.
TRUSTED_DB, TRUSTED_WITH_SECANT_DB = 0.12, 0.15
LEAST_SYMBOLS = 5_000  # other than zero: with fewer, each quality is measured
LEAST_BITS = 6 * LEAST_SYMBOLS  # that they take
SURPRISE_DB = 0.02  # of the last step's latents: such a file is measured after all
# Of `swift` on held-out photographs, fitted by benchmarks/slopes.py: rate and error go with such
# powers of λ where the analysis stays what it was.
RATE_SLOPE, ERROR_SLOPE = 0.43, -0.41
LAMBDA = 0.0155  # in the middle
# The lesser power, of one picture: what the error has of quantisation changes, the rest does not.
OWN_SLOPE, OWN_EXPONENT, OWN_DRIFT = -0.465, 1.165, -0.057

# Of a quality: quantised and decoded, decoded as a draft, or quantised alone.
Next = Literal["measured", "drafted", "trusted"]


@dataclass(frozen=True, slots=True)
class Found:
    """A file that meets its target, and how often the picture was quantised for it.

    drafts  how many of the trials went without the exact context
    """

    data: bytes
    quality_step: int
    trials: int
    drafts: int
    analyses: int


@dataclass(frozen=True, slots=True)
class Coded:
    """What a file says, of latents that are not kept."""

    step: int
    crc32: int
    words: bytes


@dataclass(frozen=True, slots=True)
class Point:
    """`value` is a logarithm, of a rate or of an MSE; `analysis` counts those of the picture."""

    step: int
    value: float
    analysis: int


def check_target_bytes(target_bytes: int) -> None:
    """TargetError for less than one, and for what is no number."""
    if not isinstance(target_bytes, Real) or target_bytes != target_bytes:
        raise TargetError(f"{target_bytes!r} bytes", "that is no number; give one, as in 40_000")
    if target_bytes < 1:
        reason = "a file has at least some; give a positive size"
        raise TargetError(f"{target_bytes:,} bytes", reason)


def bytes_at(rate_bpp: float, pixels: int) -> int:
    """That a file of so many pixels may have, at least one; TargetError for what is no rate."""
    if not isinstance(rate_bpp, Real):
        raise TargetError(f"{rate_bpp!r} bpp", "that is no number; give one, as in 0.5")
    if not 0 < rate_bpp < math.inf:
        raise TargetError(f"{rate_bpp:g} bpp", "no file has such a rate; ask for 0.1 to 3")
    # No file has no bytes: of what is too small for any, the search says how small they get.
    return max(math.floor(min(rate_bpp, BPP_MAX) * pixels / 8), 1)


def check_target_psnr(target_db: float) -> None:
    """TargetError for what no picture can have, and for what is no number."""
    if not isinstance(target_db, Real):
        raise TargetError(f"{target_db!r} dB", "that is no number; give one, as in 35")
    if not 0 < target_db < math.inf:
        raise TargetError(f"{target_db:g} dB", "no picture has such a PSNR; ask for 25 to 45 dB")


def encode_to_size(
    codec: FileCodec,
    picture: Picture,
    target_bytes: int,
    *,
    max_pixels: int = MAX_PIXELS,
    memory_bytes: int = MEMORY_BYTES,
    progress: Progress = silent,
) -> Found:
    """The best file of at most `target_bytes`; TargetError if even quality 0 takes more."""
    check_target_bytes(target_bytes)
    target_bytes = min(target_bytes, LARGEST_BYTES)
    target = f"{target_bytes:,} bytes"
    with codec.working_on(picture, max_pixels):
        search = Search(codec, picture, memory_bytes, progress)
        picture = search.picture
        pixels = picture.width_px * picture.height_px
        scale = Scale(codec)
        chunks = chunks_of(picture)
        room_bytes = target_bytes - len(codec.file_of(picture, chunks, 0, 0, b""))
        wanted = math.log(max(AIM * room_bytes, LEAST_BYTES) * 8 / pixels)
        forecast = Forecast(picture.pixels)
        step = scale.last_step(lambda at: forecast.log_rate_bpp(at) <= wanted)
        if codec.effort:  # each quantisation takes long; without, files are a few percent larger
            try:
                step = encode_to_size(
                    codec.plain,
                    picture,
                    target_bytes,
                    max_pixels=max_pixels,
                    memory_bytes=memory_bytes,
                ).quality_step
            except TargetError:  # a few percent may be what it lacks
                step = 0
        slope = scale.slope(RATE_SLOPE)
        fits: tuple[int, bytes] | None = None
        smallest = sys.maxsize
        points: list[Point] = []
        low, high = 0, LAST_STEP  # where the answer may still be
        while search.trials < TRIALS:
            if search.trials == TRIALS - 1 and fits is None:
                step = 0
            analyses = search.analyses
            quantised = search.quantise(step)
            if search.analyses > analyses:  # what others gave bounds this one's no more
                low, high = 0, LAST_STEP
            crc32, words = quantised.latents.crc32, search.passes.words_of(quantised)
            y_hat = quantised.latents.y_hat
            del quantised  # before the next one is made
            data = codec.file_of(picture, chunks, step, crc32, words)
            smallest = min(smallest, len(data))
            rate_bpp = max(len(words), LEAST_BYTES) * 8 / pixels
            points.append(Point(step, math.log(rate_bpp), search.analyses))
            if len(data) > target_bytes:
                high = step - 1
            else:
                if fits is None or step > fits[0]:
                    fits = step, data
                low = step + 1
                enough = len(words) >= ENOUGH * room_bytes
                if fits[0] == step and (enough or low > high or search.trials == TRIALS):
                    room = target_bytes - len(data)
                    found = chunks + search.filter_chunk(y_hat, step, room)
                    fits = step, codec.file_of(picture, found, step, crc32, words)
                if enough:
                    break
            del y_hat
            if low > high:
                break
            step = min(max(math.floor(towards(wanted, points, slope)), low), high)
        if fits is None:
            raise TargetError(target, f"the smallest file has {smallest:,}; ask for that, or more")
        return Found(fits[1], fits[0], search.trials, search.drafts, search.analyses)


def encode_to_psnr(
    codec: FileCodec,
    picture: Picture,
    target_db: float,
    *,
    max_pixels: int = MAX_PIXELS,
    memory_bytes: int = MEMORY_BYTES,
    progress: Progress = silent,
) -> Found:
    """A file that decodes to this PSNR; TargetError if even quality 100 decodes to less."""
    check_target_psnr(target_db)
    target = f"{target_db:g} dB"
    with codec.working_on(picture, max_pixels):
        search = Search(codec, picture, memory_bytes, progress)
        picture = search.picture
        wanted = LOG_PEAK - min(target_db, HIGHEST_DB) * math.log(10) / 10
        scale = Scale(codec)
        then: Next = "measured"
        if codec.effort:  # as for sizes; and it has some 0.1 dB less
            try:
                step = encode_to_psnr(
                    codec.plain,
                    picture,
                    target_db,
                    max_pixels=max_pixels,
                    memory_bytes=memory_bytes,
                ).quality_step
            except TargetError:
                step = LAST_STEP
        else:
            forecast = Forecast(picture.pixels)
            step = scale.last_step(lambda at: forecast.log_error(at) >= wanted)
            rate_bpp = math.exp(forecast.log_rate_bpp(scale.at(step)))
            enough = rate_bpp * picture.width_px * picture.height_px >= LEAST_BITS
            then = "drafted" if enough and 0 < step < LAST_STEP else "measured"
        points: list[Point] = []
        low, high = 0, LAST_STEP
        log_share = expected = 0.0
        nearest: Coded | None = None  # of what was measured, where the last one need not be
        nearest_db = math.inf
        while True:
            analyses = search.analyses
            if then == "drafted":
                y_hat = search.draft(step)
            else:
                quantised = search.quantise(step)
                y_hat = quantised.latents.y_hat
            if search.analyses > analyses:  # what others gave bounds this one's no more
                low, high = 0, LAST_STEP
            of_quantising = math.log(search.quantisation_error(y_hat, step))
            if then == "trusted":
                off_db = _db(math.exp(log_share) * (of_quantising - expected))
                if abs(off_db) <= SURPRISE_DB:
                    nearest = None
                    break
            value = math.log(search.error(y_hat, step))
            points.append(Point(step, value, search.analyses))
            log_share = of_quantising - value
            slope = scale.slope(own_slope(log_share, scale.at(step)))
            gap_db = _db(value - wanted)
            # Where little is coded, a few symbols make more than a slope tells.
            smooth = search.symbols >= LEAST_SYMBOLS
            if then != "drafted":
                if abs(gap_db) <= TOLERANCE_DB:
                    nearest = None
                    break
                kept = search.trials > USUAL_TRIALS or not smooth
                if kept and abs(gap_db) < nearest_db:
                    nearest, nearest_db = _coded(search, quantised, step), abs(gap_db)
                low, high = (step + 1, high) if gap_db > 0 else (low, step - 1)
                if low > high or search.trials == TRIALS:
                    break
                del quantised
            del y_hat
            step = min(max(round(towards(wanted, points, slope)), low), high)
            # At an end, the target may be beyond it.
            drafts = then == "drafted" and smooth and low < step < high
            trusted = TRUSTED_DB if _secant(points) is None else TRUSTED_WITH_SECANT_DB
            if drafts and abs(gap_db) <= trusted and search.can_foretell(step):
                then = "trusted"
                expected = math.log(search.draft_quantisation_error(step))
            else:
                then = "drafted" if drafts and search.trials < USUAL_TRIALS else "measured"
        if step == LAST_STEP and points[-1].value > wanted:
            best_db = _db(LOG_PEAK - points[-1].value)
            if target_db - best_db > TOLERANCE_DB:
                reason = f"this codec reaches {best_db:.2f} dB for this picture; ask for less"
                raise TargetError(target, reason)
        coded = nearest or _coded(search, quantised, step)
        data = codec.file_of(picture, chunks_of(picture), coded.step, coded.crc32, coded.words)
        return Found(data, coded.step, search.trials, search.drafts, search.analyses)


def _coded(search: Search, quantised: Quantised, step: int) -> Coded:
    return Coded(step, quantised.latents.crc32, search.passes.words_of(quantised))


def own_slope(log_share: float, log_lambda: float) -> float:
    """The power of λ that the error of a picture goes with, for an analysis that stays.

    log_share  of `Search.quantisation_error` in the error
    """
    nats = OWN_EXPONENT * log_share + OWN_DRIFT * (log_lambda - math.log(LAMBDA))
    return _plausible(OWN_SLOPE * math.exp(nats), ERROR_SLOPE)


class Scale:
    """Between λ and the quality steps of a codec."""

    def __init__(self, codec: FileCodec) -> None:
        spec = codec.spec
        self.lambda_min = spec.lambda_min
        self.nats_per_step = math.log(spec.lambda_max / spec.lambda_min) / LAST_STEP

    def slope(self, exponent: float) -> float:
        """Of a logarithm that goes with λ ** exponent, per quality step."""
        return exponent * self.nats_per_step

    def at(self, step: int) -> float:
        """log λ."""
        return math.log(self.lambda_min) + step * self.nats_per_step

    def last_step(self, is_below: Callable[[float], bool]) -> int:
        """The last one of which this is true, of its log λ; the first one if it is of none."""
        beyond = bisect(range(LAST_STEP + 1), False, key=lambda step: not is_below(self.at(step)))
        return max(beyond - 1, 0)


def towards(wanted: float, points: list[Point], slope: float) -> float:
    """The next step, from what the last ones gave."""
    secant = _secant(points) or _secant([replace(point, analysis=0) for point in points])
    return points[-1].step + (wanted - points[-1].value) / _plausible(secant or slope, slope)


def _secant(points: list[Point]) -> float | None:
    """Slope from the last point to an earlier one of the same analysis."""
    last = points[-1]
    for other in reversed(points[:-1]):
        # Over two neighbours it would be mostly rounding.
        if other.analysis == last.analysis and abs(last.step - other.step) >= QUALITY_STEPS:
            return (last.value - other.value) / (last.step - other.step)
    return None


def _plausible(slope: float, usual: float) -> float:
    """A measured slope, unless it cannot be that of a picture."""
    return slope if 0.2 < slope / usual < 4 else usual


def _db(nats: float) -> float:
    return nats * 10 / math.log(10)
