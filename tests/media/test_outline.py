"""What is told of a picture before its pixels are read."""

from pathlib import Path

import pytest
from PIL import Image

from corelic.errors import PictureError
from corelic.media.outline import PictureOutline, outline_of, picture_suffixes
from corelic.media.reading import read_picture


def test_suffixes_are_those_of_formats_that_can_be_decoded() -> None:
    suffixes = picture_suffixes()
    assert {".png", ".jpg", ".jpeg", ".mpo", ".tif", ".webp", ".avif", ".jp2", ".gif"} <= suffixes
    assert not {".clc", ".pdf", ".mpg", ".h5", ".wmf", ".txt", ".svg", ""} & suffixes


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("kept", ["nothing", "exif", "icc_profile"])
@pytest.mark.filterwarnings("ignore::corelic.errors.PictureWarning")
def test_what_is_announced_is_kept(tmp_path: Path, mode: str, suffix: str, kept: str) -> None:
    """Else a run would take a finished file for one that lacks something, again and again."""
    path = tmp_path / f"photo{suffix}"
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    options = {"exif": {"exif": exif}, "icc_profile": {"icc_profile": b"a profile"}}.get(kept, {})
    try:
        Image.new(mode, (9, 5)).save(path, **options)
    except OSError:
        pytest.skip(f"{suffix} holds no {mode}")
    picture = read_picture(path)
    outline = outline_of(path, 45)
    has_metadata = any((picture.icc, picture.exif, picture.xmp))
    assert (outline.width_px, outline.height_px) == (9, 5)
    assert has_metadata or not outline.has_metadata
    if mode == "RGB" and suffix in (".jpg", ".png"):
        assert outline == PictureOutline(9, 5, kept != "nothing", picture.exif)
        assert (outline.exif is not None) == (kept == "exif")


def test_what_is_no_picture_is_a_picture_error(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("a shopping list")
    with pytest.raises(PictureError, match="not a picture"):
        outline_of(tmp_path / "text.png", 45)
    with pytest.raises(PictureError):
        outline_of(tmp_path / "missing.png", 45)


def test_what_is_decoded_as_it_opens_has_the_callers_limit(tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    Image.new("RGB", (9, 6)).save(path)
    assert outline_of(path, 54).width_px == 9
    with pytest.raises(PictureError, match="--max-pixels"):
        outline_of(path, 20)
