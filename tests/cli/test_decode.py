"""corelic decode, on files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corelic.media import read_picture
from tests.cli.conftest import Program
from tests.media.files import deep_png


@pytest.fixture
def encoded(corelic: Program) -> bytes:
    """photo.clc is there too."""
    assert corelic("encode", "photo.png", "--device", "cpu").exit_code == 0
    return Path("photo.clc").read_bytes()


def test_the_picture_goes_beside_the_file(corelic: Program, encoded: bytes) -> None:
    Path("other.clc").write_bytes(encoded)
    ran = corelic("decode", "other.clc")
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout.decode().startswith("other.clc → other.png: 240 × 176")
    with Image.open("other.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (240, 176))


def test_a_pipe_holds_the_same_picture(corelic: Program, encoded: bytes) -> None:
    corelic("decode", "photo.clc", "-o", "decoded.png", "--device", "cpu")
    piped = corelic("decode", "-", "--device", "cpu", stdin=encoded)
    assert piped.stdout == Path("decoded.png").read_bytes()


def test_the_suffix_chooses_the_format(corelic: Program, encoded: bytes) -> None:
    assert corelic("decode", "photo.clc", "-o", "photo.webp").exit_code == 0
    with Image.open("photo.webp") as image:
        assert image.format == "WEBP"


def test_the_original_is_not_replaced_unless_told(corelic: Program, encoded: bytes) -> None:
    before = Path("photo.png").read_bytes()
    ran = corelic("decode", "photo.clc")
    assert ran.exit_code == 1
    assert "--overwrite" in ran.stderr
    assert Path("photo.png").read_bytes() == before


def test_many_files_go_to_a_folder(corelic: Program, encoded: bytes) -> None:
    Path("out").mkdir()
    Path("bad.clc").write_bytes(encoded[:-1])
    Path("good.clc").write_bytes(encoded)
    ran = corelic("decode", "*.clc", "-o", "out", "--json")
    assert ran.exit_code == 1
    assert "error: bad.clc: " in ran.stderr
    written = [found["output"] for found in json.loads(ran.stdout)]
    assert written == ["out/good.png", "out/photo.png"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["good.png", "photo.png"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: b"a shopping list\n",
        lambda data: data.replace(b"\r\n", b"\n"),
    ],
    ids=["empty", "cut", "longer", "flipped", "text", "text mode"],
)
def test_a_damaged_file_is_one_sentence(
    corelic: Program, encoded: bytes, damage: Callable[[bytes], bytes]
) -> None:
    Path("bad.clc").write_bytes(damage(encoded))
    ran = corelic("decode", "bad.clc")
    assert (ran.exit_code, ran.stdout) == (1, b"")
    assert ran.stderr.startswith("error: bad.clc: ")
    assert ran.stderr.count("\n") == 1
    assert not Path("bad.png").exists()


def test_more_pixels_than_allowed_are_refused(corelic: Program, encoded: bytes) -> None:
    pixels = 240 * 176
    ran = corelic("decode", "photo.clc", "-o", "big.png", "--max-pixels", str(pixels - 1))
    assert ran.exit_code == 1
    assert f"--max-pixels {pixels}" in ran.stderr
    ran = corelic("decode", "photo.clc", "-o", "big.png", "--max-pixels", str(pixels))
    assert ran.exit_code == 0


def test_an_unknown_suffix_is_one_sentence(corelic: Program, encoded: bytes) -> None:
    ran = corelic("decode", "photo.clc", "-o", "photo.docx")
    assert ran.exit_code == 1
    assert "try .png" in ran.stderr


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_go_to_a_png_of_as_many(corelic: Program, channels: int) -> None:
    values = np.random.default_rng(1).integers(20_000, 20_300, (64, 64, channels), dtype=np.uint16)
    Path("deep.png").write_bytes(deep_png(values))
    assert corelic("encode", "deep.png").exit_code == 0
    assert corelic("decode", "deep.clc", "-o", "decoded.png").exit_code == 0
    decoded = read_picture("decoded.png")
    assert (decoded.bit_depth, decoded.colour) == (16, "rgb")
    assert np.abs(decoded.pixels.astype(int) - 20_150).max() < 1000
    if channels == 4:
        assert np.array_equal(decoded.alpha, values[:, :, 3])
    assert corelic("decode", "deep.clc", "-o", "decoded.tif").exit_code == 0
    with Image.open("decoded.tif") as image:
        assert image.mode == ("RGBA" if channels == 4 else "RGB")


def test_other_formats_are_converted(corelic: Program, photo: Image.Image) -> None:
    photo.save("photo.webp", lossless=True, icc_profile=b"a profile")
    assert corelic("decode", "photo.webp", "-o", "converted.png").exit_code == 0
    with Image.open("converted.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(photo))
        assert image.info["icc_profile"] == b"a profile"


def test_our_own_format_is_not_decoded_into(corelic: Program, encoded: bytes) -> None:
    Path("photo.clc").write_bytes(encoded)
    ran = corelic("decode", "photo.clc", "-o", "copy.clc")
    assert ran.exit_code == 1 and "corelic encode makes such files" in ran.stderr
    assert not Path("copy.clc").exists()


def test_a_suffix_of_no_format_is_found_before_the_work(corelic: Program) -> None:
    Path("bad.clc").write_bytes(b"no picture")
    ran = corelic("decode", "bad.clc", "-o", "out.jpgg")
    assert ran.exit_code == 1
    assert ".jpgg" in ran.stderr


def test_a_file_knows_its_weights_better_than_its_reader(corelic: Program, encoded: bytes) -> None:
    Path("other.clc").write_bytes(encoded)
    ran = corelic("decode", "other.clc", "--codec", "swift-1")
    assert ran.exit_code == 0, ran.stderr
    corelic("decode", "other.clc", "-o", "plain.png")
    assert Path("plain.png").read_bytes() == Path("other.png").read_bytes()
