"""The program, run in this process as the console script runs it, in a folder of its own."""

import io
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from corelic.cli.main import main


@dataclass(frozen=True)
class Ran:
    exit_code: int
    stdout: bytes
    stderr: str


class Program:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran:
        streams = {name: io.TextIOWrapper(io.BytesIO()) for name in ("stdout", "stderr")}
        streams["stdin"] = io.TextIOWrapper(io.BytesIO(stdin))
        with self.monkeypatch.context() as patched:
            for name, stream in streams.items():
                patched.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        written = {}
        for name in ("stdout", "stderr"):
            streams[name].flush()
            written[name] = streams[name].buffer.getvalue()  # type: ignore[attr-defined]  # a text wrapper has one
        exit_code = ended.value.code or 0
        assert isinstance(exit_code, int)
        return Ran(exit_code, written["stdout"], written["stderr"].decode())


@pytest.fixture
def corelic(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
    """Runs `corelic ARGUMENTS` where a photo.png is, and nothing else."""
    monkeypatch.chdir(tmp_path)
    photo.save("photo.png")
    handler = signal.getsignal(signal.SIGTERM)
    yield Program(monkeypatch)
    signal.signal(signal.SIGTERM, handler)
