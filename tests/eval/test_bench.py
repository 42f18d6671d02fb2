"""The benchmark: what it measures, how it goes on, and that every engine finds the same."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from corelic.codecs import files as codec_files
from corelic.codecs import peers, store
from corelic.errors import DeviceError, MissingPartError, PeerError, UnknownCodecError
from corelic.eval import averages, bench, engines, published, results, tasks
from corelic.eval.engines import Engine, Processes, Ray
from corelic.eval.metrics import ms_ssim, psnr_db
from corelic.eval.rate_distortion import Curve, CurveError, read_curve, to_json
from corelic.eval.results import Plan
from corelic.eval.tasks import Measure, Measured, Memory, Subject, Task, subject_of
from corelic.media import Picture, picture_bytes, read_picture
from tests.conftest import needs
from tests.eval.conftest import PLAN
from tests.tiny import TINY_WEIGHTS

ROOT = Path(__file__).parents[2]
QUICK = replace(PLAN, sample=0, qualities=(20, 60, 80, 90))
SAME = ("run.json", "pictures.csv", "curves/jpeg.json", "curves/webp.json")


def files(folder: Path) -> dict[str, bytes]:
    """All that must not differ from run to run."""
    return {name: (folder / name).read_bytes() for name in SAME}


@pytest.fixture(scope="module")
def quick(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quick")
    bench.run(QUICK, [photos], folder)
    return folder


# What is measured


def test_figures_are_those_of_the_files(finished: Path, photos: Path) -> None:
    picture = read_picture(photos / "coffee.png")
    data = peers.PEERS["webp"].encode(picture, 40)
    decoded = peers.PEERS["webp"].decode(data)
    with (finished / "pictures.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4
    wanted = ("webp", "coffee.png", "40.0")
    [row] = [row for row in rows if (row["codec"], row["picture"], row["quality"]) == wanted]
    assert int(row["file_bytes"]) == len(data)
    assert float(row["bpp"]) == 8 * len(data) / (200 * 200)
    assert float(row["psnr_db"]) == pytest.approx(psnr_db(picture.pixels, decoded.pixels))
    similarity = ms_ssim(picture.pixels, decoded.pixels)
    assert similarity is not None and float(row["ms_ssim"]) == pytest.approx(similarity)
    assert float(row["ms_ssim_db"]) == pytest.approx(-10 * np.log10(1 - similarity))


def test_a_curve_is_the_mean_of_its_pictures(finished: Path) -> None:
    curve = read_curve(finished / "curves" / "jpeg.json")
    assert [picture.name for picture in curve.pictures] == ["astronaut.png", "coffee.png"]
    for place, point in enumerate(curve.points):
        of = [picture.points[place] for picture in curve.pictures]
        assert point.rate_bpp == pytest.approx(np.mean([p.rate_bpp for p in of]))
        for name in ("psnr_db", "ms_ssim", "psnr_y_db", "ssim"):
            assert getattr(point, name) == pytest.approx(np.mean([getattr(p, name) for p in of]))
        assert len({point.psnr_db, point.psnr_y_db, point.ssim, point.ms_ssim, None}) == 5


def test_the_layout_is_that_of_compressai(finished: Path) -> None:
    content = json.loads((finished / "curves" / "webp.json").read_text())
    assert {"name", "description", "results"} <= content.keys()
    columns = content["results"]
    assert {"bpp", "psnr-rgb", "ms-ssim-rgb", "psnr-y", "ssim-rgb"} == columns.keys()
    assert {len(values) for values in columns.values()} == {4}
    assert content["meta"]["average"] == "picture" and content["meta"]["anchor"] == "jpeg"


def test_a_time_is_the_median_of_its_rounds(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Slow:
        """Each call takes so many seconds, the first ones to warm up."""

        encode_s, decode_s = [100.0, 2.0, 9.0, 2.0], [100.0, 3.0, 1.0, 30.0]

        def encode(self, picture: Picture, quality: float) -> bytes:
            now[0] += self.encode_s.pop(0)
            return b""

        def decode(self, data: bytes) -> None:
            now[0] += self.decode_s.pop(0)

    monkeypatch.setattr(tasks, "same_codec", lambda subject: Slow())
    monkeypatch.setattr(tasks, "perf_counter", lambda: now[0])
    monkeypatch.setattr(tasks, "can_limit", lambda: False)
    picture = read_picture(photos / "coffee.png")
    clock = tasks.Clock(subject_of("jpeg", "cpu", "coffee.png", ""), 50, 3, "here")
    found = clock.run((photos / "coffee.png").read_bytes())
    pixels = picture.width_px * picture.height_px
    assert found == tasks.Clocked(2, 3, None, None, pixels)
    quick, slow = tasks.Clocked(2, 3, 4, None, 5000), tasks.Clocked(4, 1, 4, None, 5000)
    assert bench._per_megapixel([quick]) == (400, 600, 800, None)
    assert bench._per_megapixel([quick, slow]) == (600, 400, 800, None)
    assert bench._per_megapixel([]) == (None, None, None, None)


def test_times_and_memory_are_measured_on_the_sample(finished: Path) -> None:
    found = results.read(finished)
    for cost in found.costs:
        assert cost.encode_s is not None and cost.encode_s > 0
        assert cost.peak_bytes is None or 50e6 < cost.peak_bytes < 5e9
    shown = [at for at in found.run.shown if at.codec == "webp"]
    assert [at.target_bpp for at in shown] == list(bench.SHOWN_BPP)
    near = results.read_shown(finished, shown[1])
    assert near.rate_bpp == pytest.approx(0.5, rel=0.1) and near.webp


def test_long_names_have_files_that_disks_take() -> None:
    """Exports of one's own are called by their whole path."""
    names = [f"swift-0 (/{'deep/' * 60}{run}/swift.safetensors)" for run in ("one", "two")]
    files = results.curve_files(names)
    assert len(set(files.values())) == 2 and max(map(len, files.values())) < 120


