"""Who does the tasks of a benchmark: this process, several, or a Ray cluster; all alike.

    tasks ─► engine ─► (task, result or error), in the order they finish

A worker that dies takes nothing with it but the tasks it was at, and those are tried again.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

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
        waiting = [(task, 1) for task in tasks]
        while waiting:
            unlucky: list[tuple[Task, int]] = []
            yield from self._until_broken(waiting, read, unlucky)
            for task, attempt in unlucky:
                if attempt > ATTEMPTS:
                    yield Done(task, None, _died(task))
            waiting = [pair for pair in unlucky if pair[1] <= ATTEMPTS]

    def _until_broken(
        self, waiting: list[tuple[Task, int]], read: Read, unlucky: list[tuple[Task, int]]
    ) -> Iterator[Done]:
        """Does what it can; when a worker dies, `unlucky` gets all that is not done."""
        queue = iter(waiting)
        running: dict[Future[Done], tuple[Task, int]] = {}
        # Spawned, not forked: threads of torch do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.count, mp_context=context) as pool:
            while True:
                # Few at a time, so that not all pictures are in memory.
                for task, attempt in islice(queue, 2 * self.count - len(running)):
                    try:
                        running[pool.submit(work, task, read(task))] = task, attempt
                    except BrokenProcessPool:
                        unlucky.append((task, attempt))
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    task, attempt = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        unlucky.append((task, attempt + 1))
        unlucky.extend(queue)


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


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingPartError("--engine ray", "ray", "ray") from error
    return ray


def _died(task: Task) -> PeerError:
    reason = f"its process died {ATTEMPTS} times on {task.subject.picture}; is there memory enough?"
    return PeerError(task.subject.codec, reason)
