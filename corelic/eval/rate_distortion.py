"""Rate–distortion curves, and how far one is from another.

    curve:  rate against quality, one point per setting, each the mean over a set of pictures
    BD-rate: by how much the rate differs at equal quality, on average

Bjøntegaard, "Calculation of average PSNR differences between RD-curves", ITU-T VCEG-M33, 2001. Ours
differs: not one cubic through all points but a monotone one between neighbours (pchip), as the
reference software of HEVC and VVC does since 2013, because a polynomial through 8 points swings.
Files have the layout of CompressAI's results, so that published curves can be read as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
from scipy.interpolate import PchipInterpolator

from corelic.disk import read_file
from corelic.errors import CorelicError
from corelic.eval.metrics import ms_ssim_db

Metric = Literal["psnr", "ms-ssim"]

# Of columns that CompressAI has no name for.
PSNR_Y, SSIM = "psnr-y", "ssim-rgb"
MIN_POINTS = 2
SOUND_POINTS = 4  # what Bjøntegaard's own method needs
SOUND_OVERLAP = 0.5  # of the range of either curve
ROUNDING_DB = 0.005
NAMED = 3  # pictures in a message, at most


class CurveError(CorelicError, ValueError):
    """A curve that cannot be read or compared; `reason` says why, and what would do."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of a codec over a set of pictures: means of what each picture has.

    rate_bpp  bits of the whole file per pixel
    psnr_db   None where it was not measured, as are all others
    ms_ssim   0 … 1, as is ssim
    """

    rate_bpp: float
    psnr_db: float | None
    ms_ssim: float | None = None
    psnr_y_db: float | None = None
    ssim: float | None = None

    def quality_db(self, metric: Metric) -> float | None:
        if metric == "psnr":
            return self.psnr_db
        return None if self.ms_ssim is None else ms_ssim_db(self.ms_ssim)


@dataclass(frozen=True, slots=True)
class Curve:
    """A codec's points, in any order; where they are known, those of each picture, by its name.

    average  what counts the same in each point, "picture" or "pixel"; None where it is not said
    """

    name: str
    points: tuple[Point, ...]
    description: str = ""
    pictures: tuple[Curve, ...] = ()
    average: str | None = None


@dataclass(frozen=True, slots=True)
class BdRate:
    """Mean difference in rate at equal quality.

    percent   below 0: the curve needs less than its anchor
    low_db    where the comparison begins, and
    high_db   where it ends
    warnings  why the figure may mislead, a sentence each
    """

    percent: float
    low_db: float
    high_db: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """BD-rates of single pictures: what the figure of the mean curve hides.

    percents  by picture, in the order of the curve
    left_out  pictures whose curves cannot be compared, with the reason
    """

    percents: tuple[tuple[str, float], ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def quartiles(self) -> tuple[float, float, float, float, float]:
        """Least, first quartile, median, third quartile, greatest; nan where there is none."""
        values = [percent for _, percent in self.percents] or [math.nan]
        low, first, median, third, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
        return low, first, median, third, high


def bd_rates_by_picture(
    anchor: Curve,
    curve: Curve,
    *,
    metric: Metric = "psnr",
    interval_db: tuple[float, float] | None = None,
) -> Distribution:
    """One BD-rate for each picture that both curves have; as `bd_rate`."""
    anchors = {picture.name: picture for picture in anchor.pictures}
    percents, left_out = [], []
    for picture in curve.pictures:
        if picture.name in anchors:
            try:
                other = anchors[picture.name]
                found = bd_rate(other, picture, metric=metric, interval_db=interval_db)
                percents.append((picture.name, found.percent))
            except CurveError as error:
                left_out.append((picture.name, error.reason))
    return Distribution(tuple(percents), tuple(left_out))


def bd_rate(
    anchor: Curve,
    curve: Curve,
    *,
    metric: Metric = "psnr",
    interval_db: tuple[float, float] | None = None,
) -> BdRate:
    """How much more rate `curve` needs than `anchor` at equal quality, in percent.

    interval_db  compares there; None: wherever both curves are. MS-SSIM counts in dB, too. Bounds
                 may be rounded to hundredths, as they are shown.

    Points without an error, and those that were not measured, are left out, with a warning.

    Raises CurveError where a curve has no two points, or does not reach over the interval.
    """
    both = _Rate.of(anchor, metric), _Rate.of(curve, metric)
    reach = max(rate.low_db for rate in both), min(rate.high_db for rate in both)
    low_db, high_db = interval_db or reach
    if reach[0] - ROUNDING_DB <= low_db and high_db <= reach[1] + ROUNDING_DB:
        low_db, high_db = max(reach[0], low_db), min(reach[1], high_db)
    if not reach[0] <= low_db < high_db <= reach[1]:
        found = " and ".join(f"{rate.name} {rate.low_db:.2f} … {rate.high_db:.2f}" for rate in both)
        wanted = f"{low_db:g} … {high_db:g} dB" if interval_db else "a range of both"
        reason = f"cannot be compared over {wanted}: {found} dB; measure further qualities"
        raise CurveError(curve.name, reason)
    anchor_log_rate, log_rate = (rate.mean_log_rate(low_db, high_db) for rate in both)
    warnings = [warning for rate in both for warning in rate.warnings(low_db, high_db)]
    warnings += _of_other_pictures(anchor, curve)
    percent = 100 * math.expm1(log_rate - anchor_log_rate)
    return BdRate(percent, low_db, high_db, tuple(dict.fromkeys(warnings)))


def _of_other_pictures(anchor: Curve, curve: Curve) -> list[str]:
    """A warning where both curves know their pictures, and are averages over different ones."""
    known, own = ({picture.name for picture in each.pictures} for each in (anchor, curve))
    if not known or not own or known == own:
        return []
    both = len(known & own)
    return [
        f"{curve.name} is over {len(own)} pictures and {anchor.name} over {len(known)}, of which "
        f"{both} are the same by name: perhaps off by tens of points"
    ]


def read_curve(path: Path) -> Curve:
    """From a file in CompressAI's layout, whatever else is in it; CurveError for any other."""
    data = read_file(path)
    layout = "CompressAI's layout; that has a name and results with bpp"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:  # which may quote all of a binary file
        raise CurveError(str(path), f"is not JSON, and so no curve in {layout}") from error
    try:
        return _curve(content)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise CurveError(str(path), f"is not a curve in {layout} ({error!r})") from error


