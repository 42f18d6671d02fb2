"""Tiles cover a picture once, and their windows hold what they depend on."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from corelic.codecs.tiling import Grid

sides = st.integers(1, 40)


@given(st.builds(Grid, sides, sides), st.integers(0, 3), st.integers(1, 500))
@example(Grid(1, 40), 2, 5)  # narrower than a halo is wide
def test_tiles_cover_every_cell_once_with_its_halo(grid: Grid, halo: int, window: int) -> None:
    window = max(window, grid.least_window(halo))
    covered = np.zeros((grid.rows, grid.columns), int)
    cells = np.arange(covered.size).reshape(covered.shape)
    for tile in grid.tiles(halo, window):
        covered[tile.inner(1)] += 1
        seen = cells[tile.window(1)]
        assert seen.size <= window
        assert np.array_equal(seen[tile.crop(1)], cells[tile.inner(1)])
        rows, columns = tile.inner(1)
        for axis, inner, outer in ((0, rows, tile.rows), (1, columns, tile.columns)):
            assert outer.first == max(inner.start - halo, 0)
            assert outer.last == min(inner.stop + halo, covered.shape[axis])
    assert (covered == 1).all()


def test_a_network_that_sees_everything_has_one_tile() -> None:
    (tile,) = Grid(30, 50).tiles(None, 1)
    assert tile.window(64) == tile.inner(64) == (slice(0, 1920), slice(0, 3200))


def test_what_fits_is_not_cut() -> None:
    assert len(Grid(20, 30).tiles(1, 600)) == 1
    assert len(Grid(20, 30).tiles(1, 599)) > 1


def test_scales_are_units_per_cell() -> None:
    last = Grid(4, 4).tiles(1, 9)[-1]
    assert last.inner(64) == (slice(128, 256), slice(128, 256))
    assert last.window(4) == (slice(4, 16), slice(4, 16))
    assert last.crop(4) == (slice(4, 12), slice(4, 12))


def test_two_tiles_have_one_halo_each() -> None:
    assert len(Grid(32, 32).tiles(1, 17 * 32)) == 2


def test_few_windows_are_strips_and_many_are_squares() -> None:
    strips = Grid(64, 32).tiles(1, 640)
    assert [tile.inner(1)[1] for tile in strips] == [slice(0, 32)] * 4
    for tile in Grid(157, 157).tiles(1, 640):
        rows, columns = (span.stop - span.start for span in (tile.rows, tile.columns))
        assert 1 / 2 < rows / columns < 2
