"""Finished results of a benchmark, a file each, so that an interrupted run goes on where it was.

A file is complete or not there: it is written under another name and renamed. What cannot be read,
or was made by another version, counts as not there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from corelic.disk import atomic_write
from corelic.eval.tasks import Task


class Store:
    """A folder of results by the key of their task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, task: Task) -> Any:
        """The task's result, or None where it has none yet."""
        try:
            data = self._path(task).read_bytes()
            return TypeAdapter(task.result).validate_json(data)
        except (OSError, ValidationError):
            return None

    def put(self, task: Task, result: object) -> None:
        data = TypeAdapter[object](task.result).dump_json(result)
        atomic_write(self._path(task), data + b"\n", overwrite=True)

    def _path(self, task: Task) -> Path:
        return self.folder / f"{task.key}.json"
