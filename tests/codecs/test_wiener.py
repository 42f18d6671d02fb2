"""The filter of a file: found by least squares, written in few bits, read with suspicion."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage import data

from corelic.codecs import wiener
from corelic.codecs.wiener import (
    CLIPS,
    FORMS,
    PRECISIONS,
    WienerFilter,
    clip_level,
    filter_of,
    largest,
    terms_of,
)
from corelic.codecs.wiener_fit import Fit, clip_for, rounded
from corelic.errors import ChunkError
from tests.entropy import tiny_reader

LAMBDA = 0.3
CLIP = 9  # 2^-4.5
MARGIN_PX = 2


@st.composite
def filters(draw: st.DrawFn) -> tuple[WienerFilter, bool]:
    form, grey = draw(st.integers(0, FORMS - 1)), draw(st.booleans())
    precision = draw(st.sampled_from(PRECISIONS))
    limits = largest(precision)
    numbers = [
        draw(st.integers(-9, 9) | st.integers(-int(limits[term]), int(limits[term])))
        for plane in range(1 if grey else 3)
        for term in terms_of(form, plane)
    ]
    clip = draw(st.sampled_from(CLIPS)) if form == 3 else 0
    return WienerFilter(form, precision, tuple(numbers), clip), grey


@given(filters())
@settings(deadline=None)
def test_what_is_written_is_read_by_both_readers(case: tuple[WienerFilter, bool]) -> None:
    written, grey = case
    payload = written.payload()
    assert filter_of(payload, grey=grey) == written
    assert len(payload) == written.payload_bytes
    theirs = tiny_reader.filter_weights(payload, 1 if grey else 3)
    assert np.array_equal(np.array(theirs, float), written.weights())
    clip = clip_level(written.clip) if written.form == 3 else None
    assert tiny_reader.filter_clip(payload) == clip


def test_few_bits_are_taken() -> None:
    assert len(WienerFilter(0, 0, (0, 1, -1, 2) * 3).payload()) == 1 + 5  # 12 of 2 to 4 bits


@given(st.binary(max_size=40), st.booleans())
@example(b"", False)
@example(b"\x03" + bytes(40), False)
@example(bytes(40), True)  # goes on
@example(b"\xff" * 40, False)  # ends within a number
@settings(deadline=None)
def test_any_bytes_are_a_filter_or_an_error(noise: bytes, grey: bool) -> None:
    try:
        found = filter_of(noise, grey=grey)
    except ChunkError as error:
        assert "filter makes no sense" in str(error)
    else:
        assert filter_of(found.payload(), grey=grey) == found
        assert np.isfinite(found.weights()).all()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "0 bytes"),
        (b"\x03", "clips at none"),
        (b"\x03\x10" + bytes(20), "clips at none"),
        (b"\x18" + bytes(2), "precision is 6"),
        (b"\x00", "within a number"),
        (bytes(4), "goes on"),  # twelve zeros take 12 bits
        (bytes(2) + b"\x01", "goes on"),
        (bytes([0xE0]) + b"\xff" * 9 + bytes(12), "beyond 1"),
        (bytes(wiener.MOST_BYTES + 1), "bytes, not"),
    ],
)
def test_why_a_payload_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(ChunkError, match=reason):
        filter_of(payload, grey=False)


def test_the_longest_payload_is_not_refused_for_its_length() -> None:
    precision = PRECISIONS[-1]
    each = [largest(precision)[terms_of(3, plane)] for plane in range(3)]
    longest = WienerFilter(3, precision, tuple(np.concatenate(each).tolist()), 15)
    unary = [bit for n in longest.numbers for bit in [1] * 2 * n + [0]]
    payload = bytes([3 + 4 * precision, 15]) + np.packbits(np.array(unary, np.uint8)).tobytes()
    assert len(payload) <= wiener.MOST_BYTES
    assert filter_of(payload, grey=False) == longest


@given(filters(), st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_it_does_what_the_format_page_says(case: tuple[WienerFilter, bool], seed: int) -> None:
    found, _ = case
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.1, 1.1, (3, 5, 6))
    weights = [[Fraction(w) for w in row] for row in found.weights()]
    expected = tiny_reader.filtered(x, weights, clip_level(found.clip))
    scale = 1 + np.abs(found.weights()).sum()
    filtered = applied(found, torch.from_numpy(x).float())
    np.testing.assert_allclose(filtered.numpy(), expected, atol=3e-6 * scale)


def planes(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def with_edge(x: torch.Tensor, margin_px: int) -> torch.Tensor:
    return torch.nn.functional.pad(x[None], (margin_px,) * 4, mode="replicate")[0]


def applied(found: WienerFilter, x_hat: torch.Tensor) -> torch.Tensor:
    return found.applied(with_edge(x_hat, found.margin_px))


def fit_of(pixels: int) -> Fit:
    return Fit(pixels, CLIP)


def fitted(x: torch.Tensor, x_hat: torch.Tensor, fit: Fit | None = None) -> Fit:
    fit = fit or fit_of(x[0].numel())
    fit.add(x, with_edge(x_hat, MARGIN_PX))
    return fit


PICTURE = planes(data.astronaut()[:128, 100:260])


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        (0, (1, 2, -1, 0, 0, 1, 3, 0, -1, 0, 0, 2)),
        (1, ((1, 1, 0, 0, -2, -1, 1, 1) + (0,) * 8) + (2, 0, 0, 1, 1, 1, 0, -1)),
        (2, (*range(-8, 8), *range(8, -8, -1), *((1, -1) * 8))),
        (3, tuple(n % 5 - 2 for n in range(96))),
    ],
)
def test_a_filter_that_was_applied_is_found(form: int, numbers: tuple[int, ...]) -> None:
    """The picture is what a filter gives of the decoded one: least squares finds that filter."""
    behind = WienerFilter(form, 0, numbers, CLIP if form == 3 else 0)
    x_hat = PICTURE * 0.6 + 0.2  # clear of both ends
    x = applied(behind, x_hat)
    found = fitted(x, x_hat).best(LAMBDA, grey=False)
    assert found is not None
    left = (applied(found, x_hat) - x).square().mean()
    assert left < 1e-3 * (x_hat - x).square().mean()
    if form >= 2:  # of colours hardly any difference is clipped, so there are several such filters
        planes = slice(1 if form == 3 else 3)
        np.testing.assert_allclose(found.weights()[planes], behind.weights()[planes], atol=2.0**-9)


def test_it_is_worth_its_bits_at_lambda() -> None:
    torch.manual_seed(0)
    x_hat = PICTURE + 0.02 * torch.randn_like(PICTURE)
    fit = fitted(PICTURE, x_hat)
    before = fit.best(1e9, grey=False)
    assert before is not None and before.form == 3  # bits are nothing
    assert fit.best(1e-6, grey=False) is None  # errors are nothing
    costs = []
    for found in (fit.best(LAMBDA, grey=False), before, WienerFilter(0, 0, (0,) * 12)):
        assert found is not None
        error = (applied(found, x_hat) - PICTURE).square().mean() * 255**2
        bits = 8 * len(found.payload()) + wiener.CHUNK_BITS if any(found.numbers) else 0
        costs.append(float(bits + LAMBDA * error * PICTURE[0].numel()))
    assert costs[0] == min(costs) < costs[2]


def test_it_is_the_best_of_so_many_bytes() -> None:
    torch.manual_seed(0)
    x_hat = 0.98 * PICTURE + 0.02 * torch.randn_like(PICTURE)
    fit = fitted(PICTURE, x_hat)
    free = fit.best(LAMBDA, grey=False)
    assert free is not None
    overhead = wiener.CHUNK_BITS // 8
    errors = []
    for most_bytes in range(free.payload_bytes + overhead + 1, 0, -1):
        found = fit.best(LAMBDA, grey=False, most_bytes=most_bytes)
        if found is None:
            break
        assert found.payload_bytes + overhead <= most_bytes
        errors.append(float((applied(found, x_hat) - PICTURE).square().mean()))
        if most_bytes >= free.payload_bytes + overhead:
            assert found == free
    assert most_bytes < overhead + 12  # some are that small
    assert errors[-1] > 1.02 * errors[0]


@pytest.mark.parametrize("side", [1, 2, 8])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_and_tiny_pictures_have_a_fit(side: int, level: float) -> None:
    x = torch.full((3, side, side), level)
    for shift in (0.0, 0.1, -0.1):
        found = fitted(x, x + shift).best(LAMBDA, grey=False)
        if found is not None:
            before = ((x + shift).clamp(0, 1) - x).square().sum()
            assert (applied(found, x + shift) - x).square().sum() < before


@pytest.mark.parametrize("level", [0.123, 0.456, 0.999])
def test_sums_over_large_flat_pictures_are_exact_enough(level: float) -> None:
    """Colours are then all multiples of the constant, to float32: nothing is singular."""
    torch.manual_seed(0)
    x = torch.full((3, 500, 700), level)
    for noise in (0.0, 1e-5, 1e-3):
        x_hat = x * 0.99 + noise * torch.randn_like(x)
        found = fitted(x, x_hat).best(LAMBDA, grey=False)
        assert found is not None
        left = (applied(found, x_hat) - x).square().mean()
        assert left < 0.1 * (x_hat - x).square().mean() + 2 * noise**2


def test_what_is_not_finite_has_none() -> None:
    x_hat = PICTURE.clone()
    x_hat[1, 3, 4] = float("nan")
    assert fitted(PICTURE, x_hat).best(LAMBDA, grey=False) is None


def test_of_grey_only_luminance_is_corrected() -> None:
    grey = PICTURE.mean(0, keepdim=True).expand(3, -1, -1)
    x_hat = 0.9 * grey + torch.tensor([0.04, -0.04, 0.0])[:, None, None]  # tinted, too
    found = fitted(grey, x_hat).best(LAMBDA, grey=True)
    assert found is not None
    assert len(found.numbers) in (4, 8, 16, 32)
    mean = applied(found, x_hat).mean(0)
    assert (mean - grey[0]).square().mean() < 1e-2 * (x_hat.mean(0) - grey[0]).square().mean()


def test_of_a_large_picture_some_rows_tell_enough() -> None:
    """Also where errors repeat every 8 rows, as synthesis makes them."""
    torch.manual_seed(0)
    x = planes(data.astronaut()).repeat(1, 2, 1)
    x_hat = x + 0.01 * torch.randn_like(x)
    x_hat[:, ::8] += 0.03
    fit = fitted(x, x_hat)
    assert fit.row_step == 7
    everything = fitted(x, x_hat, fit_of(1))
    everything.pixels = fit.pixels
    found, best = (each.best(LAMBDA, grey=False) for each in (fit, everything))
    assert found is not None and best is not None
    errors = [(applied(each, x_hat) - x).square().mean() for each in (found, best)]
    assert errors[0] < 1.02 * errors[1]
    assert all(fit_of(pixels).row_step in (1, 3, 5, 7) for pixels in range(1, 2**21, 9999))


@pytest.mark.parametrize("size", [(1, 300_000), (9, 60_000), (1024, 512), (64, 64)])
@pytest.mark.parametrize("grey", [False, True])
def test_what_is_taken_is_best_of_all_that_are_tried(size: tuple[int, int], grey: bool) -> None:
    """Bits and errors of each, applied: gains are not foretold for another picture's size."""
    torch.manual_seed(0)
    source = planes(data.coffee()).flatten(1)
    pixels = size[0] * size[1]
    x = source.repeat(1, -(-pixels // source.shape[1]))[:, :pixels].view(3, *size)
    x = x.mean(0, keepdim=True).expand(3, -1, -1) if grey else x
    x_hat = (0.985 * x + 0.003 * torch.randn_like(x)).clamp(0, 1)
    fit = fitted(x, x_hat)
    for lambda_ in (3e-4, 3e-2):
        found = fit.best(lambda_, grey=grey)
        costs = {None: loss(None, x, x_hat, lambda_, grey)}
        for form in range(FORMS):
            each = rounded(fit.products(grey=grey), form)
            for precision in PRECISIONS:
                numbers = each.numbers[precision].flatten()
                clip = CLIP if form == 3 else 0
                tried = WienerFilter(form, precision, tuple(numbers.tolist()), clip)
                costs[tried] = loss(tried, x, x_hat, lambda_, grey)
        least = min(costs.values())
        assert costs[found] <= least + 0.02 * abs(costs[None] - least) + 1


def loss(
    found: WienerFilter | None, x: torch.Tensor, x_hat: torch.Tensor, lambda_: float, grey: bool
) -> float:
    after = x_hat if found is None else applied(found, x_hat)
    error = (after.mean(0) - x.mean(0) if grey else after - x).square().mean()
    bits = 0 if found is None else 8 * len(found.payload()) + wiener.CHUNK_BITS
    return float(bits + lambda_ * 255**2 * error * x[0].numel())


def test_what_cannot_be_seen_does_not_count() -> None:
    x_hat = PICTURE * 0.9 + 0.02
    spoilt = x_hat.clone()
    spoilt[:, :, :60] = 0.5
    seen = torch.ones(PICTURE.shape[1:], dtype=torch.bool)
    seen[:, :62] = False
    fit, clean = fit_of(PICTURE[0].numel()), fit_of(PICTURE[0].numel())
    fit.add(PICTURE, with_edge(spoilt, MARGIN_PX), seen)
    clean.add(PICTURE[:, :, 62:], with_edge(x_hat, MARGIN_PX)[:, :, 62:])
    sums, expected = (each.products(grey=False) for each in (fit, clean))
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-3)
    hidden = fit_of(PICTURE[0].numel())
    hidden.add(PICTURE, with_edge(x_hat, MARGIN_PX), torch.zeros_like(seen))
    assert hidden.best(LAMBDA, grey=False) is None


def test_tiles_add_up() -> None:
    torch.manual_seed(0)
    x_hat = with_edge(PICTURE + 0.02 * torch.randn_like(PICTURE), MARGIN_PX)
    whole, tiled = fit_of(PICTURE[0].numel()), fit_of(PICTURE[0].numel())
    whole.add(PICTURE, x_hat)
    for top in (0, 64):
        for left in (0, 100):
            bottom, right = top + 64, (100, 160)[left > 0]
            part = x_hat[:, top : bottom + 2 * MARGIN_PX, left : right + 2 * MARGIN_PX]
            tiled.add(PICTURE[:, top:bottom, left:right], part)
    sums, expected = (each.products(grey=False) for each in (tiled, whole))
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-3)
    assert tiled.best(LAMBDA, grey=False) == whole.best(LAMBDA, grey=False)


def test_smaller_errors_are_clipped_at_less() -> None:
    """At two to three times the error there is: 2.6 to 7.9 of 255 at λ = 0.08, as measured."""
    clips = [clip_for(lambda_) for lambda_ in (1e-9, 0.0008, 0.0155, 0.08, 0.3, 1e6)]
    assert clips == sorted(clips)
    assert clips[0] == 0 and clips[-1] == CLIPS[-1]
    assert 4 < 255 * clip_level(clips[3]) < 9
