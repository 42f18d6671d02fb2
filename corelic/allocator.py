"""What the C library does with memory that was freed, where it can be told: glibc.

Blocks of over 32 MB, which activations of large pictures are, go back to the system at once, and
the next of the kind is made of new pages, each of which costs a fault and is filled with zeros.
"""

import ctypes
from collections.abc import Callable
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
NEVER = -1


def keep_freed() -> None:
    """Freed memory stays with this process, for its next blocks; for good, and for all its code.

    For a process that is ours, or a script's own: `checkerboard_small` decodes in a third less
    time, and at every size in the same time per pixel (`benchmarks/flat.py`).
    """
    option = _function("mallopt")
    if option is not None:
        option(M_MMAP_MAX, 0)
        option(M_TRIM_THRESHOLD, NEVER)


def give_back() -> None:
    """What is kept of freed memory goes back to the system."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


@cache
def _function(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no CDLL(None)
        return None
    return found
