"""The most memory that some work takes, in a process of its own.

Not `ru_maxrss`: on Linux a new process inherits its parent's until it has more itself. Instead we
read what the kernel says about the process, and about the programs that it starts while they run.
"""

import multiprocessing
import os
import re
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from typing import Any

from corelic.errors import CorelicError, PeerError

POLL_S = 0.005


def peak_bytes(work: Callable[..., object], *arguments: Any) -> int | None:
    """Of a fresh interpreter that does `work`, imports included; None where it cannot be known.

    Raises what the work raised, if that was a CorelicError; PeerError if the process died.
    """
    if not Path("/proc/self/status").exists():
        return None
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_watched, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        raise PeerError("memory", "the process that was to be watched died") from None
    finally:
        process.join()
    if isinstance(found, CorelicError):
        raise found
    assert isinstance(found, int)
    return found


def _watched(pipe: Connection, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    done = Event()
    largest = [0]
    watcher = Thread(target=_watch_programs, args=(done, largest))
    watcher.start()
    try:
        work(*arguments)
        result: int | CorelicError = _high_water(os.getpid())
    except CorelicError as error:
        result = error
    finally:
        done.set()
        watcher.join()
    pipe.send(result + largest[0] if isinstance(result, int) else result)


def _watch_programs(done: Event, largest: list[int]) -> None:
    me = os.getpid()
    while not done.wait(POLL_S):
        started = " ".join(_read(path) for path in Path(f"/proc/{me}/task").glob("*/children"))
        largest[0] = max(largest[0], sum(_high_water(int(number)) for number in started.split()))


def _high_water(process: int) -> int:
    """Of its resident set, in bytes; 0 for one that is gone."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", _read(Path(f"/proc/{process}/status")), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