def test_curves_of_one_slug_have_files_of_their_own(finished: Path, tmp_path: Path) -> None:
    whole = results.read(finished)
    names = "runs/new_1", "runs/new-1", "jpeg"
    facts = tuple(replace(whole.run.codecs[0], name=name) for name in names)
    first = whole.curves[0]
    curves = tuple(
        replace(first, name=name, points=first.points[place:]) for place, name in enumerate(names)
    )
    run = replace(whole.run, codecs=facts)
    results.write(replace(whole, run=run, curves=curves), {}, tmp_path)
    assert [curve.points for curve in results.read(tmp_path).curves] == [
        curve.points for curve in curves
    ]
    assert (tmp_path / "curves" / "jpeg.json").exists()  # a name that is alone in it keeps it


def test_exports_of_one_name_have_titles_of_their_own() -> None:
    facts = peers.PEERS["jpeg"].facts
    found = bench.told_apart({"a": facts, "b": replace(facts, version="another")})
    assert [one.title for one in found.values()] == [f"{facts.title} (a)", f"{facts.title} (b)"]
    assert bench.told_apart({"a": facts})["a"] == facts


def test_the_run_says_what_it_was(finished: Path) -> None:
    run = results.read(finished).run
    assert run.plan == PLAN
    assert run.machine["cores"] == os.cpu_count()
    assert [facts.name for facts in run.codecs] == ["webp", "jpeg"]
    rate = next(row.rate for row in run.bd_rates if row.curve == "webp" and row.metric == "psnr")
    assert rate is not None and rate.percent < -10


