"""Freed memory stays with processes that are ours, until it is given back."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corelic import workers
from corelic.allocator import give_back

ROOT = Path(__file__).parents[1]
BLOCK_BYTES = 200 * 10**6
STATUS = Path("/proc/self/statm")


def can_be_told() -> bool:
    try:
        return STATUS.exists() and hasattr(ctypes.CDLL(None), "mallopt")
    except (OSError, TypeError):
        return False


pytestmark = pytest.mark.skipif(not can_be_told(), reason="another C library, or no /proc")


def resident_bytes() -> int:
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kept_and_left(_: object = None) -> tuple[int, int]:
    """Of a block that was freed: bytes still resident, before and after they are given back."""
    start = resident_bytes()
    block = bytearray(BLOCK_BYTES)
    block[::4096] = bytes(len(block[::4096]))  # each page, once
    del block
    kept = resident_bytes() - start
    give_back()
    return kept, resident_bytes() - start


def in_a_process(script: str) -> list[int]:
    """What the script prints; `kept_and_left` is imported."""
    script = f"from tests.test_allocator import kept_and_left\n{script}"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return [int(each) for each in run.stdout.split()]


KEEPING = """
from corelic.allocator import keep_freed
keep_freed()
print(*kept_and_left())
"""
PROGRAM = """
import sys
from corelic.cli import main
def app(*_, **__):  # in place of the commands
    print(*kept_and_left())
    sys.exit(0)
main.app = app
sys.argv = ["corelic"]
main.main()
"""


def test_as_it_comes_a_large_block_goes_back_at_once() -> None:
    assert in_a_process("print(*kept_and_left())")[0] < 0.1 * BLOCK_BYTES


def test_it_is_kept_until_given_back() -> None:
    kept, left = in_a_process(KEEPING)
    assert kept > 0.9 * BLOCK_BYTES
    assert left < 0.1 * BLOCK_BYTES


def test_the_program_keeps_it() -> None:
    assert in_a_process(PROGRAM)[0] > 0.9 * BLOCK_BYTES


def test_its_workers_keep_it() -> None:
    [(_, answer)] = workers.attempts([None], kept_and_left, 1)
    assert answer()[0] > 0.9 * BLOCK_BYTES
