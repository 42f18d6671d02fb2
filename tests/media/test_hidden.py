"""Colours under an alpha of 0."""

import numpy as np
import pytest
from skimage import data

from corelic.media import Picture
from corelic.media.hidden import smooth_hidden

ASTRONAUT = data.astronaut()


def masked(visible: np.ndarray, dtype: type[np.unsignedinteger] = np.uint8) -> Picture:
    """The astronaut where `visible`, black where not."""
    full = np.iinfo(dtype).max
    height, width = visible.shape
    pixels = ASTRONAUT[:height, :width].astype(dtype) * (full // 255)
    return Picture(pixels * visible[:, :, None].astype(dtype), visible.astype(dtype) * dtype(full))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 3), (63, 65), (100, 257)])
def test_what_is_visible_stays(shape: tuple[int, int], dtype: type[np.unsignedinteger]) -> None:
    visible = np.random.default_rng(1).random(shape) < 0.3
    picture = masked(visible, dtype)
    smooth = smooth_hidden(picture)
    assert np.array_equal(smooth.pixels[visible], picture.pixels[visible])
    assert smooth.alpha is picture.alpha
    assert smooth.pixels.dtype == dtype


def test_what_is_opaque_is_not_touched() -> None:
    picture = masked(np.ones((9, 9), bool))
    assert smooth_hidden(picture) is picture


def test_nothing_visible_is_one_colour() -> None:
    picture = Picture(ASTRONAUT[:99, :70], np.zeros((99, 70), np.uint8))
    assert len(np.unique(smooth_hidden(picture).pixels)) == 1


def test_one_colour_goes_on_as_it_is() -> None:
    visible = np.zeros((90, 130), bool)
    visible[40:60, 3:50] = True
    pixels = np.where(visible[:, :, None], np.uint8((10, 200, 77)), np.uint8(0))
    smooth = smooth_hidden(Picture(pixels, visible.astype(np.uint8))).pixels
    assert np.abs(smooth.astype(int) - (10, 200, 77)).max() <= 1


def test_there_is_no_edge_left() -> None:
    rows, columns = np.mgrid[:256, :256]
    picture = masked(np.hypot(rows - 128, columns - 128) < 90)
    smooth = smooth_hidden(picture).pixels
    hidden = picture.alpha == 0
    both_hidden = hidden[1:] & hidden[:-1]
    steps = np.abs(np.diff(smooth.astype(int), axis=0))[both_hidden]
    assert steps.max() < 20
    border = hidden[1:] != hidden[:-1]
    before = np.abs(np.diff(picture.pixels.astype(int), axis=0))[border].mean()
    assert np.abs(np.diff(smooth.astype(int), axis=0))[border].mean() < before / 3


def test_grey_is_filled_too() -> None:
    visible = np.zeros((30, 40), bool)
    visible[:, :20] = True
    grey = Picture(np.where(visible, np.uint8(90), np.uint8(0)), visible.astype(np.uint8))
    assert np.abs(smooth_hidden(grey).pixels.astype(int) - 90).max() <= 1