@pytest.mark.parametrize(
    ("anchor", "curve"), [("webp:method=6", "webp"), ("webp", "webp"), ("kodak/dcae", "kodak/dcae")]
)
def test_an_anchor_is_a_codec_as_it_was_typed_or_a_curve(
    photos: Path, tmp_path: Path, anchor: str, curve: str
) -> None:
    plan = replace(QUICK, codecs=("jpeg", "webp:method=6"), anchor=anchor)
    found = bench.run(plan, [photos], tmp_path).results.run
    assert found.plan.anchor == curve
    assert all(row.rate is not None for row in found.bd_rates if row.metric == "psnr")


def test_an_anchor_without_a_curve_is_a_reason_not_an_end() -> None:
    curve = read_curve(ROOT / "corelic" / "eval" / "curves" / "kodak" / "dcae.json")
    [row, _] = results.bd_rows("webp", (replace(curve, name="jpeg"),), 2)
    assert row.rate is None and row.reason is not None and "webp" in row.reason


def test_an_anchor_without_a_metric_is_to_blame_for_that() -> None:
    anchor = published.find("kodak/cai-jpeg")
    without = replace(anchor, points=tuple(replace(p, ms_ssim=None) for p in anchor.points))
    curves = (replace(without, name="jpeg"), replace(anchor, name="webp"))
    rows = results.bd_rows("jpeg", curves, 24)
    reasons = {row.curve: row.reason for row in rows if row.metric == "ms-ssim"}
    start = "has 0 points with a finite ms-ssim, and needs 2; it was not measured"
    assert (reasons["jpeg"] or "").startswith(start)
    assert (reasons["webp"] or "").startswith(f"the anchor jpeg {start}")


def test_an_anchor_may_be_named_as_a_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec that failed on every picture, and pictures of it beside."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "webp").mkdir()
    rows = results.bd_rows("webp", (replace(published.find("kodak/dcae"), name="jpeg"),), 2)
    assert {row.reason for row in rows} == {"the anchor webp has no curve"}


def test_a_curve_of_an_earlier_run_may_be_the_anchor(photos: Path, tmp_path: Path) -> None:
    bench.run(QUICK, [photos], tmp_path)
    anchor = tmp_path / "curves" / "jpeg.json"
    before, plan = anchor.read_bytes(), replace(QUICK, codecs=("webp",), anchor=str(anchor))
    bench.run(plan, [photos], tmp_path)
    assert anchor.read_bytes() == before
    found = bench.run(plan, [photos], tmp_path).results.run
    assert all(row.rate is not None for row in found.bd_rates if row.metric == "psnr")


def test_a_picture_without_an_error_is_named(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "black.png")
    found = bench.run(QUICK, [photos, tmp_path / "black.png"], tmp_path / "out").results.run
    told = [
        text
        for row in found.bd_rates
        if row.metric == "psnr"
        for text in (*row.warnings, row.reason)
        if text and "black.png" in text
    ]
    assert told and not any("measure more qualities" in text for text in told)


def test_an_unknown_anchor_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(CurveError, match="did you mean 'kodak/dcae'"):
        bench.run(replace(QUICK, anchor="kodak/dcea"), [tmp_path / "none"], tmp_path / "out")


def test_pictures_of_one_name_are_different_pictures(photos: Path, tmp_path: Path) -> None:
    for folder, name in (("a", "coffee.png"), ("b", "astronaut.png")):
        (tmp_path / folder).mkdir()
        shutil.copy(photos / name, tmp_path / folder / "one.png")
    sources = [tmp_path / "a", tmp_path / "b", tmp_path / "a" / "one.png"]
    found = bench.run(QUICK, sources, tmp_path / "out").results
    assert found.run.averaged == ("a/one.png", "b/one.png")
    assert all(len(curve.pictures) == 2 for curve in found.curves)


