"""Forecasts are near what encoding gives, for pictures of every kind, and never fail."""

import math

import numpy as np
import pytest
from skimage import data

from corelic.codecs.files import exact_arithmetic, open_codec
from corelic.codecs.forecast import DCT, YCBCR, Forecast
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.search import Search
from corelic.codecs.targets import Scale
from corelic.media import Picture

PICTURES = {
    "portrait": Picture(data.astronaut()),
    "grey": Picture(data.camera()),
    "16 bits": Picture(data.astronaut()[:, :, 1].astype(np.uint16) * np.uint16(257)),
    "cup": Picture(data.coffee()),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("step", [400, 1100])
def test_a_forecast_is_near_what_encoding_gives(name: str, step: int) -> None:
    picture, codec = PICTURES[name], open_codec("swift", "cpu")
    forecast, log_lambda = Forecast(picture.pixels), Scale(codec).at(step)
    with exact_arithmetic():
        search = Search(codec, picture, MEMORY_BYTES, silent)
        quantised = search.quantise(step)
        error = search.error(quantised.latents.y_hat, step)
        words = search.passes.words_of(quantised)
    rate_bpp = 8 * len(words) / (picture.width_px * picture.height_px)
    assert abs(forecast.log_error(log_lambda) - math.log(error)) < 0.35  # 1.5 dB
    assert abs(forecast.log_rate_bpp(log_lambda) - math.log(rate_bpp)) < 0.45


def test_both_transforms_are_orthonormal() -> None:
    for matrix in (DCT, YCBCR):
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-6)
    assert np.ptp(DCT[0]) == 0 and np.ptp(YCBCR[0]) == 0


def test_activity_is_the_mean_difference_of_neighbours() -> None:
    slope = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (50, 1))  # 2 along, 0 across
    assert Forecast(slope).activity == 2
    assert Forecast(slope[::-1, ::-1].T).activity == 2
    assert Forecast(slope.astype(np.uint16) * np.uint16(257)).activity == pytest.approx(2)
    assert Forecast(slope[:1, :1]).activity == 0


def test_a_grey_picture_is_one_of_three_equal_planes() -> None:
    grey = data.camera()[:100, :130]
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    assert np.array_equal(Forecast(grey).squares, Forecast(colour).squares)


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (16, 17), (4000, 90)], ids=str)
def test_pictures_of_every_size_have_one(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for pixels in (noise, np.zeros_like(noise)):
        forecast = Forecast(pixels)
        assert len(forecast.squares) <= 256
        for log_lambda in (-7.0, -1.0):
            assert math.isfinite(forecast.log_error(log_lambda))
            assert math.isfinite(forecast.log_rate_bpp(log_lambda))


def test_busy_pictures_cost_more_and_a_higher_quality_too() -> None:
    pixels = data.astronaut()
    forecast, flatter = Forecast(pixels), Forecast(pixels // 4)
    for function in ("log_error", "log_rate_bpp"):
        busy, flat = getattr(forecast, function), getattr(flatter, function)
        assert busy(-4.0) > flat(-4.0)
    steps = np.linspace(-7, -1, 20)
    assert (np.diff([forecast.log_error(step) for step in steps]) < 0).all()
    assert (np.diff([forecast.log_rate_bpp(step) for step in steps]) > 0).all()
