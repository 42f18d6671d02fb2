"""Exact layers that compare a vector with its own statistics, and the gates that go with them.

    x ─► snap ─► − Σx / n ─► snap ─► c ─► c / sqrt(Σc² / n + ε)          LayerNorm, without scale
    x ─► snap ─► x · Φ(x), Φ from a table                                GELU

Sums of 16-bit integers are exact; the quotient of two tensors and the square root are correctly
rounded by IEEE 754, on every device; the next layer snaps what comes out. No mean, variance or
`rsqrt` of a library, and no division by a Python number, which a GPU may turn into a product.

Ba, Kiros & Hinton, "Layer Normalization", arXiv:1607.06450; Hendrycks & Gimpel, "Gaussian Error
Linear Units", arXiv:1606.08415. Scale and shift are left to the next layer's weights.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.entropy.grid import ACTIVATION_LIMIT, GridSum, GridTable, Snap

EPSILON = 2.0**-17  # to the variance


def normal_cdf(x: Tensor) -> Tensor:
    """Φ: the function behind a GELU's table."""
    cdf: Tensor = torch.special.ndtr(x)
    return cdf


def like(x: Tensor, value: float) -> Tensor:
    """A tensor of one number that broadcasts against x: what x may be divided by."""
    return torch.full((1,) * x.dim(), value, dtype=x.dtype, device=x.device)


class GridLayerNorm(GridSum):
    """(…, C) -> (…, C): mean 0 and variance 1 over the last axis."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.snap = Snap()
        self.centred = Snap()
        self.accumulator_bound = float(features * ACTIVATION_LIMIT**2)  # of the squares

    def forward(self, x: Tensor) -> Tensor:
        if self.snap.fraction_bits is None and not self.snap.watching:
            return F.layer_norm(x, (self.features,), eps=EPSILON)  # the same, and trains faster
        x = self.snap(x)
        count = like(x, self.features)
        x = self.centred(x - x.sum(-1, keepdim=True) / count)
        variance = (x * x).sum(-1, keepdim=True) / count
        return x / (variance + EPSILON).sqrt()


class GridMean(GridSum):
    """The mean over some axes, which stay with length 1."""

    MOST = 2**24  # numbers; a picture has at most 2**27 pixels, and fewer latents

    def __init__(self) -> None:
        super().__init__()
        self.snap = Snap()
        self.accumulator_bound = float(self.MOST * ACTIVATION_LIMIT)

    def forward(self, x: Tensor, axes: tuple[int, ...], count: Tensor | None = None) -> Tensor:
        """count: how many numbers a mean is over, where the others are zeros; by default all."""
        together = math.prod(x.shape[axis] for axis in axes)
        assert together <= self.MOST
        total: Tensor = self.snap(x).sum(axes, keepdim=True)
        return total / (like(x, together) if count is None else count)


class GridGelu(nn.Module):
    """x · Φ(x), elementwise. Beyond the table's ±8, Φ is what it is at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.snap = Snap()

    def forward(self, x: Tensor, phi: GridTable) -> Tensor:
        """phi: a table of `normal_cdf`, which all layers of a network may share."""
        x = self.snap(x)
        if self.snap.fraction_bits is None:
            return F.gelu(x)  # the same function in one pass, which trains faster
        product: Tensor = x * phi(x)
        return product
