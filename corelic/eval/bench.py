"""A rate–distortion benchmark: pictures × codecs × qualities, from files on disk to results.

    pictures ─► Measure, interleaved by codec ─► store ─► curves/*.json, pictures.csv
                Clock on a few, alone               └──► costs.json
                Show on a few                       └──► the report's viewer

A folder of results is also where a run goes on: finished tasks are in its `cells/`. What fails is
named, and left out of every codec's average, so that all averages are over the same pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from corelic.codecs.base import CodecFacts
from corelic.console import printable
from corelic.disk import read_file
from corelic.errors import CorelicError, PeerError, PictureError
from corelic.eval import averages, published, results
from corelic.eval.engines import Engine, Kind, Progress, Read, Serial, finish, silent
from corelic.eval.machine import machine
from corelic.eval.results import (
    Cost,
    FailureText,
    PictureFacts,
    Plan,
    Results,
    Rows,
    Run,
    ShownAt,
)
from corelic.eval.store import Store
from corelic.eval.tasks import (
    Clock,
    Clocked,
    Measure,
    Memory,
    Show,
    ShowOriginal,
    Subject,
    Task,
    opened,
    subject_of,
)
from corelic.jobs import Failure
from corelic.media import read_picture
from corelic.tree import distinct_names
from corelic.workers import usable_cores

SHOWN_BPP = (0.25, 0.5, 1.0)
TIMED_QUALITIES = 3
MEMORY_QUALITY = 50.0
NO_FILES = "there are no files, and folders inside a folder are not looked into; name them"


@dataclass(frozen=True, slots=True)
class PictureFile:
    """`name` is that of the file, with as many of its folders as tell it from the others."""

    name: str
    digest: str
    width_px: int
    height_px: int
    path: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves; the folder has it all."""

    results: Results
    failures: tuple[Failure, ...]


class NoPicturesError(CorelicError, ValueError):
    """There is nothing to average over."""

    def __str__(self) -> str:
        return f"no picture is left to measure on: {self.args[0]}"


