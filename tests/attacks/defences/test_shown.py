"""Clean pictures that a defence is shown: what counts among the files of a folder."""

from pathlib import Path

import numpy as np
import pytest

from corelic.attacks.defences.named import check_clean
from corelic.attacks.defences.shown import check_not_shown, shown_files, shown_pictures
from corelic.attacks.errors import AttackError
from corelic.errors import PictureError, PictureWarning
from corelic.media import Picture, picture_bytes
from tests.attacks.toys import photos

(PHOTO,) = photos(shape=(1, 3, 16, 24))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(picture_bytes(PHOTO, Path("a.png")))
    (tmp_path / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "index.csv").write_text("name,source\n")
    (tmp_path / "more").mkdir()
    return tmp_path


def test_what_is_no_picture_in_a_folder_is_named_and_left_out(folder: Path) -> None:
    with pytest.warns(PictureWarning, match=r"index\.csv.*not shown to the defence") as told:
        files = shown_files([folder])
    assert files == (folder / "a.png",) and len(told) == 1
    (found,) = shown_pictures(files)
    assert (found.pixels == PHOTO.pixels).all()
    with pytest.raises(AttackError, match="which is attacked"):
        check_not_shown(PHOTO, files, [found])


def test_a_file_that_is_named_is_a_picture(folder: Path) -> None:
    with pytest.raises(PictureError, match=r"index\.csv"):
        shown_files([folder / "index.csv"])


def test_a_picture_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    alpha = np.full(PHOTO.pixels.shape[:2], 9, np.uint8)
    clear = tmp_path / "clear.png"
    clear.write_bytes(picture_bytes(Picture(PHOTO.pixels, alpha), clear))
    with pytest.raises(AttackError, match=r"clear\.png.*transparency"):
        shown_pictures([clear])


def test_nobody_is_shown_pictures_for_nothing(folder: Path) -> None:
    check_clean(["median", "blur+two-way"], [folder])
    check_clean(["median"], [])
    for defences in ([], ["median", "jpeg:quality=60+blur"]):
        with pytest.raises(AttackError, match=r"latent-clipping, and no such defence.*leave"):
            check_clean(defences, [folder])
