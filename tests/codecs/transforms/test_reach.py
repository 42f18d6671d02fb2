"""Halos, against a line of pixels that are traced one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelic.codecs.transforms.reach import TILE_PX, Around, Beside, Layer, Within, halo_px

around = st.builds(Around, st.integers(0, 20))
within = st.builds(Within, st.sampled_from([1, 2, 4, 16, 64]), st.booleans())
beside = st.builds(Beside, st.tuples(within, within))


def sources(layer: Layer, pixel: int) -> set[int]:
    """The pixels that one pixel of the result is made of."""
    match layer:
        case Around(reach_px):
            return set(range(pixel - reach_px, pixel + reach_px + 1))
        case Within(side_px, shifted):
            shift = side_px // 2 if shifted else 0
            first = (pixel + shift) // side_px * side_px - shift
            return set(range(first, first + side_px))
        case Beside(layers):
            return set().union(*(sources(each, pixel) for each in layers))


@given(st.lists(st.one_of(around, within, beside), max_size=6), st.integers(-2, 2))
def test_a_halo_holds_all_that_a_tile_is_made_of(layers: list[Layer], tile: int) -> None:
    first = tile * TILE_PX
    seen = set(range(first, first + TILE_PX))
    for layer in reversed(layers):
        # All between two pixels is between their sources, so the outermost ones suffice.
        low, high = sources(layer, min(seen)), sources(layer, max(seen))
        seen = {min(low), max(high)}
    assert halo_px(layers) == max(first - min(seen), max(seen) - (first + TILE_PX - 1))


@pytest.mark.parametrize("side_px", [3, 7, 128])
def test_windows_that_tiles_would_cut_have_no_halo(side_px: int) -> None:
    cut = Within(side_px, shifted=False)
    for layers in ([cut], [Around(1), cut, Around(2)], [Beside((Within(4, False), cut))]):
        assert halo_px(layers) is None
