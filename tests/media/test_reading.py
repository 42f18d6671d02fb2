"""Pictures in and out: what is read as it is, what is converted, what is refused."""

import struct
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from corelic import media
from corelic.codecs import api, within
from corelic.codecs.within import read_within
from corelic.errors import (
    CorelicError,
    OutOfMemoryError,
    OutputError,
    PictureError,
    PictureWarning,
    TooManyPixelsError,
)
from corelic.media import Picture, deep, reading
from corelic.media.jxl_header import JxlHeader
from tests.media.files import deep_png, deep_sgi, file_bytes, grey_tiff


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
        np.zeros((4, 4), np.int16),
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


@pytest.mark.parametrize("alpha", [np.zeros((4, 5), np.uint8), np.zeros((4, 4), np.uint16)])
def test_alpha_is_of_the_size_and_type_of_the_pixels(alpha: np.ndarray) -> None:
    with pytest.raises(PictureError, match="alpha"):
        Picture(np.zeros((4, 4, 3), np.uint8), alpha)


def assert_is(picture: Picture, image: Image.Image) -> None:
    """What Pillow has in mode L, LA, RGB or RGBA."""
    planes = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, planes[:, :, -1])
        planes = planes[:, :, 0] if image.mode == "LA" else planes[:, :, :3]
    else:
        assert picture.alpha is None
    assert np.array_equal(picture.pixels, planes)


def keyed(image: Image.Image, transparent: object) -> Image.Image:
    """With a colour, or index, that stands for transparent."""
    image.info["transparency"] = transparent
    return image


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (lambda photo: photo, "RGB"),
        (lambda photo: photo.convert("L"), "L"),
        (lambda photo: photo.convert("1"), "L"),
        (lambda photo: photo.convert("LA"), "LA"),
        (lambda photo: see_through(photo), "RGBA"),
        (lambda photo: see_through(photo).convert("RGBa"), "RGBA"),
        (lambda photo: photo.quantize(64), "RGB"),
        (lambda photo: keyed(photo.quantize(64), 3), "RGBA"),
        (lambda photo: keyed(photo.quantize(64), bytes(range(64))), "RGBA"),
        (lambda photo: see_through(photo).convert("PA"), "RGBA"),
        (lambda photo: keyed(photo.copy(), photo.getpixel((3, 3))), "RGBA"),
        (lambda photo: keyed(photo.convert("L"), 200), "LA"),
        (lambda photo: keyed(photo.convert("1"), 255), "LA"),
        (lambda photo: photo.convert("RGBX"), "RGB"),
        (lambda photo: photo.convert("YCbCr"), "RGB"),
        (lambda photo: photo.convert("HSV"), "RGB"),
        (lambda photo: photo.convert("LAB"), "RGB"),
    ],
    ids=["RGB", "L", "1", "LA", "RGBA", "RGBa", "P", "P with a clear colour", "P with alphas",
         "PA", "RGB with a clear colour", "L with a clear grey", "1 with clear white", "RGBX",
         "YCbCr", "HSV", "LAB"],
)  # fmt: skip
def test_modes_are_translated(
    photo: Image.Image, image: Callable[[Image.Image], Image.Image], mode: str
) -> None:
    given = image(photo)
    assert_is(Picture.from_image(given), given.convert(mode))
    if given.mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        options = {key: given.info[key] for key in ("transparency",) if key in given.info}
        data = file_bytes(given, **options)
        assert_is(media.read_picture(data), Image.open(BytesIO(data)).convert(mode))


def see_through(photo: Image.Image) -> Image.Image:
    image = photo.convert("RGBA")
    image.putalpha(photo.convert("L"))
    return image


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N", "I"])
def test_deep_grey_keeps_its_bits(mode: str) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7), dtype=np.uint16)
    image = Image.fromarray(values.astype(np.int32)).convert(mode)
    picture = Picture.from_image(image)
    assert (picture.bit_depth, picture.alpha) == (16, None)
    assert np.array_equal(picture.pixels, values)


