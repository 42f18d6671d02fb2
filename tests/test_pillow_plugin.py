"""Image.open and save of .clc files, as of any other format."""

import copy
import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import corelic
from corelic import pillow_plugin
from corelic.codecs import store
from corelic.errors import BadFileError, CorelicError, PeerError
from corelic.media import Picture, reading
from tests.tiny import GOLDEN, TINY_WEIGHTS

STREAMS = sorted(GOLDEN.glob("format-*/*.clc"))
TINY = str(TINY_WEIGHTS)


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.MODELS_VARIABLE, str(GOLDEN))


@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
def test_opening_tells_what_decoding_will_give(stream: Path) -> None:
    expected = corelic.decode(stream.read_bytes(), device="cpu")
    with Image.open(stream) as image:
        assert (image.format, image.get_format_mimetype()) == ("CLC", "image/x-clc")
        assert (image.mode, image.size, image.info) == (
            (expected.mode, expected.size, expected.info)
        )
        image.load()
        assert (image.mode, image.size, image.info) == (
            (expected.mode, expected.size, expected.info)
        )
        assert np.array_equal(np.asarray(image), np.asarray(expected))
        kept = image.copy()
    assert np.array_equal(np.asarray(kept), np.asarray(expected))  # the file is closed by now


def test_a_picture_travels_with_its_pixels(photo: Image.Image) -> None:
    """To the workers of a data loader, say."""
    data = corelic.encode(photo, codec=TINY)
    expected = np.asarray(corelic.decode(data))
    for travel in (copy.deepcopy, lambda image: pickle.loads(pickle.dumps(image))):
        with Image.open(BytesIO(data)) as image:
            there = travel(image)
        there.load()
        assert np.array_equal(np.asarray(there), expected)
        assert corelic.encode(there, codec=TINY) == corelic.encode(Picture(expected), codec=TINY)


def test_pixels_can_be_set(photo: Image.Image) -> None:
    with Image.open(BytesIO(corelic.encode(photo, codec=TINY))) as image:
        image.load()[3, 4] = (1, 2, 3)
        assert image.getpixel((3, 4)) == (1, 2, 3)


def test_a_closed_file_is_said_to_be_closed(photo: Image.Image) -> None:
    image = Image.open(BytesIO(corelic.encode(photo, codec=TINY)))
    image.close()
    with pytest.raises(ValueError, match="closed"):
        image.load()


def test_no_other_format_gets_our_name(photo: Image.Image, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"makes no \.clc file; save as \.jpg"):
        photo.save(tmp_path / "photo.clc", codec="jpeg")
    assert not any(tmp_path.iterdir())


def test_only_the_header_is_read_until_pixels_are_asked_for(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = corelic.encode(photo, codec=TINY)
    decoded = []
    real = corelic.decode
    monkeypatch.setattr(corelic, "decode", lambda data, **_: decoded.append(1) or real(data))
    with Image.open(BytesIO(data[:100])) as beginning:
        assert (beginning.mode, beginning.size) == ("RGB", photo.size)
        with pytest.raises(BadFileError, match="get it again"):
            beginning.load()
    decoded.clear()
    image = Image.open(BytesIO(data))
    assert image.size == photo.size and not decoded
    assert image.resize((10, 10)).size == (10, 10) and decoded
    image.load()
    assert image.getpixel((3, 3)) and len(decoded) == 1


def test_saving_is_encoding(photo: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.clc"
    photo.save(path, quality=60, codec=TINY, device="cpu", subsampling=0)
    assert path.read_bytes() == corelic.encode(photo, quality=60, codec=TINY, device="cpu")
    photo.convert("RGBA").save(tmp_path / "alpha.CLC", codec=TINY)
    with Image.open(tmp_path / "alpha.CLC") as image:
        assert image.mode == "RGBA"


def test_metadata_is_kept_given_or_left_out(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010F] = "corelic"
    photo.info.update(icc_profile=b"old", xmp=b"<x/>", exif=exif.tobytes())

    def saved(**options: object) -> dict[str, object]:
        file = BytesIO()
        photo.save(file, "CLC", codec=TINY, **options)
        return Image.open(file).info

    assert saved() == photo.info
    assert saved(icc_profile=b"new", exif=None) == {"icc_profile": b"new", "xmp": b"<x/>"}
    assert saved(strip=True) == {}
    del photo.info["exif"]
    assert saved(exif=exif)["exif"] == exif.tobytes()
    assert photo.info["icc_profile"] == b"old"


@pytest.mark.parametrize("length", [5, 8, 30])
def test_half_a_header_is_a_typed_error(photo: Image.Image, length: int) -> None:
    data = corelic.encode(photo, codec=TINY)
    with pytest.raises((CorelicError, Image.UnidentifiedImageError)):
        Image.open(BytesIO(data[:length]))


def test_damage_beyond_the_header_shows_when_pixels_are_asked_for(photo: Image.Image) -> None:
    photo.info["icc_profile"] = b"profile" * 20
    data = bytearray(corelic.encode(photo, codec=TINY, fast=True))  # without a filter behind it
    data[-30] ^= 1  # within the profile
    image = Image.open(BytesIO(bytes(data)))
    assert "icc_profile" not in image.info
    with pytest.raises(BadFileError):
        image.load()


def test_registering_imports_no_torch() -> None:
    code = (
        "import sys, corelic; from PIL import Image; "
        "assert Image.registered_extensions()['.clc'] == 'CLC' and 'CLC' in Image.SAVE; "
        "sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    )
    root = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_only_our_files_are_ours() -> None:
    assert not pillow_plugin._accept(b"\x89PNG\r\n\x1a\n")
    assert pillow_plugin._accept(b"\x89CLC\r\n\x01\n")


@pytest.mark.parametrize(
    ("told", "allowed"),
    [
        (pillow_plugin.PILLOWS_LIMIT, corelic.MAX_PIXELS),
        (10, corelic.MAX_PIXELS),  # what is larger, Pillow does not open
        (10**9, 2 * 10**9),
        (None, sys.maxsize),
    ],
)
def test_what_pillow_is_told_to_open_is_decoded(
    monkeypatch: pytest.MonkeyPatch, told: int | None, allowed: int
) -> None:
    seen = []
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", told)
    monkeypatch.setattr(corelic, "decode_picture", lambda data, max_pixels: seen.append(max_pixels))
    with open(STREAMS[0], "rb") as file:
        pillow_plugin.ClcImageFile(file).decode_picture()
    assert seen == [allowed]


def test_pillows_limit_is_pillows() -> None:
    assert Image.MAX_IMAGE_PIXELS == pillow_plugin.PILLOWS_LIMIT == reading.PILLOWS_LIMIT
