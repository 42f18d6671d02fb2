"""Pictures of every kind, to .clc files and back: docs/pictures.md, row by row."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps
from skimage import data

import corelic
from corelic.codecs import store
from corelic.entropy import container
from corelic.entropy.container import Chunk, ChunkType, Container
from corelic.errors import ChunkError, CorelicError, PictureWarning, TooManyPixelsError
from corelic.media import Picture, read_picture
from tests.media.files import deep_png, file_bytes
from tests.tiny import GOLDEN, TINY_WEIGHTS

SIZES = [(1, 1), (1, 500), (500, 1), (7, 3), (63, 65), (100, 257)]  # width, height
LARGE = 2048, 1365
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"/>'

inks = pytest.mark.filterwarnings("ignore::corelic.errors.PictureWarning")


def photo_of(width: int, height: int) -> Image.Image:
    """A photograph with alpha: parts of it are clear, parts opaque, where it is large enough."""
    return _photo_of(width, height).copy()


@cache
def _photo_of(width: int, height: int) -> Image.Image:
    astronaut = Image.fromarray(data.astronaut())
    photo = astronaut.resize((max(width, 64), max(height, 64))).crop((0, 0, width, height))
    alpha = np.asarray(photo.convert("L")).astype(int) * 3 - 200
    photo.putalpha(Image.fromarray(np.clip(alpha, 0, 255).astype(np.uint8)))
    return photo


@dataclass(frozen=True)
class Kind:
    """make: of a photograph in RGBA; decodes: to this mode of Pillow's."""

    make: Callable[[Image.Image], Image.Image]
    decodes: str
    colour: str = "rgb"
    bit_depth: int = 8


def keyed(image: Image.Image, transparent: object) -> Image.Image:
    image.info["transparency"] = transparent
    return image


def sixteen_bits(image: Image.Image) -> np.ndarray:
    """(H, W) or (H, W, C) uint16, with something in the lower byte."""
    values = np.asarray(image).astype(np.uint16)
    return values * 257 - (values > 99) * np.uint16(100)


def deep_file(mode: str) -> Callable[[Image.Image], Image.Image]:
    """A PNG of 16 bits a sample, opened."""

    def make(photo: Image.Image) -> Image.Image:
        return Image.open(BytesIO(deep_png(np.atleast_3d(sixteen_bits(photo.convert(mode))))))

    return make


def deep_grey(mode: str) -> Callable[[Image.Image], Image.Image]:
    return lambda photo: Image.fromarray(sixteen_bits(photo.convert("L")).astype(np.int32)).convert(
        mode
    )