def test_only_colours_in_8_bits_count(tmp_path: Path) -> None:
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    colours = np.stack([grey, grey[::-1], grey.T], axis=2)
    eight = Picture(colours).in_8_bits()
    alpha = np.zeros((64, 64), np.uint8)
    rich = Picture(eight.pixels, alpha, icc=b"a profile" * 100)
    for name, picture in (("deep", Picture(colours)), ("plain", eight), ("rich", rich)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "a.png"
        path.write_bytes(picture_bytes(picture, path))
    curves = [
        bench.run(QUICK, [tmp_path / name], tmp_path / f"{name} out").results.curves
        for name in ("deep", "plain", "rich")
    ]
    points = [[curve.points for curve in of] for of in curves]
    assert points[0] == points[1] == points[2]


def measured(mse: float, file_bytes: int, pixels: int, ms: float | None = 0.9) -> Measured:
    return Measured(file_bytes, pixels, mse, mse, None, ms)


def test_both_averages_are_what_they_say() -> None:
    rows = [measured(1, 100, 1000), measured(100, 900, 3000, None)]
    by_picture, by_pixel = (averages.point(rows, kind) for kind in ("picture", "pixel"))
    assert by_picture.rate_bpp == pytest.approx((0.8 + 2.4) / 2)
    assert by_picture.psnr_db == pytest.approx((48.1308 + 28.1308) / 2, abs=1e-4)
    assert by_pixel.rate_bpp == pytest.approx(8 * 1000 / 4000)
    assert by_pixel.psnr_db == pytest.approx(10 * np.log10(255**2 / 75.25))
    assert by_picture.ms_ssim is None  # a mean over some of the pictures is none


def test_averages_of_another_kind_are_warned_of(tmp_path: Path) -> None:
    curve = published.find("kodak/dcae")
    pixels, pictures = (
        replace(curve, name=f"by {average}", average=average) for average in ("pixel", "picture")
    )
    path = tmp_path / "own.json"
    path.write_text(json.dumps(to_json(curve) | {"meta": {"average": "pixel"}}))
    own = Curve(str(path), curve.points)

    def warned(anchor: str, *curves: Curve) -> list[bool]:
        rows = [row for row in results.bd_rows(anchor, curves, 24) if row.metric == "psnr"]
        return [any("averages by" in warning for warning in row.warnings) for row in rows]

    assert read_curve(path).average == "pixel"
    assert warned("kodak/cai-vtm", pixels, pictures) == [True, False]
    assert warned(str(path), pixels, pictures) == [False, True]
    assert warned("by picture", pictures, pixels, own) == [False, True, True]
    assert warned("by picture", pictures, replace(pixels, average=None)) == [False, False]


def test_a_run_says_that_its_averages_are_others(photos: Path, tmp_path: Path) -> None:
    plan = replace(QUICK, average="pixel", anchor="kodak/dcae")
    found = bench.run(plan, [photos], tmp_path).results
    again = results.read(tmp_path)
    assert {curve.average for curve in (*found.curves, *again.curves)} == {"pixel"}
    assert results.bd_rows("kodak/dcae", again.curves, 2) == found.run.bd_rates
    rows = [row for row in found.run.bd_rates if row.metric == "psnr"]
    assert rows and all("by pixel, the anchor's by picture" in row.warnings[-1] for row in rows)


# Interrupted


def test_nothing_is_done_twice(quick: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(quick / "cells", tmp_path / "cells")

    class Idle:
        def run(self, tasks: Sequence[Task], read: Any) -> Any:
            raise AssertionError(f"{len(tasks)} tasks were done again")

    bench.run(QUICK, [photos], tmp_path, engine=Idle())
    assert files(tmp_path) == files(quick)


def test_another_version_or_picture_is_measured_again(photos: Path) -> None:
    subject = Subject("jpeg", "jpeg; 1", "cpu", "a.png", "0" * 64)
    keys = {
        Measure(one, quality).key
        for one in (subject, replace(subject, version="jpeg; 2"), replace(subject, digest="1" * 64))
        for quality in (10.0, 20.0)
    }
    assert len(keys) == 6


def test_another_torch_or_pillow_is_measured_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> set[str]:
        bench.run(QUICK, [photos / "coffee.png"], tmp_path)
        return {path.name for path in tmp_path.glob("cells/*-measure-*.json")}

    installed = tasks.version
    before = names()
    for package in ("torch", "pillow"):
        monkeypatch.setattr(
            tasks, "version", lambda asked, new=package: "99" if asked == new else installed(asked)
        )
        tasks.software.cache_clear()
        found = names()
        assert len(found) == len(before) + 8
        before = found
    monkeypatch.undo()
    tasks.software.cache_clear()


def test_other_weights_of_one_name_are_measured_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "own.safetensors"
    plan = replace(QUICK, codecs=(str(weights), "jpeg"))
    codec = store.from_file(TINY_WEIGHTS).codec
    found = []
    for note in ("one file", "another"):
        weights.write_bytes(store.pack(codec, {"note": note}))
        tasks.opened.cache_clear()  # as in a process of another day
        bench.run(plan, [photos / "coffee.png"], tmp_path / "out")
        found.append({path.name for path in tmp_path.glob("out/cells/*own*-*.json")})
    assert len(found[0]) == 4 and len(found[1]) == 8 and found[0] < found[1]


@pytest.mark.parametrize("engine", [engines.Serial(), Processes(2)], ids=["serial", "processes"])
def test_weights_that_change_meanwhile_are_named(
    photos: Path, tmp_path: Path, engine: Engine
) -> None:
    """By a worker that opens them later; what it finds would be kept under their earlier name."""
    weights = tmp_path / "own.safetensors"
    codec = store.from_file(TINY_WEIGHTS).codec
    weights.write_bytes(store.pack(codec, {"note": "at first"}))

    class Meddled:
        def run(self, asked: Sequence[Task], read: Any) -> Any:
            weights.write_bytes(store.pack(codec, {"note": "exported again"}))
            tasks.opened.cache_clear()
            return engine.run(asked, read)

    plan = replace(QUICK, codecs=("jpeg", str(weights)))
    outcome = bench.run(plan, [photos], tmp_path / "out", engine=Meddled())
    assert len(outcome.failures) == 2
    assert all("where the run began" in str(failure) for failure in outcome.failures)
    assert len(list(tmp_path.glob("out/cells/*.json"))) == 8  # of jpeg


def test_what_auto_chose_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    for there in (False, True):
        monkeypatch.setattr(tasks, "version_of", lambda codec, device: "1")
        monkeypatch.setattr(codec_files.torch.cuda, "is_available", lambda there=there: there)
        chosen.append(subject_of("jpeg", "auto", "a.png", "0" * 64).device)
    assert chosen == ["cpu", "cuda"]


def test_the_memory_of_another_codec_is_not_taken_for_it(photos: Path) -> None:
    other = replace(subject_of("jpeg", "cpu", "coffee.png", ""), version="jpeg; of another day")
    with pytest.raises(PeerError, match="where the run began"):
        Memory(other, 50, "here").run((photos / "coffee.png").read_bytes())


@pytest.mark.parametrize("engine", [engines.Serial(), Processes(2)], ids=["serial", "processes"])
def test_a_picture_that_changes_meanwhile_is_named_and_left_out(
    photos: Path, tmp_path: Path, engine: Engine
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(photos, folder)
    pixels = read_picture(photos / "coffee.png").pixels[:150].copy()
    for name in ("changed.png", "gone.png"):
        (folder / name).write_bytes(picture_bytes(Picture(pixels), folder / name))
        pixels[0, 0] += 1

    class Meddled:
        def run(self, tasks: Sequence[Task], read: Any) -> Any:
            (folder / "changed.png").write_bytes((photos / "astronaut.png").read_bytes())
            (folder / "gone.png").unlink()
            return engine.run(tasks, read)

    outcome = bench.run(QUICK, [folder], tmp_path / "out", engine=Meddled())
    assert outcome.results.run.averaged == ("astronaut.png", "coffee.png")
    told = {failure.name: str(failure) for failure in outcome.failures}
    assert "changed since the run began" in told["changed.png, jpeg"]
    assert "no such file" in told["gone.png, webp"] and len(told) == 4


def test_a_broken_cell_is_measured_again(quick: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(quick / "cells", tmp_path / "cells")
    one, other, *_ = sorted((tmp_path / "cells").iterdir())
    one.write_bytes(b"")
    other.write_text('{"file_bytes": "many"}')
    bench.run(QUICK, [photos], tmp_path)
    assert files(tmp_path) == files(quick)


def test_a_killed_run_goes_on_to_the_same_files(quick: Path, photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from corelic.cli.main import main; main()", "bench"]
    command += [str(photos), "-o", str(tmp_path), "--codecs", "webp,jpeg", "--anchor", "jpeg"]
    command += ["--qualities", "20,60,80,90", "--sample", "0", "--rounds", "1"]
    started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cells/*.json")) and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "run.json").exists()
    assert 0 < len(list(tmp_path.glob("cells/*.json"))) < 16
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    assert files(tmp_path) == files(quick)


# Engines


def test_processes_find_the_same(quick: Path, photos: Path, tmp_path: Path) -> None:
    bench.run(QUICK, [photos], tmp_path, engine=Processes(2))
    assert files(tmp_path) == files(quick)


def test_ray_finds_the_same(quick: Path, photos: Path, tmp_path: Path) -> None:
    needs("ray")
    import ray

    try:
        bench.run(QUICK, [photos], tmp_path, engine=Ray(2))
    finally:
        ray.shutdown()
    assert files(tmp_path) == files(quick)


class Suicide(Measure):
    """Kills its process, once if `picture` names a file that is not there yet, else always."""

    def run(self, data: bytes) -> Measured:
        mark = Path(self.subject.picture)
        if mark.name != "once" or not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return measured(1, 1, 1)


def task(kind: type[Measure], picture: Path, quality: float = 50) -> Measure:
    return kind(subject_of("jpeg", "cpu", str(picture), ""), quality)


def test_a_worker_that_dies_takes_nothing_with_it(photos: Path, tmp_path: Path) -> None:
    data = (photos / "coffee.png").read_bytes()
    tasks = [task(Measure, photos / "coffee.png", quality) for quality in range(10, 50, 10)]
    tasks.insert(1, task(Suicide, tmp_path / "once"))
    tasks.insert(3, task(Suicide, tmp_path / "always"))
    done = {one.task: one for one in Processes(2).run(tasks, lambda _: data)}
    assert done.keys() == set(tasks)
    failed = [one for one in done.values() if one.error]
    assert [one.task.subject.picture for one in failed] == [str(tmp_path / "always")]
    assert isinstance(failed[0].error, PeerError) and "died" in str(failed[0].error)


class Sleeper(Measure):
    """Leaves a mark when it has slept."""

    def run(self, data: bytes) -> Measured:
        time.sleep(20)
        Path(self.subject.picture).touch()
        return measured(1, 1, 1)


def test_stopping_ends_the_work_in_hand(photos: Path, tmp_path: Path) -> None:
    data = (photos / "coffee.png").read_bytes()
    tasks = [task(Measure, photos / "coffee.png"), task(Sleeper, tmp_path / "slept")]
    answers = Processes(2).run(tasks, lambda _: data)
    assert next(answers).error is None
    answers.close()
    assert not (tmp_path / "slept").exists()


def test_ray_starts_a_task_again_whose_worker_died(photos: Path, tmp_path: Path) -> None:
    needs("ray")
    import ray

    data = (photos / "coffee.png").read_bytes()
    tasks = [task(Measure, photos / "coffee.png"), task(Suicide, tmp_path / "once")]
    try:
        done = {one.task: one for one in Ray(2).run(tasks, lambda _: data)}
    finally:
        ray.shutdown()
    assert done.keys() == set(tasks)
    assert all(one.error is None for one in done.values())


class FakeRay:
    """A cluster in this process, as far as the engine knows one; the last started ends first."""

    class exceptions:
        class WorkerCrashedError(Exception): ...

        class NodeDiedError(Exception): ...

        class OutOfMemoryError(Exception): ...

    def __init__(self, gpus: float, crashes_on: float) -> None:
        self.gpus, self.crashes_on = gpus, crashes_on
        self.addresses: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.running: list[int] = []
        self.most = 0
        self.answers: dict[int, Any] = {}

    def is_initialized(self) -> bool:
        return False

    def init(self, *, address: str, **_: object) -> None:
        self.addresses.append(address)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 8.0} | ({"GPU": self.gpus} if self.gpus else {})

    def remote(self, **options: Any) -> Any:
        self.asked.append(options)

        def start(work: Any) -> Any:
            def run(task: Any, data: bytes) -> int:
                crashes = task.quality == self.crashes_on
                number = len(self.answers)
                self.answers[number] = None if crashes else work(task, data)
                self.running.append(number)
                self.most = max(self.most, len(self.running))
                return number

            return SimpleNamespace(remote=run)

        return start

    def wait(self, running: list[int]) -> tuple[list[int], list[int]]:
        self.running.remove(running[-1])
        return [running[-1]], running[:-1]

    def get(self, number: int) -> Any:
        if self.answers[number] is None:
            raise self.exceptions.WorkerCrashedError
        return self.answers[number]


def test_the_engine_of_ray_does_every_task_once(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay(gpus=0, crashes_on=30)
    monkeypatch.setitem(sys.modules, "ray", ray)
    asked = [task(Measure, photos / "coffee.png", quality) for quality in (10, 20, 30, 40, 50, 60)]
    gone = task(Measure, Path("gone.png"), 10)

    def read(one: Task) -> bytes:
        if one is gone:
            raise PeerError("gone.png", "is gone")
        return (photos / "coffee.png").read_bytes()

    done = list(Ray(2).run([gone, *asked], read))
    assert [one.task for one in done[-1:]] == [gone]
    assert {one.task for one in done} == {gone, *asked} and len(done) == 7
    failed = {one.task: str(one.error) for one in done if one.error is not None}
    assert failed.keys() == {gone, asked[2]} and "died" in failed[asked[2]]
    assert (ray.most, ray.addresses) == (4, ["local"])
    assert [options["num_gpus"] for options in ray.asked] == [0]


@pytest.mark.parametrize(("gpus", "each"), [(1, 0.3333), (3, 1), (8, 1)])
def test_workers_of_ray_have_their_part_of_the_gpus(
    photos: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, each: float
) -> None:
    ray = FakeRay(gpus=gpus, crashes_on=30)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(tasks, "same_codec", lambda subject: peers.PEERS[subject.codec])
    on_cuda = task(Measure, photos / "coffee.png", 20)
    on_cuda = replace(on_cuda, subject=replace(on_cuda.subject, device="cuda"))
    data = (photos / "coffee.png").read_bytes()
    [done] = Ray(3, "auto").run([on_cuda], lambda _: data)
    assert done.error is None
    assert ray.asked[0]["num_gpus"] == each
    monkeypatch.setitem(sys.modules, "ray", FakeRay(gpus=0, crashes_on=30))
    with pytest.raises(DeviceError, match="not there on this cluster"):
        list(Ray(3, "auto").run([on_cuda], lambda _: data))


def test_ray_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPartError, match=r"corelic\[ray\]"):
        list(Ray(1).run([], lambda _: b""))
    assert engines.ATTEMPTS > 1


# Failures


def test_all_averages_are_over_the_same_pictures(photos: Path, tmp_path: Path) -> None:
    class Fails:
        """Every codec but jpeg fails on the coffee."""

        def run(self, tasks: Sequence[Task], read: Any) -> Any:
            for done in engines.Serial().run(tasks, read):
                subject = done.task.subject
                if (subject.codec, subject.picture) == ("webp", "coffee.png"):
                    yield engines.Done(done.task, None, PeerError("webp", "no coffee"))
                else:
                    yield done

    outcome = bench.run(QUICK, [photos], tmp_path, engine=Fails())
    assert [failure.name for failure in outcome.failures] == ["coffee.png, webp"]
    assert outcome.results.run.averaged == ("astronaut.png",)
    assert {len(curve.pictures) for curve in outcome.results.curves} == {1}
    assert '"coffee.png"' not in (tmp_path / "curves" / "jpeg.json").read_text()
    assert "coffee.png" in (tmp_path / "pictures.csv").read_text()


def test_a_curve_goes_with_its_codec(photos: Path, tmp_path: Path) -> None:
    bench.run(QUICK, [photos], tmp_path)
    (tmp_path / "curves" / "mine.json").write_text("of no run")
    bench.run(replace(QUICK, codecs=("jpeg",)), [photos / "coffee.png"], tmp_path)
    assert {path.name for path in (tmp_path / "curves").iterdir()} == {"jpeg.json", "mine.json"}


class Starved(Measure):
    def run(self, data: bytes) -> Measured:
        raise MemoryError


def test_a_picture_that_memory_does_not_hold_is_named(photos: Path) -> None:
    [done] = engines.Serial().run([task(Starved, Path("huge.png"))], lambda _: b"")
    assert str(done.error) == "huge.png: needs more memory than there is"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("target", ["nowhere", "fetched-later.png"])
def test_a_link_that_leads_nowhere_is_named(photos: Path, tmp_path: Path, target: str) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(photos, folder)
    (folder / "fetched-later.png").symlink_to(folder / target)
    outcome = bench.run(QUICK, [folder], tmp_path / "out")
    assert [Path(failure.name).name for failure in outcome.failures] == ["fetched-later.png"]


def test_a_cluster_that_is_not_there_is_no_fault_of_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def init(**_: object) -> None:
        raise ConnectionError("could not find any running instance")

    monkeypatch.setitem(
        sys.modules, "ray", SimpleNamespace(init=init, is_initialized=lambda: False)
    )
    with pytest.raises(PeerError, match=r"--engine ray.* cannot work with auto \(could not find"):
        list(Ray(1, "auto").run([], lambda _: b""))


def test_mistakes_are_said_before_the_work(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownCodecError, match="did you mean 'webp'"):
        bench.run(Plan(("jpeg", "wepb"), anchor="jpeg"), [photos], tmp_path)
    with pytest.raises(PeerError, match="are one"):
        bench.run(Plan(("avif", "avif:speed=4"), anchor="avif"), [photos], tmp_path)
    with pytest.raises(bench.NoPicturesError, match="no files, and folders inside"):
        bench.run(Plan(("jpeg",), anchor="jpeg"), [tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Where and with what


def test_times_are_those_of_a_machine(photos: Path, tmp_path: Path, monkeypatch: Any) -> None:
    plan = replace(QUICK, sample=1, rounds=1)
    bench.run(plan, [photos], tmp_path)
    before = {path.name for path in tmp_path.glob("cells/*.json")}
    bench.run(plan, [photos], tmp_path)
    assert {path.name for path in tmp_path.glob("cells/*.json")} == before
    monkeypatch.setattr(bench, "usable_cores", lambda: 99)
    bench.run(plan, [photos], tmp_path)
    new = {path.name for path in tmp_path.glob("cells/*.json")} - before
    assert new and all("-clock-" in name or "-memory-" in name for name in new)


def test_curves_of_other_pictures_warn() -> None:
    assert published.of_other_sets("kodak/cai-vtm", "swift-1", 24) == []
    assert "24 pictures, the other over 3" in published.of_other_sets("kodak/dcae", "mine", 3)[0]
    assert "clic2020-mobile" in published.of_other_sets("clic2020-mobile/cai-av1", "mine", 3)[0]
    folders = {name.split("/")[0] for name in published.names()}
    assert folders <= published.SET_SIZES.keys()
