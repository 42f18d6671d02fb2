"""The block's exact life: fewer passes, the same bits as its layers one by one."""

import math

import pytest
import torch
from torch import nn

from corelic.entropy import grid
from corelic.entropy.blocks import GridBlock


def exact_block(seed: int, std: float = 0.3, peak: float = 1.0) -> GridBlock:
    torch.manual_seed(seed)
    block = GridBlock(12, 5, 16)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=std)
    with grid.watching(block):
        block(torch.randn(1, 12, 9, 8) * peak)
    grid.freeze(block)
    return block


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 5), (33, 40)], ids=str)
def test_the_exact_block_is_its_layers(seed: int, size: tuple[int, int]) -> None:
    """Small values and such as every layer clamps, on grids of very different fineness."""
    block = exact_block(seed, std=0.05 * 3**seed, peak=10.0 ** (seed - 2))
    for scale in (1e-3, 1.0, 1e3, 1e7):
        x = torch.randn(2, 12, *size, dtype=torch.float64) * scale
        assert block(x).equal(block.layer_by_layer(x))


def test_streams_on_other_grids_than_their_layers_are_snapped_twice() -> None:
    block = exact_block(1)
    for snap in (block.mix.snap, block.expand.snap):
        assert snap.fraction_bits is not None
        snap.fraction_bits -= 2
    x = torch.randn(1, 12, 6, 5, dtype=torch.float64)
    assert block(x).equal(block.layer_by_layer(x))


def test_large_planes_are_summed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    block = exact_block(2)
    x = torch.randn(2, 12, 10, 11, dtype=torch.float64)
    expected = block(x)
    monkeypatch.setattr(grid, "PLANES_BYTES", 2000)
    assert block(x).equal(expected)


def test_a_sum_beyond_53_bits_is_refused() -> None:
    """Each accumulator may be sound, and what is added to it too much."""
    block = exact_block(3)
    grid.check_bounds(block)
    assert block.gated_stream.fraction_bits is not None
    block.gated_stream.fraction_bits = 60  # then the last sum has units of 2^-60, and ones as well
    with pytest.raises(OverflowError, match="residual"):
        grid.check_bounds(block)


def test_a_sum_is_exact_up_to_the_limit() -> None:
    grid.require_exact("here", 0.5, 2.0**52 - 1, 0.25)
    with pytest.raises(OverflowError, match="here"):
        grid.require_exact("here", 0.5, 2.0**52, math.ulp(1))
