"""Many files: what is read, where the result goes, how far the work is, what failed.

    sources ─► plan ─► [Job, Job, …] ─► run ─► results, failures by name
                │                        │
                └ refuses clashes        └ goes on past a bad file, shows progress on a terminal

All or nothing: a result gets its name when it is complete, and not before.
"""

import errno
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from threading import Timer
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from corelic.errors import CorelicError, OutputError, PictureError

STREAM = Path("-")  # standard input as a source, standard output as an output

Result = TypeVar("Result")
_report: ContextVar[Callable[[int, int], None]] = ContextVar(
    "_report", default=lambda done, total: None
)


@dataclass(frozen=True, slots=True)
class Job:
    """One file to read, and where its result goes."""

    source: Path
    output: Path
    overwrite: bool

    @property
    def name(self) -> str:
        return "standard input" if self.source == STREAM else str(self.source)

    def read(self) -> bytes:
        return sys.stdin.buffer.read() if self.source == STREAM else read_file(self.source)

    def check(self) -> None:
        """What would make `write` fail is said before the work, not after it."""
        if self.output == STREAM and sys.stdout.isatty():
            raise OutputError("to a terminal", "the result is binary; give a file with -o")
        if self.output != STREAM:
            _check_output(self.output, overwrite=self.overwrite)

    def write(self, data: bytes) -> None:
        if self.output != STREAM:
            atomic_write(self.output, data, overwrite=self.overwrite)
            return
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has had enough: no fault of this job
        except OSError as error:
            raise OutputError("standard output", _why(error)) from error


@dataclass(frozen=True, slots=True)
class Failure:
    name: str
    error: CorelicError

    def __str__(self) -> str:
        message = str(self.error)
        return message if self.name in message else f"{self.name}: {message}"


class JobsFailedError(CorelicError):
    """Some of `total` jobs failed; each failure was shown when it happened, if there were more."""

    def __init__(self, failures: tuple[Failure, ...], total: int) -> None:
        super().__init__(failures, total)
        self.failures, self.total = failures, total

    def __str__(self) -> str:
        if self.total == 1:
            return str(self.failures[0])
        names = ", ".join(failure.name for failure in self.failures)
        return f"{len(self.failures)} of {self.total} files failed: {names}"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What `run` leaves, in the order of its jobs."""

    results: tuple[Result, ...]
    failures: tuple[Failure, ...]

    def raise_failures(self) -> None:
        if self.failures:
            total = len(self.results) + len(self.failures)
            raise JobsFailedError(self.failures, total) from self.failures[0].error


def inspect(sources: Sequence[Path]) -> list[Job]:
    """One job per source that only reads; a pattern that the shell left alone is expanded."""
    nowhere = Path(os.devnull)
    return [Job(file, nowhere, False) for source in sources for file in _expand(source)]


def plan(
    sources: Sequence[Path], output: Path | None, *, suffix: str, overwrite: bool
) -> list[Job]:
    """One job per source, as `inspect` finds them, with a place for its result.

    `output` is a file, a folder or STREAM; None is beside each source, under `suffix`. OutputError
    where two jobs would write one file, or one job another's input: then nothing is done at all.
    """
    files = [job.source for job in inspect(sources)]
    if len(files) > 1 and output is not None and not os.path.isdir(output):
        reason = f"there are {len(files)} inputs, so -o must name a folder that exists"
        raise OutputError(str(output), reason)
    jobs = [Job(file, _output_for(file, output, suffix), overwrite) for file in files]
    _refuse_clashes(jobs)
    return jobs


def run(jobs: Sequence[Job], work: Callable[[Job], Result]) -> Outcome[Result]:
    """Do all of it; a CorelicError ends one job, any other exception ends the run."""
    results: list[Result] = []
    failures: list[Failure] = []
    with _progress() as progress:
        task = progress.add_task("", total=len(jobs) if len(jobs) > 1 else None)
        alone = len(jobs) == 1

        def show(done: int, total: int) -> None:
            if alone:  # of many, the bar counts files
                progress.update(task, completed=done, total=total)

        for number, job in enumerate(jobs):
            progress.update(task, completed=number, description=printable(job.name))
            try:
                job.check()
                with _reported_to(show):
                    results.append(work(job))
            except CorelicError as error:
                failures.append(Failure(job.name, error))
                if len(jobs) > 1:
                    show_error(str(failures[-1]), progress.console)
    return Outcome(tuple(results), tuple(failures))


def report(done: int, total: int) -> None:
    """How far the current job is, for the bar of a run of one; elsewhere nobody hears it."""
    _report.get()(done, total)


@contextmanager
def _reported_to(show: Callable[[int, int], None]) -> Iterator[None]:
    token = _report.set(show)
    try:
        yield
    finally:
        _report.reset(token)


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError(str(path), "there is no such file; check the name") from None
    except OSError as error:
        if os.path.isdir(path):
            reason = f"is a folder; name the files in it, e.g. {path / '*.png'}"
            raise PictureError(str(path), reason) from None
        raise PictureError(str(path), f"cannot be read ({_why(error)})") from error


def atomic_write(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """All of `data` under `path`, or nothing; OutputError says why.

    Written beside it under a temporary name, synced, then renamed, so that neither a full disk, an
    interruption nor a power cut leaves half a file. Without `overwrite` an existing file is safe
    even from one that appears meanwhile.
    """
    target = Path(os.path.realpath(path))  # writes through a symlink, as `cp` does
    if _check_output(path, overwrite=overwrite):
        temporary = target.with_name(f".corelic-{secrets.token_hex(8)}.part")
    else:
        temporary = target  # a device or a pipe: nothing to rename to
    try:
        try:
            _write_synced(temporary, data, new=temporary != target)
            if temporary != target:
                _rename(temporary, target, overwrite=overwrite)
        finally:
            if temporary != target:
                temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise OutputError(str(path), _why(error)) from error


def printable(text: str) -> str:
    """One line without control characters: a file's name or contents never drive the terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def show_error(message: str, console: Console) -> None:
    console.print(Text(f"error: {printable(message)}", style="red"), soft_wrap=True)


