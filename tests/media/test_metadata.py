"""Which way up a picture is, and what its file says of it."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from corelic.media import Picture, picture_bytes, read_picture
from corelic.media.metadata import bare_exif, turn, upright_exif
from tests.media.files import deep_png, file_bytes

FORMATS = ["JPEG", "PNG", "WEBP", "TIFF"]
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="{}">hi</x:xmpmeta>'


def exif_of(orientation: int | None, order: str = "<") -> Image.Exif:
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Make] = "corelic"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:02:02 02:02:02"
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", FORMATS)
def test_pictures_stand_upright(photo: Image.Image, format: str, orientation: int) -> None:
    data = file_bytes(photo, format, exif=exif_of(orientation).tobytes(), quality=100)
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    for picture in (read_picture(data), Picture.from_image(Image.open(BytesIO(data)))):
        assert np.array_equal(picture.pixels, expected)
        assert picture.exif is not None
        exif = Image.Exif()
        exif.load(picture.exif)
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif[ExifTags.Base.Make] == "corelic"
        assert len(exif.get_ifd(ExifTags.IFD.Exif)) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_stand_upright(orientation: int) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7, 4), dtype=np.uint16)
    png = deep_png(values)
    end = 8 + 25  # signature and IHDR
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.format(orientation).encode()
    body = b"iTXt" + text
    crc = struct.pack(">I", zlib.crc32(body))
    png = png[:end] + struct.pack(">I", len(text)) + body + crc + png[end:]
    picture = read_picture(png)
    assert picture.alpha is not None
    found = np.dstack((picture.pixels, picture.alpha))
    assert np.array_equal(found, turn(values, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_is_what_pillow_does(orientation: int) -> None:
    values = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(turn(values, orientation), expected)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [None, 1])
def test_metadata_is_kept_byte_for_byte(
    photo: Image.Image, format: str, orientation: int | None
) -> None:
    exif, icc = exif_of(orientation).tobytes(), bytes(range(256)) * 3
    data = file_bytes(photo, format, exif=exif, icc_profile=icc)
    picture = read_picture(data)
    assert picture.exif == exif.removeprefix(b"Exif\0\0")
    assert picture.icc == icc
    assert picture.to_image().info == {"exif": exif, "icc_profile": icc}


@pytest.mark.parametrize("prefixes", [2, 3, 5])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_begins_with_its_header(photo: Image.Image, format: str, prefixes: int) -> None:
    """Some writers put the prefix of JPEG files before it where the format has none, or again."""
    exif = exif_of(6).tobytes().removeprefix(b"Exif\0\0")
    data = file_bytes(photo, format, exif=b"Exif\0\0" * prefixes + exif, quality=100)
    picture = read_picture(data)
    assert np.array_equal(picture.pixels, turn(np.asarray(Image.open(BytesIO(data))), 6))
    assert picture.exif == exif_of(1).tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_only_the_orientation_is_reset(order: str, orientation: int) -> None:
    before = exif_of(orientation, order).tobytes().removeprefix(b"Exif\0\0")
    after = upright_exif(before)
    assert after == exif_of(1, order).tobytes().removeprefix(b"Exif\0\0")
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_orientation_of_xmp_counts_where_exif_has_none(
    photo: Image.Image, orientation: int
) -> None:
    image = photo.copy()
    image.info["xmp"] = XMP.format(orientation).encode()
    picture = Picture.from_image(image)
    assert np.array_equal(picture.pixels, turn(np.asarray(photo), orientation))
    assert picture.xmp == XMP.format(1).encode()


def test_xmp_is_set_upright_by_the_side_of_exif_that_is(photo: Image.Image) -> None:
    """As a program leaves it that turns pixels, and sees to EXIF alone."""
    image = photo.copy()
    image.info |= {"xmp": XMP.format(6).encode(), "exif": exif_of(1).tobytes()}
    picture = Picture.from_image(image)
    assert np.array_equal(picture.pixels, np.asarray(photo))
    assert picture.xmp == XMP.format(1).encode()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_tiff_is_not_what_a_camera_said_of_its_pixels(photo: Image.Image, mode: str) -> None:
    """EXIF may have the size before it was turned or cut, and colours from before it was coded."""
    exif = exif_of(None)
    said = {256: 4, 257: 900, 258: 16, 259: 7, 262: 6, 277: 4, 278: 1, 284: 2, 338: 1}
    for tag, value in said.items():
        exif[tag] = value
    exif[ExifTags.Base.XResolution] = 300.0
    image = photo.convert(mode)
    for xmp in (None, XMP.format(1).encode()):
        picture = Picture(np.asarray(image), None, None, exif.tobytes()[6:], xmp)
        found = read_picture(picture_bytes(picture, Path("photo.tif")))
        assert np.array_equal(found.pixels, np.asarray(image))
        assert found.xmp == xmp and found.exif is not None
        kept = Image.Exif()
        kept.load(found.exif)
        assert (kept[ExifTags.Base.Make], kept[ExifTags.Base.XResolution]) == ("corelic", 300)
        assert kept.get_ifd(ExifTags.IFD.Exif)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_is_left_alone(photo: Image.Image, orientation: int) -> None:
    exif = exif_of(orientation).tobytes()
    picture = read_picture(file_bytes(photo, exif=exif))
    assert np.array_equal(picture.pixels, np.asarray(photo))
    assert picture.exif == exif.removeprefix(b"Exif\0\0")


@pytest.mark.filterwarnings("ignore")  # Pillow's, on damaged EXIF
@given(st.binary(max_size=80))
def test_damaged_exif_does_not_hurt_the_pixels(noise: bytes) -> None:
    for exif in (noise, b"MM\0*\0\0\0\x08" + noise, b"II*\0\x08\0\0\0" + noise):
        image = Image.new("RGB", (4, 3), "red")
        image.info["exif"] = b"Exif\0\0" + exif
        picture = Picture.from_image(image)
        assert {picture.width_px, picture.height_px} == {3, 4}
        assert len(picture.exif or b"") == len(bare_exif(exif))
        upright_exif(exif)


def test_a_tiff_says_what_its_pixels_are_no_more(photo: Image.Image) -> None:
    exif = read_picture(file_bytes(photo, "TIFF", exif=exif_of(6).tobytes())).exif
    found = Image.Exif()
    found.load(exif)
    assert set(found) == {ExifTags.Base.Make, ExifTags.IFD.Exif}


def test_stripping_leaves_the_picture(photo: Image.Image) -> None:
    exif = exif_of(6).tobytes()
    picture = read_picture(file_bytes(photo, exif=exif, icc_profile=b"icc"))
    stripped = picture.stripped()
    assert (stripped.icc, stripped.exif, stripped.xmp) == (None, None, None)
    assert stripped.pixels is picture.pixels


@pytest.mark.parametrize(("tag", "key"), [(34675, "icc"), (700, "xmp")])
def test_a_tag_of_another_type_is_left_out(tag: int, key: str) -> None:
    tags = ImageFileDirectory_v2()
    tags.tagtype[tag] = 4  # LONG, where bytes should be
    tags[tag] = 5
    data = file_bytes(Image.new("L", (3, 2)), "TIFF", tiffinfo=tags)
    with Image.open(BytesIO(data)) as image:
        assert tag in image.tag_v2
    assert getattr(read_picture(data), key) is None
