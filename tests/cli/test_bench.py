"""corelic bench and corelic report."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from corelic.eval import results
from tests.cli.conftest import Program
from tests.conftest import needs


def test_what_fails_is_named_and_left_out(corelic: Program, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(photos, folder)
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("not a picture")
    (folder / "cut.png").write_bytes((photos / "coffee.png").read_bytes()[:5000])
    ran = corelic("bench", "mixed", "--codecs", "webp,jpeg", "--qualities", "10,40,70,90",
                  "--sample", "0")  # fmt: skip
    assert ran.exit_code == 1
    for name in ("empty.png", "notes.txt", "cut.png"):
        assert name in ran.stderr
    run = results.read(tmp_path / "bench").run
    assert {Path(failure.name).name for failure in run.failures} == {
        "empty.png", "notes.txt", "cut.png"
    }  # fmt: skip
    assert run.averaged == ("astronaut.png", "coffee.png")


def test_the_command_measures_and_reports(corelic: Program, photos: Path) -> None:
    needs("matplotlib", "plotly")
    ran = corelic("bench", str(photos), "--codecs", "jpeg,webp", "--qualities", "10,40,70,90",
                  "--sample", "1", "--rounds", "1", "-o", "out")  # fmt: skip
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert "anchor webp" in ran.stdout.decode()
    ran = corelic("report", "out", "--also", "kodak/dcae")
    assert (ran.exit_code, ran.stderr) == (0, "")
    page = Path("out/report/index.html").read_text()
    assert "DCAE (kodak/dcae)" in page and "tens of points" in page
    with Image.open("out/report/psnr.png") as image:
        assert image.width > 1000
    svg = Path("out/report/psnr.svg").read_bytes()
    corelic("report", "out", "--also", "kodak/dcae", "-o", "again")
    assert Path("again/psnr.svg").read_bytes() == svg


def test_a_report_needs_a_benchmark(corelic: Program) -> None:
    ran = corelic("report", "nowhere")
    assert ran.exit_code == 1 and "run corelic bench first" in ran.stderr


@pytest.mark.parametrize("text", ["10,x", "-3", "101", ","])
def test_wrong_qualities_are_wrong_usage(corelic: Program, text: str) -> None:
    assert corelic("bench", ".", "--qualities", text).exit_code == 2
