"""What the functions of `corelic` take, and what they refuse."""

import os
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import corelic
from corelic.codecs.api import open_image_codec
from corelic.entropy import container
from corelic.errors import (
    BadWeightsError,
    CorelicError,
    DeviceError,
    MemoryBudgetError,
    PictureError,
    QualityError,
    TargetError,
    TooManyPixelsError,
    UnknownCodecError,
)
from corelic.media import Picture, reading
from tests.tiny import GOLDEN, TINY_WEIGHTS

TINY = str(TINY_WEIGHTS)
targets = pytest.mark.parametrize(
    "target", [{}, {"target_bpp": 1}, {"target_bytes": 5000}, {"target_psnr_db": 30}], ids=str
)


@pytest.fixture
def png(photo: Image.Image) -> bytes:
    file = BytesIO()
    photo.save(file, "PNG")
    return file.getvalue()


# Kinds of argument


def test_a_codec_may_be_a_path(photo: Image.Image) -> None:
    data = corelic.encode(photo, codec=TINY_WEIGHTS)
    assert data == corelic.encode(photo, codec=TINY)
    assert corelic.decode(data, codec=TINY_WEIGHTS).size == photo.size
    assert corelic.decode_picture(data, codec=TINY_WEIGHTS).width_px == photo.width
    assert corelic.native_suffix(TINY_WEIGHTS) is None