KINDS = {
    "1": Kind(lambda photo: photo.convert("1"), "L", "grey"),
    "L": Kind(lambda photo: photo.convert("L"), "L", "grey"),
    "L, clear grey": Kind(lambda photo: keyed(photo.convert("L"), 200), "LA", "grey"),
    "LA": Kind(lambda photo: photo.convert("LA"), "LA", "grey"),
    "P": Kind(lambda photo: photo.convert("RGB").quantize(200), "RGB"),
    "P, clear": Kind(lambda photo: keyed(photo.convert("RGB").quantize(200), 0), "RGBA"),
    "PA": Kind(lambda photo: photo.convert("PA"), "RGBA"),
    "RGB": Kind(lambda photo: photo.convert("RGB"), "RGB"),
    "RGB, clear colour": Kind(lambda photo: keyed(photo.convert("RGB"), (0, 0, 0)), "RGBA"),
    "RGBA": Kind(lambda photo: photo, "RGBA"),
    "RGBA, opaque": Kind(lambda photo: photo.convert("RGB").convert("RGBA"), "RGBA"),
    "RGBX": Kind(lambda photo: photo.convert("RGB").convert("RGBX"), "RGB"),
    "CMYK": Kind(lambda photo: photo.convert("RGB").convert("CMYK"), "RGB"),
    "YCbCr": Kind(lambda photo: photo.convert("RGB").convert("YCbCr"), "RGB"),
    "LAB": Kind(lambda photo: photo.convert("RGB").convert("LAB"), "RGB"),
    "HSV": Kind(lambda photo: photo.convert("RGB").convert("HSV"), "RGB"),
    "I": Kind(deep_grey("I"), "I;16", "grey", 16),
    "I;16": Kind(deep_grey("I;16"), "I;16", "grey", 16),
    "I;16B": Kind(deep_grey("I;16B"), "I;16", "grey", 16),
    "PNG, grey 16": Kind(deep_file("L"), "I;16", "grey", 16),
    "PNG, grey 16 with alpha": Kind(deep_file("LA"), "LA", "grey", 16),
    "PNG, RGB 16": Kind(deep_file("RGB"), "RGB", "rgb", 16),
    "PNG, RGBA 16": Kind(deep_file("RGBA"), "RGBA", "rgb", 16),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def tiny_encode(picture: Image.Image | Picture, quality: float = 80) -> bytes:
    return corelic.encode(picture, codec=str(TINY_WEIGHTS), quality=quality, device="cpu")


def tiny_decode(data: bytes) -> Picture:
    return corelic.decode_picture(data, codec=str(TINY_WEIGHTS), device="cpu")


@inks
@every_kind
@pytest.mark.parametrize("size", [*SIZES, LARGE], ids=str)
def test_every_kind_and_size_comes_back(kind: Kind, size: tuple[int, int]) -> None:
    photo = photo_of(*size)
    expected = Picture.from_image(kind.make(photo))
    data = tiny_encode(kind.make(photo))
    image = corelic.decode(data, codec=str(TINY_WEIGHTS), device="cpu")
    assert (image.mode, image.size) == (kind.decodes, size)
    found = corelic.info(data)
    assert (found.colour, found.bit_depth) == (kind.colour, kind.bit_depth)
    decoded = tiny_decode(data)
    assert (decoded.colour, decoded.bit_depth) == (kind.colour, kind.bit_depth)
    assert decoded.pixels.shape == expected.pixels.shape
    assert (decoded.alpha is None) == (expected.alpha is None) == ("A" not in kind.decodes)
    if expected.alpha is not None:
        assert np.array_equal(decoded.alpha, expected.alpha)


def psnr_db(one: Picture, other: Picture) -> float:
    """Of what is visible, whatever its depth."""
    full = 2.0**one.bit_depth - 1
    error = (one.pixels / full - other.pixels / full) ** 2
    shown = ... if one.alpha is None else one.alpha > 0
    return float(-10 * np.log10(error[shown].mean()))


@inks
@every_kind
def test_swift_gives_a_good_picture(kind: Kind) -> None:
    photo = photo_of(130, 97)
    original = Picture.from_image(kind.make(photo))
    decoded = corelic.decode_picture(corelic.encode(kind.make(photo), quality=80, device="cpu"))
    least_db = 18 if kind is KINDS["1"] else 30  # black and white dots are no photograph
    assert psnr_db(original, decoded) > least_db


def unfiltered(image: Image.Image) -> bytes:
    return corelic.encode(image, codec=str(TINY_WEIGHTS), fast=True)


def test_grey_costs_no_colour() -> None:
    """Coded as three equal planes, it would be the same; as RGB it is one byte in the header."""
    grey = photo_of(257, 190).convert("L")
    as_grey, as_rgb = (unfiltered(each) for each in (grey, grey.convert("RGB")))
    assert len(as_grey) == len(as_rgb)
    assert container.read(as_grey).words == container.read(as_rgb).words


def test_16_bits_are_more_than_8() -> None:
    """A slope that 8 bits would show as four steps."""
    slope = np.tile(np.linspace(30_000, 30_000 + 4 * 257, 512), (256, 1))
    original = Picture(slope.astype(np.uint16))
    decoded = corelic.decode_picture(corelic.encode(original, quality=100, device="cpu"))
    error = np.abs(decoded.pixels.astype(float) - slope).mean()
    steps = np.abs(original.in_8_bits().pixels * 257.0 - slope).mean()
    assert len(np.unique(decoded.pixels)) > 200
    assert error < steps
    assert len(np.unique(decoded.in_8_bits().pixels)) < 10


def test_16_bits_and_8_are_the_same_picture() -> None:
    """Scaled, neither clipped nor shifted."""
    eight = Picture(data.astronaut()[:100, :150])
    sixteen = Picture(eight.pixels.astype(np.uint16) * np.uint16(257))
    assert container.read(tiny_encode(sixteen)).words == container.read(tiny_encode(eight)).words
    decoded = tiny_decode(tiny_encode(sixteen))
    difference = decoded.pixels / 257 - tiny_decode(tiny_encode(eight)).pixels
    assert np.abs(difference).max() <= 0.51


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_16_bits_are_read_from_our_own_files(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.MODELS_VARIABLE, str(GOLDEN))
    path, data = tmp_path / "deep.clc", tiny_encode(deep_file(mode)(photo_of(70, 50)))
    path.write_bytes(data)
    expected = tiny_decode(data)
    with Image.open(path) as image:
        for found in (read_picture(path), read_picture(data), Picture.from_image(image)):
            assert found.bit_depth == 16
            assert np.array_equal(found.pixels, expected.pixels)
            assert (found.alpha is None) == (expected.alpha is None)
    assert corelic.info(corelic.encode(path, codec=str(TINY_WEIGHTS))).bit_depth == 16


def test_what_was_done_to_our_own_file_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.MODELS_VARIABLE, str(GOLDEN))
    given = photo_of(70, 50).convert("RGB")
    given.info.update(icc_profile=ICC, xmp=XMP)
    image = Image.open(BytesIO(tiny_encode(given)))
    del image.info["icc_profile"]
    found = Picture.from_image(image)
    assert (found.icc, found.xmp) == (None, XMP)
    image.putpixel((3, 3), (1, 2, 3))  # which loads it
    assert tuple(Picture.from_image(image).pixels[3, 3]) == (1, 2, 3)


