"""Headers of JPEG XL, against the library that writes them."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from corelic.errors import PictureError
from corelic.media import read_picture
from corelic.media.jxl import BOXES, CODESTREAM
from corelic.media.jxl_header import jxl_header
from tests.conftest import needs

SIZES = [(1, 1), (8, 8), (256, 256), (264, 256), (2, 1), (7, 2), (4000, 3), (3, 4000), (9000, 1)]
SIZES += [(1, 9000), (12, 10), (24, 20), (600, 400), (16, 9), (160, 90), (600, 500), (9, 16)]
EXIF = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
# Black, mode I;16, 24 x 20, without and with EXIF, as pillow-jxl-plugin 1.3.8 writes it.
STREAM = (
    "13080100cc00671328010050a132cab8c1cbb99e2f3f74584cdbb8ced056db1696248a8c63937402872471948"
    "0ca0000000007000304504902"
)
DEEP = (
    bytes.fromhex("ff0a9820fc24458b00" + STREAM),
    bytes.fromhex(
        "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000146a786c7000000000"
        "ff0a9820fc24458b00000016457869664d4d002a00000008000000000000000000466a786c7080000001"
        "00" + STREAM
    ),
)


def jxl(size: tuple[int, int], exif: bytes | None = None) -> bytes:
    needs("pillow_jxl")
    import pillow_jxl  # noqa: F401  # it registers the format

    file = BytesIO()
    Image.new("L", size).save(file, "JXL", effort=1, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_size_is_what_was_written(size: tuple[int, int]) -> None:
    bare, boxed = jxl(size), jxl(size, EXIF)
    assert bare.startswith(CODESTREAM) and boxed.startswith(BOXES)
    assert jxl_header(bare).size == jxl_header(boxed).size == size


def test_a_codestream_may_lie_in_parts() -> None:
    bare = jxl((9000, 1))
    parts = bare[:3], bare[3:5], bare[5:]
    boxes = b"".join(
        (12 + len(part)).to_bytes(4) + b"jxlp" + number.to_bytes(4) + part
        for number, part in enumerate(parts)
    )
    assert jxl_header(BOXES + boxes).size == (9000, 1)
    long = (1).to_bytes(4) + b"jxlc" + (16 + len(bare)).to_bytes(8) + bare
    assert jxl_header(BOXES + long).size == (9000, 1)
    assert jxl_header(BOXES + bytes(4) + b"jxlc" + bare).size == (9000, 1)  # to the end of the file


@pytest.mark.parametrize(
    "data",
    [b"", CODESTREAM, CODESTREAM + b"\x06", BOXES, BOXES + bytes(8), BOXES + b"\0\0\0\2jxlc",
     BOXES + b"\0\0\0\1free" + bytes(8), b"GIF89a" * 9],
    ids=repr,
)  # fmt: skip
def test_without_a_header_there_is_no_size(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"begin|cut"):
        jxl_header(data)


def header(*fields: tuple[int, int]) -> bytes:
    """Of values and how many bits each has, from the lowest on; then what no decoder gets to."""
    value = at = 0
    for field, bits in fields:
        value, at = value | field << at, at + bits
    return CODESTREAM + value.to_bytes(40, "little")


SMALL = (1, 1), (3, 5), (1, 3)  # 32 × 32
ORDINARY = (0, 1), (1, 1), (0, 3)  # not all as usual, more fields, upright
SHOWN_AS = (1, 1), (0, 1), (1, 2), (99, 13), (0, 3), (2, 2), (99, 18)
ANIMATED = {
    "animated": (*SMALL, *ORDINARY, (0, 1), (0, 1), (1, 1)),
    "another size": (*SMALL, *ORDINARY, *SHOWN_AS, (0, 1), (1, 1)),
}
STILL = {
    "usual": (*SMALL, (1, 1), (1, 1), (0, 5), (1, 1)),
    "no more fields": (*SMALL, (0, 1), (0, 1), (0, 5), (1, 1)),
    "not animated": (*SMALL, *ORDINARY, (0, 1), (0, 1), (0, 1)),
    "another size": (*SMALL, *ORDINARY, *SHOWN_AS, (0, 1), (0, 1)),
    "a preview": (*SMALL, *ORDINARY, (0, 1), (1, 1), (1, 1)),
}


@pytest.mark.parametrize("fields", ANIMATED.values(), ids=ANIMATED)
def test_an_animation_is_no_picture(tmp_path: Path, fields: tuple[tuple[int, int], ...]) -> None:
    needs("pillow_jxl")
    data = header(*fields)
    assert jxl_header(data).animated and jxl_header(data).size == (32, 32)
    path = tmp_path / "it.jxl"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(PictureError, match="has several frames"):
            read_picture(source)


@pytest.mark.parametrize("fields", STILL.values(), ids=STILL)
def test_what_is_no_animation_is_not_taken_for_one(fields: tuple[tuple[int, int], ...]) -> None:
    assert not jxl_header(header(*fields)).animated


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_still_pictures_are_not_animated(mode: str) -> None:
    needs("pillow_jxl")
    import pillow_jxl  # noqa: F401  # it registers the format

    for exif in (None, EXIF):
        file = BytesIO()
        Image.new(mode, (24, 20)).save(file, "JXL", effort=1, exif=exif)
        assert not jxl_header(file.getvalue()).animated


def test_nor_are_those_of_16_bits() -> None:
    for data in DEEP:
        assert jxl_header(data).size == (24, 20)
        assert not jxl_header(data).animated
