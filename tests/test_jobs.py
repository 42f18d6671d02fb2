"""Many files, and files that are written whole or not at all."""

import errno
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from corelic import jobs
from corelic.disk import atomic_write
from corelic.errors import BadFileError, OutputError, PictureError
from corelic.jobs import STREAM, Job, plan, run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*names: str) -> list[Path]:
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name)
    return [Path(name) for name in names]


def outputs(sources: list[Path], output: Path | None = None) -> list[str]:
    return [str(job.output) for job in plan(sources, output, suffix=".clc", overwrite=False)]


# Where results go


def test_results_go_beside_their_sources() -> None:
    assert outputs(make("a.png", "in/b.tar.png", "c", ".d")) == [
        "a.clc", "in/b.tar.clc", "c.clc", ".d.clc",
    ]  # fmt: skip
    assert outputs([STREAM]) == ["-"]


def test_results_go_where_they_are_sent() -> None:
    Path("out").mkdir()
    assert outputs(make("a.png", "in/b.png"), Path("out")) == ["out/a.clc", "out/b.clc"]
    assert outputs(make("a.png"), Path("new.clc")) == ["new.clc"]
    assert outputs(make("a.png"), STREAM) == ["-"]


def test_a_pattern_that_the_shell_left_alone_is_expanded() -> None:
    make("b.png", "a.png", "c.jpg", "[d].png", "d.png")
    assert outputs([Path("*.png")]) == ["[d].clc", "a.clc", "b.clc", "d.clc"]
    assert outputs([Path("[d].png")]) == ["[d].clc"]  # a file of this very name goes first
    assert outputs([Path("*.gif")]) == ["*.clc"]  # fails by name when it is read


@pytest.mark.parametrize("output", [None, Path("out")])
def test_two_results_of_one_name_are_refused(output: Path | None) -> None:
    Path("out").mkdir()
    with pytest.raises(OutputError, match=r"both a\.jpg and a\.png would go there"):
        outputs(make("a.jpg", "a.png"), output)


@pytest.mark.parametrize("output", [None, Path("one.clc"), STREAM])
def test_the_same_input_twice_is_refused(output: Path | None) -> None:
    with pytest.raises(OutputError, match=r"both|folder"):
        outputs([*make("a.png"), Path("a.png")], output)


def test_several_inputs_need_a_folder() -> None:
    with pytest.raises(OutputError, match="2 inputs, so -o must name a folder"):
        outputs(make("a.png", "b.png"), Path("c.clc"))


def test_a_folder_may_be_one_that_is_to_be_made() -> None:
    for names in (["a.png"], ["a.png", "b.png"]):
        jobs_ = plan(
            make(*names), Path("new/out"), suffix=".clc", overwrite=False, makes_folder=True
        )
        assert [job.output.parent for job in jobs_] == [Path("new/out")] * len(names)
        assert not Path("new").exists()
    jobs_[0].check()
    assert Path("new/out").is_dir()


def test_a_disk_that_ignores_case_has_one_of_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = make("X.png", "x.jpg")
    monkeypatch.setattr(sys, "platform", "linux")
    assert len(plan(sources, None, suffix=".clc", overwrite=True)) == 2
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OutputError, match="would go there"):
        plan(sources, None, suffix=".clc", overwrite=True)


def test_standard_input_has_no_name_in_a_folder() -> None:
    with pytest.raises(OutputError, match="no name"):
        outputs([STREAM], Path("."))


def test_an_input_is_never_an_output() -> None:
    make("a.png", "b.clc")
    os.link("a.png", "link.clc")
    Path("symlink.clc").symlink_to("a.png")
    for source, output in [
        ("a.png", "a.png"), ("a.png", "./a.png"), ("a.png", "link.clc"), ("a.png", "symlink.clc"),
        ("b.clc", None),
    ]:  # fmt: skip
        with pytest.raises(OutputError, match="that is the input"):
            outputs([Path(source)], None if output is None else Path(output))
    with pytest.raises(OutputError, match=r"that is the input b\.clc"):
        outputs(make("b.png", "b.clc"))


# Work on many


def test_a_bad_file_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    def work(job: Job) -> str:
        if job.name == "b.png":
            raise BadFileError("makes no sense")
        return job.read().decode()

    outcome = run(plan(make("a.png", "b.png", "c.png"), None, suffix=".clc", overwrite=False), work)
    assert outcome.results == ("a.png", "c.png")
    assert capsys.readouterr().err == "error: b.png: makes no sense\n"
    with pytest.raises(jobs.JobsFailedError, match=r"^1 of 3 files failed: b\.png$") as caught:
        outcome.raise_failures()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_too_little_memory_for_one_file_does_not_stop_the_others() -> None:
    def work(job: Job) -> str:
        if job.name == "b.png":
            raise MemoryError
        return job.name

    outcome = run(plan(make("a.png", "b.png", "c.png"), None, suffix=".clc", overwrite=False), work)
    assert outcome.results == ("a.png", "c.png")
    assert "more memory than there is" in str(outcome.failures[0])


