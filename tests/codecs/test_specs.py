"""What a spec may ask for: a weights file is a stranger's, and names its networks."""

import pytest
import torch

from corelic.codecs.base import MOST_REPEATS
from corelic.codecs.context.base import ContextModel
from corelic.codecs.context.channel_attention import ChannelAttentionSpec
from corelic.codecs.context.channel_slices import ChannelSlicesSpec
from corelic.codecs.context.checkerboard import CheckerboardSpec
from corelic.codecs.context.corner_to_center import CornerToCenterSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.memory import Costs, Stage
from corelic.codecs.tiling import Grid
from corelic.codecs.transforms.lcam import LcamSpec
from corelic.codecs.transforms.residual import ResidualSpec
from tests.tiny import TINY

MANY = MOST_REPEATS + 1


def lcam(blocks: int) -> LcamSpec:
    shapes = {"windows": (4, 4, 4), "stretch": 2, "head_channels": 2, "shift": True}
    return LcamSpec(12, 8, blocks, modules=(1, 1, 1), **shapes)


@pytest.mark.parametrize(
    "ask",
    [
        lambda count: ResidualSpec(8, 8, blocks=count),
        lcam,
        lambda count: CornerToCenterSpec(8, window=2, width=8, heads=2, layers=count),
        lambda count: ChannelAttentionSpec(count, 1, width=8),
    ],
)
def test_depth_has_an_end(ask) -> None:
    assert ask(MOST_REPEATS)
    with pytest.raises(ValueError, match=f"{MANY} .* more than {MOST_REPEATS}"):
        ask(MANY)


@pytest.mark.parametrize(
    ("usual", "wider"),
    [
        (ChannelAttentionSpec(16, 4, width=16), ChannelAttentionSpec(16, 4, width=1024)),
        (CheckerboardSpec(8, 16), CheckerboardSpec(8, 1024)),
        (
            ChannelSlicesSpec(8, (2, 6), wide=16, narrow=8),
            ChannelSlicesSpec(8, (2, 6), wide=16, narrow=1024),
        ),
    ],
)
def test_plans_know_what_a_spec_widens(usual, wider) -> None:
    least = 3 * (1024 - 16)  # values of a latent that are there at once, beside the usual ones
    assert wider.build().working_values >= usual.build().working_values + least


def test_a_plan_asks_for_masks_of_a_period_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a whole cell would take what nobody has agreed to."""
    codec = LearnedImageCodec(TINY)
    usual = Costs(codec)
    masks = codec.context.masks

    def small(self: ContextModel, shape: torch.Size) -> list[torch.Tensor]:
        assert max(shape[2:]) <= codec.context.period
        return masks(shape)

    monkeypatch.setattr(type(codec.context), "masks", small)
    assert Costs(codec).held_bytes(Grid(3, 4), "decode") == usual.held_bytes(Grid(3, 4), "decode")


def test_a_cell_of_more_than_a_window_has_one_all_the_same() -> None:
    assert len(Stage(0, 10**10).tiles(Grid(2, 2), 10**11)) == 4
