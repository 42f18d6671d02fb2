"""PSNR and MS-SSIM."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from corelic.errors import PictureError
from corelic.eval.metrics import (
    MS_SSIM_MIN_PX,
    luma_mse,
    ms_ssim,
    ms_ssim_db,
    mse,
    mse_as_db,
    psnr_db,
    ssim,
)
from corelic.media import Picture

Pixels = NDArray[np.uint8]


def pattern(height_px: int, width_px: int) -> Pixels:
    """RGB with edges of every size, the same on any machine."""
    y, x = np.mgrid[:height_px, :width_px]
    planes = [(7 * x * (c + 1) + 5 * y * (3 - c) + x * y // (9 + c)) % 256 for c in range(3)]
    return np.stack(planes, axis=2).astype(np.uint8)


def coarse(pixels: Pixels, step: int = 16) -> Pixels:
    return (pixels // step * step + step // 2).astype(np.uint8)


def noisy(pixels: Pixels, strength: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, strength, pixels.shape)
    return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)


# PSNR


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3)])
def test_psnr_of_a_constant_error(shape: tuple[int, ...]) -> None:
    black = np.zeros(shape, np.uint8)
    for error in (1, 16, 255):
        expected = 20 * math.log10(255 / error)
        assert psnr_db(black, black + np.uint8(error)) == pytest.approx(expected)


def test_psnr_has_one_mse_for_all_channels() -> None:
    a = np.zeros((4, 4, 3), np.uint8)
    b = a.copy()
    b[..., 0] = 30
    assert psnr_db(a, b) == psnr_db(b, a) == pytest.approx(10 * math.log10(255**2 / (30**2 / 3)))


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert psnr_db(pattern(9, 9), pattern(9, 9)) == math.inf


# MS-SSIM


@pytest.mark.parametrize(
    ("height_px", "width_px", "rgb", "grey"),
    # By pytorch-msssim 1.0.0 on float64 tensors; the second has odd sides at four scales of five.
    [
        (176, 240, 0.9982594983413939, 0.9977755738529674),
        (163, 201, 0.9985614363293701, 0.9980118220005794),
    ],
)
def test_ms_ssim_is_that_of_the_reference(
    height_px: int, width_px: int, rgb: float, grey: float
) -> None:
    a = pattern(height_px, width_px)
    b = coarse(a)
    # Its window is float32 and adds up to 1 within 1e-7.
    assert ms_ssim(a, b) == pytest.approx(rgb, abs=1e-6)
    assert ms_ssim(a[..., 0], b[..., 0]) == pytest.approx(grey, abs=1e-6)


def test_ms_ssim_of_equal_pictures_is_one(photo: Image.Image) -> None:
    pixels = Picture.from_image(photo).pixels
    assert ms_ssim(pixels, pixels) == pytest.approx(1, abs=1e-12)


def test_both_measures_fall_with_noise(photo: Image.Image) -> None:
    pixels = Picture.from_image(photo).pixels
    distorted = [noisy(pixels, strength) for strength in (1, 2, 5, 10, 20, 50)]
    for measure in (psnr_db, ms_ssim):
        found = [measure(pixels, one) for one in distorted]
        assert found == sorted(found, reverse=True)
        assert len(set(found)) == len(found)


def test_contrast_that_is_inverted_counts_as_none() -> None:
    pixels = pattern(176, 240)
    assert ms_ssim(pixels, 255 - pixels) == 0  # and no complex or NaN power of what is below 0


def test_a_small_picture_has_no_ms_ssim() -> None:
    assert MS_SSIM_MIN_PX == 161
    for shape in ((160, 400), (400, 160, 3), (1, 1)):
        assert ms_ssim(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)) is None
    for shape in ((161, 161), (161, 161, 3)):
        assert ms_ssim(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)) == pytest.approx(1)


def test_ms_ssim_in_decibels() -> None:
    assert [ms_ssim_db(value) for value in (0, 0.9, 0.99, 1)] == pytest.approx(
        [0, 10, 20, math.inf]
    )


# What cannot be compared


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint8)),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float64)),
        (np.zeros(4, np.uint8), np.zeros(4, np.uint8)),
    ],
)
def test_unlike_pictures_are_refused(a: Pixels, b: Pixels) -> None:
    for measure in (psnr_db, ms_ssim):
        with pytest.raises(PictureError, match="the pictures"):
            measure(a, b)


def test_ssim_agrees_with_scikit_image() -> None:
    from skimage.metrics import structural_similarity

    one, other = data.astronaut()[:120, :150], data.astronaut()[2:122, 1:151]
    for a, b in ((one, other), (one[..., 0], other[..., 0])):
        expected = structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
            channel_axis=2 if a.ndim == 3 else None, truncate=3.34,
        )  # fmt: skip
        # Theirs crops the same border of five pixels that our window does not fit into.
        assert ssim(a, b) == pytest.approx(expected, abs=1e-6)
    assert ssim(one[:10], other[:10]) is None


def test_luma_is_what_the_eye_sees() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    grey = np.full((2, 2, 3), 10, np.uint8)
    assert luma_mse(black, grey) == pytest.approx(100)
    blue = np.zeros((2, 2, 3), np.uint8)
    blue[..., 2] = 10
    assert luma_mse(black, blue) == pytest.approx((0.0722 * 10) ** 2)
    assert mse_as_db(mse(black, blue)) == psnr_db(black, blue)
    assert luma_mse(blue[..., 2], black[..., 2]) == pytest.approx(100)
