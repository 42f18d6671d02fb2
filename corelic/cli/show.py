"""Results on standard output, for people or, with --json, for programs."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

from typer import BadParameter

from corelic.jobs import STREAM, Job

Figures = Mapping[str, object]


def print_json(figures: Figures | Sequence[Figures]) -> None:
    """Strict JSON: an infinite PSNR is null, for JSON has no word for it."""
    if isinstance(figures, Mapping):
        print(json.dumps(_finite(figures), indent=2))
    else:
        print(json.dumps([_finite(one) for one in figures], indent=2))


class Result(Protocol):
    """What became of a job, in one line; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def output(self) -> str: ...


def check_json(jobs: Sequence[Job], *, as_json: bool) -> None:
    """BadParameter where standard output would take a result and the figures."""
    if as_json and any(job.goes_to_stdout for job in jobs):
        raise BadParameter("standard output cannot take both the result and --json; give -o a file")


def print_results(results: Sequence[Result], jobs: Sequence[Job], *, as_json: bool) -> None:
    """A line each; on standard error where standard output holds a result."""
    if as_json:
        print_json([asdict(result) for result in results])
        return
    there = sys.stderr if any(job.goes_to_stdout for job in jobs) else sys.stdout
    for result in results:
        if result.output != str(STREAM) and there is not None:  # it may be closed
            print(result, file=there)


def _finite(figures: Figures) -> dict[str, object]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }
