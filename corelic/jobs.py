"""Many files: what is read, where the result goes, what failed.

    sources ─► plan ─► [Job, Job, …] ─► run ─► results, failures by name
                │                        │
                └ refuses clashes        └ goes on past a bad file, shows progress on a terminal

`corelic.tree` plans folders, `corelic.workers` does the work in several processes, `corelic.disk`
reads and writes one file, `corelic.console` shows it.
"""

import os
import sys
import unicodedata
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from glob import glob, has_magic
from operator import itemgetter
from pathlib import Path
from stat import S_ISREG
from typing import Generic, TypeVar

from corelic.console import printable, progress_bar, show_error
from corelic.disk import atomic_write, check_output, make_folder, read_file, why
from corelic.errors import CorelicError, OutputError, PictureError

STREAM = Path("-")  # standard input as a source, standard output as an output
NAMED_AT_MOST = 10  # failures in the last line of a run; each was shown before

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
    makes_folder: bool = False  # of the output, where there is none

    @property
    def name(self) -> str:
        return "standard input" if self.source == STREAM else str(self.source)

    def read(self) -> bytes:
        if self.source != STREAM:
            return read_file(self.source)
        if sys.stdin is None:
            raise PictureError(self.name, "there is none; name a file")
        return sys.stdin.buffer.read()

    @property
    def goes_to_stdout(self) -> bool:
        """By whichever name: `/dev/stdout` is another."""
        if self.output == STREAM:
            return True
        with suppress(OSError, AttributeError):  # no such file yet; closed, or not the system's
            there, stdout = os.stat(self.output), os.fstat(sys.stdout.fileno())
            # Windows gives a console, a pipe and NUL no number.
            same = (there.st_dev, there.st_ino) == (stdout.st_dev, stdout.st_ino)
            return same and stdout.st_ino != 0
        return False

    def has_file(self) -> bool:
        """Whether there is one under the name of its result, whatever is in it."""
        return os.path.isfile(self.output)

    def check(self) -> None:
        """What would make `write` fail is said before the work, not after it."""
        if self.goes_to_stdout:
            if sys.stdout is None:
                raise OutputError("standard output", "it is closed; give a file with -o")
            if sys.stdout.isatty():
                raise OutputError("to a terminal", "the result is binary; give a file with -o")
            return
        if self.makes_folder:
            make_folder(self.output.parent)
        check_output(self.output, overwrite=self.overwrite)

    def write(self, data: bytes) -> None:
        if not self.goes_to_stdout:
            atomic_write(self.output, data, overwrite=self.overwrite)
            return
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has had enough: no fault of this job
        except OSError as error:
            raise OutputError("standard output", why(error)) from error


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
        names = ", ".join(failure.name for failure in self.failures[:NAMED_AT_MOST])
        if len(self.failures) > NAMED_AT_MOST:
            names += f" and {len(self.failures) - NAMED_AT_MOST} more"
        return f"{len(self.failures)} of {self.total} files failed: {names}"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What `run` leaves, in the order of its jobs.

    skipped  jobs whose result was there already
    """

    results: tuple[Result, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[Job, ...] = ()

    def raise_failures(self) -> None:
        if self.failures:
            total = len(self.results) + len(self.failures) + len(self.skipped)
            raise JobsFailedError(self.failures, total) from self.failures[0].error


def inspect(sources: Sequence[Path]) -> list[Job]:
    """One job per source that only reads; a pattern that the shell left alone is expanded."""
    nowhere = Path(os.devnull)
    return [Job(file, nowhere, False) for source in sources for file in _expand(source)]


def plan(
    sources: Sequence[Path],
    output: Path | None,
    *,
    suffix: str,
    overwrite: bool,
    makes_folder: bool = False,
) -> list[Job]:
    """One job per source, as `inspect` finds them, with a place for its result.

    `output` is a file, a folder or STREAM; None is beside each source, under `suffix`. With
    `makes_folder` it is a folder, made when needed. OutputError where two jobs would write one
    file, or one job another's input: then nothing is done at all.
    """
    files = [job.source for job in inspect(sources)]
    folder = output if output is not None and (makes_folder or os.path.isdir(output)) else None
    if len(files) > 1 and output is not None and folder is None:
        reason = f"there are {len(files)} inputs, so -o must name a folder that exists"
        raise OutputError(str(output), f"{reason}, or end in {os.sep} to have it made")
    jobs = [
        Job(file, _output_for(file, output, folder, suffix), overwrite, makes_folder)
        for file in files
    ]
    refuse_clashes(jobs)
    return jobs


def refuse_clashes(jobs: Sequence[Job]) -> None:
    """OutputError where two jobs would write one file, or one job another's input."""
    inputs = {_identity(job.source): job.source for job in jobs}
    taken: dict[str, Job] = {}
    for job in jobs:
        key = os.path.realpath(job.output) if job.output != STREAM else "-"
        if sys.platform in ("darwin", "win32"):  # their disks ignore case
            key = unicodedata.normalize("NFC", key).lower()
        if key in taken:
            reason = f"both {taken[key].name} and {job.name} would go there; give each its own -o"
            raise OutputError(str(job.output), reason)
        taken[key] = job
        identity = _identity(job.output)
        if identity is not None and identity in inputs:
            reason = f"that is the input {inputs[identity]}; give another name with -o"
            raise OutputError(str(job.output), reason)


