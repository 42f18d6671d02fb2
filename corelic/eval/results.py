"""What a benchmark found, as a folder: written by `bench`, read by `report`, and by other programs.

curves/CODEC.json  CompressAI's layout, and in `curve_per_picture` the same for each picture
pictures.csv       a line for each codec, picture and quality
run.json           what was asked, of whom, on what; BD-rates; failures
costs.json         seconds and bytes of memory: the only figures that differ from run to run
cells/             results of finished tasks; a run goes on from there
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from corelic.codecs.base import CodecFacts
from corelic.disk import atomic_write, make_folder, read_file
from corelic.errors import CorelicError, OutputError
from corelic.eval import published
from corelic.eval.averages import Average
from corelic.eval.metrics import ms_ssim_db
from corelic.eval.rate_distortion import (
    BdRate,
    Curve,
    CurveError,
    Distribution,
    Metric,
    bd_rate,
    bd_rates_by_picture,
    read_curve,
    to_json,
)
from corelic.eval.tasks import Measured, Shown

METRICS: tuple[Metric, ...] = ("psnr", "ms-ssim")

Rows = dict[str, dict[str, dict[float, Measured]]]  # by codec, picture, quality

SLUG_LETTERS = 80  # of a name that may be a whole path; disks take some 250


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked.

    codecs     names, as `open_image_codec` takes them
    anchor     a codec of the run, a published curve, or a curve's file
    qualities  the same for all codecs; None: those that each codec declares
    sample     how many pictures, evenly spread, are timed and shown
    rounds     of which a time is the median
    """

    codecs: tuple[str, ...]
    anchor: str
    qualities: tuple[float, ...] | None = None
    average: Average = "picture"
    device: str = "cpu"
    sample: int = 2
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class PictureFacts:
    name: str
    sha256: str
    width_px: int
    height_px: int
    averaged: bool  # else some codec failed on it


@dataclass(frozen=True, slots=True)
class BdRow:
    """One curve against the anchor; `rate` is None where there is none, and `reason` says why."""

    curve: str
    anchor: str
    metric: Metric
    rate: BdRate | None
    pictures: Distribution
    warnings: tuple[str, ...]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Cost:
    """Means over what was timed, seconds per megapixel; None where it was not."""

    codec: str
    encode_s: float | None
    decode_s: float | None
    encode_one_core_s: float | None
    decode_one_core_s: float | None
    peak_bytes: int | None
    in_process: bool


@dataclass(frozen=True, slots=True)
class ShownAt:
    """Where in `cells/` a picture for the viewer is; codec and rate are None of an original."""

    picture: str
    codec: str | None
    target_bpp: float | None
    key: str


@dataclass(frozen=True, slots=True)
class FailureText:
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """All but curves, rows and costs. `codecs` are those that have a curve."""

    plan: Plan
    codecs: tuple[CodecFacts, ...]
    pictures: tuple[PictureFacts, ...]
    failures: tuple[FailureText, ...]
    bd_rates: tuple[BdRow, ...]
    shown: tuple[ShownAt, ...]
    machine: dict[str, object]

    @property
    def averaged(self) -> tuple[str, ...]:
        return tuple(picture.name for picture in self.pictures if picture.averaged)


@dataclass(frozen=True, slots=True)
class Results:
    run: Run
    curves: tuple[Curve, ...]
    costs: tuple[Cost, ...]


class ResultsError(CorelicError, ValueError):
    """A folder that holds no finished benchmark."""

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(folder, reason)
        self.folder, self.reason = folder, reason

    def __str__(self) -> str:
        return f"{self.folder} holds no finished benchmark ({self.reason}); run corelic bench first"


def bd_rows(anchor_name: str, curves: tuple[Curve, ...], pictures: int) -> tuple[BdRow, ...]:
    """Every curve in every metric; `pictures` is how many the curves average over."""
    both = product(curves, METRICS)
    try:
        anchor = find_anchor(anchor_name, curves)
    except CorelicError:  # a codec that failed on every picture; its name may be a folder's
        reason = f"the anchor {anchor_name} has no curve"
        return tuple(_no_rate(curve.name, anchor_name, metric, reason) for curve, metric in both)
    anchor_average = average_of(anchor_name, anchor)
    rows = []
    for curve, metric in both:
        try:
            rate = bd_rate(anchor, curve, metric=metric)
        except CurveError as error:
            of_anchor = error.source == anchor.name != curve.name
            reason = f"the anchor {anchor_name} {error.reason}" if of_anchor else error.reason
            rows.append(_no_rate(curve.name, anchor_name, metric, reason))
            continue
        each = bd_rates_by_picture(anchor, curve, metric=metric)
        of_sets = published.of_other_sets(anchor_name, curve.name, pictures)
        of_averages = of_other_averages(anchor_average, average_of(curve.name, curve))
        warnings = (*rate.warnings, *of_sets, *of_averages)
        rows.append(BdRow(curve.name, anchor_name, metric, rate, each, warnings, None))
    return tuple(rows)


def _no_rate(curve: str, anchor: str, metric: Metric, reason: str) -> BdRow:
    return BdRow(curve, anchor, metric, None, Distribution((), ()), (), reason)