@pytest.mark.parametrize("values", [(-1, 5), (0, 65536)])
def test_what_16_bits_do_not_hold_is_refused(values: tuple[int, int]) -> None:
    image = Image.fromarray(np.array([values], np.int32))
    with pytest.raises(PictureError, match="more than 16 bits hold"):
        Picture.from_image(image)


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (63, 65), (1, 500), (500, 1)], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_deep_png_keeps_its_bits(channels: int, size: tuple[int, int]) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (*size, channels), dtype=np.uint16)
    for picture in (
        media.read_picture(deep_png(values)),
        Picture.from_image(Image.open(BytesIO(deep_png(values)))),
    ):
        assert picture.bit_depth == 16
        assert picture.colour == ("grey" if channels < 3 else "rgb")
        found = picture.pixels
        if picture.alpha is not None:
            found = np.dstack((found, picture.alpha))
        assert np.array_equal(found.reshape(values.shape), values)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_deep_colour_stands_for_transparent(channels: int) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    picture = media.read_picture(deep_png(values, transparent=values[2, 3]))
    expected = np.full((5, 7), 65535)
    expected[2, 3] = 0
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, expected)
    assert np.array_equal(picture.pixels.reshape(values.shape), values)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("largest", [65535, 1023])
def test_a_deep_ppm_is_scaled(largest: int, plain: bool) -> None:
    values = np.random.default_rng(1).integers(0, largest + 1, (5, 7, 3), dtype=np.uint16)
    text = "\n".join(str(value) for value in values.flat) + "\n"
    samples = text.encode() if plain else values.astype(">u2").tobytes()
    picture = media.read_picture(b"P%d 7 5 %d\n" % (3 if plain else 6, largest) + samples)
    assert picture.bit_depth == 16
    assert np.abs(picture.pixels - values / largest * 65535).max() <= 1


def test_deep_tiles_are_refused_not_misread() -> None:
    """FFmpeg reads them as if they were strips."""
    tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
    values = np.random.default_rng(1).integers(0, 65536, (63, 65, 3), dtype=np.uint16)
    for options in ({}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}):
        file = BytesIO()
        tifffile.imwrite(file, values, photometric="rgb", **options)
        assert np.array_equal(media.read_picture(file.getvalue()).pixels, values)
    file = BytesIO()
    tifffile.imwrite(file, values, photometric="rgb", tile=(16, 16))
    with pytest.raises(PictureError, match="16-bit PNG"):
        media.read_picture(file.getvalue())


@pytest.mark.parametrize("channels", [3, 4])
def test_deep_planes_are_read_or_refused(channels: int) -> None:
    """Pillow reads planes of a TIFF without compression as if they had 8 bits."""
    tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
    values = np.random.default_rng(1).integers(0, 65536, (channels, 63, 65), dtype=np.uint16)
    options = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ["unassalpha"]}
    if channels == 3:
        del options["extrasamples"]
    for order in "<>":
        file = BytesIO()
        tifffile.imwrite(file, values, byteorder=order, compression="zlib", **options)
        picture = media.read_picture(file.getvalue())
        found = picture.pixels
        if channels == 4:
            found = np.dstack((found, picture.alpha))
        assert np.array_equal(np.moveaxis(found, 2, 0), values)
        file = BytesIO()
        tifffile.imwrite(file, values, byteorder=order, **options)
        with pytest.raises(PictureError, match="16-bit PNG"):
            media.read_picture(file.getvalue())


