"""Sizes and PSNRs from classical codecs: the best file that fits, the least that is good enough."""

import math

import numpy as np
import pytest
from PIL import Image
from skimage import data

import corelic
from corelic.codecs import classical_targets, peers
from corelic.codecs.classical import ClassicalCodec
from corelic.codecs.classical_targets import MOST_TRIALS
from corelic.errors import MissingPartError, TargetError
from corelic.eval.metrics import psnr_db
from corelic.media import Picture

PHOTO = Picture(data.astronaut()[:160, 100:292])
NAMES = ["jpeg", "webp:method=0", "avif:speed=9", "jpeg2000", "jxl:effort=1", "svt-av1:preset=13"]
every_kind = pytest.mark.parametrize("name", NAMES)


def opened(name: str) -> ClassicalCodec:
    codec = peers.find(name)
    assert codec is not None
    try:
        codec.encode(PHOTO, 50)
    except MissingPartError as error:
        pytest.skip(str(error))
    return codec


@every_kind
def test_a_size_is_never_exceeded_and_the_next_quality_would(name: str) -> None:
    codec = opened(name)
    sizes = [len(codec.encode(PHOTO, quality)) for quality in range(101)]
    target_bytes = (sizes[30] + sizes[60]) // 2
    found = classical_targets.encode_to_size(codec, PHOTO, target_bytes)
    assert len(found) <= target_bytes
    larger = [size for size in sizes if size > len(found)]
    # The best that fits, but for sizes that do not grow with every step of quality.
    assert len(found) >= 0.97 * target_bytes or min(larger) > target_bytes


@every_kind
def test_a_psnr_is_reached_and_a_lesser_quality_would_not(name: str) -> None:
    codec = opened(name)
    psnrs = [
        psnr_db(PHOTO.pixels, codec.decode(codec.encode(PHOTO, quality)).pixels)
        for quality in (20, 70)
    ]
    target_db = sum(psnr for psnr in psnrs if psnr is not None) / 2
    seen: list[tuple[int, int]] = []
    found = classical_targets.encode_to_psnr(
        codec, PHOTO, target_db, max_pixels=10**6, progress=lambda *state: seen.append(state)
    )
    reached = psnr_db(PHOTO.pixels, codec.decode(found).pixels)
    assert reached is not None and target_db <= reached < target_db + 1.5  # a step of QP is 0.5
    assert seen == [(number, MOST_TRIALS) for number in range(1, len(seen) + 1)]
    assert len(seen) <= MOST_TRIALS


def test_the_least_quality_that_reaches_a_psnr_is_taken() -> None:
    codec = opened("jpeg")
    psnrs = []
    for quality in range(101):
        psnr = psnr_db(PHOTO.pixels, codec.decode(codec.encode(PHOTO, quality)).pixels)
        assert psnr is not None
        psnrs.append(psnr)
    for quality in (10, 40, 77, 100):
        assert psnrs[quality] > max(psnrs[:quality])
        target_db = (psnrs[quality] + max(psnrs[:quality])) / 2
        found = classical_targets.encode_to_psnr(codec, PHOTO, target_db, max_pixels=10**6)
        assert found == codec.encode(PHOTO, quality)


def test_what_no_file_reaches_is_said() -> None:
    codec = opened("jpeg")
    least, best = len(codec.encode(PHOTO, 0)), codec.decode(codec.encode(PHOTO, 100))
    with pytest.raises(TargetError, match=f"the smallest file has {least:,}"):
        classical_targets.encode_to_size(codec, PHOTO, least - 1)
    assert len(classical_targets.encode_to_size(codec, PHOTO, least)) == least
    reached = psnr_db(PHOTO.pixels, best.pixels)
    with pytest.raises(TargetError, match=f"reaches {reached:.2f} dB"):
        classical_targets.encode_to_psnr(codec, PHOTO, 90, max_pixels=10**6)
    for wrong in (0.0, -3.0, math.inf, math.nan):
        with pytest.raises(TargetError, match="no picture has such a PSNR"):
            classical_targets.encode_to_psnr(codec, PHOTO, wrong, max_pixels=10**6)


def test_easy_targets_are_the_best_file_and_the_least() -> None:
    codec = opened("jpeg")
    assert classical_targets.encode_to_size(codec, PHOTO, 10**9) == codec.encode(PHOTO, 100)
    found = classical_targets.encode_to_psnr(codec, PHOTO, 1, max_pixels=10**6)
    assert found == codec.encode(PHOTO, 0)


def test_grey_and_what_loses_nothing_have_a_psnr() -> None:
    grey = Picture(np.ascontiguousarray(PHOTO.pixels[:, :, 1]))
    for name in ("jpeg", "webp:method=0"):  # the second gives three planes back
        codec = opened(name)
        found = classical_targets.encode_to_psnr(codec, grey, 30, max_pixels=10**6)
        pixels = codec.decode(found).pixels
        pixels = pixels if pixels.ndim == 2 else pixels[:, :, 0]
        reached = psnr_db(grey.pixels, pixels)
        assert reached is not None and 29.5 < reached < 33
    blank = Picture(np.full((32, 32, 3), 128, np.uint8))
    codec = opened("jpeg")
    found = classical_targets.encode_to_psnr(codec, blank, 150, max_pixels=10**6)
    assert np.array_equal(codec.decode(found).pixels, blank.pixels)


def test_colours_that_cannot_be_seen_do_not_count() -> None:
    """libwebp replaces them."""
    alpha = np.zeros(PHOTO.pixels.shape[:2], np.uint8)
    alpha[40:80, 40:120] = 200
    picture = Picture(PHOTO.pixels, alpha)
    codec = opened("webp:method=0")
    found = codec.decode(
        classical_targets.encode_to_psnr(
            codec, picture, 36.0, max_pixels=10**6, progress=lambda *_: None
        )
    )
    reached = psnr_db(PHOTO.pixels[None, alpha != 0], found.pixels[None, alpha != 0])
    assert reached is not None and 36 <= reached < 37.5
    nothing = Picture(PHOTO.pixels, np.zeros_like(alpha))
    assert classical_targets._psnr_db(nothing, found) == math.inf


def test_targets_from_python(photo: Image.Image) -> None:
    pixels = photo.width * photo.height
    made = corelic.encode(photo, codec="webp", target_bpp=0.5)
    assert 0.4 < 8 * len(made) / pixels <= 0.5
    made = corelic.encode(photo, codec="jpeg", target_psnr_db=33)
    reached = psnr_db(np.asarray(photo), np.asarray(corelic.decode(made)))
    assert reached is not None and 33 <= reached < 33.5
