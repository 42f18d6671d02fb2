"""Who does the tasks of a benchmark: this process, several, or a Ray cluster; all alike.

    tasks ─► engine ─► (task, result or error), in the order they finish
    `finish` keeps what they find, and never does again what is kept

A worker that dies takes nothing with it but the tasks it was at, and those are tried again. A
picture that cannot be read any more costs its own tasks, which come last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from corelic.errors import (
    CorelicError,
    DeviceError,
    MissingPartError,
    PeerError,
    PictureError,
    WorkerError,
)
from corelic.eval.store import Store
from corelic.eval.tasks import Task
from corelic.workers import attempts

ATTEMPTS = 3
RAY_PARTS = 10_000  # of a resource, the finest that Ray counts

Kind = TypeVar("Kind", bound=Task)

Read = Callable[[Task], bytes]  # the picture of a task, where the engine is
Progress = Callable[[int, int, str], None]  # done, total, what was done last


@dataclass(frozen=True, slots=True)
class Done:
    """`error` is None, or `result` is."""

    task: Task
    result: Any
    error: CorelicError | None


class Engine(Protocol):
    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]: ...


def silent(done: int, total: int, name: str) -> None:
    """The progress of a run that nobody watches."""


def finish(
    tasks: Sequence[Kind], store: Store, engine: Engine, read: Read, progress: Progress = silent
) -> tuple[dict[Kind, Any], list[Done]]:
    """Results by task, in the order of `tasks`, and those that failed, as they did."""
    results: dict[Task, Any] = {task: store.get(task) for task in tasks}
    missing = [task for task, result in results.items() if result is None]
    failed: list[Done] = []
    if missing:
        done = len(tasks) - len(missing)
        progress(done, len(tasks), "")
        for number, one in enumerate(engine.run(missing, read), done + 1):
            progress(number, len(tasks), one.task.title)
            if one.error is None:
                store.put(one.task, one.result)
                results[one.task] = one.result
            else:
                failed.append(one)
    return {task: results[task] for task in tasks if results[task] is not None}, failed


def work(task: Task, data: bytes) -> Done:
    """One task; what is not the user's concern but a bug goes on as it is."""
    try:
        return Done(task, task.run(data), None)
    except CorelicError as error:  # of which some are MemoryErrors, and say what they lack it for
        return Done(task, None, error)
    except MemoryError:
        reason = "needs more memory than there is"
        return Done(task, None, PictureError(task.subject.picture, reason))


def readable(tasks: Iterable[Task], read: Read, unread: list[Done]) -> Iterator[tuple[Task, bytes]]:
    """With their pictures; those without one go to `unread`."""
    for task in tasks:
        try:
            yield task, read(task)
        except CorelicError as error:
            unread.append(Done(task, None, error))


class Serial:
    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]:
        unread: list[Done] = []
        for task, data in readable(tasks, read, unread):
            yield work(task, data)
        yield from unread


@dataclass(frozen=True, slots=True)
class Processes:
    count: int

    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]:
        waiting = list(tasks)
        unread: list[Done] = []
        for attempt in range(ATTEMPTS):
            died = []
            with_data = readable(waiting, read, unread)
            # What died for want of memory has all of it the second time.
            count = self.count if attempt == 0 else 1
            with closing(attempts(with_data, _work, count)) as answers:
                for (task, _), answer in answers:
                    try:
                        yield answer()
                    except WorkerError:
                        died.append(task)
            waiting = died
        for task in waiting:
            yield Done(task, None, _died(task))
        yield from unread


def _work(with_data: tuple[Task, bytes]) -> Done:
    return work(*with_data)


@dataclass(frozen=True, slots=True)
class Ray:
    """Local where `address` is None. Ray itself starts tasks again whose worker died."""

    count: int
    address: str | None = None

    def run(self, tasks: Sequence[Task], read: Read) -> Iterator[Done]:
        ray = _ray()
        if not ray.is_initialized():
            local = {} if self.address else {"num_cpus": self.count, "include_dashboard": False}
            address = self.address or "local"  # whatever cluster the environment names
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
            except (OSError, RuntimeError, ValueError) as error:
                place = self.address or "a local cluster"
                reason = f"cannot work with {place} ({error}); --jobs needs no cluster"
                raise PeerError("--engine ray", reason) from error
        gpus = self._gpus_each(ray) if any(task.subject.device == "cuda" for task in tasks) else 0
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=ATTEMPTS)(work)
        errors = ray.exceptions
        lost = errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError
        unread: list[Done] = []
        queue = readable(tasks, read, unread)
        running: dict[Any, Task] = {}
        while True:
            for task, data in islice(queue, 2 * self.count - len(running)):
                running[remote.remote(task, data)] = task
            if not running:
                break
            [first], _ = ray.wait(list(running))
            task = running.pop(first)
            try:
                yield ray.get(first)
            except lost:
                yield Done(task, None, _died(task))
        yield from unread

    def _gpus_each(self, ray: Any) -> float:
        """So that all workers have a part of one; without it, Ray hides GPUs from a task."""
        gpus = ray.cluster_resources().get("GPU", 0)
        if not gpus:
            raise DeviceError(
                "cuda", "is not there on this cluster; leave --device out, or say cpu"
            )
        return float(min(1, math.floor(RAY_PARTS * gpus / self.count) / RAY_PARTS))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingPartError("--engine ray", "ray", "ray") from error
    return ray


def _died(task: Task) -> PeerError:
    reason = f"its process died {ATTEMPTS} times on {task.subject.picture}; is there memory enough?"
    return PeerError(task.subject.codec, reason)
