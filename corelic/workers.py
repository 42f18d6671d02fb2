"""Local worker processes: each is handed one item at a time, and what came of it is yielded.

    items ─► worker: an executor of one process  ─┐
          ─► worker                               ├─► item, and what gives its result or its error
          ─► …                                   ─┘

One executor for each process, not one for all: a process that dies breaks its executor, so what it
worked on is known by name, and nobody else's work is lost with it.
"""

import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, Generic, TypeVar

from corelic.allocator import keep_freed
from corelic.errors import WorkerError

WORKER_DESCRIPTORS = 16  # of this process for each of its workers: pipes and queues
LEFT_DESCRIPTORS = 256  # for all else
GRACE_S = 5  # for a stopped process to remove its temporary file; then it ends wherever it is

Item = TypeVar("Item")
Result = TypeVar("Result")


def attempts(
    items: Iterable[Item], work: Callable[[Item], Result], processes: int
) -> Generator[tuple[Item, Callable[[], Result]], None, None]:
    """Each item, when it is done, with what returns its result or raises what its work raised.

    An item is taken when a process is free for it. One whose process ends without an answer has a
    WorkerError, and another process takes over. Closing the iterator stops the work in hand and
    waits until no process is left.
    """
    _allow_descriptors(LEFT_DESCRIPTORS + processes * WORKER_DESCRIPTORS)
    threads = max(1, usable_cores() // processes)
    idle: list[_Worker] = []
    busy: dict[Future[_Answer[Result]], tuple[Item, _Worker]] = {}

    def next_done() -> Iterator[tuple[Item, Callable[[], Result]]]:
        done: set[Future[_Answer[Result]]] = set()
        while not done:  # by the second, for an endless wait is deaf to Ctrl-C on Windows
            done, _ = wait(busy, timeout=1, return_when=FIRST_COMPLETED)
        for future in done:
            item, worker = busy.pop(future)
            idle.append(worker)
            yield item, partial(worker.answer, future, processes)

    try:
        for item in items:
            worker = idle.pop() if idle else _Worker(threads)
            try:
                future = worker.submit(work, item)
            except BrokenProcessPool:  # its process died, with its last item or since
                worker.stop()
                worker = _Worker(threads)
                future = worker.submit(work, item)
            busy[future] = item, worker
            if len(busy) == processes:
                yield from next_done()
        while busy:
            yield from next_done()
    finally:
        interrupted = [worker for _, worker in busy.values()]
        for worker in interrupted:
            worker.interrupt()
        for worker in (*interrupted, *idle):
            worker.stop()


@dataclass(frozen=True, slots=True)
class _Warning:
    message: Warning | str
    category: type[Warning]
    filename: str
    lineno: int


@dataclass(frozen=True, slots=True)
class _Answer(Generic[Result]):
    """What work returned, and the warnings it gave, which are shown where those of all are."""

    result: Result
    warnings: tuple[_Warning, ...]


def _do(work: Callable[[Item], Result], item: Item) -> _Answer[Result]:
    with warnings.catch_warnings(record=True) as caught:
        result = work(item)
    found = (_Warning(one.message, one.category, one.filename, one.lineno) for one in caught)
    return _Answer(result, tuple(found))


def _allow_descriptors(count: int) -> None:
    """As far as the system lets this process have so many; it often grants more than it gives."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # Unix has it

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count and soft != resource.RLIM_INFINITY:
            most = count if hard == resource.RLIM_INFINITY else min(count, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def usable_cores() -> int:
    """Those this process may run on: a container often has fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A process that does one thing at a time."""

    def __init__(self, threads: int) -> None:
        # Not fork: a child would inherit locks that threads of its parent hold.
        context = multiprocessing.get_context("spawn")
        self._theirs, self._ours = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            max_workers=1,
            mp_context=context,
            initializer=partial(_begin, self._theirs, threads, warnings.filters),
        )
        with _interrupts_held():
            self._started = self._executor.submit(os.getpid)

    def submit(self, work: Callable[[Item], Result], item: Item) -> Future[_Answer[Result]]:
        return self._executor.submit(_do, work, item)

    def answer(self, future: Future[_Answer[Result]], processes: int) -> Result:
        """Of work that is done; `processes` are how many run, for the error."""
        try:
            answer = future.result()
        except (BrokenProcessPool, SystemExit) as error:  # it was killed, or told to terminate
            if self._started.exception() is None:
                raise WorkerError(processes) from error
            raise RuntimeError(
                "a worker process does not start; a script that uses several must guard "
                'its own start with `if __name__ == "__main__":`'
            ) from error
        for warning in answer.warnings:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        return answer.result

    def interrupt(self) -> None:
        """Ends the work in hand, which still may remove what it leaves."""
        self._ours.close()

    def stop(self) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._ours.close()
        self._theirs.close()


def _begin(parent: Connection, threads: int, filters: Sequence[Any]) -> None:
    """What a new process does first; `filters` are those of warnings, as its parent has them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the parent answers it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    warnings.filters[:] = filters  # type: ignore[index]  # typeshed has a Sequence
    if parent.poll():  # closed while this process started, so there is no work in hand
        os._exit(128 + signal.SIGTERM)
    _limit_threads(threads)
    keep_freed()
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _limit_threads(threads: int) -> None:
    """Processes times threads shall not exceed the cores; a lower limit of the user's stays."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal():
        threads = max(1, min(threads, int(given)))
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when the first of them starts
    if "torch" in sys.modules:  # a script imports it at its top, which comes before this
        sys.modules["torch"].set_num_threads(threads)


def _end_with(parent: Connection) -> None:
    """Ends this process when the other end of the pipe closes, or goes down with its process."""
    with suppress(EOFError, OSError):
        parent.recv()  # nothing is ever sent
    if os.name == "nt":  # there `kill` ends it at once
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)  # work in hand removes its temporary file
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process started meanwhile never sees Ctrl-C, not even before `_begin`; ours comes late."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
