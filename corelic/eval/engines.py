"""Who does the tasks of a benchmark: this process, several, or a Ray cluster; all alike.

    tasks ─► engine ─► (task, result or error), in the order they finish

A worker that dies takes nothing with it but the tasks it was at, and those are tried again.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from corelic.allocator import keep_freed
from corelic.errors import CorelicError, MissingPartError, PeerError
from corelic.eval.tasks import Task

ATTEMPTS = 3

Read = Callable[[Task], bytes]  # the picture of a task, where the engine is


@dataclass(frozen=True, slots=True)
class Done:
    """`error` is None, or `result` is."""

    task: Task
    result: Any
    error: CorelicError | None


class Engine(Protocol):
    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]: ...


def work(task: Task, data: bytes) -> Done:
    """One task; what is not the user's concern but a bug goes on as it is."""
    try:
        return Done(task, task.run(data), None)
    except CorelicError as error:
        return Done(task, None, error)


class Serial:
    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]:
        for task in tasks:
            yield work(task, read(task))


@dataclass(frozen=True, slots=True)
class Processes:
    count: int

    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]:
        waiting = list(tasks)
        while waiting:
            suspects: list[Task] = []
            yield from self._until_broken(waiting, read, suspects)
            # Which of them killed the worker is not known: each is tried where it harms no other.
            for task in suspects:
                yield _alone(task, read(task))

    def _until_broken(
        self, waiting: list[Task], read: Read, suspects: list[Task]
    ) -> Iterator[Done]:
        """Takes from `waiting`; when a worker dies, `suspects` are those that were begun."""
        running: dict[Future[Done], Task] = {}
        broken = False
        with _pool(self.count) as pool:
            while running or (waiting and not broken):
                # Few at a time, so that not all pictures are in memory.
                while waiting and not broken and len(running) < 2 * self.count:
                    try:
                        running[pool.submit(work, waiting[0], read(waiting[0]))] = waiting[0]
                        del waiting[0]
                    except BrokenProcessPool:
                        broken = True
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        broken = True
                        suspects.append(task)


@dataclass(frozen=True, slots=True)
class Ray:
    """Local where `address` is None. Ray itself starts tasks again whose worker died."""

    count: int
    address: str | None = None

    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]:
        ray = _ray()
        if not ray.is_initialized():
            local = {} if self.address else {"num_cpus": self.count, "include_dashboard": False}
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **local)
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(work)
        queue = iter(tasks)
        running: dict[Any, Task] = {}
        while True:
            for task in islice(queue, 2 * self.count - len(running)):
                running[remote.remote(task, read(task))] = task
            if not running:
                return
            [first], _ = ray.wait(list(running))
            task = running.pop(first)
            try:
                yield ray.get(first)
            except ray.exceptions.WorkerCrashedError:
                yield Done(task, None, _died(task))


def _pool(count: int) -> ProcessPoolExecutor:
    # Spawned, not forked: threads of torch do not survive a fork. Memory as in the serial run.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=keep_freed)


def _alone(task: Task, data: bytes) -> Done:
    for _ in range(ATTEMPTS):
        with suppress(BrokenProcessPool), _pool(1) as pool:
            return pool.submit(work, task, data).result()
    return Done(task, None, _died(task))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingPartError("--engine ray", "ray", "ray") from error
    return ray


def _died(task: Task) -> PeerError:
    reason = f"its process died {ATTEMPTS} times on {task.subject.picture}; is there memory enough?"
    return PeerError(task.subject.codec, reason)
