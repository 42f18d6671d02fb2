"""One model for all rates: tables over the quality axis.

quality 0 … 100 is log-linear in λ; the axis has NODES equidistant nodes, and what depends on the
rate is a table with one row per node. Pixels-side tables are interpolated; the parsing path takes
the nearest node (a whole number, hence the same on every machine).

Gains follow Cui et al., "Asymmetric Gained Deep Image Compression with Continuous Rate
Adaptation", CVPR 2021, section 3.2: one gain per channel, exponentially interpolated.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from corelic.entropy.container import QUALITY_STEPS_PER_UNIT
from corelic.errors import QualityError

if TYPE_CHECKING:
    from corelic.codecs.base import CodecSpec

NODES = 17
QUALITY_MAX = 100.0
QUALITY_STEPS = QUALITY_STEPS_PER_UNIT  # a file holds the step, 0 … 1600
GAIN_UNIT = 2.0**-16  # of log-gains, as shipped
MSE_UNIT = 255.0**2  # λ counts MSE in 8-bit steps, as the literature does


def check_quality(quality: float) -> None:
    """QualityError for what is no number from 0 to 100."""
    if not isinstance(quality, Real) or not 0 <= quality <= QUALITY_MAX:  # false for NaN, too
        raise QualityError(quality)


def nearest_node(quality: Tensor) -> Tensor:
    """quality (N,) in [0, 100] -> (N,) int64 in 0 … NODES - 1; exact for multiples of 1/16."""
    # Whole sixteenths first: then every operation is on integers.
    steps = (quality * QUALITY_STEPS + 0.5).floor().long()
    span = int(QUALITY_MAX) * QUALITY_STEPS
    return (steps * 2 * (NODES - 1) + span).div(2 * span, rounding_mode="floor")


def lambda_of(spec: CodecSpec, quality: Tensor) -> Tensor:
    """quality (N,) in [0, 100] -> λ (N,), log-linear: what a squared 8-bit step is worth in bpp."""
    ratio = math.log(spec.lambda_max / spec.lambda_min)
    return torch.exp(quality * (ratio / QUALITY_MAX)) * spec.lambda_min


class RateTable(nn.Module):
    """A vector per node, linearly interpolated: quality (N,) -> (N, C)."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        # Not a clone of what was expanded: on the meta device, where weights are loaded, that makes
        # torch import a computer algebra system, which takes longer than all else.
        rows = torch.empty(NODES, start.shape[-1], dtype=start.dtype, device=start.device)
        self.rows = nn.Parameter(rows.copy_(start))

    def forward(self, quality: Tensor) -> Tensor:
        position = (quality * ((NODES - 1) / QUALITY_MAX)).clamp(0, NODES - 1)
        low = position.floor().clamp_max(NODES - 2)
        share = (position - low)[:, None]
        index = low.long()
        return self.rows[index] * (1 - share) + self.rows[index + 1] * share


class Gains(nn.Module):
    """Per-channel quantisation gains. y · gain is rounded; ŷ / gain is synthesised."""

    def __init__(self, channels: int, lambda_min: float, lambda_max: float) -> None:
        super().__init__()
        # Uniform quantisation at high rate: R = h − log2 Δ and D = Δ²/12 give, for the loss
        # R + λ·255²·MSE with MSE averaged over three colours, a gain of 50·sqrt(λ); rounding to
        # the nearest with a dead zone prefers it finer.
        lambdas = np.geomspace(lambda_min, lambda_max, NODES)
        log_gains = torch.from_numpy(np.log(55 * np.sqrt(lambdas))).float()
        self.log_gain = RateTable(log_gains[:, None].expand(-1, channels))

    def forward(self, quality: Tensor) -> Tensor:
        """quality (N,) -> (N, C, 1, 1), positive."""
        log_gain: Tensor = self.log_gain(quality)
        return log_gain.exp()[:, :, None, None]
