"""Attention to summaries: what they are, and that they stay few."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from corelic.codecs.context.corner_to_center import (
    MOST_SUMMARIES,
    CornerToCenter,
    CornerToCenterSpec,
    Summary,
    block_side,
)


@pytest.mark.parametrize(
    ("rows", "columns", "side"),
    [(1, 1, 1), (16, 16, 1), (1, 256, 1), (1, 257, 2), (17, 16, 2), (32, 33, 4), (500, 500, 32)],
)
def test_blocks_are_as_small_as_they_can_be(rows: int, columns: int, side: int) -> None:
    assert block_side(rows, columns) == side
    assert -(-rows // side) * -(-columns // side) <= MOST_SUMMARIES


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (19, 33)])
def test_a_summary_is_the_mean_of_its_windows(rows: int, columns: int) -> None:
    tokens, side = torch.randn(2, rows, columns, 8), block_side(rows, columns)
    expected = [
        tokens[:, row : row + side, column : column + side].mean((1, 2))
        for row in range(0, rows, side)
        for column in range(0, columns, side)
    ]
    found = Summary(8, 2).of_blocks(tokens)
    assert torch.allclose(found, torch.stack(expected, 1), atol=1e-6)


def sees_everything(rows: int, columns: int) -> tuple[CornerToCenter, Tensor, Tensor]:
    """A context whose summaries count for something; hyper features and latents of a picture."""
    torch.manual_seed(0)
    context = replace(CornerToCenterSpec.sized(8), window=2).build()
    nn.init.normal_(context.summary.attention.join.weight)
    shape = (1, 8, 2 * rows, 2 * columns)
    hyper = torch.randn(1, context.hyper_features, *shape[2:], dtype=torch.float64)
    return context.double(), hyper, torch.randn(shape, dtype=torch.float64)


@torch.no_grad()
def test_a_large_picture_is_seen_as_a_whole_and_not_ahead_of_its_turn() -> None:
    context, hyper, decoded = sees_everything(18, 18)
    masks = torch.stack(context.masks(decoded.shape))
    for step in range(1, context.steps):
        before = context.parameters_for(step, hyper, decoded).mean
        known = masks[:step].any(0)
        ahead = torch.where(known, decoded, 99.0)
        assert torch.equal(context.parameters_for(step, hyper, ahead).mean, before)
        far = decoded.clone()
        far[..., :2, :2] += 1
        changed = context.parameters_for(step, hyper, far).mean != before
        # What a step decodes is where its mask is; elsewhere it says nothing.
        assert changed[..., -2:, -2:].any() and not changed[:, ~masks[step]].any()