def _expand(source: Path) -> list[Path]:
    pattern = str(source)
    if source == STREAM or os.path.lexists(source) or not has_magic(pattern):
        return [source]
    return [Path(match) for match in sorted(glob(pattern, recursive=True))] or [source]


def _output_for(source: Path, output: Path | None, suffix: str) -> Path:
    name = source.stem + suffix
    if output is not None and os.path.isdir(output):
        if source == STREAM:
            raise OutputError(str(output), "standard input has no name; give -o a file")
        return output / name
    if output is not None:
        return output
    return STREAM if source == STREAM else source.with_name(name) if source.name else Path(name)


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    inputs = {_identity(job.source): job.source for job in jobs}
    taken: dict[str, Job] = {}
    for job in jobs:
        key = os.path.realpath(job.output) if job.output != STREAM else "-"
        if key in taken:
            reason = f"both {taken[key].name} and {job.name} would go there; give each its own -o"
            raise OutputError(str(job.output), reason)
        taken[key] = job
        identity = _identity(job.output)
        if identity is not None and identity in inputs:
            reason = f"that is the input {inputs[identity]}; give another name with -o"
            raise OutputError(str(job.output), reason)


def _identity(path: Path) -> tuple[int, int] | None:
    """Of a regular file that exists; the same for all its names and links."""
    if path != STREAM:
        with suppress(OSError):
            found = os.stat(path)
            if S_ISREG(found.st_mode):
                return found.st_dev, found.st_ino
    return None


def _check_output(path: Path, *, overwrite: bool) -> bool:
    """Whether `path` is a file, or will be one; OutputError if it cannot be written."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise OutputError(str(path), f"there is no folder {folder}; create it first") from None
        return True
    except OSError as error:
        raise OutputError(str(path), _why(error)) from error
    if S_ISDIR(mode):
        raise OutputError(str(path), "that is a folder; name a file in it")
    if S_ISREG(mode) and not overwrite:
        raise _exists(path)
    return S_ISREG(mode)


def _exists(path: Path) -> OutputError:
    return OutputError(str(path), "it exists already; replace it with --overwrite (overwrite=True)")


def _write_synced(path: Path, data: bytes, *, new: bool) -> None:
    # Not `tempfile`: its files are for their owner alone, and a result obeys the umask.
    flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | (os.O_CREAT | os.O_EXCL if new else 0)
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        if new:
            os.fsync(file.fileno())


def _rename(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)  # unlike a rename it fails, in one step, where a file exists
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL))  # no hard links here: claim the name
        try:
            os.replace(temporary, target)
        except BaseException:
            target.unlink()
            raise


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space"
    return (error.strerror or str(error)).lower()


@contextmanager
def _progress() -> Iterator[Progress]:
    """On standard error, if that is a terminal, and after a second: a shorter bar flickers."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    if not progress.console.is_interactive:
        yield progress
        return
    start = Timer(1, progress.start)
    start.start()
    try:
        yield progress
    finally:
        start.cancel()
        start.join()
        progress.stop()
