"""Several processes: all of the work is done, and whatever happens to one of them has a name."""

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from corelic import workers
from corelic.errors import BadFileError, WorkerError
from corelic.jobs import Job, plan, run

ROOT = Path(__file__).parents[1]
PROCESSES = 2
TIMEOUT_S = 120  # generous: a busy machine starts a process in seconds


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def jobs(*names: str) -> list[Job]:
    return plan([Path(name) for name in names], None, suffix=".clc", overwrite=False)


@pytest.mark.skipif(os.name == "nt", reason="there is no such limit")
def test_many_processes_may_have_what_they_need() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
        found = list(workers.attempts([Path()], Path.exists, 60))
        assert [answer() for _, answer in found] == [True]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (256 + 16 * 60, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# What the processes do: they import it from here.


def pid_and_threads(job: Job) -> tuple[str, int, str]:
    time.sleep(0.2)  # so that the other process has its share
    return job.name, os.getpid(), os.environ["OMP_NUM_THREADS"]


def meet_its_fate(job: Job) -> str:
    match job.source.stem:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crashed":
            os._exit(0)
        case "terminated":
            os.kill(os.getpid(), signal.SIGTERM)
        case "bad":
            raise BadFileError("makes no sense")
        case "warned":
            warnings.warn("careful", UserWarning, stacklevel=1)
    return job.name


def stumble(job: Job) -> None:
    raise ZeroDivisionError("a bug")


def answer_with_a_lambda(job: Job) -> object:
    return lambda: job


def square(number: int) -> int:
    return number * number


def test_all_is_done_in_order_by_processes_that_share_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(workers, "usable_cores", lambda: 6)
    names = [f"{letter}.png" for letter in "dbca"]
    outcome = run(jobs(*names), pid_and_threads, processes=PROCESSES)
    assert [name for name, _, _ in outcome.results] == names
    pids = {pid for _, pid, _ in outcome.results}
    assert os.getpid() not in pids
    assert len(pids) == PROCESSES
    assert {threads for _, _, threads in outcome.results} == {"3"}


@pytest.mark.parametrize(("given", "used"), [("1", "1"), ("64", "3"), ("some", "3"), ("0", "1")])
def test_a_lower_limit_of_the_user_stays(
    monkeypatch: pytest.MonkeyPatch, given: str, used: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # it would be told as well
    workers._limit_threads(3)
    assert os.environ["OMP_NUM_THREADS"] == used


def test_a_process_that_dies_fails_its_own_file_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["a.png", "killed.png", "bad.png", "crashed.png", "b.png", "terminated.png", "c.png"]
    outcome = run(jobs(*names), meet_its_fate, processes=PROCESSES)
    assert outcome.results == ("a.png", "b.png", "c.png")
    found = {failure.name: type(failure.error) for failure in outcome.failures}
    assert found == {
        "killed.png": WorkerError,
        "bad.png": BadFileError,
        "crashed.png": WorkerError,
        "terminated.png": WorkerError,
    }
    shown = capsys.readouterr().err
    assert shown.count("\n") == 4  # and no traceback of a process
    assert "killed.png: the process that worked on it ended without an answer" in shown


def test_a_bug_ends_the_run_and_shows_where_it_is() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run(jobs("a.png", "b.png", "c.png"), stumble, processes=PROCESSES)
    assert "in stumble" in str(caught.value.__cause__)
    with pytest.raises(Exception, match="pickle"):
        run(jobs("a.png", "b.png"), answer_with_a_lambda, processes=PROCESSES)


def test_warnings_are_treated_as_here() -> None:
    with pytest.warns(UserWarning, match="careful") as caught:
        outcome = run(jobs("warned.png", "a.png"), meet_its_fate, processes=PROCESSES)
    assert outcome.results == ("warned.png", "a.png")
    assert [Path(warning.filename).name for warning in caught] == ["test_workers.py"]
    with pytest.raises(UserWarning, match="careful"):  # an error, as pytest is told to see it
        run(jobs("warned.png", "a.png"), meet_its_fate, processes=PROCESSES)


def test_one_file_needs_no_other_process() -> None:
    outcome = run(jobs("a.png"), lambda job: os.getpid(), processes=4)
    assert outcome.results == (os.getpid(),)


def test_standard_input_is_read_by_this_process() -> None:
    outcome = run(jobs("-", "a.png"), lambda job: os.getpid(), processes=4)
    assert outcome.results == (os.getpid(), os.getpid())


def test_items_are_taken_when_a_process_is_free() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(6):
            taken.append(number)
            yield number

    for done, (number, answer) in enumerate(workers.attempts(items(), square, PROCESSES)):
        assert answer() == number * number
        assert len(taken) <= done + PROCESSES
    assert taken == list(range(6))


def test_what_is_done_is_skipped_and_starts_no_process() -> None:
    names = ("a.png", "b.png", "bad.png")

    def is_done(job: Job) -> bool:
        if job.name == "bad.png":
            raise BadFileError("makes no sense")
        return True

    outcome = run(jobs(*names), meet_its_fate, is_done=is_done, processes=PROCESSES)
    assert [job.name for job in outcome.skipped] == ["a.png", "b.png"]
    assert [failure.name for failure in outcome.failures] == ["bad.png"]
    with pytest.raises(Exception, match=r"^1 of 3 files failed: bad\.png$"):
        outcome.raise_failures()


# Programs of their own, for what stops them would stop the tests.

SCRIPT = """
import os, time
from pathlib import Path
from corelic import disk
from corelic.jobs import plan, run

def never_synced(file):
    Path(f"{os.getpid()}.pid").touch()
    time.sleep(60)

def work(job):
    disk.os.fsync = never_synced
    job.write(b"half")

def main():
    names = ("a.png", "b.png", "c.png")
    jobs = plan([Path(name) for name in names], None, suffix=".clc", overwrite=False)
    run(jobs, work, processes=2)

GUARD
"""


def start(guard: str) -> subprocess.Popen[str]:
    Path("script.py").write_text(SCRIPT.replace("GUARD", guard))
    return subprocess.Popen(
        [sys.executable, "script.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a terminal gives it
    )


def wait_until_it_writes() -> list[int]:
    deadline = time.monotonic() + TIMEOUT_S
    while len(found := list(Path().glob("*.pid"))) < PROCESSES:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(path.stem) for path in found]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # An orphan that nobody waits for has ended all the same.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_neither_processes_nor_half_files(
    sent: signal.Signals,
) -> None:
    guard = """
if __name__ == "__main__":
    import signal, sys
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
"""
    with start(guard) as running:
        pids = wait_until_it_writes()
        assert list(Path().glob(".corelic-*.part"))  # else this test is about nothing
        if sent == signal.SIGINT:
            os.killpg(running.pid, sent)  # Ctrl-C reaches the workers as well
        else:
            running.send_signal(sent)
        assert running.wait(TIMEOUT_S) == {signal.SIGTERM: 143}.get(sent, -sent)
        wait_until_gone(pids)  # by themselves where nobody is left to stop them
        assert running.stderr is not None
        shown = running.stderr.read()
    assert sorted(path.suffix for path in Path().iterdir()) == [".pid", ".pid", ".py"]
    assert shown.count("Traceback") == (sent == signal.SIGINT)  # of the script, not its processes


def test_a_script_without_a_guard_is_told_so() -> None:
    with start("main()") as running:
        assert running.stderr is not None
        shown = running.stderr.read()
        assert running.wait(TIMEOUT_S) == 1
    assert shown.splitlines()[-1].startswith("RuntimeError: a worker process does not start")
    assert '`if __name__ == "__main__":`' in shown
