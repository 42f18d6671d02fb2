"""The most memory that work takes in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from corelic.errors import PeerError, PictureError
from corelic.eval.memory import peak_bytes

MUCH = 300_000_000

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="nothing says here what a process has"
)


def nothing() -> None: ...


def touch() -> None:
    bytearray(b"x") * MUCH


def touch_in_a_program() -> None:
    program = f"import time; data = b'x' * {MUCH}; time.sleep(0.5)"
    subprocess.run([sys.executable, "-c", program], check=True)


def refuse() -> None:
    raise PictureError("a.png", "is none")


def die() -> None:
    os._exit(3)


def test_what_is_touched_counts_and_what_programs_touch() -> None:
    least = peak_bytes(nothing)
    assert least is not None
    for work in (touch, touch_in_a_program):
        found = peak_bytes(work)
        assert found is not None
        assert MUCH < found - least + 1e6 < 1.2 * MUCH


def test_what_fails_is_said_as_it_is() -> None:
    with pytest.raises(PictureError, match=r"a\.png"):
        peak_bytes(refuse)
    with pytest.raises(PeerError, match="died"):
        peak_bytes(die)
