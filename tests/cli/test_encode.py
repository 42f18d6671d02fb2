"""corelic encode, on files."""

import json
import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import corelic as api
from corelic.cli.options import byte_count
from corelic.codecs import precision
from tests.cli.conftest import Program

ROOT = Path(__file__).parents[2]


def test_the_result_goes_beside_the_picture(corelic: Program) -> None:
    before = Path("photo.png").read_bytes()
    ran = corelic("encode", "photo.png")
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout.decode().startswith("photo.png → photo.clc: ")
    assert api.info(Path("photo.clc").read_bytes()).quality == 50
    assert Path("photo.png").read_bytes() == before
    assert sorted(os.listdir()) == ["photo.clc", "photo.png"]


def test_quality_costs_bytes(corelic: Program) -> None:
    for quality in ("10", "90"):
        assert corelic("encode", "photo.png", "-q", quality, "-o", f"{quality}.clc").exit_code == 0
    assert Path("10.clc").stat().st_size < Path("90.clc").stat().st_size


def test_json_is_what_is_on_disk(corelic: Program, photo: Image.Image) -> None:
    ran = corelic("encode", "photo.png", "--json", "-q", "25")
    [found] = json.loads(ran.stdout)
    file_bytes = Path("photo.clc").stat().st_size
    assert found["source"] == "photo.png"
    assert found["output"] == "photo.clc"
    assert found["file_bytes"] == file_bytes
    assert found["rate_bpp"] == pytest.approx(8 * file_bytes / (photo.width * photo.height))
    assert found["quality"] == 25


def test_a_pipe_holds_the_same_file(corelic: Program) -> None:
    corelic("encode", "photo.png", "--device", "cpu")
    piped = corelic("encode", "-", "--device", "cpu", stdin=Path("photo.png").read_bytes())
    named = corelic("encode", "photo.png", "--device", "cpu", "-o", "-")
    assert piped.stdout == named.stdout == Path("photo.clc").read_bytes()
    assert (piped.stderr, named.stderr) == ("", "")


def test_a_picture_lying_on_its_side_stands_up(corelic: Program, photo: Image.Image) -> None:
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save("side.jpg", exif=exif)
    corelic("encode", "side.jpg")
    found = api.info(Path("side.clc").read_bytes())
    assert (found.width_px, found.height_px) == photo.size[::-1]


def test_grey_stays_grey(corelic: Program, photo: Image.Image) -> None:
    photo.convert("L").save("grey.png")
    assert corelic("encode", "grey.png").exit_code == 0
    assert api.info(Path("grey.clc").read_bytes()).colour == "grey"
    assert corelic("decode", "grey.clc", "-o", "decoded.png").exit_code == 0
    with Image.open("decoded.png") as image:
        assert image.mode == "L"


def test_metadata_is_kept_unless_stripped(corelic: Program, photo: Image.Image) -> None:
    exif = photo.getexif()
    exif[0x010F] = "corelic"
    photo.save("rich.jpg", exif=exif, icc_profile=b"a profile")
    corelic("encode", "rich.jpg")
    corelic("encode", "rich.jpg", "--strip", "-o", "bare.clc")
    kept, bare = (api.info(Path(name).read_bytes()) for name in ("rich.clc", "bare.clc"))
    assert [chunk.name for chunk in kept.chunks] == ["latents", "icc", "exif", "filter"]
    assert [chunk.name for chunk in bare.chunks] == ["latents", "filter"]
    corelic("decode", "rich.clc", "-o", "decoded.jpg")
    with Image.open("decoded.jpg") as image, Image.open("rich.jpg") as source:
        assert image.info["icc_profile"] == b"a profile"
        assert image.info["exif"] == source.info["exif"]


