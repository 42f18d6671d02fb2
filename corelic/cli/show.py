"""Results on standard output, for people or, with --json, for programs."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol, TypeVar

from typer import BadParameter

from corelic.console import printable
from corelic.jobs import STREAM, Job, Outcome

Figures = Mapping[str, object]


def print_json(figures: Figures | Sequence[Figures]) -> None:
    """Strict JSON: an infinite PSNR is null, for JSON has no word for it."""
    print(json.dumps(_finite(figures), indent=2, allow_nan=False))


class Result(Protocol):
    """What became of a job, in one line; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def output(self) -> str: ...


Shown = TypeVar("Shown", bound=Result)


def check_json(jobs: Sequence[Job], *, as_json: bool) -> None:
    """BadParameter where standard output would take a result and the figures."""
    if as_json and any(job.goes_to_stdout for job in jobs):
        raise BadParameter("standard output cannot take both the result and --json; give -o a file")


def print_results(outcome: Outcome[Shown], jobs: Sequence[Job], *, as_json: bool) -> None:
    """A line each; on standard error where standard output holds a result."""
    if as_json:
        print_json([asdict(result) for result in outcome.results])
        return
    there = sys.stderr if any(job.goes_to_stdout for job in jobs) else sys.stdout
    if there is None:  # it may be closed
        return
    for result in outcome.results:
        if result.output != str(STREAM):
            print(result, file=there)
    for job in outcome.skipped:
        print(printable(f"{job.name}: skipped, for there is {job.output}"), file=there)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
