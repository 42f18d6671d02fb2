"""Pictures in and out: what is read as it is, what is converted, what is refused."""

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from corelic import media
from corelic.errors import OutputError, PictureError
from corelic.media import Picture


def file_bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def deep_png(colour_type: int, channels: int) -> bytes:
    """A 4 × 4 PNG of 16 bits a sample, by hand: Pillow writes none in colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", 4, 4, 16, colour_type, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(range(8 * channels))) * 4)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 1, 3), (3, 5, 3)])
def test_a_picture_survives_a_lossless_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "picture.png"
    media.write_image(Picture(pixels).to_image(), path)
    read = media.read_picture(path)
    assert np.array_equal(read.pixels, pixels)
    assert (read.height_px, read.width_px) == shape[:2]
    assert read.colour == ("grey" if len(shape) == 2 else "rgb")


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.dtype}{pixels.shape}",
)
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(PictureError, match="give"):
        Picture(pixels)


@pytest.mark.parametrize(
    ("convert", "mode"),
    [
        (lambda image: image, "RGB"),
        (lambda image: image.convert("L"), "L"),
        (lambda image: image.convert("1"), "L"),
        (lambda image: image.quantize(64), "RGB"),
        (lambda image: image.convert("RGBA"), "RGB"),
        (lambda image: image.convert("LA"), "RGB"),
    ],
    ids=["RGB", "L", "1", "P", "RGBA", "LA"],
)
def test_what_loses_nothing_is_converted(
    photo: Image.Image, convert: Callable[[Image.Image], Image.Image], mode: str
) -> None:
    image = convert(photo)
    expected = np.array(image.convert(mode))
    assert np.array_equal(media.read_picture(file_bytes(image)).pixels, expected)
    assert np.array_equal(Picture.from_image(image).pixels, expected)


def see_through(photo: Image.Image) -> Image.Image:
    image = photo.convert("RGBA")
    image.putpixel((3, 3), (1, 2, 3, 254))
    return image


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda photo: file_bytes(see_through(photo)), "transparency"),
        (lambda photo: file_bytes(photo.quantize(8), transparency=0), "transparency"),
        (lambda photo: file_bytes(photo, transparency=photo.getpixel((3, 3))), "transparency"),
        (lambda photo: file_bytes(photo.convert("CMYK"), "TIFF"), "CMYK"),
        (lambda photo: file_bytes(photo.convert("F"), "TIFF"), "8 bits"),
        (lambda photo: file_bytes(photo.convert("LAB"), "TIFF"), "LAB"),
        (lambda _: deep_png(0, 1), "8 bits"),
        (lambda _: deep_png(2, 3), "8 bits"),
        (lambda _: deep_png(4, 2), "8 bits"),
        (lambda _: deep_png(6, 4), "8 bits"),
        (lambda _: b"P6 2 2 65535\n" + bytes(24), "8 bits"),
        (lambda photo: file_bytes(photo, "GIF", save_all=True, append_images=[photo.rotate(9)]),
         "several frames"),
    ],
    ids=["alpha", "palette", "colour key", "CMYK", "float", "LAB", "grey 16", "RGB 16",
         "LA 16", "RGBA 16", "PPM 16", "frames"],
)  # fmt: skip
def test_what_would_lose_something_is_refused(
    photo: Image.Image, data: Callable[[Image.Image], bytes], reason: str
) -> None:
    with pytest.raises(PictureError, match=reason):
        media.read_picture(data(photo))
    with pytest.raises(PictureError, match=reason):
        Picture.from_image(Image.open(BytesIO(data(photo))))


def test_the_preview_of_a_phone_is_not_the_picture(photo: Image.Image) -> None:
    data = file_bytes(photo, "MPO", save_all=True, append_images=[photo.rotate(90)])
    assert np.array_equal(
        media.read_picture(data).pixels, np.array(Image.open(BytesIO(data)).convert("RGB"))
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(photo: Image.Image, orientation: int) -> None:
    turned = photo.copy()
    turned.getexif()[0x0112] = orientation
    data = file_bytes(turned, exif=turned.getexif())
    picture = media.read_picture(data)
    assert (picture.width_px, picture.height_px) == (
        photo.size if orientation < 5 else photo.size[::-1]
    )
    assert np.array_equal(Picture.from_image(Image.open(BytesIO(data))).pixels, picture.pixels)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_half_a_file_is_refused(photo: Image.Image, format: str) -> None:
    whole = file_bytes(photo, format)
    for length in (1, 10, len(whole) // 2):
        with pytest.raises(PictureError):
            media.read_picture(whole[:length])


def test_bad_paths_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("a shopping list")
    for name, reason in [
        ("missing.png", "no such file"),
        ("empty.png", "is empty"),
        ("text.png", "not a picture"),
        (".", "is a folder"),
        ("x" * 300, "name too long"),
    ]:
        with pytest.raises(PictureError, match=reason) as caught:
            media.read_picture(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_an_enormous_picture_is_refused(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="enormous"):
        media.read_picture(file_bytes(photo))


@given(st.binary(max_size=100), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF"]))
@example(b"", "PNG")
@pytest.mark.filterwarnings("ignore")  # Pillow's, on what it can still make sense of
def test_any_bytes_are_a_picture_or_an_error(noise: bytes, format: str) -> None:
    start = file_bytes(Image.new("RGB", (8, 8)), format)[:40]
    for data in (noise, start + noise):
        with suppress(PictureError):
            media.read_picture(data)


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".webp", ".tif", ".bmp", ".avif", ".jp2"])
def test_the_suffix_chooses_the_format(photo: Image.Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    media.write_image(photo, path)
    with Image.open(path) as image:
        assert image.format == Image.registered_extensions()[suffix.lower()]
        difference = np.array(image).astype(float) - np.array(photo)
    assert np.sqrt((difference**2).mean()) < 5  # nobody's default quality


@pytest.mark.parametrize("name", ["photo.docx", "photo.psd"])
def test_an_unknown_suffix_is_refused(photo: Image.Image, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"try \.png"):
        media.write_image(photo, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_suffixes_are_those_of_formats_that_can_be_decoded() -> None:
    suffixes = media.picture_suffixes()
    assert {".png", ".jpg", ".jpeg", ".mpo", ".tif", ".webp", ".avif", ".jp2", ".gif"} <= suffixes
    assert not {".clc", ".pdf", ".mpg", ".h5", ".wmf", ".txt", ".svg", ""} & suffixes