def of_other_averages(anchor_average: str | None, average: str | None) -> list[str]:
    """A warning where a mean of pictures is compared to one of pixels, as far as can be told."""
    if anchor_average is None or average is None or average == anchor_average:
        return []
    return [
        f"its points are averages by {average}, the anchor's by {anchor_average}: "
        "perhaps off by some points"
    ]


def average_of(name: str, curve: Curve) -> str | None:
    """As the curve says, or its file; published ones are of pictures (`meta.aggregation`)."""
    if curve.average is not None:
        return curve.average
    if name in published.names():
        return "picture"
    with suppress(CorelicError):  # no file, but a codec
        return published.find(name).average
    return None


def find_anchor(name: str, curves: tuple[Curve, ...]) -> Curve:
    """A codec of the run that has a curve, else a published curve or a file; else CurveError."""
    for curve in curves:
        if curve.name == name:
            return curve
    return published.find(name)


def make_ours(folder: Path, *names: str) -> None:
    """Makes a folder of results; OutputError where one of these is in it, and not all of them.

    Nor `cells`, with which a run begins, and which may be deleted when it is done.
    """
    make_folder(folder)
    there = [name for name in names if (folder / name).exists()]
    for name in there:
        if len(there) < len(names) and not (folder / "cells").is_dir():
            reason = "it exists already, and is of no such run; give another folder with -o"
            raise OutputError(str(folder / name), reason)


def write(results: Results, rows: Rows, folder: Path) -> None:
    run = results.run
    (folder / "curves").mkdir(exist_ok=True)
    files = curve_files(facts.name for facts in run.codecs)
    # Curves of a codec that is no longer in the run would be of pictures of then.
    stale = {folder / "curves" / name for name in _files_of(folder) - set(files.values())}
    for path in stale:
        if os.path.realpath(path) != os.path.realpath(run.plan.anchor):  # which may be such a one
            path.unlink(missing_ok=True)
    for curve, facts in zip(results.curves, run.codecs, strict=True):
        meta = {
            "colour": facts.colour,
            "version": facts.version,
            "average": run.plan.average,
            "anchor": run.plan.anchor,
            "pictures": run.averaged,
            "qualities": [float(quality) for quality in run.plan.qualities or facts.qualities],
            "machine": run.machine,
        }
        content = json.dumps({**to_json(curve), "meta": meta}, indent=1) + "\n"
        atomic_write(folder / "curves" / files[curve.name], content.encode(), overwrite=True)
    atomic_write(folder / "pictures.csv", _table(run, rows).encode(), overwrite=True)
    costs = TypeAdapter(tuple[Cost, ...]).dump_json(results.costs, indent=1)
    atomic_write(folder / "costs.json", costs + b"\n", overwrite=True)
    facts_of_run = TypeAdapter(Run).dump_json(run, indent=1)
    atomic_write(folder / "run.json", facts_of_run + b"\n", overwrite=True)


def _files_of(folder: Path) -> set[str]:
    """The curves of the run that was written here before, if any was."""
    with suppress(OSError, ValidationError):
        run = TypeAdapter(Run).validate_json((folder / "run.json").read_bytes())
        return set(curve_files(facts.name for facts in run.codecs).values())
    return set()


def read(folder: Path) -> Results:
    """What `write` wrote; ResultsError for anything else."""
    try:
        run = TypeAdapter(Run).validate_json((folder / "run.json").read_bytes())
        costs = TypeAdapter(tuple[Cost, ...]).validate_json((folder / "costs.json").read_bytes())
    except (OSError, ValidationError) as error:
        reason = getattr(error, "strerror", None) or "its run.json is of another version"
        raise ResultsError(str(folder), reason) from error
    files = curve_files(facts.name for facts in run.codecs)
    curves = tuple(read_curve(folder / "curves" / file) for file in files.values())
    return Results(run, curves, costs)


def read_shown(folder: Path, shown: ShownAt) -> Shown:
    """From the cells; CorelicError where they were removed."""
    return TypeAdapter(Shown).validate_json(read_file(folder / "cells" / f"{shown.key}.json"))


def curve_files(names: Iterable[str]) -> dict[str, str]:
    """A file for each name, which are different; those that make one slug get a digest as well."""
    slugs = {name: slug(name) for name in names}
    counts = Counter(found.lower() for found in slugs.values())  # some disks ignore case
    return {
        name: f"{found}.json"
        if counts[found.lower()] == 1
        else f"{found}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"
        for name, found in slugs.items()
    }


def slug(name: str) -> str:
    """A name as a file name, of its first letters; others may become the same one."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name)[:SLUG_LETTERS]


def _table(run: Run, rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rates = "file_bytes", "pixels", "bpp"
    qualities = "psnr_db", "psnr_y_db", "ssim", "ms_ssim", "ms_ssim_db"
    writer.writerow(["codec", "picture", "quality", *rates, *qualities, "averaged"])
    averaged, codecs = run.averaged, [facts.name for facts in run.codecs]
    for codec, of_codec in rows.items():
        for name, of_picture in of_codec.items():
            counted = "yes" if name in averaged and codec in codecs else "no"
            for quality, row in sorted(of_picture.items()):
                rate = row.file_bytes, row.pixels, row.rate_bpp
                similar_db = None if row.ms_ssim is None else ms_ssim_db(row.ms_ssim)
                distances = row.psnr_db, row.psnr_y_db, row.ssim, row.ms_ssim, similar_db
                writer.writerow([codec, name, quality, *rate, *distances, counted])
    return text.getvalue()