@pytest.mark.parametrize(
    ("codec", "error", "reason"),
    [
        ("aviff:speed=8", UnknownCodecError, "did you mean 'avif'"),
        ("a" * 300, UnknownCodecError, "there is no codec"),
        ("runs:lr=1/own.safetensors", BadWeightsError, "runs:lr=1/own.safetensors"),
    ],
)
def test_a_codec_that_is_none_is_called_by_its_name(
    codec: str, error: type[CorelicError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        open_image_codec(codec, "cpu")


def test_pixels_that_may_not_be_written_are_read(photo: Image.Image) -> None:
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # not once a process
    pixels = np.array(photo)
    pixels.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = corelic.encode(Picture(pixels), codec=TINY)
    torch.set_warn_always(before)
    assert data == corelic.encode(photo, codec=TINY)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_a_file(kind: Callable[[bytes], Any], png: bytes) -> None:
    data = corelic.encode(kind(png), codec=TINY)
    assert data == corelic.encode(Image.open(BytesIO(png)), codec=TINY)
    assert corelic.info(kind(data)) == corelic.info(data)
    expected = corelic.decode(data, codec=TINY).tobytes()
    assert corelic.decode(kind(data), codec=TINY).tobytes() == expected
    assert corelic.decode_picture(kind(data), codec=TINY).pixels.tobytes() == expected
    jpeg = corelic.encode(kind(png), codec="jpeg")
    assert corelic.decode(kind(jpeg), codec="jpeg").size == corelic.decode(kind(jpeg)).size


def test_what_is_no_picture_is_a_sentence() -> None:
    with pytest.raises(PictureError, match=r"numpy\.ndarray; give a path"):
        corelic.encode(np.zeros((8, 8, 3), np.uint8), codec=TINY)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(PictureError, match="is a NoneType; give a path"):
        corelic.encode(None, codec="jpeg")  # type: ignore[arg-type]  # on purpose
    for data, reason in ((b"", "is empty"), (b"a shopping list", "not a picture")):
        with pytest.raises(PictureError, match=f"^the data: .*{reason}"):
            corelic.encode(data, codec=TINY)


# The limit of pixels


@targets
def test_a_large_picture_is_not_encoded_unless_it_may(target: dict[str, Any]) -> None:
    """Two megapixels, and 64 times as many once it is padded."""
    picture = Picture(np.broadcast_to(np.uint8(7), (1, container.MAX_PIXELS // 60)))
    with pytest.raises(TooManyPixelsError):
        corelic.encode(picture, codec=TINY, **target)
    # What comes after the limit is the budget.
    with pytest.raises(MemoryBudgetError):
        corelic.encode(picture, codec=TINY, **target, max_pixels=2**28, memory_bytes=1)


def test_the_limit_is_for_classical_codecs_too() -> None:
    large = Picture(np.broadcast_to(np.uint8(7), (2**14, 2**14)))
    with pytest.raises(TooManyPixelsError):
        corelic.encode(large, codec="jpeg")


@targets
def test_the_limit_is_that_of_the_caller(photo: Image.Image, target: dict[str, Any]) -> None:
    with pytest.raises(TooManyPixelsError, match="240 × 176, 42,240 pixels"):
        corelic.encode(photo, codec=TINY, max_pixels=42_239, **target)


@pytest.mark.parametrize("codec", [TINY, "jpeg"], ids=["tiny", "jpeg"])
def test_the_limit_comes_before_the_pixels(codec: str, png: bytes, tmp_path: Path) -> None:
    cut = png[: len(png) // 2]  # its pixels cannot be read
    (tmp_path / "cut.png").write_bytes(cut)
    for source in (cut, tmp_path / "cut.png", str(tmp_path / "cut.png"), Image.open(BytesIO(cut))):
        with pytest.raises(PictureError):
            corelic.encode(source, codec=codec)
        with pytest.raises(TooManyPixelsError):
            corelic.encode(source, codec=codec, max_pixels=42_239)


def test_our_own_files_are_pictures_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORELIC_MODELS", str(GOLDEN))
    stream = (GOLDEN / "format-1" / "tiny-1-rgb-70x33.clc").read_bytes()
    assert corelic.encode(stream, codec="jpeg")
    with pytest.raises(CorelicError):
        corelic.encode(stream[:-9], codec="jpeg")
    with pytest.raises(TooManyPixelsError):
        corelic.encode(stream, codec="jpeg", max_pixels=1)


def test_only_a_limit_that_somebody_set_in_pillow_is_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (30, 30)).save(path)
    monkeypatch.setattr(reading, "PILLOWS_LIMIT", 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert corelic.decode(corelic.encode(path, codec=TINY), codec=TINY).size == (30, 30)
    assert corelic.decode(path.read_bytes()).size == (30, 30)
    with pytest.raises(TooManyPixelsError):
        corelic.encode(path, codec=TINY, max_pixels=899)
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.raises(PictureError, match="enormous"):
        corelic.encode(path, codec=TINY)


# Paths


def test_every_function_takes_paths(png: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.clc"
    data = corelic.encode(png, codec=TINY)
    path.write_bytes(data)
    expected = corelic.decode(data, codec=TINY).tobytes()
    for source in (path, str(path)):
        assert corelic.info(source) == corelic.info(data)
        assert corelic.decode(source, codec=TINY).tobytes() == expected
        assert corelic.decode_picture(source, codec=TINY).pixels.tobytes() == expected


def test_errors_call_a_file_by_its_path(png: bytes, tmp_path: Path) -> None:
    missing, cut = tmp_path / "missing.clc", tmp_path / "cut.png"
    cut.write_bytes(png[: len(png) // 2])
    for function in (corelic.info, corelic.decode, corelic.decode_picture):
        with pytest.raises(PictureError, match=r"missing\.clc: there is no such file"):
            function(missing)
    for function in (corelic.decode, corelic.decode_picture):
        with pytest.raises(PictureError, match=r"cut\.png: cannot be decoded"):
            function(cut)


def test_a_device_that_is_none_or_is_not_here_is_a_sentence(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="choose from auto, cpu, cuda"):
        corelic.encode(photo, device="tpu")
    with pytest.raises(DeviceError, match="is not there"):
        corelic.encode(photo, device="cuda")


def test_a_folder_that_cannot_be_looked_into_does_not_hide_others(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    glob = Path.glob

    def refuse(path: Path, pattern: str) -> Iterator[Path]:
        if path.name == "secret":
            raise PermissionError(13, "Permission denied")
        return iter(list(glob(path, pattern)))

    monkeypatch.setattr(Path, "glob", refuse)
    monkeypatch.setenv("CORELIC_MODELS", f"/root/secret{os.pathsep}{GOLDEN}")
    data = corelic.encode(photo, codec=str(TINY_WEIGHTS))
    assert corelic.decode(data).size == photo.size


def test_a_codec_is_looked_for_before_a_picture_is_read() -> None:
    with pytest.raises(UnknownCodecError, match="did you mean 'jpeg'"):
        corelic.encode("missing.png", codec="jpg")


@pytest.mark.parametrize("codec", ["swift", "jpeg"])
@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("target_bytes", "40KB"),
        ("target_bytes", float("nan")),
        ("target_bytes", 0),
        ("target_bpp", "0.5"),
        ("target_bpp", float("nan")),
        ("target_psnr_db", "35"),
        ("target_psnr_db", float("inf")),
    ],
)
def test_a_target_that_is_none_is_said_before_a_picture_is_read(
    target: str, value: Any, codec: str
) -> None:
    with pytest.raises(TargetError, match=r"give|ask for"):
        corelic.encode("missing.png", codec=codec, **{target: value})


@pytest.mark.parametrize("codec", ["swift", "jpeg", "x265"])
@pytest.mark.parametrize("quality", ["web_low", float("nan"), 100.1, -1])
def test_a_quality_that_is_none_is_a_sentence(quality: Any, codec: str, photo: Image.Image) -> None:
    for made in (
        lambda: corelic.encode(photo, quality=quality, codec=codec),
        lambda: photo.save(BytesIO(), "CLC", quality=quality),
    ):
        with pytest.raises(QualityError, match=f"quality is {quality!r}; give a number"):
            made()
