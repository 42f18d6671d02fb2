"""Classical codecs: what each promises, on real files; those not installed skip."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corelic.codecs import api, colour, peers
from corelic.codecs.base import ImageCodec
from corelic.errors import (
    ForeignFileError,
    MissingPartError,
    PeerError,
    QualityError,
    UnknownCodecError,
)
from corelic.eval.metrics import psnr_db
from corelic.media import Picture

NAMES = [*peers.PEERS, "avif:speed=9"]
every_peer = pytest.mark.parametrize("name", NAMES)


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
    try:
        decoded = codec.decode(codec.encode(Picture(ramp), 60))
    except PeerError as error:
        assert name in str(error)
    else:
        assert decoded.pixels.shape[:2] == shape[:2]


@every_peer
def test_facts_are_what_a_result_needs(name: str) -> None:
    facts = opened(name).facts
    assert facts.suffix.startswith(".") and facts.title and facts.colour and facts.scale
    assert any(letter.isdigit() for letter in facts.version)
    assert list(facts.qualities) == sorted(set(facts.qualities))


def test_bytes_do_not_depend_on_the_machine(picture: Picture, tmp_path: Path) -> None:
    # An SEI of its own words, or a library's warning on standard output, would be found here.
    for name in ("x265", "vvenc"):
        data = opened(name).encode(picture, 30)
        assert b"x265" not in data and b"warning" not in data


@pytest.mark.parametrize("halved", [False, True])
def test_colour_planes_come_back(halved: bool, picture: Picture) -> None:
    planes = colour.to_planes(picture.pixels, halved_chroma=halved)
    back = colour.to_rgb(planes)
    # Ten bits lose nothing of eight; half the chroma does.
    assert psnr_db(picture.pixels, back) > (35 if halved else 65)
    grey = np.full((2, 4), 77, np.uint8)
    assert (colour.to_rgb(colour.to_planes(grey, halved_chroma=halved)) == 77).all()


def test_colour_is_that_of_the_standard() -> None:
    # BT.709 in full range: red has luma 0.2126, and the most of Cr.
    red = np.array([[[255, 0, 0]]], np.uint8)
    luma, _, red_ness = (int(p[0, 0]) for p in colour.to_planes(red, halved_chroma=False))
    assert (luma, red_ness) == (round(0.2126 * 1023), 1023)


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
