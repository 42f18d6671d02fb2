"""What a run shows on a terminal: errors, warnings, how far it is."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text


def printable(text: str) -> str:
    """One line without control characters: a file's name or contents never drive the terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def as_text(path: Path) -> str:
    """A file's name as UTF-8 can hold it: bytes that are no text come as `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def show_error(message: str, console: Console) -> None:
    console.print(Text(f"error: {printable(message)}", style="red"), soft_wrap=True)


def show_warning(message: str, console: Console) -> None:
    console.print(Text(f"warning: {printable(message)}", style="yellow"), soft_wrap=True)


class _Rate(ProgressColumn):
    """Files a second, lately."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} files/s")


@contextmanager
def step_bar(console: Console) -> Iterator[Callable[[int, int, str], None]]:
    """On a terminal; to be told of the steps done, of how many, and what comes next."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_interactive
    ) as bar:
        task = bar.add_task("")

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=printable(name))

        yield show


@contextmanager
def progress_bar(total: int) -> Iterator[tuple[Progress, TaskID]]:
    """On standard error, if that is a terminal, and after a second: a shorter bar flickers."""
    name = Column(no_wrap=True, overflow="ellipsis", max_width=40)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(),
        TimeElapsedColumn(),
    ]
    if total > 1:
        failed = TextColumn("{task.fields[failed]} failed")
        columns += [MofNCompleteColumn(), failed, _Rate(), TimeRemainingColumn()]
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=total if total > 1 else None, failed=0)
    if not progress.console.is_interactive:
        yield progress, task
        return
    start = Timer(1, progress.start)
    start.start()
    try:
        yield progress, task
    finally:
        start.cancel()
        start.join()
        progress.stop()