def test_our_own_files_stand_upright_whatever_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.MODELS_VARIABLE, str(GOLDEN))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    flat = Picture(np.zeros((20, 30), np.uint8), exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    found = read_picture(tiny_encode(flat))
    assert found.pixels.shape == (20, 30)
    exif[ExifTags.Base.Orientation] = 1  # as it must be in a file that is made from it
    assert found.exif == exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "LA"])
def test_pictures_stand_upright(orientation: int, mode: str) -> None:
    image = photo_of(100, 60).convert(mode)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    given = Image.open(BytesIO(file_bytes(image, exif=exif.tobytes())))
    upright = ImageOps.exif_transpose(given)
    decoded = corelic.decode(tiny_encode(given), codec=str(TINY_WEIGHTS))
    expected = corelic.decode(tiny_encode(upright), codec=str(TINY_WEIGHTS))
    assert (decoded.size, decoded.mode) == (upright.size, mode)
    assert np.array_equal(np.asarray(decoded), np.asarray(expected))
    assert decoded.getexif().get(ExifTags.Base.Orientation, 1) == 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_metadata_comes_back_byte_for_byte(format: str, mode: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "corelic"
    image = photo_of(70, 50).convert(mode)
    options = {"exif": exif.tobytes(), "icc_profile": ICC}
    if format == "WEBP":
        options["xmp"] = XMP
    given = Image.open(BytesIO(file_bytes(image, format, **options)))
    data = tiny_encode(given)
    decoded = corelic.decode(data, codec=str(TINY_WEIGHTS))
    assert decoded.info["icc_profile"] == ICC
    assert decoded.info["exif"] == exif.tobytes()
    assert decoded.info.get("xmp") == (XMP if format == "WEBP" else None)
    names = [chunk.name for chunk in corelic.info(data).chunks]
    assert [name for name in names if name in ("icc", "exif", "xmp")] == (
        ["icc", "exif", "xmp"] if format == "WEBP" else ["icc", "exif"]
    )
    stripped = corelic.encode(given, codec=str(TINY_WEIGHTS), strip=True)
    kept = [chunk.name for chunk in corelic.info(stripped).chunks]
    assert kept == [name for name in names if name in ("latents", "alpha", "filter")]
    assert corelic.decode(stripped, codec=str(TINY_WEIGHTS)).info == {}


def test_alpha_that_says_little_costs_little() -> None:
    photo = photo_of(300, 200).convert("RGB")
    plain, opaque = len(tiny_encode(photo)), len(tiny_encode(photo.convert("RGBA")))
    assert opaque - plain == 1 + 1 + 2 + 4  # type, length, form and value, CRC-32
    photo.putalpha(Image.new("L", photo.size, 77))
    assert len(tiny_encode(photo)) == opaque


def test_hidden_colours_cost_little() -> None:
    image = np.asarray(photo_of(300, 200)).copy()
    image[:, 100:200, 3] = 0
    noisy = image.copy()
    noisy[:, 100:200, :3] = np.random.default_rng(1).integers(0, 256, (200, 100, 3))
    assert tiny_encode(Image.fromarray(noisy)) == tiny_encode(Image.fromarray(image))


# What a damaged or hostile file may say of its extras


def with_chunks(data: bytes, *chunks: Chunk) -> bytes:
    """A sound file with other chunks beside its latents."""
    return container.write(replace(container.read(data), optional=chunks))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return unfiltered(photo_of(64, 48).convert("RGB"))


@pytest.mark.parametrize(
    ("type", "payload"),
    [
        (ChunkType.FILTER, b""),
        (ChunkType.FILTER, b"\x03"),
        (ChunkType.ALPHA, b""),
        (ChunkType.ALPHA, b"\0"),
        (ChunkType.ALPHA, b"\0\1\2"),
        (ChunkType.ALPHA, b"garbage"),
        (ChunkType.ALPHA, b"\x08\0garbage"),
        (ChunkType.ALPHA, b"\x10\0" + bytes(9)),
        (ChunkType.ICC, b""),
        (ChunkType.EXIF, b""),
        (ChunkType.XMP, b""),
        (ChunkType.DEPTH, b""),
        (ChunkType.DEPTH, b"\x0c"),
        (ChunkType.DEPTH, b"\x10" * 1000),
    ],
    ids=repr,
)
def test_a_wrong_chunk_is_a_typed_error(plain: bytes, type: ChunkType, payload: bytes) -> None:
    with pytest.raises(ChunkError):
        tiny_decode(with_chunks(plain, Chunk(type, payload)))


@pytest.mark.parametrize("type", [ChunkType.ICC, ChunkType.EXIF, ChunkType.XMP])
def test_metadata_is_handed_on_whatever_it_is(plain: bytes, type: ChunkType) -> None:
    decoded = tiny_decode(with_chunks(plain, Chunk(type, b"\xff" * 100_000)))
    assert getattr(decoded, container.label(type)) == b"\xff" * 100_000
    assert np.array_equal(decoded.pixels, tiny_decode(plain).pixels)
    decoded.to_image()


def test_an_unknown_optional_chunk_is_skipped(plain: bytes) -> None:
    odd = with_chunks(plain, Chunk(14, b"later"))
    assert np.array_equal(tiny_decode(odd).pixels, tiny_decode(plain).pixels)
    assert corelic.info(odd).chunks[-1] == corelic.ChunkInfo("optional 14", 5)


def test_an_alpha_of_enormous_size_is_refused_before_it_is_made(plain: bytes) -> None:
    content = container.read(plain)
    header = replace(content.header, width_px=2**24, height_px=2**24)
    bomb = Container(header, 0, b"", (Chunk(ChunkType.ALPHA, b"\0\xff"),))
    with pytest.raises(TooManyPixelsError):
        tiny_decode(container.write(bomb))


@pytest.mark.parametrize("seed", range(40))
def test_damaged_extras_end_in_a_typed_error_or_a_picture(seed: int) -> None:
    """Under sound checksums, which stop nobody who means harm."""
    dice = np.random.default_rng(seed)
    image = photo_of(33, 20)
    image.info.update(icc_profile=ICC[:300], exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0", xmp=XMP)
    chunks = list(container.read(tiny_encode(image)).optional)
    for _ in range(dice.integers(1, 4)):
        at = dice.integers(len(chunks))
        payload = bytearray(chunks[at].payload)
        if dice.random() < 0.5:
            payload = payload[: dice.integers(len(payload) + 1)]
        else:
            payload[dice.integers(len(payload))] ^= 1 << dice.integers(8)
        if not payload:
            break
        chunks[at] = Chunk(chunks[at].type, bytes(payload))
    data = with_chunks(tiny_encode(image), *chunks)
    try:
        decoded = tiny_decode(data)
    except CorelicError:
        return
    assert (decoded.width_px, decoded.height_px) == (33, 20)


def test_inks_come_with_a_warning() -> None:
    with pytest.warns(PictureWarning, match="CMYK"):
        data = tiny_encode(photo_of(64, 48).convert("RGB").convert("CMYK"))
    assert corelic.info(data).colour == "rgb"


# Other formats


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"])
def test_classical_formats_are_opened(format: str) -> None:
    data = file_bytes(photo_of(64, 48).convert("RGB"), format)
    image = corelic.decode(data)
    expected = Image.open(BytesIO(data))
    assert (image.format, image.mode, image.size) == (format, expected.mode, (64, 48))
    assert image.tobytes() == expected.tobytes()
    picture = corelic.decode_picture(data)
    assert np.array_equal(picture.pixels, np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: data[:-40]])
def test_damaged_classical_files_are_typed_errors(damage: Callable[[bytes], bytes]) -> None:
    data = file_bytes(photo_of(64, 48).convert("RGB"))
    for decode in (corelic.decode, corelic.decode_picture):
        with pytest.raises(CorelicError):
            decode(damage(data))


def test_the_limit_of_pixels_is_for_classical_formats_too(tmp_path: Path) -> None:
    data = file_bytes(Image.new("L", (1000, 1000)))
    for decode in (corelic.decode, corelic.decode_picture):
        with pytest.raises(TooManyPixelsError):
            decode(data, max_pixels=999_999)
        decode(data, max_pixels=1_000_000)