def test_one_failure_alone_is_its_own_message(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(plan([Path("no.png")], None, suffix=".clc", overwrite=False), Job.read)
    with pytest.raises(jobs.JobsFailedError, match=r"^no\.png: there is no such file"):
        outcome.raise_failures()
    assert capsys.readouterr().err == ""


def test_a_bug_is_not_a_bad_file() -> None:
    def work(job: Job) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(plan(make("a.png", "b.png"), None, suffix=".clc", overwrite=False), work)


def test_no_work_is_done_for_a_result_that_cannot_be_written() -> None:
    make("a.png", "a.clc")
    plans = plan([Path("a.png")], None, suffix=".clc", overwrite=False)
    outcome = run(plans, lambda job: pytest.fail("it worked in vain"))
    assert "exists already" in str(outcome.failures[0])


def test_names_do_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    sources = [Path("\x1b[2Jevil\n.png"), Path(os.fsdecode(b"\xff.png"))]
    run(plan(sources, None, suffix=".clc", overwrite=False), Job.read)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(r"error: \x1b[2Jevil\n.png: there is no such file")
    assert second.startswith(r"error: \udcff.png: there is no such file")


SLOW = """
import time
from pathlib import Path
from corelic.errors import BadFileError
from corelic.jobs import plan, run

def work(job):
    time.sleep(0.6)
    if job.name == "b.png":
        raise BadFileError("makes no sense")
    if job.name == "d.png":
        raise KeyboardInterrupt

names = ("a.png", "b.png", "c.png", "d.png")
run(plan([Path(name) for name in names], None, suffix=".clc", overwrite=False), work)
"""


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal is needed")
def test_a_terminal_shows_progress_and_is_left_as_it_was() -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", SLOW],
        env=environment, stderr=theirs, stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert done.stdout == b""
    assert b"c.png" in shown
    assert b"error: b.png: makes no sense" in shown
    hidden, visible = b"\x1b[?25l", b"\x1b[?25h"
    assert -1 < shown.rfind(hidden) < shown.rfind(visible)


# Files, whole or not at all


def test_a_new_file_obeys_the_umask() -> None:
    atomic_write(Path("a.clc"), b"data")
    Path("plain").touch()
    assert Path("a.clc").read_bytes() == b"data"
    assert stat.S_IMODE(os.stat("a.clc").st_mode) == stat.S_IMODE(os.stat("plain").st_mode)
    assert sorted(os.listdir()) == ["a.clc", "plain"]


def test_an_existing_file_is_safe_unless_told() -> None:
    make("a.clc")
    with pytest.raises(OutputError, match="--overwrite"):
        atomic_write(Path("a.clc"), b"data")
    assert Path("a.clc").read_text() == "a.clc"
    atomic_write(Path("a.clc"), b"data", overwrite=True)
    assert Path("a.clc").read_bytes() == b"data"
    assert os.listdir() == ["a.clc"]


def links_refused(*paths: object) -> None:
    raise OSError(errno.EPERM, "no hard links on this disk")


@pytest.mark.parametrize("link", [os.link, links_refused], ids=["links", "no links"])
def test_a_file_that_appears_meanwhile_is_safe(
    monkeypatch: pytest.MonkeyPatch, link: Callable[..., None]
) -> None:
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "fsync", lambda _: make("a.clc"))
    with pytest.raises(OutputError, match="exists already"):
        atomic_write(Path("a.clc"), b"data")
    assert Path("a.clc").read_text() == "a.clc"
    assert os.listdir() == ["a.clc"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.EACCES])
def test_a_disk_without_hard_links_will_do(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    atomic_write(Path("a.clc"), b"data")
    assert Path("a.clc").read_bytes() == b"data"
    assert os.listdir() == ["a.clc"]


@pytest.mark.parametrize("step", ["fsync", "link"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OutputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(143), SystemExit),
    ],
    ids=["disk full", "interrupted", "terminated"],
)
def test_a_failure_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, expected: type[BaseException]
) -> None:
    def fail(*arguments: object) -> None:
        assert os.listdir()  # the temporary file: else this test is about nothing
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(expected) as caught:
        atomic_write(Path("a.clc"), b"data")
    if expected is OutputError:
        assert str(caught.value) == "cannot write a.clc: the disk is full; free some space"
    assert os.listdir() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_device_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="the disk is full"):
        atomic_write(Path("/dev/full"), b"data")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_device_is_written_to_and_never_replaced() -> None:
    atomic_write(Path(os.devnull), b"data", overwrite=True)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_symlink_stays_one() -> None:
    make("real.clc")
    Path("a.clc").symlink_to("real.clc")
    atomic_write(Path("a.clc"), b"data", overwrite=True)
    assert Path("a.clc").is_symlink()
    assert Path("real.clc").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("path", "reason"),
    [(".", "is a folder"), ("no/a.clc", "no folder"), ("x" * 300, "too long"), ("f/a", "not a")],
)
def test_a_path_that_cannot_be_is_refused(path: str, reason: str) -> None:
    make("f")
    with pytest.raises(OutputError, match=reason):
        atomic_write(Path(path), b"data")
    assert os.listdir() == ["f"]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_takes_nothing_is_said_before_the_work(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out").mkdir()
    if there:
        make("out/a.clc")
    # Not chmod: a superuser writes anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "out")
    job = jobs.Job(*make("a.png"), Path("out/a.clc"), overwrite=True)
    with pytest.raises(OutputError, match=r"nothing can be written into .*out; check its perm"):
        job.check()
    jobs.Job(Path("a.png"), Path("a.clc"), overwrite=True).check()


def test_a_folder_is_not_an_input() -> None:
    Path("photos").mkdir()
    with pytest.raises(PictureError, match=r"is a folder; name the files in it, e\.g\. photos/\*"):
        jobs.read_file(Path("photos"))


def test_a_file_that_must_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:  # not chmod: a superuser reads anything
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PictureError, match=r"^a\.png: cannot be read \(permission denied\)$"):
        jobs.read_file(*make("a.png"))


@pytest.mark.skipif(os.name == "nt", reason="permissions are a Unix system's")
def test_a_replaced_file_keeps_its_permissions() -> None:
    path = Path("private.clc")
    path.touch(mode=0o600)
    atomic_write(path, b"data", overwrite=True)
    assert path.read_bytes() == b"data" and path.stat().st_mode & 0o777 == 0o600
