"""Classical codecs: what each promises, on real files; those not installed skip."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageFile, WebPImagePlugin

import corelic
from corelic.codecs import api, colour, external, peers
from corelic.codecs.base import ImageCodec
from corelic.errors import (
    ForeignFileError,
    MissingPartError,
    OutOfMemoryError,
    PeerError,
    PictureError,
    PictureWarning,
    QualityError,
    TooManyPixelsError,
    UnknownCodecError,
)
from corelic.eval.metrics import psnr_db
from corelic.media import Picture

# CompressAI's need weights that have to be downloaded: they have tests of their own.
NAMES = [name for name in peers.PEERS if not name.startswith("cai-")] + ["avif:speed=9"]
every_peer = pytest.mark.parametrize("name", NAMES)
METADATA = {"icc": "ICC profile", "exif": "EXIF", "xmp": "XMP"}
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def opened(name: str) -> ImageCodec:
    codec = peers.find(name)
    assert codec is not None
    try:
        assert codec.facts.name == name
        codec.decode(codec.encode(Picture(np.zeros((64, 64, 3), np.uint8)), 50))
    except MissingPartError as error:
        pytest.skip(str(error))
    return codec


@pytest.fixture
def picture(photo: Image.Image) -> Picture:
    return Picture.from_image(photo)


@every_peer
def test_quality_costs_bytes_and_pays_in_decibels(name: str, picture: Picture) -> None:
    codec = opened(name)
    files = [codec.encode(picture, quality) for quality in (10, 50, 90)]
    psnrs = [psnr_db(picture.pixels, codec.decode(data).pixels) for data in files]
    assert [len(data) for data in files] == sorted({len(data) for data in files})
    assert psnrs == sorted(psnrs)
    assert psnrs[0] < 32 and psnrs[-1] > 34


@every_peer
def test_the_same_picture_gives_the_same_file(name: str, picture: Picture) -> None:
    codec = opened(name)
    assert codec.encode(picture, 40) == codec.encode(picture, 40)


@every_peer
def test_a_cut_or_foreign_file_is_refused(name: str, picture: Picture) -> None:
    codec = opened(name)
    data = codec.encode(picture, 40)
    for damaged in (b"", b"no picture" * 20, data[: len(data) // 2]):
        with pytest.raises(ForeignFileError):
            codec.decode(damaged)


@every_peer
@pytest.mark.parametrize("quality", [-1, 101, float("nan")])
def test_a_quality_that_is_none_is_refused(name: str, quality: float, picture: Picture) -> None:
    with pytest.raises(QualityError):
        opened(name).encode(picture, quality)


@every_peer
@pytest.mark.parametrize("shape", [(33, 17), (64, 100), (21, 49, 3), (1, 1, 3)], ids=str)
def test_any_picture_comes_back_in_its_size_or_is_refused(
    name: str, shape: tuple[int, ...]
) -> None:
    codec = opened(name)
    ramp = np.linspace(0, 255, int(np.prod(shape))).reshape(shape).astype(np.uint8)
    height, width = shape[:2]
    if name in ("vvenc", "svt-av1") and (height % 2 or width % 2):
        with pytest.raises(PeerError, match=f"{name}.*even sides"):
            codec.encode(Picture(ramp), 60)
        return
    if name == "x265" and ramp.size < 100:
        with pytest.raises(PeerError, match="x265: it refuses the picture"):
            codec.encode(Picture(ramp), 60)
        return
    decoded = codec.decode(codec.encode(Picture(ramp), 60)).pixels
    assert decoded.shape[:2] == (height, width)
    if ramp.size > 100:  # and it is that picture
        one, other = (
            np.broadcast_to(np.atleast_3d(each), (height, width, 3)) for each in (ramp, decoded)
        )
        assert psnr_db(one, other) > 25


@every_peer
def test_facts_are_what_a_result_needs(name: str) -> None:
    facts = opened(name).facts
    assert facts.suffix.startswith(".") and facts.title and facts.colour and facts.scale
    assert any(letter.isdigit() for letter in facts.version)
    assert list(facts.qualities) == sorted(set(facts.qualities))


@contextmanager
def one_core() -> Iterator[None]:
    """For this thread, and for threads and programs that it starts."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
