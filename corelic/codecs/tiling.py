"""Tiles: rectangles that cover a picture, each with the surroundings that its result depends on.

    ┌──────────┬──────── …     A tile is a unit of computation, not of the bitstream: a network
    │      ┌───┼───┐           reads the window, which is tile and halo, and what it says of the
    │  tile│   │   │           tile is kept. At a border of the picture the window ends with the
    │      │   │   │           picture, so that a convolution meets the same zeros there as it
    ├──────┼───┘   │           does on the whole.
    │      └ window┘
    …

All is counted in cells: squares of the codec's pad multiple, which every network of the codec
divides, so that one geometry serves pixels, latents and hyper-latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

Area = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile, in cells: first ≤ start < stop ≤ last."""

    first: int
    start: int
    stop: int
    last: int


@dataclass(frozen=True, slots=True)
class Tile:
    """`scale` below is in units per cell, each way: pixels, latents or hyper-latents."""

    rows: Span
    columns: Span

    def inner(self, scale: int) -> Area:
        """What it gives, in the whole."""
        rows, columns = ((span.start, span.stop) for span in (self.rows, self.columns))
        return _area(rows, columns, scale)

    def window(self, scale: int) -> Area:
        """What it reads, in the whole."""
        rows, columns = ((span.first, span.last) for span in (self.rows, self.columns))
        return _area(rows, columns, scale)

    def crop(self, scale: int) -> Area:
        """What it gives, in its window."""
        rows, columns = (
            (span.start - span.first, span.stop - span.first) for span in (self.rows, self.columns)
        )
        return _area(rows, columns, scale)


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of a padded picture."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    def tiles(self, halo: int | None, window_cells: int) -> list[Tile]:
        """In reading order; no window has more cells than `window_cells`, if one cell's allows it.

        halo  cells each way; None: the network sees everything, and one tile is the whole
        """
        counts = 1, 1
        if halo is not None and self.cells > window_cells:
            counts = self._cheapest(halo, window_cells)
        rows, columns = (
            _spans(length, count, halo or 0)
            for length, count in zip((self.rows, self.columns), counts, strict=True)
        )
        return [Tile(row, column) for row in rows for column in columns]

    def _cheapest(self, halo: int, window_cells: int) -> tuple[int, int]:
        """Numbers of tiles, down and across, whose windows have the fewest cells together.

        Squares where a picture is large; full-width strips, which have halos on two sides only,
        where it is a few windows large.
        """
        found = {}
        for across in range(1, self.columns + 1):
            longest = window_cells // _longest(self.columns, across, halo)
            down = _fewest(self.rows, longest, halo)
            if down is not None:
                seen = _seen(self.rows, down, halo) * _seen(self.columns, across, halo)
                found[down, across] = seen, down * across
        return min(found, key=found.__getitem__)

    def least_window(self, halo: int | None) -> int:
        """Cells of the window around one cell."""
        if halo is None:
            return self.cells
        side = 2 * halo + 1
        return min(self.rows, side) * min(self.columns, side)


def _fewest(length: int, longest: int, halo: int) -> int | None:
    """Tiles along an axis, so that no window is longer; None where even one cell's would be."""
    if length <= longest:
        return 1
    if longest - halo >= -(-length // 2):
        return 2  # at a border each: one halo
    return -(-length // (longest - 2 * halo)) if longest > 2 * halo else None


def _longest(length: int, count: int, halo: int) -> int:
    """Of the windows of so many tiles along an axis: a bound, met where tiles outdo halos."""
    return min(-(-length // count) + min(count - 1, 2) * halo, length)


def _seen(length: int, count: int, halo: int) -> int:
    """All windows of an axis together: a bound, as above."""
    return length + 2 * halo * (count - 1)


def _spans(length: int, count: int, halo: int) -> list[Span]:
    """Of nearly equal length: a sliver costs its halo, too."""
    borders = [length * number // count for number in range(count + 1)]
    return [
        Span(max(start - halo, 0), start, stop, min(stop + halo, length))
        for start, stop in pairwise(borders)
    ]


def _area(rows: tuple[int, int], columns: tuple[int, int], scale: int) -> Area:
    return slice(rows[0] * scale, rows[1] * scale), slice(columns[0] * scale, columns[1] * scale)