def _curve(content: Any) -> Curve:
    results = content["results"]
    missing = [None] * len(results["bpp"])
    rows = zip(
        results["bpp"],
        results.get("psnr-rgb", missing),
        *(results.get(column, missing) for column in ("ms-ssim-rgb", PSNR_Y, SSIM)),
        strict=True,
    )
    return Curve(
        name=str(content["name"]),
        points=tuple(Point(_rate(row[0]), *map(_number, row[1:])) for row in rows),
        description=str(content.get("description", "")),
        # Ours, which other readers of the layout pass over.
        pictures=tuple(_curve(picture) for picture in content.get("curve_per_picture", ())),
        average=_average(content.get("meta")),
    )


def _average(meta: Any) -> str | None:
    average = meta.get("average") if isinstance(meta, dict) else None
    return average if isinstance(average, str) else None


def to_json(curve: Curve) -> dict[str, Any]:
    """CompressAI's layout, for `json.dumps`; what no point has is left out, infinity is null."""
    columns: dict[str, list[float | None]] = {
        "bpp": [point.rate_bpp for point in curve.points],
        "psnr-rgb": [_finite(point.psnr_db) for point in curve.points],
        "ms-ssim-rgb": [point.ms_ssim for point in curve.points],
        PSNR_Y: [_finite(point.psnr_y_db) for point in curve.points],
        SSIM: [point.ssim for point in curve.points],
    }
    results = {key: values for key, values in columns.items() if set(values) != {None}}
    content: dict[str, Any] = {"name": curve.name, "description": curve.description}
    content["results"] = results
    if curve.pictures:
        content["curve_per_picture"] = [to_json(picture) for picture in curve.pictures]
    return content


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _rate(value: object) -> float:
    rate_bpp = _number(value)
    if rate_bpp is None or not math.isfinite(rate_bpp):
        raise ValueError(f"{value!r} is no rate")
    return float(rate_bpp)


