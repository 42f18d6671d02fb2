"""JPEG XL, which Pillow reads through a plug-in."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corelic.errors import MissingPartError
from corelic.media import jxl, read_picture
from corelic.media.outline import picture_suffixes
from corelic.media.reading import open_image
from tests.conftest import needs
from tests.media.files import file_bytes

ROOT = Path(__file__).parents[2]
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # lying on a side
FRESH = """
import sys
from pathlib import Path
from corelic.media import read_picture
from corelic.media.outline import picture_suffixes

path = Path(sys.argv[1])
assert "pillow_jxl" not in sys.modules
if sys.argv[2:]:
    assert ".jxl" in picture_suffixes()
for source in (path, path.read_bytes()):
    assert read_picture(source).pixels.shape == (24, 40, 3)
"""


def half_blue() -> Image.Image:
    image = Image.new("RGB", (40, 24), (200, 10, 10))
    image.paste((0, 0, 255), (0, 0, 20, 24))
    return image


@pytest.fixture
def plugin() -> None:
    needs("pillow_jxl")
    jxl.load_plugin()


@pytest.fixture
def no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.delitem(Image.registered_extensions(), jxl.SUFFIX, raising=False)


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("boxed", [False, True])
def test_a_fresh_process_reads_it(tmp_path: Path, boxed: bool) -> None:
    path = tmp_path / "photo.jxl"
    path.write_bytes(file_bytes(half_blue(), "JXL", use_container=boxed))
    assert path.read_bytes().startswith(jxl.SIGNATURES[boxed])
    command = [sys.executable, "-c", FRESH, str(path), *["suffixes"] * boxed]
    subprocess.run(command, cwd=ROOT, check=True)


@pytest.mark.usefixtures("no_plugin")
@pytest.mark.parametrize("signature", jxl.SIGNATURES)
def test_without_the_plugin_an_error_says_what_brings_it(tmp_path: Path, signature: bytes) -> None:
    (tmp_path / "photo.jxl").write_bytes(signature + bytes(40))
    for source in (signature + bytes(40), tmp_path / "photo.jxl"):
        with pytest.raises(MissingPartError, match=r"pip install 'corelic\[bench\]'"):
            open_image(source, "photo.jxl")
    assert jxl.SUFFIX not in picture_suffixes()


@pytest.mark.usefixtures("plugin")
def test_a_picture_is_turned_once() -> None:
    """EXIF repeats the orientation of the codestream, which the decoder has heeded."""
    plain = file_bytes(half_blue(), "JXL")
    size = "10100000000100"  # 40 × 24, the lowest bit first
    assert plain[2:4] == packed(size + "11")  # then all is as usual
    # All is not: an orientation, 6; 8 bits, no further channel, XYB; and the rest as usual.
    header = packed(size + "01" + "101" + "000" + "000" + "1" + "00" + "111" + "00" + "1")
    turned = plain[:2] + header + plain[4:]
    boxes = box(b"ftyp", b"jxl \0\0\0\0jxl ") + box(b"Exif", bytes(4) + EXIF[6:])
    picture = read_picture(jxl.BOXES + boxes + box(b"jxlc", turned))
    assert picture.pixels.shape == (40, 24, 3)
    assert picture.pixels[:10, :, 2].min() > 128 > picture.pixels[-10:, :, 2].max()
    assert picture.exif == EXIF[6:].replace(b"\0\x06\0\0", b"\0\x01\0\0")


@pytest.mark.usefixtures("plugin")
def test_a_jpeg_packed_in_one_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    half_blue().save(tmp_path / "side.jpg", exif=EXIF, quality=95)
    with Image.open(tmp_path / "side.jpg") as image, pytest.warns(UserWarning, match="lossless"):
        image.save(tmp_path / "side.jxl")
    pictures = [read_picture(tmp_path / name) for name in ("side.jpg", "side.jxl")]
    assert pictures[0].pixels.shape == (40, 24, 3)
    assert np.array_equal(pictures[0].pixels, pictures[1].pixels)


def packed(bits: str) -> bytes:
    return int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4) + kind + content