@pytest.mark.parametrize(("kind", "is_alpha"), [("unspecified", False), ("unassalpha", True)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_fourth_channel_is_alpha_where_the_file_says_so(
    kind: str, is_alpha: bool, compression: str | None
) -> None:
    tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
    values = np.random.default_rng(1).integers(0, 65536, (63, 65, 4), dtype=np.uint16)
    file = BytesIO()
    options = {"photometric": "rgb", "extrasamples": [kind], "compression": compression}
    tifffile.imwrite(file, values, **options)
    picture = media.read_picture(file.getvalue())
    assert np.array_equal(picture.pixels, values[:, :, :3])
    assert (picture.alpha is not None) == is_alpha
    if is_alpha:
        assert np.array_equal(picture.alpha, values[:, :, 3])


@pytest.mark.parametrize("run_length", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_deep_sgi_keeps_its_bits(channels: int, run_length: bool) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    picture = media.read_picture(deep_sgi(values, run_length=run_length))
    found = picture.pixels
    if picture.alpha is not None:
        found = np.dstack((found, picture.alpha))
    assert np.array_equal(found.reshape(values.shape), values)


def test_16_bits_a_pixel_are_not_16_a_sample() -> None:
    """Of a BMP, with 5, 6 and 5 bits."""
    pixels = struct.pack("<4H", 0xF800, 0x07E0, 0x001F, 0xFFFF)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    data = b"BM" + struct.pack("<IHHI", 66 + len(pixels), 0, 0, 66) + header + masks + pixels
    expected = [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]
    assert media.read_picture(data).pixels.tolist() == expected


@pytest.mark.parametrize("width", [6, 7])
def test_12_bits_of_grey_are_scaled(width: int) -> None:
    values = np.random.default_rng(1).integers(0, 4096, (5, width), dtype=np.uint16)
    values[0, :2] = 0, 4095
    picture = media.read_picture(grey_tiff(values, bits=12, black=1))
    assert tuple(picture.pixels[0, :2]) == (0, 65535)
    assert np.abs(picture.pixels - values / 4095 * 65535).max() <= 16


def test_white_is_white_where_a_tiff_calls_it_0() -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7), dtype=np.uint16)
    picture = media.read_picture(grey_tiff(values, bits=16, black=0))
    assert np.array_equal(picture.pixels, 65535 - values)
    assert np.array_equal(media.read_picture(grey_tiff(values, bits=16, black=1)).pixels, values)


@pytest.mark.parametrize("profile", [None, b"no profile", "sRGB"])
def test_inks_are_converted_with_a_warning(photo: Image.Image, profile: bytes | str | None) -> None:
    if profile == "sRGB":  # of another space than the pixels, as no CMYK profile is at hand
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = file_bytes(photo.convert("CMYK"), "TIFF", icc_profile=profile)
    with pytest.warns(PictureWarning, match=r"^the data is in CMYK.* guess; the inks"):
        picture = media.read_picture(data)
    assert np.array_equal(picture.pixels, np.array(photo.convert("CMYK").convert("RGB")))
    assert picture.icc is None


def test_inks_are_converted_with_their_profile(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def convert(image: Image.Image, source: object, target: object, outputMode: str) -> Image.Image:
        used.append(source)
        return image.convert(outputMode).point(lambda value: 255 - value)

    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    inks = photo.convert("CMYK")
    inks.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with pytest.warns(PictureWarning, match="with its own colour profile"):
        picture = Picture.from_image(inks)
    assert used and picture.icc is None
    assert np.array_equal(255 - picture.pixels, np.array(inks.convert("RGB")))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda photo: file_bytes(photo.convert("F"), "TIFF"), "floating-point"),
        (lambda photo: file_bytes(photo, "GIF", save_all=True, append_images=[photo.rotate(9)]),
         "several frames"),
    ],
    ids=["float", "frames"],
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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_half_a_file_is_refused(photo: Image.Image, format: str) -> None:
    whole = file_bytes(photo, format)
    for length in (1, 10, len(whole) // 2):
        with pytest.raises(PictureError):
            media.read_picture(whole[:length])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_a_png_with_a_damaged_middle_is_refused(photo: Image.Image, mode: str) -> None:
    """Pillow loads a PNG to look for EXIF behind its pixels, and forgets what was wrong."""
    image = photo.convert("L") if mode == "I;16" else photo.convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    whole = file_bytes(image, "PNG")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0x10
    for data in (bytes(damaged), whole[: len(whole) // 2] + bytes(40) + whole[len(whole) // 2 :]):
        with pytest.raises(PictureError, match="cannot be decoded"):
            media.read_picture(data)
        with pytest.raises(PictureError), Image.open(BytesIO(data)) as opened:
            Picture.from_image(opened)


def test_an_icon_within_an_icns_has_a_size_of_its_own(photo: Image.Image) -> None:
    icon = file_bytes(Image.new("RGB", (2000, 2000)), "PNG")
    block = b"ic10" + struct.pack(">I", 8 + len(icon)) + icon  # 1024 × 1024, that means
    data = b"icns" + struct.pack(">I", 8 + len(block)) + block
    how: dict[str, Any] = {"device": "cpu", "codec": None, "memory_bytes": 10**9}
    how |= {"progress": None, "fast": False}
    decoders = (partial(read, **how) for read in (api.decode, api.decode_picture))
    for read in (read_within, *decoders):
        with pytest.raises(PictureError, match=r"enormous.*--max-pixels"):
            read(data, "icon.icns", max_pixels=1_050_000)
    sound = file_bytes(Image.new("RGB", (1024, 1024)), "ICNS")
    assert read_within(sound, "icon.icns", max_pixels=1_050_000).width_px == 1024


def test_no_memory_is_no_damage(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the picture itself, of its samples, and of 16 bits, which another decoder reads."""
    of_16_bits = deep_png(np.full((*photo.size[::-1], 3), 700, np.uint16))
    whole = file_bytes(photo, "PNG")

    def fail(*given: object, **options: object) -> None:
        raise MemoryError

    for owner, name, data in (
        (ImageFile.ImageFile, "load", whole),
        (reading, "_planes", whole),
        (deep, "_frame", of_16_bits),
    ):
        with monkeypatch.context() as patched, pytest.raises(OutOfMemoryError) as caught:
            patched.setattr(owner, name, fail)
            media.read_picture(data)
        assert (caught.value.width_px, caught.value.height_px) == photo.size


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


def test_threads_leave_the_filters_of_warnings_alone(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins before the first has ended, and ends after it, if they can overlap."""
    data, real = file_bytes(photo), Image.open
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))
    turns = iter([(first_began, second_began), (second_began, first_ended)])

    def slow_open(source: object) -> Image.Image:
        begun, awaited = next(turns)
        begun.set()
        awaited.wait(0.2)
        return real(source)

    def first() -> None:
        media.read_picture(data)
        first_ended.set()

    monkeypatch.setattr(Image, "open", slow_open)
    before = list(warnings.filters)
    threads = [threading.Thread(target=first)]
    threads.append(threading.Thread(target=lambda: media.read_picture(data)))
    threads[0].start()
    assert first_began.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


@given(st.binary(max_size=100), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF"]))
@example(b"", "PNG")
@example(b"\x89CLC\r\n", "PNG")  # ours, and damaged
@pytest.mark.filterwarnings("ignore")  # Pillow's, on what it can still make sense of
def test_any_bytes_are_a_picture_or_an_error(noise: bytes, format: str) -> None:
    start = file_bytes(Image.new("RGB", (8, 8)), format)[:40]
    for data in (noise, start + noise):
        with suppress(CorelicError):
            media.read_picture(data)


def test_an_animation_cut_anywhere_is_one_sentence(photo: Image.Image) -> None:
    frames = [photo.resize((24, 24)).rotate(angle) for angle in (0, 90, 180)]
    whole = file_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for end in range(40, len(whole), 17):
        with suppress(PictureError):
            media.read_picture(whole[:end], name="cut.gif")


def test_layers_are_no_frames() -> None:
    class Layered(Image.Image):
        format, is_animated = "PSD", True

    flat = Image.new("RGB", (4, 3), (9, 8, 7))
    layered = Layered()
    layered.__dict__.update(flat.__dict__)
    assert Picture.from_image(layered).pixels[0, 0].tolist() == [9, 8, 7]


def test_alpha_is_not_left_out_in_silence(tmp_path: Path, photo: Image.Image) -> None:
    seen = photo.convert("RGBA")
    media.write_image(seen, tmp_path / "opaque.ppm")
    seen.putalpha(128)
    with pytest.raises(OutputError, match="alpha"):
        media.write_image(seen, tmp_path / "seen.ppm")


def test_a_profile_larger_than_pillow_reads_is_kept() -> None:
    profile = bytes(range(256)) * 5_000
    data = file_bytes(Image.new("RGB", (3, 2)), icc_profile=profile)
    assert media.read_picture(data).icc == profile


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit, so low that small pictures are beyond it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(reading, "PILLOWS_LIMIT", 100)


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize("format", ["TIFF", "PNG"])
def test_what_is_within_our_limit_is_read(format: str) -> None:
    data = file_bytes(Image.new("L", (60, 60)), format)
    assert read_within(data, "it", max_pixels=3600).pixels.shape == (60, 60)
    with pytest.raises(TooManyPixelsError):
        read_within(data, "it", max_pixels=3599)


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize("format", ["ICO", "WEBP"])
def test_what_decodes_as_it_opens_is_refused_before_it_does(format: str) -> None:
    data = file_bytes(Image.new("RGB", (64, 64)), format)
    with pytest.raises(PictureError, match=r"enormous .*--max-pixels"):
        read_within(data, "it", max_pixels=64**2 - 2)
    assert read_within(data, "it", max_pixels=64**2).width_px == 64


def test_the_size_of_a_jpeg_xl_file_is_known_before_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enormous = JxlHeader(10**5, 10**5, animated=False)
    monkeypatch.setattr(within, "jxl_header", lambda data: enormous)
    monkeypatch.setattr(within, "open_image", None)
    with pytest.raises(TooManyPixelsError):
        read_within(b"\xff\x0a" + bytes(20), "it", max_pixels=10**8)