@every_peer
def test_bytes_do_not_depend_on_the_number_of_cores(name: str, picture: Picture) -> None:
    codec = opened(name)
    with one_core():
        alone = codec.encode(picture, 30)
    assert codec.encode(picture, 30) == alone


@every_peer
def test_a_file_holds_no_words_of_its_encoder(name: str, picture: Picture) -> None:
    # An SEI of its own words, or a library's warning on standard output, would be found here.
    data = opened(name).encode(picture, 30)
    assert b"x265" not in data and b"warning" not in data


# Metadata


@pytest.fixture
def described(picture: Picture) -> Picture:
    """With all the metadata that a picture can have."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "corelic"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return replace(picture, icc=icc, exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=XMP)


def encoded(picture: Picture, name: str) -> tuple[bytes, str]:
    """The file, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = corelic.encode(picture, codec=name)
    assert all(warning.category is PictureWarning for warning in caught)
    return data, " ".join(str(warning.message) for warning in caught)


@every_peer
def test_metadata_is_kept_or_its_loss_is_said(name: str, described: Picture) -> None:
    opened(name)
    data, said = encoded(described, name)
    decoded = corelic.decode_picture(data, codec=name)
    for field, word in METADATA.items():
        kept = getattr(decoded, field) == getattr(described, field)
        if name == "jxl" and field == "xmp":
            kept = XMP in data  # its plug-in writes it, and does not read it
        assert kept != (word in said), word


