"""How much memory work on a picture takes, and the tiles with which it stays within a budget.

    budget ─ what is held whole: latents, symbols ─► what is left for the window of a tile

Counted is what the codec allocates: not the picture that it is given, the weights or the libraries
(some 400 MB with torch). `benchmarks/memory.py` measures whole processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from corelic.codecs.hyperprior import HyperAnalysis, HyperSynthesis
from corelic.codecs.learned import HYPER_STRIDE, LearnedImageCodec
from corelic.codecs.tiling import Grid, Tile
from corelic.codecs.wiener import MARGIN_PX
from corelic.errors import MemoryBudgetError

Work = Literal["encode", "decode", "search"]  # search: encode at one quality after another
Network = Literal["analysis", "hyper_analysis", "hyper_synthesis", "context", "synthesis"]

FLOAT_BYTES, EXACT_BYTES = 4, 8  # of a value around the parsing path, and in it
INDEX_BYTES = 8
# At 27 × 27 cells of swift, halos add a sixth; twice the memory would save a third of that.
LARGEST_WINDOW_BYTES = 512 * 10**6
LEAST_HALOS = 4  # halos that a side has room for, whatever that takes: else they are all there is


@dataclass(frozen=True, slots=True)
class Stage:
    """A network, as far as tiles are concerned.

    halo            cells each way; None: it sees the whole picture
    bytes_per_cell  of a window, at its peak, with inputs and outputs
    """

    halo: int | None
    bytes_per_cell: int

    @property
    def largest_window(self) -> int:
        """Cells."""
        cells = LARGEST_WINDOW_BYTES // self.bytes_per_cell
        return max(cells, (LEAST_HALOS * (self.halo or 0)) ** 2, 1)

    def tiles(self, grid: Grid, free_bytes: int) -> list[Tile]:
        cells = min(self.largest_window, free_bytes // self.bytes_per_cell)
        return grid.tiles(self.halo, cells)

    def largest_bytes(self, grid: Grid) -> int:
        """Of a window, if there is room for it."""
        cells = grid.cells if self.halo is None else min(grid.cells, self.largest_window)
        return cells * self.bytes_per_cell

    def roomy_bytes(self, grid: Grid) -> int:
        """What must be free, so that windows of half of that are large enough."""
        return max(self.largest_bytes(grid), 2 * self.least_bytes(grid))

    def least_bytes(self, grid: Grid) -> int:
        return grid.least_window(self.halo) * self.bytes_per_cell


@dataclass(frozen=True, slots=True)
class Plan:
    """The tiles of every network for one picture.

    roomy  windows take half of what is free at most: there is room for what the allocator keeps of
           one tile and cannot use for the next, whose blocks are not quite as large. Giving that
           back after each tile takes more time than the halos of windows half as large.
    """

    grid: Grid
    tiles: dict[Network, list[Tile]]
    roomy: bool


class Costs:
    """What the networks of a codec need."""

    def __init__(self, codec: LearnedImageCodec) -> None:
        spec, context = codec.spec, codec.context
        pixels = spec.pad_multiple_px**2  # of a cell, as all below
        side = spec.pad_multiple_px // spec.transform.stride_px
        latents = side**2
        m, c, features = spec.transform.latent_channels, spec.hyper_channels, context.hyper_features

        def stage(reach: int | None, unit: int, values: float, value_bytes: int) -> Stage:
            halo = None if reach is None else -(-reach // unit)
            return Stage(halo, round(values * value_bytes))

        def around(halo_px: int | None) -> Stage:
            values = (spec.transform.working_floats + 3) * pixels
            return stage(halo_px, spec.pad_multiple_px, values, FLOAT_BYTES)

        halo_px = spec.transform.synthesis_halo_px
        # Beside what the context allocates: its inputs, and where a few steps' elements are.
        context_values = context.working_values + m + features + m * INDEX_BYTES / EXACT_BYTES
        self.stages: dict[Network, Stage] = {
            "analysis": around(spec.transform.analysis_halo_px),
            "hyper_analysis": stage(
                HyperAnalysis.REACH, side, HyperAnalysis.values(m, c) * latents, FLOAT_BYTES
            ),
            "hyper_synthesis": stage(
                HyperSynthesis.REACH,
                side // HYPER_STRIDE,
                HyperSynthesis.values(c, features) * latents,
                EXACT_BYTES,
            ),
            "context": stage(context.reach, side, context_values * latents, EXACT_BYTES),
            # At least the margin of a filter.
            "synthesis": around(None if halo_px is None else max(halo_px, MARGIN_PX)),
        }
        # Held whole are ŷ in float32, table indexes in 8 bits, hyper features in 16; while a step
        # is coded, its table indexes, their order and its symbols.
        part = torch.Size((1, m, context.period, context.period))  # a cell may be enormous
        largest = max(int(mask.sum()) for mask in context.masks(part))
        of_step = -(-largest // context.period**2)
        # So are hyper-latents, in float64 and as symbols or in float32.
        hyper = -(-c * (EXACT_BYTES + FLOAT_BYTES) // HYPER_STRIDE**2)
        decode = 4 * m + m + 2 * features + of_step * (1 + 4 + 4) + hyper
        encode = decode + 2 * m  # symbols of all steps, in 16 bits: coding goes backwards
        # Latents before any gain; parameters of the first step.
        search = encode + 4 * m + 5 * of_step
        self._held: dict[Work, int] = {
            "encode": encode * latents,
            "decode": decode * latents + 3 * pixels,
            "search": search * latents,
        }

    def held_bytes(self, grid: Grid, work: Work) -> int:
        """Of what is held for the whole picture."""
        return self._held[work] * grid.cells

    def least_bytes(self, grid: Grid, work: Work) -> int:
        """The smallest budget that suffices."""
        windows = (stage.least_bytes(grid) for stage in self.stages.values())
        return self.held_bytes(grid, work) + max(windows)

    def plan(self, grid: Grid, work: Work, memory_bytes: int) -> Plan:
        """MemoryBudgetError where the budget does not suffice."""
        least_bytes = self.least_bytes(grid, work)
        if memory_bytes < least_bytes:
            raise MemoryBudgetError(least_bytes, memory_bytes)
        free_bytes = memory_bytes - self.held_bytes(grid, work)
        roomy = free_bytes >= max(each.roomy_bytes(grid) for each in self.stages.values())
        if roomy:
            free_bytes //= 2
        tiles = {name: stage.tiles(grid, free_bytes) for name, stage in self.stages.items()}
        return Plan(grid, tiles, roomy)
