"""A sample stands for its picture: as busy, and with about its errors."""

import numpy as np
import pytest
from skimage import data

from corelic.codecs.files import exact_arithmetic, open_codec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.sample import Sample, activity_of
from corelic.codecs.search import Search
from corelic.media import Picture

PICTURES = {
    "portrait": Picture(data.astronaut()),
    "grey": Picture(data.camera()),
    "16 bits": Picture(data.astronaut()[:, :, 1].astype(np.uint16) * np.uint16(257)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_sample_is_like_its_picture(name: str) -> None:
    picture, codec = PICTURES[name], open_codec("swift", "cpu")
    assert Sample.can_be_had(codec, picture)
    with exact_arithmetic():
        sample = Sample(codec, picture)
        search = Search(codec, picture, MEMORY_BYTES, silent)
        error = search.error(search.quantise(800).latents.y_hat, 800)
        ratio = sample.error(800) / error
    busyness = sample.activity / activity_of(picture.pixels)
    assert 0.75 < busyness < 1.33
    assert 0.7 < ratio / busyness < 1.4  # 1.5 dB


def test_small_pictures_have_no_sample() -> None:
    codec = open_codec("swift", "cpu")
    assert not Sample.can_be_had(codec, Picture(data.astronaut()[:300]))
    assert not Sample.can_be_had(codec, Picture(np.zeros((100, 6400), np.uint8)))


def test_activity_is_the_mean_difference_of_neighbours() -> None:
    slope = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (50, 1))  # 2 along, 0 across
    assert activity_of(slope) == 2
    assert activity_of(slope[::-1, ::-1].T) == 2
    assert activity_of(slope[:1, :1]) == 0
    down = np.tile(np.arange(255, 55, -2, dtype=np.uint8), (50, 1))
    assert activity_of(down) == 2  # not 254: differences of bytes have signs
