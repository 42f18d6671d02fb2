"""The program as a whole: help, version, errors, pipes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import corelic as api
from corelic.cli import main
from corelic.errors import CorelicError, MemoryBudgetError, OutOfMemoryError
from tests.cli.conftest import Program

ROOT = Path(__file__).parents[2]
COMMANDS = [str(one.callback.__name__) for one in main.app.registered_commands if one.callback]


def run_shell(arguments: str) -> subprocess.CompletedProcess[str]:
    """`corelic ARGUMENTS` as a shell runs it, redirections included."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONUNBUFFERED", None)  # what is buffered fails late, hence differently
    command = f'"{sys.executable}" -m corelic.cli.main {arguments}'
    return subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=False
    )


def test_help_lists_every_command(corelic: Program) -> None:
    shown = corelic("--help").stdout.decode()
    assert {"encode", "bench", "robustness"} < set(COMMANDS)
    assert re.findall(r"^  (\w+)  ", shown, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_examples(corelic: Program, command: str) -> None:
    ran = corelic(command, "--help")
    assert ran.exit_code == 0
    assert f"\n    corelic {command}" in ran.stdout.decode()


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, corelic.cli.main; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_encoding_and_decoding_import_nothing_slow_that_they_do_not_need() -> None:
    """Of these, torch imports sympy for some operations on tensors without numbers."""
    code = """
import sys, numpy, corelic
from corelic.media import Picture
data = corelic.encode(Picture(numpy.zeros((8, 8, 3), numpy.uint8)), device="cpu")
corelic.decode(data, device="cpu")
slow = {"sympy", "scipy", "torchvision", "compressai", "matplotlib", "av"} & set(sys.modules)
sys.exit(", ".join(slow) or 0)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_version(corelic: Program) -> None:
    assert corelic("--version").stdout.decode() == f"corelic {api.__version__}\n"


def test_no_command_is_wrong_usage(corelic: Program) -> None:
    assert corelic().exit_code == 2
    ran = corelic("encoed", "photo.png")
    assert ran.exit_code == 2
    assert "Did you mean 'encode'" in ran.stderr


def test_debug_shows_where_an_error_comes_from(corelic: Program) -> None:
    for arguments in (["--debug", "info", "photo.png"], ["info", "photo.png", "--debug"]):
        with pytest.raises(CorelicError):
            corelic(*arguments)
    done = run_shell("info photo.png --debug")
    assert "Traceback" in done.stderr
    assert "NotACorelicFileError" in done.stderr


def test_a_reader_that_leaves_is_no_error(corelic: Program) -> None:
    done = run_shell("encode - -o - < photo.png | head -c 0")
    assert (done.stdout, done.stderr) == ("", "")
    assert run_shell("--help | true").stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize("arguments", ["--help", "codecs", "encode photo.png -o -"])
def test_a_full_disk_under_standard_output_is_one_sentence(
    corelic: Program, arguments: str
) -> None:
    done = run_shell(f"{arguments} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "standard output" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("error", [MemoryBudgetError(3_000, 2_000), OutOfMemoryError(9, 7)])
def test_our_own_errors_of_memory_keep_their_figures(error: CorelicError) -> None:
    assert main._sentence(error) == str(error)
    assert "not enough memory" in main._sentence(MemoryError())


def run_by_shell(command: str) -> subprocess.CompletedProcess[bytes]:
    """`corelic …` among redirections; classical codecs keep it quick."""
    program = f"{sys.executable} -m corelic"
    line = command.replace("corelic", program)
    return subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=120)


@pytest.mark.skipif(os.name == "nt", reason="redirections are a Unix shell's")
@pytest.mark.parametrize(
    ("command", "exit_code", "said"),
    [
        ("corelic encode photo.png --codec jpeg >&-", 0, b""),
        ("corelic encode - --codec jpeg -o out.jpg <&-", 1, b"there is none"),
        ("corelic encode photo.png --codec jpeg -o - >&-", 1, b"it is closed"),
        ("corelic demo photo.png -o photo.png >&-", 1, b"photo.png"),
        ("PYTHONIOENCODING=cp1252 corelic encode photo.png --codec jpeg", 0, b"\\u2192"),
        ("corelic encode photo.png --codec jpeg -o /dev/stdout | head -c 2", 0, b"\xff\xd8"),
        (
            "corelic encode photo.png --codec jpeg -o /dev/stdout > a.jpg; head -c 2 a.jpg",
            0,
            b"\xff\xd8",
        ),
        ("corelic encode photo.png --codec jpeg -o >(cat >&2) | cat", 0, b"JFIF"),
    ],
)
def test_streams_of_any_kind(corelic: Program, command: str, exit_code: int, said: bytes) -> None:
    ran = run_by_shell(command)
    assert ran.returncode == exit_code, ran.stderr
    assert said in ran.stdout + ran.stderr
    assert b"Traceback" not in ran.stderr


@pytest.mark.skipif(os.name == "nt", reason="redirections are a Unix shell's")
@pytest.mark.parametrize(
    "command",
    [
        "corelic encode photo.png --codec jpeg -o /dev/stdout | cat > out.jpg",
        "corelic encode - other.png --codec jpeg < photo.png > out.jpg",
    ],
)
def test_nothing_but_the_file_goes_to_standard_output(corelic: Program, command: str) -> None:
    corelic("encode", "photo.png", "--codec", "jpeg")
    Path("other.png").write_bytes(Path("photo.png").read_bytes())
    ran = run_by_shell(command)
    assert ran.returncode == 0, ran.stderr
    assert Path("out.jpg").read_bytes() == Path("photo.jpg").read_bytes()
    assert b"bytes" in ran.stderr  # the line for people
    with_json = command.replace("encode", "encode --json")
    assert run_by_shell(f"set -o pipefail; {with_json}").returncode == 2
