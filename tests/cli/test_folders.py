"""corelic encode -r and decode -r, on real trees."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ExifTags, Image

import corelic as api
from corelic.codecs import store
from corelic.media import reading
from tests.cli.conftest import Program, Ran
from tests.tiny import TINY_WEIGHTS

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
ENCODE = ("encode", "-r", "in", "-o", "out", "--device", "cpu", "--codec", str(TINY_WEIGHTS))
DECODE = ("decode", "-r", "out", "-o", "decoded", "--device", "cpu", "--codec", str(TINY_WEIGHTS))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Analysis runs in float32, where the number of threads may turn a rounding."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of processes to come
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tree(corelic: Program, photo: Image.Image) -> dict[str, str]:
    """What is in the folder `in`, and where each picture of it goes; no two are alike."""
    placed = {
        "in/a.png": "out/a.clc",
        "in/b.jpg": "out/b.jpg.clc",
        "in/b.png": "out/b.png.clc",
        "in/x/Ünïcødé 照片.webp": "out/x/Ünïcødé 照片.clc",
        "in/x/y/c.GIF": "out/x/y/c.clc",
    }
    for number, name in enumerate(placed):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        photo.crop((0, 0, 60 + number, 40 + 2 * number)).convert(
            "L" if name.endswith("GIF") else "RGB"
        ).save(name)
        aged(name, days=2)
    Path("in/notes.txt").write_text("a shopping list\n")
    Path("in/x/y/film.mp4").write_bytes(bytes(99))
    return placed


def aged(name: str, *, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(name, (then, then))


def found(ran: Ran) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def counts(ran: Ran) -> tuple[int, ...]:
    totals = found(ran)["totals"]
    return tuple(totals[name] for name in ("done", "skipped", "left_out", "failed"))


def files(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_tree_is_mirrored(corelic: Program, tree: dict[str, str]) -> None:
    ran = corelic(*ENCODE)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout.decode().startswith(
        "5 encoded, 0 skipped, 2 left out (.mp4 1, .txt 1), 0 failed; "
    )
    assert sorted(files("out")) == sorted(tree.values())
    for source, output in tree.items():
        with Image.open(source) as image:
            header = api.info(Path(output).read_bytes())
            assert (header.width_px, header.height_px) == image.size
    again = corelic(*DECODE)
    assert again.stdout.decode().startswith("5 decoded, 0 skipped, 0 left out, 0 failed; ")
    with Image.open("decoded/x/Ünïcødé 照片.png") as image:
        assert (image.format, image.size) == ("PNG", (63, 46))
    assert "decoded/b.jpg.png" in files("decoded")


def test_json_adds_up_what_is_on_disk(corelic: Program, tree: dict[str, str]) -> None:
    report = found(corelic(*ENCODE, "--json"))
    assert {row["source"]: row["output"] for row in report["files"]} == tree
    totals = report["totals"]
    assert totals["source_bytes"] == sum(Path(source).stat().st_size for source in tree)
    assert totals["file_bytes"] == sum(len(data) for data in files("out").values())
    pixels = sum(row["width_px"] * row["height_px"] for row in report["files"])
    assert totals["rate_bpp"] == pytest.approx(8 * totals["file_bytes"] / pixels)
    assert totals["elapsed_s"] > 0
    back = found(corelic(*DECODE, "--json"))["totals"]
    assert back["rate_bpp"] == pytest.approx(totals["rate_bpp"])
    assert back["source_bytes"] == totals["file_bytes"]
    assert back["file_bytes"] == sum(len(data) for data in files("decoded").values())


def test_what_is_left_out_is_named(corelic: Program) -> None:
    Path("in").mkdir()
    names = ["a.heic", "b.HEIC", "c.heic", "d.dng", "e.dng", "._photo.png", "Makefile"]
    names += ["f.x\n", "g.y", "h.z"]
    for name in names:
        Path("in", name).touch()
    ran = corelic(*ENCODE, "--json")
    assert sorted(found(ran)["left_out_files"]) == sorted(f"in/{name}" for name in names)
    assert counts(ran) == (0, 0, len(names), 0)
    shown = corelic(*ENCODE).stdout.decode()
    kinds = ".heic 3, .dng 2, ._ companions 1, .x\\n 1, .y 1, others 2"
    assert shown == f"0 encoded, 0 skipped, 10 left out ({kinds}), 0 failed\n"


def test_what_exists_is_skipped_if_told(corelic: Program, tree: dict[str, str]) -> None:
    command = ("encode", "-r", "in", "-o", "out", "--codec", "jpeg", "--json")
    assert counts(corelic(*command)) == (5, 0, 2, 0)
    assert counts(corelic(*command)) == (0, 0, 2, 5)
    Path("out/a.jpg").unlink()
    Path("out/x/y/c.jpg").write_text("whatever is in it")
    assert counts(corelic(*command, "--skip-existing")) == (1, 4, 2, 0)
    assert Path("out/x/y/c.jpg").read_text() == "whatever is in it"
    Path("out/b.clc").write_text("not one of ours")
    Path("decoded").mkdir()
    Path("decoded/b.png").write_text("precious")
    assert counts(corelic(*DECODE, "--skip-existing", "--json"))[:2] == (0, 1)


def test_several_processes_write_the_same_bytes(corelic: Program, tree: dict[str, str]) -> None:
    assert corelic(*ENCODE).exit_code == 0
    serial = files("out")
    assert corelic(*DECODE).exit_code == 0
    decoded = files("decoded")
    Path("out").rename("before")
    Path("decoded").rename("decoded before")
    ran = corelic(*ENCODE, "--jobs", "2", "--json")
    assert [row["source"] for row in found(ran)["files"]] == list(tree)
    assert files("out") == serial
    assert corelic(*DECODE, "--jobs", "2").exit_code == 0
    assert files("decoded") == decoded
    # Files that are named may be many, too.
    ran = corelic("encode", "in/a.png", "in/b.png", "-o", "before/x", "--device", "cpu",
                  "--codec", str(TINY_WEIGHTS), "--jobs", "2")  # fmt: skip
    assert ran.stdout.decode().count("→") == 2
    assert Path("before/x/a.clc").read_bytes() == serial["out/a.clc"]


def test_what_is_finished_is_skipped(corelic: Program, tree: dict[str, str]) -> None:
    corelic(*ENCODE)
    before = {name: os.stat(name).st_mtime_ns for name in files("out")}
    Path("out/a.clc").unlink()
    ran = corelic(*ENCODE, "--json")
    assert (ran.exit_code, counts(ran)) == (0, (1, 4, 2, 0))
    assert {row["source"]: row["output"] for row in found(ran)["skipped"]} == {
        source: output for source, output in tree.items() if source != "in/a.png"
    }
    for arguments in ((), ("--overwrite",), ("--jobs", "3")):
        assert counts(corelic(*ENCODE, "--json", *arguments)) == (0, 5, 2, 0)
    del before["out/a.clc"]
    assert {name: os.stat(name).st_mtime_ns for name in before} == before
    shown = corelic(*ENCODE).stdout.decode()
    assert shown == "0 encoded, 5 skipped, 2 left out (.mp4 1, .txt 1), 0 failed\n"


@pytest.mark.parametrize("option", ["--target-size", "--target-bpp"])
def test_what_meets_its_target_is_skipped(
    corelic: Program, photo: Image.Image, option: str
) -> None:
    Path("in").mkdir()
    photo.resize((120, 88)).save("in/a.png")
    corelic(*ENCODE, "--json")  # in the middle of what sizes there are

    def target(share: float) -> tuple[str, str]:
        size = share * middle_bytes
        return option, str(round(size) if option == "--target-size" else 8 * size / (120 * 88))

    file = Path("out/a.clc")
    middle_bytes = file.stat().st_size
    assert counts(corelic(*ENCODE, "--json", "--overwrite", *target(0.9))) == (1, 0, 0, 0)
    written = file.read_bytes()
    assert counts(corelic(*ENCODE, "--json", *target(0.9))) == (0, 1, 0, 0)
    for share, reason in ((0.8, "more than"), (1, "and a better one may have up to")):
        ran = corelic(*ENCODE, *target(share))
        assert ran.exit_code == 1
        assert f"and takes {len(written):,} bytes, {reason}" in ran.stderr
        assert file.read_bytes() == written
    assert counts(corelic(*ENCODE, "--json", "--overwrite", *target(0.8))) == (1, 0, 0, 0)
    assert file.stat().st_size <= 0.8 * middle_bytes


def test_a_target_beyond_the_best_quality_is_met_by_it(
    corelic: Program, photo: Image.Image
) -> None:
    Path("in").mkdir()
    photo.resize((60, 40)).save("in/a.png")
    for expected in ((1, 0, 0, 0), (0, 1, 0, 0)):
        assert counts(corelic(*ENCODE, "--json", "--target-size", "1MB")) == expected


def test_metadata_do_not_fill_a_target(corelic: Program, photo: Image.Image) -> None:
    Path("in").mkdir()
    photo.resize((120, 88)).save("in/a.png", icc_profile=bytes(40_000))
    corelic(*ENCODE)
    size = Path("out/a.clc").stat().st_size
    poorer, better = (("--target-size", str(size + more)) for more in (-200, 200))
    assert counts(corelic(*ENCODE, "--json", "--overwrite", *poorer)) == (1, 0, 0, 0)
    assert counts(corelic(*ENCODE, "--json", "--overwrite", *better)) == (1, 0, 0, 0)


@pytest.mark.parametrize("target", [("--target-bpp", "0"), ("--target-size", "0")])
def test_impossible_targets_are_one_error(
    corelic: Program, photo: Image.Image, target: tuple[str, str]
) -> None:
    Path("in").mkdir()
    for name in ("a", "b"):
        photo.resize((60, 40)).save(f"in/{name}.png")
    corelic(*ENCODE)
    ran = corelic(*ENCODE, "--overwrite", *target)
    assert ran.exit_code == 1
    assert ran.stderr.count("error") == 1
    assert "give a positive size" in ran.stderr or "no file has such a rate" in ran.stderr


def changed_source(photo: Image.Image) -> None:
    photo.crop((9, 9, 69, 49)).save("in/a.png")
    aged("out/a.clc", days=1)


def exchanged_source(photo: Image.Image) -> None:
    """`mv` leaves a file its age."""
    photo.crop((0, 0, 70, 40)).save("in/a.png")
    aged("in/a.png", days=3)


def cut_output(photo: Image.Image) -> None:
    os.truncate("out/a.clc", 60)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed_source, "is older than in/a.png"),
        (exchanged_source, "is 60 × 40, another size than in/a.png"),
        (cut_output, "is no sound .clc file"),
        (lambda photo: Path("out/a.clc").write_text("precious"), "is no sound .clc file"),
    ],
    ids=["changed", "exchanged", "cut", "another file"],
)
def test_one_that_no_longer_fits_is_named(
    corelic: Program,
    tree: dict[str, str],
    photo: Image.Image,
    change: Callable[[Image.Image], None],
    reason: str,
) -> None:
    corelic(*ENCODE)
    change(photo)
    before = Path("out/a.clc").read_bytes()
    ran = corelic(*ENCODE, "--json")
    assert (ran.exit_code, counts(ran)) == (1, (0, 4, 2, 1))
    [failure] = found(ran)["failures"]
    assert failure["source"] == "in/a.png"
    assert failure["error"].startswith(f"cannot write out/a.clc: it exists already, and {reason}")
    assert "--overwrite" in ran.stderr
    assert Path("out/a.clc").read_bytes() == before
    ran = corelic(*ENCODE, "--overwrite", "--json")
    assert (ran.exit_code, counts(ran)) == (0, (1, 4, 2, 0))
    assert Path("out/a.clc").read_bytes() != before


def test_another_quality_or_other_weights_are_another_file(
    corelic: Program, tree: dict[str, str]
) -> None:
    corelic(*ENCODE)
    ran = corelic(*ENCODE, "-q", "20", "--json")
    assert (ran.exit_code, counts(ran)) == (1, (0, 0, 2, 5))
    assert "out/a.clc: it exists already, and has quality 50; " in ran.stderr
    assert "error: 5 of 5 files failed: in/a.png, in/b.jpg" in ran.stderr
    assert counts(corelic(*ENCODE, "-q", "20", "--overwrite", "--json")) == (5, 0, 2, 0)
    assert counts(corelic(*ENCODE, "-q", "20.01", "--json")) == (0, 5, 2, 0)  # as it is rounded

    other = store.pack(store.from_file(TINY_WEIGHTS).codec, {"note": "other bytes"})
    Path("other.safetensors").write_bytes(other)
    ran = corelic(*ENCODE, "-q", "20", "--codec", "other.safetensors", "--json")
    assert counts(ran) == (0, 0, 2, 5)
    assert "comes from other weights, tiny-1" in ran.stderr


def test_stripped_or_not_is_another_file(corelic: Program, photo: Image.Image) -> None:
    Path("in").mkdir()
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    photo.save("in/a.jpg", exif=exif)
    assert counts(corelic(*ENCODE, "--json")) == (1, 0, 0, 0)
    assert counts(corelic(*ENCODE, "--json")) == (0, 1, 0, 0)
    ran = corelic(*ENCODE, "--strip", "--json")
    assert counts(ran) == (0, 0, 0, 1)
    assert "has a profile, EXIF or XMP, which --strip leaves out" in ran.stderr
    assert counts(corelic(*ENCODE, "--strip", "--overwrite", "--json")) == (1, 0, 0, 0)
    assert counts(corelic(*ENCODE, "--strip", "--json")) == (0, 1, 0, 0)
    ran = corelic(*ENCODE, "--json")
    assert counts(ran) == (0, 0, 0, 1)
    assert "lacks the profile, EXIF or XMP of in/a.jpg" in ran.stderr


def test_warnings_of_several_processes_are_shown(corelic: Program, photo: Image.Image) -> None:
    Path("in").mkdir()
    for name in "ab":
        photo.convert("CMYK").save(f"in/{name}.jpg")
    for processes in ("1", "2"):
        ran = corelic(*ENCODE, "--jobs", processes, "--overwrite")
        assert ran.exit_code == 0
        warnings = sorted(ran.stderr.splitlines())
        assert [line.split(" is in CMYK")[0] for line in warnings] == [
            "warning: in/a.jpg",
            "warning: in/b.jpg",
        ]
        for path in Path("out").iterdir():
            path.unlink()


def test_decoding_goes_on_too(corelic: Program, tree: dict[str, str]) -> None:
    corelic(*ENCODE)
    corelic(*DECODE)
    Path("decoded/x/y/c.png").unlink()
    assert counts(corelic(*DECODE, "--json")) == (1, 4, 0, 0)
    for name, reason in {
        "decoded/a.png": "is no sound picture",
        "decoded/b.jpg.png": "is 9 × 9, another size than out/b.jpg.clc",
        "decoded/b.png.png": "is older than out/b.png.clc",
    }.items():
        if "no sound" in reason:
            Path(name).write_text("a shopping list")
        else:
            Image.new("RGB", (9, 9)).save(name)
        if "older" in reason:
            aged(name, days=1)
        ran = corelic(*DECODE, "--json")
        assert (ran.exit_code, counts(ran)) == (1, (0, 4, 0, 1))
        assert f"{name}: it exists already, and {reason}" in ran.stderr
        assert counts(corelic(*DECODE, "--overwrite", "--json")) == (1, 4, 0, 0)
    Path("out/a.clc").write_bytes(b"not one of ours")
    aged("out/a.clc", days=1)
    ran = corelic(*DECODE)
    assert ran.exit_code == 1
    assert "error: out/a.clc: this is not a .clc file" in ran.stderr


def test_bad_files_have_names_and_the_rest_goes_on(corelic: Program, tree: dict[str, str]) -> None:
    Path("in/x/broken.png").write_bytes(Path("in/a.png").read_bytes()[:300])
    Path("in/x/gone.jpg").symlink_to("nowhere")
    Path("in/x/text.tif").write_text("a shopping list\n")
    Path("out").mkdir()
    for processes in ("1", "2"):
        ran = corelic(*ENCODE, "--json", "--jobs", processes)
        assert ran.exit_code == 1
        assert counts(ran)[2:] == (2, 3)
        names = [failure["source"] for failure in found(ran)["failures"]]
        assert names == ["in/x/broken.png", "in/x/gone.jpg", "in/x/text.tif"]
        assert "in/x/broken.png: cannot be decoded" in ran.stderr
        assert "in/x/gone.jpg: there is no such file" in ran.stderr
        assert "in/x/text.tif: is not a picture" in ran.stderr
        assert ran.stderr.endswith(
            "error: 3 of 8 files failed: in/x/broken.png, in/x/gone.jpg, in/x/text.tif\n"
        )
    assert sorted(files("out")) == sorted(tree.values())


def test_a_codec_that_is_not_there_is_one_error(corelic: Program, tree: dict[str, str]) -> None:
    ran = corelic("encode", "-r", "in", "-o", "out", "--codec", "swif")
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
    assert "did you mean 'swift'" in ran.stderr


def test_a_folder_without_pictures_is_no_error(corelic: Program) -> None:
    Path("in").mkdir()
    ran = corelic(*ENCODE)
    assert (ran.exit_code, ran.stdout) == (0, b"0 encoded, 0 skipped, 0 left out, 0 failed\n")
    assert not Path("out").exists()
    ran = corelic("encode", "in")
    assert ran.exit_code == 1
    assert "is a folder; " in ran.stderr and "-r" in ran.stderr


def test_results_of_a_folder_need_a_folder(corelic: Program, tree: dict[str, str]) -> None:
    for output in ("-", "photo.png"):
        ran = corelic("encode", "-r", "in", "-o", output)
        assert (ran.exit_code, ran.stdout) == (1, b"")
        assert f"error: cannot write {output}: " in ran.stderr
    assert corelic(*ENCODE, "--jobs", "0").exit_code == 2


def test_beside_the_pictures_is_possible(corelic: Program, tree: dict[str, str]) -> None:
    arguments = ("encode", "-r", "in", "--codec", str(TINY_WEIGHTS), "--json")
    assert counts(corelic(*arguments)) == (5, 0, 2, 0)
    assert Path("in/x/y/c.clc").is_file()
    assert counts(corelic(*arguments)) == (0, 5, 7, 0)  # .clc files are no pictures to encode


def test_an_interrupted_run_goes_on(corelic: Program, photo: Image.Image) -> None:
    Path("in").mkdir()
    for number in range(40):
        photo.save(f"in/{number:02}.png")
        aged(f"in/{number:02}.png", days=1)
    command = [sys.executable, "-m", "corelic.cli.main", *ENCODE, "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + TIMEOUT_S
        while not list(Path().glob("out/*.clc")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        assert running.wait(TIMEOUT_S) == 130
        assert running.stderr is not None
        assert running.stderr.read() == ""
    left = list(Path("out").iterdir())
    assert 0 < len(left) < 40
    assert {path.suffix for path in left} == {".clc"}  # all of a file, or none of it
    ran = corelic(*ENCODE, "--json")
    assert (ran.exit_code, counts(ran)) == (0, (40 - len(left), len(left), 0, 0))
    assert len(files("out")) == 40


def test_a_classical_codec_may_have_parameters(corelic: Program) -> None:
    for codec in ("webp:method=2", "jpeg2000"):
        Path("small").mkdir(exist_ok=True)
        ran = corelic("encode", "-r", ".", "-o", "small", "--codec", codec, "--overwrite")
        assert ran.exit_code == 0, ran.stderr
    ran = corelic("decode", "-r", "small", "-o", "back", "--codec", "webp", "--json")
    assert (ran.exit_code, counts(ran)) == (0, (1, 0, 1, 0))
    with Image.open("back/photo.png") as again, Image.open("photo.png") as photo:
        assert again.size == photo.size
    ran = corelic("decode", "-r", "small", "-o", "back", "--codec", "webp", "--json")
    assert (ran.exit_code, counts(ran)) == (1, (0, 0, 1, 1))
    ran = corelic("decode", "-r", "small", "-o", "back", "--codec", "webp", "--json",
                  "--skip-existing")  # fmt: skip
    assert (ran.exit_code, counts(ran)) == (0, (0, 1, 1, 0))


def test_another_photograph_of_the_same_name_and_size_is_named(
    corelic: Program, photo: Image.Image
) -> None:
    Path("photo.png").unlink()
    Path("in").mkdir()
    exif = Image.Exif()
    for taken in ("2026:11:30 10:00:00", "2026:11:30 10:00:01"):
        exif[ExifTags.Base.DateTime] = taken
        exif[ExifTags.Base.Orientation] = 6
        photo.save("in/IMG_0001.jpg", exif=exif)
        aged("in/IMG_0001.jpg", days=3)
        ran = corelic(*ENCODE, "--json")
        again = corelic(*ENCODE, "--json")
        assert counts(again)[0] == 0
        if taken.endswith("0"):
            assert (counts(ran), counts(again)) == ((1, 0, 0, 0), (0, 1, 0, 0)), again.stderr
    assert (again.exit_code, counts(again)) == (1, (0, 0, 0, 1))
    assert "has other EXIF than in/IMG_0001.jpg" in again.stderr


@pytest.mark.parametrize("output", [(), ("-o", ".")])
def test_results_of_a_classical_codec_are_no_sources_of_the_next_run(
    corelic: Program, output: tuple[str, ...]
) -> None:
    for _ in range(2):
        ran = corelic("encode", "-r", ".", *output, "--codec", "webp", "--overwrite")
        assert ran.exit_code == 0, ran.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["photo.png", "photo.webp"]


def test_a_name_that_is_too_long_ends_one_job(corelic: Program, photo: Image.Image) -> None:
    for name in (f"{'y' * 250}.png", f"{'y' * 250}.bmp", "z.png"):
        photo.resize((20, 20)).save(name)
    ran = corelic("encode", "-r", ".", "--codec", str(TINY_WEIGHTS), "--device", "cpu")
    assert ran.exit_code == 1 and "file name too long" in ran.stderr
    assert {path.name for path in Path().glob("*.clc")} == {"photo.clc", "z.clc"}


def test_finished_pictures_beyond_pillows_limit_are_skipped(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("encode", "-r", ".", "--codec", str(TINY_WEIGHTS), "--device", "cpu")
    assert corelic(*command).exit_code == 0
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(reading, "PILLOWS_LIMIT", 100)
    ran = corelic(*command)
    assert ran.exit_code == 0, ran.stderr


@pytest.mark.parametrize(
    "given", [("--target-psnr", "20"), ("--codec", f"{TINY_WEIGHTS}:effort=1")], ids=lambda x: x[0]
)
def test_what_a_file_does_not_tell_is_not_finished(
    corelic: Program, given: tuple[str, str]
) -> None:
    Path("in").mkdir()
    Path("photo.png").rename("in/photo.png")
    assert corelic(*ENCODE).exit_code == 0
    before = files("out")
    ran = corelic(*ENCODE, *given, "--json")
    assert (ran.exit_code, counts(ran)) == (1, (0, 0, 0, 1))
    assert "exists already" in ran.stderr and files("out") == before
    ran = corelic(*ENCODE, *given, "--json", "--overwrite")
    assert (ran.exit_code, counts(ran)) == (0, (1, 0, 0, 0))


def test_an_effort_of_0_is_none(corelic: Program) -> None:
    command = ("encode", "-r", ".", "--codec", f"{TINY_WEIGHTS}:effort=0", "--device", "cpu")
    for _ in range(2):
        ran = corelic(*command)
        assert ran.exit_code == 0, ran.stderr
    assert "1 skipped" in ran.stdout.decode()