def test_inks_are_one_line_of_warning(corelic: Program, photo: Image.Image) -> None:
    photo.convert("CMYK").save("inks.tif")
    ran = corelic("encode", "inks.tif")
    assert ran.exit_code == 0
    assert ran.stderr.startswith("warning: inks.tif is in CMYK, converted to RGB")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.png", None, "no such file"),
        ("empty.png", b"", "is empty"),
        ("list.txt", b"a shopping list\n", "not a picture"),
        ("cut.png", "half", "cannot be decoded"),
        ("folder", "folder", "is a folder"),
        ("float.tif", Image.new("F", (9, 9)), "floating-point"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_picture_is_one_sentence(
    corelic: Program, name: str, content: bytes | str | Image.Image | None, reason: str
) -> None:
    if content == "folder":
        Path(name).mkdir()
    elif content == "half":
        Path(name).write_bytes(Path("photo.png").read_bytes()[:2000])
    elif isinstance(content, Image.Image):
        content.save(name)
    elif isinstance(content, bytes):
        Path(name).write_bytes(content)
    before = sorted(os.listdir())
    ran = corelic("encode", name)
    assert (ran.exit_code, ran.stdout) == (1, b"")
    assert ran.stderr.startswith(f"error: {name}: ")
    assert reason in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_an_empty_pipe_is_one_sentence(corelic: Program) -> None:
    ran = corelic("encode", "-", "-o", "out.clc")
    assert ran.stderr == "error: standard input: is empty; get it again\n"
    assert ran.exit_code == 1


def test_one_bad_picture_of_three(corelic: Program) -> None:
    Path("b.png").write_text("not a picture")
    Path("c.png").write_bytes(Path("photo.png").read_bytes())
    ran = corelic("encode", "b.png", "c.png", "photo.png", "--json")
    assert ran.exit_code == 1
    assert [found["source"] for found in json.loads(ran.stdout)] == ["c.png", "photo.png"]
    assert "error: b.png: " in ran.stderr
    assert ran.stderr.endswith("error: 1 of 3 files failed: b.png\n")
    assert sorted(path.name for path in Path().glob("*.clc")) == ["c.clc", "photo.clc"]


def test_a_result_is_not_replaced_unless_told(corelic: Program) -> None:
    Path("photo.clc").write_text("precious")
    ran = corelic("encode", "photo.png")
    assert ran.exit_code == 1
    assert "--overwrite" in ran.stderr
    assert Path("photo.clc").read_text() == "precious"
    assert corelic("encode", "photo.png", "--overwrite").exit_code == 0
    assert Path("photo.clc").read_text(errors="replace") != "precious"


def test_clashing_results_stop_before_the_work(corelic: Program, photo: Image.Image) -> None:
    photo.save("photo.jpg")
    ran = corelic("encode", "photo.jpg", "photo.png")
    assert ran.exit_code == 1
    assert "both photo.jpg and photo.png" in ran.stderr
    assert not Path("photo.clc").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_disk_is_one_sentence(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "-o", "/dev/full")
    assert ran.stderr == (
        "error: photo.png: cannot write /dev/full: the disk is full; free some space\n"
    )
    assert ran.exit_code == 1


def test_an_unknown_codec_is_one_sentence(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--codec", "swif")
    assert ran.exit_code == 1
    assert "swift" in ran.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["-q", "101"], ["-q", "-1"], ["-q", "nan"], ["-q", "high"], ["--device", "tpu"],
        ["--speed"], ["-o", "-", "--json"], ["-q", "50", "--target-bpp", "1"],
        ["--target-size", "9KB", "--target-psnr", "30"], ["--target-size", "small"],
        ["--target-size", "-5"], ["--target-bpp", "-1"], ["--memory", "2TB"],
        ["--skip-existing", "--overwrite"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(corelic: Program, wrong: list[str]) -> None:
    ran = corelic("encode", "photo.png", *wrong)
    assert ran.exit_code == 2
    assert "Usage: corelic encode" in ran.stderr
    assert not Path("photo.clc").exists()


def test_the_decoded_picture_is_like_the_original(corelic: Program, photo: Image.Image) -> None:
    data = corelic("encode", "photo.png", "-q", "90", "-o", "-").stdout
    decoded = Image.open(BytesIO(corelic("decode", "-", stdin=data).stdout))
    assert decoded.size == photo.size
    error = np.array(decoded).astype(float) - np.array(photo)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 30


HANG = """
import os, time
from corelic.cli.main import main

def hang(file):
    print("writing", flush=True)
    time.sleep(60)

os.fsync = hang
main(["encode", "photo.png"])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize(
    ("sent", "exit_code", "left"),
    [
        (signal.SIGTERM, 143, ["photo.png"]),
        (signal.SIGINT, 130, ["photo.png"]),
        (signal.SIGKILL, -9, None),  # a temporary file stays, but nothing under the final name
    ],
)
def test_an_interrupted_run_leaves_no_result(
    corelic: Program, sent: signal.Signals, exit_code: int, left: list[str] | None
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HANG]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"writing\n"
        running.send_signal(sent)
        assert running.wait(timeout=30) == exit_code
    assert not Path("photo.clc").exists()
    assert left is None or os.listdir() == left


def test_a_target_size_is_nearly_reached_and_never_exceeded(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--target-size", "6KB", "--json")
    (found,) = json.loads(ran.stdout)
    assert 0.97 * 6000 <= found["file_bytes"] <= 6000
    assert Path("photo.clc").stat().st_size == found["file_bytes"]


def test_a_target_rate_and_psnr(corelic: Program, photo: Image.Image) -> None:
    ran = corelic("encode", "photo.png", "--target-bpp", "0.8", "-o", "rate.clc", "--json")
    assert 0.97 * 0.8 <= json.loads(ran.stdout)[0]["rate_bpp"] <= 0.8
    assert corelic("encode", "photo.png", "--target-psnr", "32", "-o", "psnr.clc").exit_code == 0
    decoded = Image.open(BytesIO(corelic("decode", "psnr.clc", "-o", "-").stdout))
    error = np.array(decoded).astype(float) - np.array(photo)
    assert 10 * np.log10(255**2 / (error**2).mean()) == pytest.approx(32, abs=0.05)


def test_a_target_of_a_classical_codec(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--codec", "webp", "--target-size", "6KB", "--json")
    (found,) = json.loads(ran.stdout)
    assert 0.9 * 6000 <= found["file_bytes"] == Path("photo.webp").stat().st_size <= 6000
    assert found["quality"] is None  # a file does not tell
    ran = corelic("encode", "photo.png", "--codec", "webp", "--target-psnr", "90", "--overwrite")
    assert ran.exit_code == 1
    assert "90 dB: this codec reaches " in ran.stderr and ran.stderr.count("\n") == 1


def test_a_size_no_file_can_have_is_one_sentence(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--target-size", "300")
    assert ran.exit_code == 1
    assert "300 bytes: the smallest file has " in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not Path("photo.clc").exists()


def test_a_budget_that_does_not_suffice_is_one_sentence(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--memory", "1.5MB")
    assert ran.exit_code == 1
    assert "the budget is 1,500,000" in ran.stderr
    assert ran.stderr.count("\n") == 1
    enough = ran.stderr.partition("--memory ")[2].partition(" ")[0]
    assert corelic("encode", "photo.png", "--memory", enough).exit_code == 0
    ran = corelic("decode", "photo.clc", "--memory", "1MB", "-o", "out.png")
    assert (ran.exit_code, Path("out.png").exists()) == (1, False)
    assert corelic("decode", "photo.clc", "--memory", "50MB", "-o", "out.png").exit_code == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("40000", 40_000), ("40KB", 40_000), ("1.5 mb", 1_500_000), ("2GiB", 2**31), ("7k", 7000)],
)
def test_sizes_have_units(text: str, expected: int) -> None:
    assert byte_count(text) == expected


def test_fast_reaches_both_networks(corelic: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: asked.append(device))
    assert corelic("encode", "photo.png", "--fast").exit_code == 0
    assert len(asked) == 1  # analysis
    assert corelic("decode", "photo.clc", "--fast", "-o", "decoded.png").exit_code == 0
    assert len(asked) == 2  # synthesis


def test_the_limits_of_a_run_hold_for_clc_files_as_sources(corelic: Program) -> None:
    corelic("encode", "photo.png")
    for limit in (("--max-pixels", "10"), ("--memory", "1KB")):
        ran = corelic("encode", "photo.clc", "--codec", "webp", *limit)
        assert ran.exit_code == 1
        assert limit[0] in ran.stderr
    assert corelic("encode", "photo.clc", "--codec", "webp").exit_code == 0


@pytest.mark.parametrize(
    ("codec", "name"), [("swift", "small.jpg"), ("jpeg", "small.avif"), ("avif", "small.clc")]
)
def test_a_file_is_not_named_as_another_format(corelic: Program, codec: str, name: str) -> None:
    ran = corelic("encode", "photo.png", "--codec", codec, "-o", name)
    assert ran.exit_code == 2
    assert "--codec" in ran.stderr
    assert not Path(name).exists()


def test_jpeg_xl_is_another_format_whether_it_can_be_read_or_not(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.delitem(Image.registered_extensions(), ".jxl", raising=False)
    ran = corelic("encode", "photo.png", "-o", "small.jxl")
    assert ran.exit_code == 2
    assert "would say JXL" in " ".join(ran.stderr.split())


@pytest.mark.parametrize("name", ["small.jpeg", "small.JPG", "small", "small.dat"])
def test_a_file_may_have_any_other_name(corelic: Program, name: str) -> None:
    assert corelic("encode", "photo.png", "--codec", "jpeg", "-o", name).exit_code == 0


def test_a_misspelt_codec_is_told_so_whatever_the_file_is_called(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--codec", "JPEG", "-o", "small.jpg")
    assert ran.exit_code == 1
    assert "there is no codec" in ran.stderr


def test_a_codec_that_is_none_is_one_error_before_any_picture(corelic: Program) -> None:
    for sources in (["missing.png"], ["missing.png", "photo.png"]):
        ran = corelic("encode", *sources, "--codec", "jpg")
        assert ran.exit_code == 1
        assert ran.stderr == "error: there is no codec 'jpg'; did you mean 'jpeg'?\n"


@pytest.mark.parametrize("sources", [["photo.png"], ["photo.png", "other.png"]])
def test_a_separator_at_the_end_makes_a_folder(corelic: Program, sources: list[str]) -> None:
    Path("other.png").write_bytes(Path("photo.png").read_bytes())
    ran = corelic("encode", *sources, "--codec", "jpeg", "-o", f"new{os.sep}encoded.png{os.sep}")
    assert (ran.exit_code, ran.stderr) == (0, "")
    names = {path.name for path in Path("new/encoded.png").iterdir()}
    assert names == {source.replace("png", "jpg") for source in sources}
    ran = corelic("decode", "new/encoded.png/photo.jpg", "-o", f"decoded{os.sep}")
    assert ran.exit_code == 0
    assert Path("decoded/photo.png").is_file()


def test_a_folder_that_is_a_file_is_one_sentence(corelic: Program) -> None:
    Path("encoded").write_text("precious")
    ran = corelic("encode", "photo.png", "--codec", "jpeg", "-o", f"encoded{os.sep}")
    assert ran.exit_code == 1
    assert "a folder is needed there, and there is a file" in ran.stderr
    assert Path("encoded").read_text() == "precious"
    ran = corelic("encode", "photo.png", "photo.png", "--codec", "jpeg", "-o", "missing")
    assert f"end in {os.sep} to have it made" in ran.stderr


def test_what_exists_is_skipped_if_told(corelic: Program) -> None:
    Path("other.png").write_bytes(Path("photo.png").read_bytes())
    Path("photo.jpg").write_text("precious")
    command = ("encode", "photo.png", "other.png", "--codec", "jpeg", "--skip-existing")
    ran = corelic(*command)
    assert (ran.exit_code, ran.stderr) == (0, "")
    first, second = ran.stdout.decode().splitlines()
    assert first.startswith("other.png → other.jpg: ")
    assert second == "photo.png: skipped, for there is photo.jpg"
    assert Path("photo.jpg").read_text() == "precious"
    assert json.loads(corelic(*command, "--json").stdout) == []
    ran = corelic("decode", "other.jpg", "--skip-existing")
    assert ran.stdout == b"other.jpg: skipped, for there is other.png\n"


def test_figures_go_beside_a_result_that_goes_nowhere(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--codec", "jpeg", "-o", os.devnull, "--json")
    assert ran.exit_code == 0, ran.stderr
    assert json.loads(ran.stdout)[0]["codec"] == "jpeg"