def run(
    plan: Plan,
    sources: Sequence[Path],
    out: Path,
    *,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Outcome:
    """Does what is not done yet, then writes all results into `out`.

    Raises CorelicError for what no picture can help: an unknown codec or anchor, a missing package.
    """
    facts = told_apart({name: opened(name, plan.device).facts for name in plan.codecs})
    named = {found.name for found in facts.values()}
    if plan.anchor in facts:  # curves have names of their own, with a generation
        plan = replace(plan, anchor=facts[plan.anchor].name)
    elif plan.anchor not in named:
        published.find(plan.anchor)  # a misspelt one is said now
    pictures, failures = inventory(sources)
    if not pictures:
        raise NoPicturesError("; ".join(map(str, failures)) or NO_FILES)
    results.make_ours(out, "curves", "pictures.csv", "costs.json", "run.json")
    bench = _Bench(plan, facts, pictures, Store(out / "cells"), engine or Serial(), progress)
    rows, failed = bench.measure()
    codecs, kept = bench.complete(rows)
    if not kept:
        raise NoPicturesError("; ".join(map(str, [*failures, *failed])))
    sample = _spread(kept, plan.sample)
    costs, failed_costs = bench.costs(codecs, sample)
    shown, failed_shows = bench.show(codecs, sample, rows)
    failures = [*failures, *failed, *failed_costs, *failed_shows]
    curves = tuple(
        replace(
            averages.curve(
                facts[name].name,
                f"{facts[name].title}, {facts[name].colour}",
                {picture.name: rows[name][picture.name] for picture in kept},
                plan.average,
            ),
            average=plan.average,
        )
        for name in codecs
    )
    whole_run = Run(
        plan=plan,
        codecs=tuple(facts[name] for name in codecs),
        pictures=tuple(
            PictureFacts(p.name, p.digest, p.width_px, p.height_px, averaged=p in kept)
            for p in pictures
        ),
        # Names of files may hold what no text does.
        failures=tuple(
            FailureText(printable(failure.name), printable(str(failure))) for failure in failures
        ),
        bd_rates=results.bd_rows(plan.anchor, curves, len(kept)),
        shown=tuple(shown),
        machine=machine(plan.device),
    )
    whole = Results(whole_run, curves, tuple(costs))
    results.write(whole, {facts[name].name: of for name, of in rows.items()}, out)
    return Outcome(whole, tuple(failures))


def told_apart(facts: dict[str, CodecFacts]) -> dict[str, CodecFacts]:
    """With different names; PeerError where two are the same codec.

    Exports of one's own are all of generation 0: they are called by their files as well.
    """
    known: dict[tuple[str, str], str] = {}
    for asked, found in facts.items():
        other = known.setdefault((found.name, found.version), asked)
        if other != asked:
            raise PeerError(found.name, f"{other} and {asked} are one; leave one out")
    counts = Counter(found.name for found in facts.values())
    return {
        asked: found
        if counts[found.name] == 1
        else replace(found, name=f"{found.name} ({asked})", title=f"{found.title} ({asked})")
        for asked, found in facts.items()
    }


def inventory(sources: Sequence[Path]) -> tuple[list[PictureFile], list[Failure]]:
    """Every file named, and every file in a folder named; those that are no pictures fail.

    A file that is named twice counts once.
    """
    found, failures = [], []
    paths = list({os.path.realpath(path): path for path in _files(sources)}.values())
    for path, name in zip(paths, distinct_names(paths), strict=True):
        try:
            data = read_file(path)
            picture = read_picture(data, name=str(path))
            digest = hashlib.sha256(data).hexdigest()
            size = picture.width_px, picture.height_px
            found.append(PictureFile(name, digest, *size, path))
        except CorelicError as error:
            failures.append(Failure(str(path), error))
    return found, failures


def reader(pictures: Sequence[PictureFile]) -> Read:
    """For engines: the file of a task's picture; PictureError where it is another one by now."""
    paths = {picture.digest: picture.path for picture in pictures}

    def read(task: Task) -> bytes:
        path, digest = paths[task.subject.digest], task.subject.digest
        data = read_file(path)
        if hashlib.sha256(data).hexdigest() != digest:
            raise PictureError(str(path), "has changed since the run began; run it again")
        return data

    return read


def _files(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            # A link that leads nowhere shall fail by name.
            inside = (path for path in source.iterdir() if path.is_file() or not path.exists())
            yield from sorted(path for path in inside if not path.name.startswith("."))
        else:
            yield source


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    plan: Plan
    facts: dict[str, CodecFacts]
    pictures: list[PictureFile]
    store: Store
    engine: Engine
    progress: Progress

    def subject(self, codec: str, picture: PictureFile) -> Subject:
        return subject_of(codec, self.plan.device, picture.name, picture.digest)

    def qualities(self, codec: str) -> tuple[float, ...]:
        asked = self.plan.qualities or self.facts[codec].qualities
        return tuple(float(quality) for quality in asked)  # 10 and 10.0 are one in every file

    def measure(self) -> tuple[Rows, list[Failure]]:
        """By codec, picture, quality. One picture after the other, and all codecs by turns."""
        tasks: dict[Measure, tuple[str, str, float]] = {}
        for picture in self.pictures:
            for place in range(max(len(self.qualities(codec)) for codec in self.plan.codecs)):
                for codec in self.plan.codecs:
                    if place < len(self.qualities(codec)):
                        quality = self.qualities(codec)[place]
                        task = Measure(self.subject(codec, picture), quality)
                        tasks[task] = codec, picture.name, quality
        found, failures = self._do(list(tasks), self.engine)
        rows: Rows = {codec: {} for codec in self.plan.codecs}
        for task, (codec, name, quality) in tasks.items():
            if task in found:
                rows[codec].setdefault(name, {})[quality] = found[task]
        return rows, failures

    def complete(self, rows: Rows) -> tuple[list[str], list[PictureFile]]:
        """Codecs that have any picture in full, and the pictures that all of those have so."""

        def full(codec: str, picture: PictureFile) -> bool:
            return rows[codec].get(picture.name, {}).keys() == set(self.qualities(codec))

        codecs = [codec for codec in rows if any(full(codec, p) for p in self.pictures)]
        whole = [p for p in self.pictures if all(full(codec, p) for codec in codecs)]
        return codecs, whole if codecs else []

    def costs(
        self, codecs: Sequence[str], sample: Sequence[PictureFile]
    ) -> tuple[list[Cost], list[Failure]]:
        """Alone on this machine, whatever the engine: a time beside other work is none."""
        where = {**machine(self.plan.device), "cores": usable_cores(), "host": platform.node()}
        told = json.dumps(where, sort_keys=True)
        here = hashlib.sha256(told.encode()).hexdigest()[:16]
        clocks: dict[Clock, str] = {}
        for picture in sample:
            for place in range(TIMED_QUALITIES):
                for codec in codecs:
                    timed = _spread(self.qualities(codec), TIMED_QUALITIES)
                    quality = timed[min(place, len(timed) - 1)]
                    subject = self.subject(codec, picture)
                    clocks[Clock(subject, quality, self.plan.rounds, here)] = codec
        largest = sorted(sample, key=lambda p: p.width_px * p.height_px)[-1:]
        memories: dict[Memory, str] = {
            Memory(self.subject(codec, picture), MEMORY_QUALITY, here): codec
            for codec in codecs
            for picture in largest
        }
        times, failures = self._do(list(clocks), Serial())
        peaks, failed = self._do(list(memories), Serial())
        found = []
        for codec in codecs:
            of_codec = [times[task] for task, of in clocks.items() if of == codec and task in times]
            peak = [peaks[task] for task, of in memories.items() if of == codec and task in peaks]
            facts, peak_bytes = self.facts[codec], peak[0].peak_bytes if peak else None
            seconds = _per_megapixel(of_codec)
            found.append(Cost(facts.name, *seconds, peak_bytes, in_process=facts.in_process))
        return found, failures + failed

    def show(
        self,
        codecs: Sequence[str],
        sample: Sequence[PictureFile],
        rows: Rows,
    ) -> tuple[list[ShownAt], list[Failure]]:
        """What the viewer shows: where each picture's result is, by codec and rate."""
        tasks: dict[Task, tuple[str, str | None, float | None]] = {}
        for picture in sample:
            original = replace(self.subject(codecs[0], picture), codec="original", version="")
            tasks[ShowOriginal(original)] = picture.name, None, None
            for target_bpp in SHOWN_BPP:
                for codec in codecs:
                    of = rows[codec][picture.name]
                    known = tuple(sorted((quality, row.rate_bpp) for quality, row in of.items()))
                    task = Show(self.subject(codec, picture), target_bpp, known)
                    tasks[task] = picture.name, self.facts[codec].name, target_bpp
        found, failures = self._do(list(tasks), self.engine)
        return [ShownAt(*at, key=task.key) for task, at in tasks.items() if task in found], failures

    def _do(self, tasks: Sequence[Kind], engine: Engine) -> tuple[dict[Kind, Any], list[Failure]]:
        """Results by task, in the order of `tasks`; of a failure comes one per codec, picture."""
        read = reader(self.pictures)
        found, failed = finish(tasks, self.store, engine, read, self.progress)
        failures: dict[tuple[str, str], Failure] = {}
        for one in failed:
            assert one.error is not None
            codec, picture = one.task.subject.codec, one.task.subject.picture
            failures[picture, codec] = Failure(f"{picture}, {codec}", one.error)
        return found, [failures[key] for key in sorted(failures)]


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of them, from the middles of as many equal parts."""
    count = min(count, len(items))
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def _per_megapixel(
    times: Sequence[Clocked],
) -> tuple[float | None, float | None, float | None, float | None]:
    def mean(name: str) -> float | None:
        found = [getattr(one, name) for one in times]
        if not found or None in found:
            return None
        return fmean(1e6 * s / one.pixels for s, one in zip(found, times, strict=True))

    return (
        mean("encode_s"),
        mean("decode_s"),
        mean("encode_one_core_s"),
        mean("decode_one_core_s"),
    )
