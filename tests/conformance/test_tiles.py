"""A tile is a unit of computation: in tiles or whole, a picture is the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from corelic.codecs import memory, passes
from corelic.codecs.base import CodecSpec
from corelic.codecs.files import FileCodec, exact_arithmetic
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.memory import Costs, Network, Stage, Work
from corelic.codecs.passes import silent
from corelic.codecs.rate import nearest_node
from corelic.codecs.registry import list_specs
from corelic.codecs.tiling import Grid, Tile
from corelic.entropy import container
from corelic.errors import MemoryBudgetError
from corelic.eval.metrics import psnr_db
from tests import tiny
from tests.allocations import peak_bytes
from tests.conformance.conftest import SPECS, every_codec, file_codec
from tests.conformance.test_codecs import photo, with_header

# Of 64-pixel cells: one less, one more, odd, thin; a tile of the least budget is one cell.
SIZES_PX = [(127, 193), (129, 64), (321, 5), (128, 192), (5, 577)]
tiled_codecs = pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if spec.tiling == "halo"], ids=lambda spec: spec.full_name
)


def grid_of(spec: CodecSpec, height_px: int, width_px: int) -> Grid:
    return Grid(*(-(-side // spec.pad_multiple_px) for side in (height_px, width_px)))


def least_bytes(codec: FileCodec, height_px: int, width_px: int, work: Work) -> int:
    return Costs(codec.codec).least_bytes(grid_of(codec.spec, height_px, width_px), work)


@tiled_codecs
@pytest.mark.parametrize("size", SIZES_PX, ids=str)
def test_a_file_is_the_same_in_tiles_and_whole(spec: CodecSpec, size: tuple[int, int]) -> None:
    codec, picture = file_codec(spec), photo(*size)
    seen: list[tuple[int, int]] = []
    budget = least_bytes(codec, *size, "encode")
    encoded = codec.encode(
        picture, 60, memory_bytes=budget, progress=lambda *state: seen.append(state)
    )
    at_once: list[tuple[int, int]] = []
    whole = codec.encode(picture, 60, progress=lambda *state: at_once.append(state))
    grid = grid_of(spec, *size)
    widest = max(stage.halo or 0 for stage in Costs(codec.codec).stages.values())
    if max(grid.rows, grid.columns) > 1 + 2 * widest:  # more than a cell and its halo
        assert len(seen) > len(at_once)  # so there were tiles
    assert seen == [(number, len(seen)) for number in range(1, len(seen) + 1)]
    decoded = codec.decode(whole)
    # Analysis is float32, and a library may add in another order for another size.
    assert abs(len(encoded) - len(whole)) <= max(0.001 * len(whole), 4)
    others = psnr_db(picture.pixels, codec.decode(encoded).pixels)
    assert others is not None
    assert others == pytest.approx(psnr_db(picture.pixels, decoded.pixels), abs=0.01)

    budget = least_bytes(codec, *size, "decode")
    in_tiles = codec.decode(whole, memory_bytes=budget)
    assert np.abs(in_tiles.pixels.astype(int) - decoded.pixels).max() <= 1
    content = container.read(whole)
    with exact_arithmetic():
        latents = codec.parse(content, memory_bytes=budget)
        assert latents.y_hat.equal(codec.parse(content).y_hat)
    assert latents.crc32 == content.symbols_crc32


@tiled_codecs
def test_every_network_is_the_same_cell_by_cell(
    spec: CodecSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least budget makes tiles for the largest network alone, which is not the parsing path."""
    codec, picture = file_codec(spec), photo(257, 321)
    content = container.read(codec.encode(picture, 60))
    with exact_arithmetic():
        whole = codec.parse(content)

    def cells(stage: Stage, grid: Grid, free_bytes: int) -> list[Tile]:
        return grid.tiles(stage.halo, grid.least_window(stage.halo))

    monkeypatch.setattr(Stage, "tiles", cells)
    assert len(codec.passes(321, 257, "decode", MEMORY_BYTES, silent).plan.tiles["context"]) == 30
    with exact_arithmetic():
        assert codec.parse(content).y_hat.equal(whole.y_hat)
        again = codec.parse(container.read(codec.encode(picture, 60)))
    # Hyper-analysis is float32, and what it gives is rounded.
    assert (again.hyper != whole.hyper).float().mean() <= 0.01


