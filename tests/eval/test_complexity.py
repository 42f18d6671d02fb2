"""Costs are what a hand that counts products finds."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from corelic.codecs.learned import LearnedImageCodec
from corelic.eval.complexity import (
    codec_cost,
    macs_of,
    parameter_count,
    transform_cost,
)
from tests.tiny import TINY

C, M, HYPER, WIDTH, GATE = 16, 16, 4, 12, 12  # of tiny


def test_layers_count_as_by_hand() -> None:
    x = torch.zeros(2, 6, 8, 10)
    for layer, per_position in (
        (nn.Conv2d(6, 5, 3, padding=1), 6 * 5 * 9),
        (nn.Conv2d(6, 6, 5, padding=2, groups=6), 6 * 25),
        (nn.Conv2d(6, 5, 5, stride=2, padding=2), 6 * 5 * 25 / 4),
        (nn.ConvTranspose2d(6, 5, 5, stride=2, padding=2, output_padding=1), 6 * 5 * 25),
    ):
        assert macs_of(lambda layer=layer: layer(x)) == 2 * 80 * per_position
    tokens = torch.zeros(3, 7, 6)
    assert macs_of(lambda: F.linear(tokens, torch.zeros(4, 6))) == 3 * 7 * 6 * 4


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_not_free(masked: bool) -> None:
    windows, heads, queries, keys, width = 3, 2, 5, 7, 4
    q = torch.zeros(windows, heads, queries, width)
    k = torch.zeros(windows, heads, keys, width)
    mask = torch.zeros(1, heads, queries, keys) if masked else None
    expected = windows * heads * queries * keys * 2 * width
    assert macs_of(lambda: F.scaled_dot_product_attention(q, k, k, attn_mask=mask)) == expected
    assert macs_of(lambda: torch.softmax(q @ k.mT, -1) @ k) == expected


def test_a_transform_counts_as_by_hand() -> None:
    cost = transform_cost(TINY.transform, (16, 32))

    def block(channels: int) -> int:
        """1×1, 3×3 depthwise, 1×1, the four-fold 1×1 and the two-fold one back."""
        return channels * channels * (1 + 1 + 4 + 2) + 9 * channels

    both_ways = (192 * C + block(C)) / 64 + (4 * C * M + block(M)) / 256
    assert cost.analysis.kmac_per_pixel == pytest.approx(both_ways / 1000)
    assert cost.synthesis.kmac_per_pixel == pytest.approx(both_ways / 1000)
    assert cost.parameters == sum(
        parameter_count(build())
        for build in (TINY.transform.build_analysis, TINY.transform.build_synthesis)
    )


def test_a_codec_counts_as_by_hand() -> None:
    cost = codec_cost(TINY, (64, 128))
    # Three steps add their own 1×1; each step runs the trunk, and its heads on a quarter each.
    trunk = WIDTH * WIDTH * 2 + 9 * WIDTH + WIDTH * 2 * GATE + GATE * WIDTH
    context = 3 * M * WIDTH + 4 * (trunk + WIDTH * 2 * M // 4)
    assert cost.context.kmac_per_pixel == pytest.approx(context / 256 / 1000)
    codec = LearnedImageCodec(TINY)
    assert cost.parameters == codec.parameter_count
    assert cost.context.parameters == parameter_count(codec.context)
    assert cost.analysis.kmac_per_pixel == pytest.approx(
        transform_cost(TINY.transform).analysis.kmac_per_pixel
    )
    assert cost.decode_kmac_per_pixel == pytest.approx(
        cost.hyper_synthesis.kmac_per_pixel
        + cost.context.kmac_per_pixel
        + cost.synthesis.kmac_per_pixel
    )


def test_padding_counts() -> None:
    """A 1 × 1 picture is computed as 64 × 64; what is reported is per pixel of that."""
    small, whole = codec_cost(TINY, (1, 1)), codec_cost(TINY, (64, 64))
    assert small == whole
    assert codec_cost(replace(TINY, hyper_channels=8)).parameters > whole.parameters