def _number(value: object) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(f"{value!r} is no number")


def _lacks(picture: Curve, metric: Metric) -> bool:
    """Whether means over this picture lack a finite quality somewhere."""
    return not all(_is_finite(point.quality_db(metric)) for point in picture.points)


def _is_finite(quality_db: float | None) -> TypeGuard[float]:
    """In memory a lossless point is infinite, in a file it is null, as what was not measured."""
    return quality_db is not None and quality_db != math.inf


def _named(pictures: Sequence[str]) -> str:
    """The first of them."""
    others = [f"{len(pictures) - NAMED} others"] if len(pictures) > NAMED else []
    return ", ".join([*pictures[:NAMED], *others])


@dataclass(frozen=True, slots=True, eq=False)
class _Rate:
    """A curve as a function: quality in dB, strictly ascending -> ln bpp.

    left_out  points without a finite quality
    lacking   pictures that have such points, as text
    """

    name: str
    quality_db: tuple[float, ...]
    log_rate: tuple[float, ...]
    left_out: int
    lacking: str

    @classmethod
    def of(cls, curve: Curve, metric: Metric) -> _Rate:
        pairs = [(point.quality_db(metric), point.rate_bpp) for point in curve.points]
        # A curve must be the same in memory and from a file.
        finite = [(quality, rate) for quality, rate in pairs if _is_finite(quality)]
        # Of a codec with few levels, two qualities may be the same file.
        points = sorted(set(finite))
        lacking = [one.name for one in curve.pictures if _lacks(one, metric)]
        if len(lacking) == len(curve.pictures):  # then it is not they
            lacking = []
        if len(points) < MIN_POINTS:
            reason = f"has {len(points)} points with a finite {metric}, and needs {MIN_POINTS}"
            remedy = "measure more qualities" if finite else "it was not measured, or is lossless"
            if lacking:
                remedy = f"leave out {_named(lacking)}, which have none at some qualities"
            raise CurveError(curve.name, f"{reason}; {remedy}")
        if any(rate <= 0 or not math.isfinite(rate + quality) for quality, rate in points):
            reason = "has a rate or a quality without a logarithm; leave those points out"
            raise CurveError(curve.name, reason)
        for (quality, _), (following, _) in pairwise(points):
            if quality == following:
                reason = f"has two points of {quality:g} dB; leave one out"
                raise CurveError(curve.name, reason)
        return cls(
            name=curve.name,
            quality_db=tuple(quality for quality, _ in points),
            log_rate=tuple(math.log(rate) for _, rate in points),
            left_out=len(pairs) - len(finite),
            lacking=_named(lacking),
        )

    @property
    def low_db(self) -> float:
        return self.quality_db[0]

    @property
    def high_db(self) -> float:
        return self.quality_db[-1]

    def mean_log_rate(self, low_db: float, high_db: float) -> float:
        integral = PchipInterpolator(self.quality_db, self.log_rate).antiderivative()
        return float(integral(high_db) - integral(low_db)) / (high_db - low_db)

    def warnings(self, low_db: float, high_db: float) -> list[str]:
        found = []
        if self.left_out:
            count = f"{self.left_out} of {self.left_out + len(self.quality_db)} points"
            because = f", because of {self.lacking}" if self.lacking else ""
            reason = f"are lossless or not measured{because}, and left out"
            found.append(f"{count} of {self.name} {reason}")
        if len(self.quality_db) < SOUND_POINTS:
            found.append(f"{self.name} has only {len(self.quality_db)} points")
        share = (high_db - low_db) / (self.high_db - self.low_db)
        if share < SOUND_OVERLAP:
            found.append(f"the comparison covers only {share:.0%} of the range of {self.name}")
        if any(rate >= following for rate, following in pairwise(self.log_rate)):
            found.append(f"at some point {self.name} has more quality for no more rate")
        return found