@tiled_codecs
def test_a_tile_sees_exactly_its_halo(spec: CodecSpec) -> None:
    """What changes beyond it changes nothing, in either transform."""
    codec, transform = file_codec(spec).codec, spec.transform
    assert transform.analysis_halo_px is not None
    assert transform.synthesis_halo_px is not None
    unit, stride = spec.pad_multiple_px, transform.stride_px
    around = -(-max(transform.analysis_halo_px, transform.synthesis_halo_px) // unit) * unit
    side = 2 * around + unit
    torch.manual_seed(0)
    x, quality = torch.rand(1, 3, side, side), torch.tensor([60.0])
    inside = slice(around, around + unit)

    def near(halo_px: int, unit_px: int) -> slice:
        first_px, end_px = inside.start - halo_px, inside.stop + halo_px
        return slice(first_px // unit_px, -(-end_px // unit_px))

    far, seen = torch.rand_like(x), near(transform.analysis_halo_px, 1)
    far[:, :, seen, seen] = x[:, :, seen, seen]
    cell = slice(around // stride, (around + unit) // stride)
    with exact_arithmetic():
        one, two = (codec.analysis(each, quality)[:, :, cell, cell] for each in (x, far))
        assert one.equal(two)
        y, seen = codec.latents_of(x, quality), near(transform.synthesis_halo_px, stride)
        other = torch.rand_like(y)
        other[:, :, seen, seen] = y[:, :, seen, seen]
        one, two = (codec.pixels_of(each, quality)[:, :, inside, inside] for each in (y, other))
        assert one.equal(two)


@every_codec
def test_what_a_network_needs_is_what_its_stage_says(spec: CodecSpec) -> None:
    files = file_codec(spec)
    codec, side = files.codec, 4
    stages = Costs(codec).stages
    m, stride = spec.transform.latent_channels, spec.transform.stride_px
    with exact_arithmetic():
        quality = files.quality_tensor(60)
        node = nearest_node(quality)
        x = torch.rand(1, 3, side * spec.pad_multiple_px, side * spec.pad_multiple_px)
        y = torch.randn(1, m, x.shape[2] // stride, x.shape[3] // stride)
        z = torch.zeros(1, spec.hyper_channels, y.shape[2] // 4, y.shape[3] // 4).double()
        hyper = codec.hyper_synthesis(z, node)
        exact_y = y.double()
        works = {
            "analysis": lambda: codec.analysis(x, quality),
            "hyper_analysis": lambda: codec.hyper_latents_of(y),
            "hyper_synthesis": lambda: codec.hyper_synthesis(z, node),
            "context": lambda: codec.context.parameters_for(
                codec.context.steps - 1, hyper, exact_y
            ),
            "synthesis": lambda: codec.pixels_of(y, quality),
        }
        inputs = {
            "hyper_analysis": y,
            "hyper_synthesis": z,
            "context": torch.cat([hyper, exact_y], 1),
        }
        found: dict[Network, float] = {}
        for name, work in works.items():
            given = inputs.get(name, x)
            found[name] = (peak_bytes(work) + given.nbytes) / side**2
    for name, stage in stages.items():
        assert 0.3 * stage.bytes_per_cell < found[name] <= stage.bytes_per_cell, name


def test_a_budget_too_small_is_refused_and_the_least_one_named() -> None:
    codec, picture = file_codec(tiny.TINY), photo(100, 129)
    with pytest.raises(MemoryBudgetError) as refused:
        codec.encode(picture, 60, memory_bytes=1000)
    enough = refused.value.needed_bytes
    assert f"--memory {-(-enough // 10**6)}MB" in str(refused.value)
    encoded = codec.encode(picture, 60, memory_bytes=enough)
    with pytest.raises(MemoryBudgetError):
        codec.encode(picture, 60, memory_bytes=enough - 1)
    # A header can claim any size: what it would take is known before it is taken.
    bomb = with_header(encoded, width_px=11_000, height_px=11_000)
    with pytest.raises(MemoryBudgetError):
        codec.decode(bomb, memory_bytes=10**8)


class Everywhere(type(tiny.TINY.transform)):  # type: ignore[misc]  # whichever class it is
    analysis_halo_px = synthesis_halo_px = None


def test_what_sees_everything_is_processed_whole_and_the_rest_in_tiles() -> None:
    transform = Everywhere(**vars(tiny.TINY.transform))
    spec = replace(tiny.TINY, tiling="independent", transform=transform)
    codec = FileCodec(file_codec(tiny.TINY).weights, torch.device("cpu"))
    costs, grid = Costs(LearnedImageCodec(spec)), Grid(9, 9)
    least = costs.least_bytes(grid, "encode")
    plan = costs.plan(grid, "encode", least)
    whole = {name for name, stage in costs.stages.items() if stage.halo is None}
    assert whole == {"analysis", "synthesis"}
    assert {len(plan.tiles[name]) for name in whole} == {1}
    assert least > Costs(codec.codec).least_bytes(grid, "encode")
    with pytest.raises(MemoryBudgetError):
        costs.plan(grid, "encode", least - 1)


@pytest.mark.parametrize("spec", list_specs(), ids=lambda spec: spec.full_name)
def test_halos_are_not_most_of_the_work(spec: CodecSpec) -> None:
    """A window with room for its halo alone would make a tile of every cell."""
    with torch.device("meta"):
        codec = LearnedImageCodec(spec)
    costs = Costs(codec)
    for grid in (Grid(8, 12), Grid(32, 40)):  # 0.4 and 5 megapixels
        for stage in costs.stages.values():
            tiles = stage.tiles(grid, MEMORY_BYTES)
            seen = sum(
                (tile.rows.last - tile.rows.first) * (tile.columns.last - tile.columns.first)
                for tile in tiles
            )
            assert seen <= 6 * grid.cells


def test_memory_of_one_tile_is_kept_for_the_next_where_there_is_room_for_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codec, picture, calls = file_codec(tiny.TINY), photo(257, 321), []
    monkeypatch.setattr(memory, "LARGEST_WINDOW_BYTES", 1)  # so there are tiles
    monkeypatch.setattr(passes, "give_back", lambda: calls.append(1))
    costs, grid = Costs(codec.codec), grid_of(codec.spec, 257, 321)
    free_bytes = max(stage.roomy_bytes(grid) for stage in costs.stages.values())
    roomy = costs.held_bytes(grid, "encode") + free_bytes
    for name, tiles in costs.plan(grid, "encode", roomy).tiles.items():
        for tile in tiles:
            rows, columns = (span.last - span.first for span in (tile.rows, tile.columns))
            assert rows * columns * costs.stages[name].bytes_per_cell <= free_bytes / 2
    encoded = codec.encode(picture, 60, memory_bytes=roomy)
    assert len(calls) == 1  # once analysis is done
    assert codec.encode(picture, 60, memory_bytes=roomy - 1) == encoded
    assert len(calls) > 5


def test_a_spec_says_halo_if_and_only_if_it_has_one() -> None:
    transform = Everywhere(**vars(tiny.TINY.transform))
    with pytest.raises(ValueError, match="no halo"):
        LearnedImageCodec(replace(tiny.TINY, transform=transform))
    with pytest.raises(ValueError, match="has a halo"):
        LearnedImageCodec(replace(tiny.TINY, tiling="independent"))


def test_the_plan_of_a_hundred_megapixels_keeps_to_the_default_budget() -> None:
    codec = next(file_codec(spec) for spec in SPECS if spec.name == "swift")
    for work in ("encode", "decode"):
        passes = codec.passes(10_000, 10_000, work, 2 * 10**9, silent)
        assert len(passes.plan.tiles["analysis"]) < 100
