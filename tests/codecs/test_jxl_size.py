"""Sizes in headers of JPEG XL, against the library that writes them."""

from io import BytesIO

import pytest
from PIL import Image

from corelic.codecs.jxl_size import jxl_size
from corelic.media.jxl import BOXES, CODESTREAM
from tests.conftest import needs

SIZES = [(1, 1), (8, 8), (256, 256), (264, 256), (2, 1), (7, 2), (4000, 3), (3, 4000), (9000, 1)]
SIZES += [(1, 9000), (12, 10), (24, 20), (600, 400), (16, 9), (160, 90), (600, 500), (9, 16)]
EXIF = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"


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
    assert jxl_size(bare) == jxl_size(boxed) == size


def test_a_codestream_may_lie_in_parts() -> None:
    bare = jxl((9000, 1))
    parts = bare[:3], bare[3:5], bare[5:]
    boxes = b"".join(
        (12 + len(part)).to_bytes(4) + b"jxlp" + number.to_bytes(4) + part
        for number, part in enumerate(parts)
    )
    assert jxl_size(BOXES + boxes) == (9000, 1)
    long = (1).to_bytes(4) + b"jxlc" + (16 + len(bare)).to_bytes(8) + bare
    assert jxl_size(BOXES + long) == (9000, 1)
    assert jxl_size(BOXES + bytes(4) + b"jxlc" + bare) == (9000, 1)  # to the end of the file


@pytest.mark.parametrize(
    "data",
    [b"", CODESTREAM, CODESTREAM + b"\x06", BOXES, BOXES + bytes(8), BOXES + b"\0\0\0\2jxlc",
     BOXES + b"\0\0\0\1free" + bytes(8), b"GIF89a" * 9],
    ids=repr,
)  # fmt: skip
def test_without_a_header_there_is_no_size(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"begin|cut"):
        jxl_size(data)