def run(
    jobs: Sequence[Job],
    work: Callable[[Job], Result],
    *,
    is_done: Callable[[Job], bool] | None = None,
    failures: Sequence[Failure] = (),
    processes: int = 1,
) -> Outcome[Result]:
    """Do all of it; a CorelicError ends one job, any other exception ends the run.

    is_done    asked here when a job's turn comes: whether it may be skipped
    failures   known before the run; shown and counted with its own
    processes  local ones, which share the cores; `work` and what it returns are pickled, and a
               script guards its own start with `if __name__ == "__main__":`
    """
    results: dict[int, Result] = {}
    failed: dict[int, Failure] = {}
    skipped: list[Job] = []
    with progress_bar(len(jobs)) as (progress, task):

        def fail(number: int, failure: Failure) -> None:
            failed[number] = failure
            if len(jobs) + len(failures) > 1:
                show_error(str(failure), progress.console)
            progress.update(task, failed=len(failed))

        def is_skipped(number: int, job: Job) -> bool:
            progress.update(task, description=printable(job.name))
            try:
                if is_done is None or not is_done(job):
                    return False
                skipped.append(job)
            except CorelicError as error:
                fail(number, Failure(job.name, error))
            progress.advance(task)
            return True

        for number, failure in enumerate(failures):
            fail(number - len(failures), failure)  # in front of those of jobs

        def show(done: int, total: int) -> None:
            if len(jobs) == 1:  # of many, the bar counts files
                progress.update(task, completed=done, total=total)

        waiting = (numbered for numbered in enumerate(jobs) if not is_skipped(*numbered))
        with closing(_attempts(waiting, work, _useful(processes, jobs))) as attempts:
            for (number, job), answer in attempts:
                try:
                    with _reported_to(show):
                        results[number] = answer()
                except CorelicError as error:
                    fail(number, Failure(job.name, error))
                progress.advance(task)
    return Outcome(
        tuple(result for _, result in sorted(results.items(), key=itemgetter(0))),
        tuple(failure for _, failure in sorted(failed.items(), key=itemgetter(0))),
        tuple(skipped),
    )


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


_Numbered = tuple[int, Job]
_Attempts = Generator[tuple[_Numbered, Callable[[], Result]], None, None]


def _attempts(
    waiting: Iterator[_Numbered], work: Callable[[Job], Result], processes: int
) -> _Attempts[Result]:
    """Each job, with what gives its result: at once here, and when it is done elsewhere."""
    attempt = partial(_attempt, work)
    if processes == 1:
        return ((numbered, partial(attempt, numbered)) for numbered in waiting)
    from corelic import workers  # multiprocessing: not worth its import for one file

    return workers.attempts(waiting, attempt, processes)


def _attempt(work: Callable[[Job], Result], numbered: _Numbered) -> Result:
    _, job = numbered
    job.check()
    try:
        return work(job)
    except CorelicError:  # of which some are MemoryErrors, and say what they lack it for
        raise
    except MemoryError as error:
        raise PictureError(job.name, "needs more memory than there is") from error


def _useful(processes: int, jobs: Sequence[Job]) -> int:
    """One where standard input or output takes part: they belong to this process."""
    if any(job.source == STREAM or job.goes_to_stdout for job in jobs):
        return 1
    return max(1, min(processes, len(jobs)))


def _expand(source: Path) -> list[Path]:
    pattern = str(source)
    if source == STREAM or os.path.lexists(source) or not has_magic(pattern):
        return [source]
    return [Path(match) for match in sorted(glob(pattern, recursive=True))] or [source]


def _output_for(source: Path, output: Path | None, folder: Path | None, suffix: str) -> Path:
    name = source.stem + suffix
    if folder is not None:
        if source == STREAM:
            raise OutputError(str(folder), "standard input has no name; give -o a file")
        return folder / name
    if output is not None:
        return output
    return STREAM if source == STREAM else source.with_name(name) if source.name else Path(name)


def _identity(path: Path) -> tuple[int, int] | None:
    """Of a regular file that exists; the same for all its names and links."""
    if path != STREAM:
        with suppress(OSError):
            found = os.stat(path)
            if S_ISREG(found.st_mode):
                return found.st_dev, found.st_ino
    return None
