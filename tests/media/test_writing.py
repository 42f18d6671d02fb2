"""Pictures to files of classical formats, with all that those can hold."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from corelic import media
from corelic.errors import MissingPartError, OutOfMemoryError, OutputError
from corelic.media import Picture, jxl, picture_bytes, read_picture
from tests.conftest import needs

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x0f\0\x02\0\0\0\x03CL\0\0\0\0\0\0"  # Make: CL
XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def random(shape: tuple[int, ...], dtype: type[np.unsignedinteger]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def assert_same(one: Picture, other: Picture) -> None:
    assert np.array_equal(one.pixels, other.pixels)
    assert (one.alpha is None) == (other.alpha is None)
    assert one.alpha is None or np.array_equal(one.alpha, other.alpha)
    assert (one.bit_depth, one.icc, one.exif, one.xmp) == (
        (other.bit_depth, other.icc, other.exif, other.xmp)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3), (1, 500, 3), (63, 65, 3)], ids=str)
def test_a_png_holds_all_of_a_picture(
    shape: tuple[int, ...], alpha: bool, dtype: type[np.unsignedinteger]
) -> None:
    planes = random((*shape, 2), dtype)
    picture = Picture(planes[..., 0].copy(), random(shape[:2], dtype) if alpha else None)
    for given in (picture, Picture(picture.pixels, picture.alpha, ICC, EXIF, XMP)):
        assert_same(read_picture(picture_bytes(given, Path("picture.png"))), given)


@pytest.mark.parametrize(
    ("suffix", "keeps"),
    [
        (".png", {"icc", "exif", "xmp"}),
        (".jpg", {"icc", "exif", "xmp"}),
        (".webp", {"icc", "exif", "xmp"}),
        (".avif", {"icc", "exif", "xmp"}),
        (".tif", {"icc", "xmp", "make"}),
        (".jp2", set()),
        (".bmp", set()),
    ],
)
def test_metadata_goes_where_there_is_room(suffix: str, keeps: set[str]) -> None:
    picture = Picture(random((9, 9, 3), np.uint8), None, ICC, EXIF, XMP)
    data = picture_bytes(picture, Path(f"picture{suffix}"))
    found = read_picture(data)
    for name, expected in {"icc": ICC, "exif": EXIF, "xmp": XMP}.items():
        if name in keeps:
            assert getattr(found, name) == expected
    if "make" in keeps:
        with Image.open(BytesIO(data)) as image:
            assert image.getexif()[0x010F] == "CL"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2", ".pgm"])
def test_deep_grey_stays_deep(suffix: str) -> None:
    picture = Picture(random((9, 9), np.uint16))
    assert_same(read_picture(picture_bytes(picture, Path(f"picture{suffix}"))), picture)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".avif"])
def test_deep_grey_is_rounded_where_it_must_be(suffix: str) -> None:
    steep = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    found = read_picture(picture_bytes(Picture(steep), Path(f"picture{suffix}")))
    assert found.bit_depth == 8
    grey = found.pixels if found.colour == "grey" else found.pixels[:, :, 1]
    assert np.abs(grey - steep / 257).max() < 4  # lossy, but neither clipped nor wrapped


def test_an_alpha_that_says_nothing_is_no_obstacle() -> None:
    pixels = random((9, 9, 3), np.uint8)
    opaque = Picture(pixels, np.full((9, 9), 255, np.uint8), ICC)
    assert read_picture(picture_bytes(opaque, Path("picture.jpg"))).icc == ICC
    clear = Picture(pixels, np.full((9, 9), 254, np.uint8))
    with pytest.raises(OutputError, match=r"try \.png"):
        picture_bytes(clear, Path("picture.jpg"))


def test_metadata_that_a_format_does_not_take_is_a_typed_error() -> None:
    pixels = random((9, 9, 3), np.uint8)
    for picture, name in (
        (Picture(pixels, exif=bytes(70_000)), "picture.jpg"),
        (Picture(pixels, exif=b"garbage"), "picture.tif"),
    ):
        with pytest.raises(OutputError, match=r"try \.png"):
            picture_bytes(picture, Path(name))


@pytest.mark.parametrize("suffix", [".bmp", ".dib", ".ppm", ".icns"])
def test_what_a_format_would_lose_silently_is_refused(suffix: str) -> None:
    pixels = random((300, 300, 3), np.uint8)
    clear = Picture(pixels, random((300, 300), np.uint8))
    with pytest.raises(OutputError, match=r"(no alpha|for icons).*try \.png"):
        picture_bytes(clear, Path(f"picture{suffix}"))
    with pytest.raises(OutputError, match="for icons"):
        picture_bytes(Picture(pixels), Path("picture.ico"))
    small = picture_bytes(Picture(pixels[:64, :64].copy()), Path("picture.ico"))
    assert np.array_equal(read_picture(small).pixels, pixels[:64, :64])


def test_jpeg_xl_is_written_where_its_plugin_is(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Picture(random((9, 9, 3), np.uint8))
    needs("pillow_jxl")
    assert picture_bytes(picture, Path("picture.jxl")).startswith(jxl.SIGNATURES)
    monkeypatch.setattr(jxl, "SUFFIX", ".unknown")
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(MissingPartError, match="pillow-jxl-plugin"):
        picture_bytes(picture, Path("picture.unknown"))


def test_no_metadata_is_read_where_none_was_written() -> None:
    picture = Picture(random((9, 9, 3), np.uint8))
    found = read_picture(picture_bytes(picture, Path("picture.png")))
    assert (found.icc, found.exif, found.xmp) == (None, None, None)


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


def test_too_little_memory_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutOfMemoryError):
        picture_bytes(Picture(random((2, 2), np.uint8)), Path("a.png"))


def test_a_png_is_compressed_at_a_quick_level() -> None:
    """As the first bytes of a zlib stream tell: 0x9C would be the usual one."""
    data = picture_bytes(Picture(random((9, 9, 3), np.uint8)), Path("picture.png"))
    assert data[data.index(b"IDAT") + 4 :].startswith(b"\x78\x5e")
