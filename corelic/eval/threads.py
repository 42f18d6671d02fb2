"""How many cores and threads a measurement may use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """For what networks compute: sums come in an order that depends on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def cores(count: int) -> Iterator[None]:
    """For everything started meanwhile, programs too: no more than `count` of our cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        with torch_threads(min(count, len(allowed))):
            yield
    finally:
        os.sched_setaffinity(0, allowed)


def can_limit() -> bool:
    """Linux can; elsewhere times are measured with all cores only."""
    return hasattr(os, "sched_setaffinity")