@pytest.mark.parametrize("name", ["jpeg", "jpeg-420", "webp", "avif", "avif-420", "avif-psnr"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_common_formats_keep_all_metadata(name: str, mode: str, described: Picture) -> None:
    opened(name)
    pixels = described.pixels if mode == "RGB" else described.pixels[:, :, 0]
    data, said = encoded(replace(described, pixels=pixels), name)
    assert said == ""
    found = Image.open(BytesIO(data)).info
    assert (found["icc_profile"], found["xmp"]) == (described.icc, XMP)
    assert found["exif"].removeprefix(b"Exif\0\0") == described.exif


def test_avif_tuned_for_psnr_has_more_of_it_for_less(photo: Image.Image) -> None:
    sizes, psnrs = [], []
    for name, quality in (("avif", 60), ("avif-psnr", 52)):
        data = corelic.encode(photo, quality=quality, codec=name)
        sizes.append(len(data))
        psnrs.append(psnr_db(np.asarray(photo), np.asarray(corelic.decode(data))))
    assert sizes[1] < sizes[0] and psnrs[1] > psnrs[0]


@every_peer
def test_what_is_stripped_is_neither_kept_nor_missed(name: str, described: Picture) -> None:
    opened(name)
    plain = corelic.encode(Picture(described.pixels), codec=name)
    assert corelic.encode(described, codec=name, strip=True) == plain


def test_all_that_is_lost_is_said_at_once(described: Picture) -> None:
    opened("x265")
    deep = described.pixels.astype(np.uint16) * 257
    alpha = np.full(deep.shape[:2], 300, np.uint16)
    _, said = encoded(replace(described, pixels=deep, alpha=alpha), "x265")
    lost = "bits beyond 8, transparency, ICC profile, EXIF, XMP"
    assert said == f"x265 as it is used here loses {lost}"


@pytest.mark.parametrize("name", ["webp", "avif", "avif-420", "avif-psnr", "jxl"])
@pytest.mark.parametrize("grey", [False, True])
def test_transparency_is_kept_where_a_format_has_it(
    name: str, grey: bool, picture: Picture
) -> None:
    opened(name)
    height, width = picture.pixels.shape[:2]
    alpha = np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)
    pixels = picture.pixels[:, :, 1] if grey else picture.pixels
    data, said = encoded(Picture(pixels, alpha=alpha), name)
    assert said == ""
    for found in (corelic.decode_picture(data), corelic.decode_picture(data, codec=name)):
        assert found.alpha is not None
        assert np.abs(found.alpha.astype(int) - alpha).max() <= 4  # AVIF's has losses
    assert len(encoded(Picture(pixels), name)[0]) < len(data)


def test_metadata_that_a_format_refuses_can_be_left_out(described: Picture) -> None:
    with pytest.raises(PeerError, match="strip"):
        corelic.encode(replace(described, exif=b"MM\0*" + bytes(70_000)), codec="jpeg")


# Limits


@every_peer
def test_the_limit_of_pixels_is_that_of_the_caller(name: str) -> None:
    opened(name)
    data = corelic.encode(Picture(np.zeros((40, 50, 3), np.uint8)), codec=name)
    for decode in (corelic.decode, corelic.decode_picture):
        with pytest.raises(TooManyPixelsError, match="50 × 40, 2,000 pixels"):
            decode(data, codec=name, max_pixels=1999)
        decode(data, codec=name, max_pixels=2000)


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000", "jxl", "x265"])
def test_the_limit_comes_before_the_pixels(name: str, picture: Picture) -> None:
    codec = opened(name)
    data = codec.encode(picture, 50)
    cut = data[: len(data) * 2 // 3]
    with pytest.raises(ForeignFileError):
        corelic.decode(cut, codec=name)
    with pytest.raises(TooManyPixelsError):
        corelic.decode(cut, codec=name, max_pixels=1)


def test_pillow_refuses_what_is_enormous_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    data = corelic.encode(Picture(np.zeros((40, 50, 3), np.uint8)), codec="jpeg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)  # it warns beyond, and refuses twice that
    assert corelic.decode(data, codec="jpeg").size == (50, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="enormous"):
        corelic.decode(data, codec="jpeg")


def test_a_canvas_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    data = corelic.encode(Picture(np.zeros((400, 500, 3), np.uint8)), codec="webp")
    made: list[object] = []
    real = WebPImagePlugin._webp.WebPAnimDecoder

    def watched(*given: object) -> object:
        made.append(given)
        return real(*given)

    monkeypatch.setattr(WebPImagePlugin._webp, "WebPAnimDecoder", watched)
    with pytest.raises(PictureError, match="raise the limit with max_pixels"):
        corelic.decode(data, codec="webp", max_pixels=1000)
    assert not made
    assert corelic.decode(data, codec="webp", max_pixels=200_000).size == (500, 400)
    assert made


def test_no_memory_is_no_damage(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = opened("jpeg")
    data = codec.encode(picture, 50)

    def fail(*given: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(OutOfMemoryError):
        codec.decode(data)
    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutOfMemoryError):
        codec.encode(picture, 50)


def test_an_animation_is_sound_and_refused() -> None:
    file = BytesIO()
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="has several frames"):
        corelic.decode(file.getvalue(), codec="webp")


def test_of_many_frames_two_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are enough to know, and a film may not fit into memory."""
    data = opened("x265").encode(Picture(np.zeros((64, 64, 3), np.uint8)), 50) * 9
    decoded = 0

    class Watched:
        def __init__(self, real: Any) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def open(self, *given: Any, **named: Any) -> Any:
            return Watched(self.real.open(*given, **named))

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.real.close()

        def decode(self, **which: int) -> Iterator[Any]:
            nonlocal decoded
            for frame in self.real.decode(**which):
                decoded += 1
                yield frame

    av = external._av()
    monkeypatch.setattr(external, "_av", lambda: Watched(av))
    with pytest.raises(ForeignFileError, match="more than one frame"):
        corelic.decode(data, codec="x265")
    assert decoded == 2


@pytest.mark.parametrize("halved", [False, True])
def test_colour_planes_come_back(halved: bool, picture: Picture) -> None:
    planes = colour.to_planes(picture.pixels, halved_chroma=halved)
    back = colour.to_rgb(planes)
    # Ten bits lose nothing of eight; half the chroma does.
    assert psnr_db(picture.pixels, back) > (35 if halved else 65)
    grey = np.full((2, 4), 77, np.uint8)
    assert (colour.to_rgb(colour.to_planes(grey, halved_chroma=halved)) == 77).all()


@pytest.mark.parametrize(
    ("rgb", "luma", "cb", "cr"),
    [
        ((1, 0, 0), 0.2126, None, 1023),
        ((0, 1, 0), 0.7152, None, None),
        ((0, 0, 1), 0.0722, 1023, None),
        ((1, 1, 0), 0.9278, 0, None),
        ((0, 1, 1), 0.7874, None, 0),
    ],
)
def test_colour_is_that_of_the_standard(
    rgb: tuple[int, int, int], luma: float, cb: int | None, cr: int | None
) -> None:
    """BT.709 in full range; pure colours have the most of a chroma plane, or the least."""
    pixels = 255 * np.array([[rgb]], np.uint8)
    planes = [int(plane[0, 0]) for plane in colour.to_planes(pixels, halved_chroma=False)]
    assert planes[0] == round(luma * 1023)
    for found, expected in zip(planes[1:], (cb, cr), strict=True):
        assert expected is None or abs(found - expected) <= 1


def test_a_program_that_takes_too_long_is_no_fault_of_the_file(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = opened("vvenc")
    data = codec.encode(Picture(picture.pixels[:64, :64]), 20)
    monkeypatch.setattr(external, "TIMEOUT_S", 1e-4)
    for work in (lambda: codec.decode(data), lambda: codec.encode(picture, 20)):
        with pytest.raises(PeerError, match="took more than"):
            work()


@pytest.mark.parametrize("name", ["vvenc", "svt-av1"])
def test_halved_chroma_needs_even_sides(name: str, picture: Picture) -> None:
    with pytest.raises(PeerError, match=r"63 × 64; crop it first"):
        opened(name).encode(Picture(picture.pixels[:64, :63]), 20)


# Names


def test_parameters_stand_in_the_name() -> None:
    slow, fast = peers.find("avif:speed=4"), peers.find("avif:speed=9")
    assert slow == peers.PEERS["avif"] and fast != slow


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("avif:sped=3", "it has speed"),
        ("avif:speed=11", "0 … 10"),
        ("avif:speed=fast", "'fast'"),
        ("jpeg2000:speed=1", "it has none"),
        ("webp:", "method"),
    ],
)
def test_a_wrong_parameter_is_explained(name: str, found: str) -> None:
    with pytest.raises(PeerError, match=found):
        peers.find(name)


def test_an_unknown_name_gets_a_hint_of_either_kind() -> None:
    for wrong, right in (("avfi", "avif"), ("swfit", "swift")):
        with pytest.raises(UnknownCodecError, match=f"did you mean '{right}'"):
            api.open_image_codec(wrong)
    assert api.open_image_codec("webp").facts.suffix == ".webp"
    assert api.open_image_codec("swift", "cpu").facts.suffix == ".clc"


@pytest.mark.parametrize(
    "name", ["libaom:speed=8", "svt-av1:preset=13", "vvenc:preset=0", "x265:preset=0"]
)
def test_a_decoder_makes_no_frame_beyond_the_limit(
    name: str, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a frame is said to be is checked where it is known; a later one may be anything."""
    codec = opened(name)
    small = codec.encode(Picture(np.zeros((16, 16, 3), np.uint8)), 50)
    large = codec.encode(Picture(np.zeros((512, 512, 3), np.uint8)), 50)
    monkeypatch.setattr(external, "ROUNDING_PIXELS", 64 * 16)
    monkeypatch.setattr(external, "check_size", lambda *_: None)
    assert codec.decode(small, max_pixels=256).pixels.shape == (16, 16, 3)
    with pytest.raises(ForeignFileError):
        codec.decode(large if "x265" not in name else small + large, max_pixels=256)


def test_a_program_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "_program", lambda: "/nowhere/ffmpeg")
    picture = Picture(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(PeerError, match="cannot be run"):
        peers.PEERS["libaom"].encode(picture, 50)


def test_memory_that_opening_lacks_is_not_called_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    data = peers.PEERS["webp"].encode(Picture(np.zeros((16, 16, 3), np.uint8)), 50)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PictureError, match="more memory than there is"):
        peers.PEERS["webp"].decode(data)
