"""corelic bench and corelic report."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from corelic.codecs import store
from corelic.errors import PictureError
from corelic.eval import bench, results
from corelic.eval.engines import Engine, Processes, Ray, Serial
from corelic.eval.machine import machine
from tests.cli.conftest import Program
from tests.conftest import needs
from tests.tiny import TINY_WEIGHTS


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
    assert ran.stderr.endswith("error: 3 failures, named above; averages are over 2 pictures\n")
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


def test_options_are_what_is_planned(
    corelic: Program, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def stop(plan: results.Plan, sources: object, out: Path, *, engine: Engine, **_: object) -> Any:
        asked.append((plan, sources, out, engine))
        raise PictureError("the benchmark", "stops here")

    monkeypatch.setattr(bench, "run", stop)
    given = ("--average", "pixel", "--device", "auto", "--sample", "5", "--rounds", "7",
             "--qualities", "10,20", "--anchor", "jpeg", "-o", "there")  # fmt: skip
    assert corelic("bench", str(photos), "--codecs", "jpeg,webp", *given).exit_code == 1
    plan = results.Plan(
        codecs=("jpeg", "webp"),
        anchor="jpeg",
        qualities=(10.0, 20.0),
        average="pixel",
        device="auto",
        sample=5,
        rounds=7,
    )
    assert asked[0][:3] == (plan, [photos], Path("there")) and isinstance(asked[0][3], Serial)
    corelic("bench", str(photos), "--codecs", "jpeg,webp", "--jobs", "3")
    default = results.Plan(codecs=("jpeg", "webp"), anchor="webp", sample=2, rounds=3)
    assert asked[1] == (default, [photos], Path("bench"), Processes(3))
    corelic("bench", str(photos), "--engine", "ray", "--ray-address", "auto", "--jobs", "3")
    assert asked[2][-1] == Ray(3, "auto")


def test_a_report_needs_a_benchmark(corelic: Program) -> None:
    ran = corelic("report", "nowhere")
    assert ran.exit_code == 1 and "run corelic bench first" in ran.stderr


@pytest.mark.parametrize("text", ["10,x", "-3", "101", ","])
def test_wrong_qualities_are_wrong_usage(corelic: Program, text: str) -> None:
    assert corelic("bench", ".", "--qualities", text).exit_code == 2


def test_an_address_is_for_ray_alone(corelic: Program) -> None:
    ran = corelic("bench", "photo.png", "--ray-address", "auto")
    assert ran.exit_code == 2
    assert "--engine ray" in ran.stderr


def test_the_gpu_is_named_when_it_was_chosen_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert machine("auto")["gpu"] == ("a GPU" if there else None)
    assert machine("cpu")["gpu"] is None


def test_nobody_elses_files_are_replaced(corelic: Program, photos: Path, tmp_path: Path) -> None:
    needs("matplotlib", "plotly")
    mine = tmp_path / "site" / "index.html"
    mine.parent.mkdir()
    mine.write_text("mine")
    (mine.parent / "pictures.csv").write_text("mine, too")
    quick = ("bench", str(photos), "--codecs", "webp,jpeg", "--qualities", "20,50,80,90")
    ran = corelic(*quick, "--sample", "0", "-o", "site")
    assert ran.exit_code == 1 and "pictures.csv" in ran.stderr
    assert corelic(*quick, "--sample", "0", "-o", "out").exit_code == 0
    ran = corelic("report", "out", "-o", "site")
    assert ran.exit_code == 1 and "index.html" in ran.stderr
    assert mine.read_text() == "mine" and len(list(mine.parent.iterdir())) == 2
    for _ in range(2):  # its own it does replace
        assert corelic("report", "out").exit_code == 0
    assert Path("out/report/ms-ssim.png").exists()
    with Image.open(photos / "coffee.png") as image:
        image.crop((0, 0, 100, 100)).save("small.png")  # too small for MS-SSIM
    small = ("bench", "small.png", *quick[2:], "--sample", "0", "-o", "out")
    assert corelic(*small).exit_code == corelic("report", "out").exit_code == 0
    assert {path.suffix for path in Path("out/report").glob("psnr.*")} == {".png", ".svg"}
    assert not Path("out/report/ms-ssim.png").exists()
    shutil.rmtree("out/cells")  # what one does who needs no more runs
    assert corelic(*quick, "--sample", "0", "-o", "out").exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text here")
def test_a_name_that_is_no_text_costs_no_results(corelic: Program, photos: Path) -> None:
    folder = Path("bytes")
    folder.mkdir()
    shutil.copy(photos / "coffee.png", os.fsdecode(os.fsencode(folder) + b"/b\xff.png"))
    Path(os.fsdecode(b"bytes/c\xff.png")).write_text("no picture")
    ran = corelic("bench", "bytes", "--codecs", "webp,jpeg", "--qualities", "20,50,80,90",
                  "--sample", "0", "-o", "out")  # fmt: skip
    assert ran.exit_code == 1 and "c\\udcff.png" in ran.stderr
    assert results.read(Path("out")).run.averaged == ("b\\xff.png",)


def test_two_exports_of_ones_own_are_two_codecs(corelic: Program, photos: Path) -> None:
    shutil.copy(TINY_WEIGHTS, "one.safetensors")
    codec = store.from_file(TINY_WEIGHTS).codec
    Path("two.safetensors").write_bytes(store.pack(codec, {"note": "another file"}))
    Path("three.safetensors").write_bytes(Path("one.safetensors").read_bytes())
    names = ("one.safetensors", "two.safetensors")
    ran = corelic("bench", str(photos / "coffee.png"), "--codecs", ",".join(names),
                  "--qualities", "20,50,80,90", "--sample", "0", "-o", "out")  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    found = {curve.name for curve in results.read(Path("out")).curves}
    assert found == {f"tiny-1 ({name})" for name in names}
    ran = corelic("bench", str(photos), "--codecs", "one.safetensors,three.safetensors")
    assert ran.exit_code == 1 and "are one" in ran.stderr
