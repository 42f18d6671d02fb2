"""A run's log: a CSV file, and TensorBoard events where that is installed (extra `train`)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from lightning.fabric.loggers.tensorboard import TensorBoardLogger

from corelic.disk import atomic_write
from corelic.training.trainer import Progress

FILE = "log.csv"


def write_logs(run: Path, rows: Iterable[Progress], *, step: int = 0) -> Iterator[Progress]:
    """Appends each progress to the logs in the run's folder as it passes; for one process.

    step  where the run goes on: what an interrupted one logged beyond it happens again
    """
    forget_after(run / FILE, step)
    events = None
    if find_spec("tensorboard"):
        events = TensorBoardLogger(root_dir=run, name="tensorboard", version="")
    try:
        for row in rows:
            fields = asdict(row)
            fields = fields.pop("position") | fields
            append(run / FILE, fields)
            if events is not None:
                events.log_metrics(fields, step=row.position.step)
            yield row
    finally:
        if events is not None:
            with suppress(OSError):  # events are a convenience; the CSV file is the record
                events.finalize("success")


def forget_after(path: Path, step: int) -> None:
    """Drops the rows of later steps."""
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]  # a kill may have cut the last one
    kept = whole[:1] + [row for row in whole[1:] if int(row.partition(",")[0]) <= step]
    if len(kept) < len(lines):
        atomic_write(path, "".join(kept).encode(), overwrite=True)


def append(path: Path, fields: dict[str, float]) -> None:
    """One row, under a head line if it is the first."""
    new = not path.exists() or path.stat().st_size == 0
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(fields))
        if new:
            writer.writeheader()
        writer.writerow(fields)
