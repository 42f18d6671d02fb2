"""Exact attention: softmax as table, exact sums and one division.

    q·k ─► + bias ─► − max ─► w = exp − exp(−8), at least 0, from a table ─► Σ w·v / Σ w

Scores are sums of products of 16-bit integers, so is Σ w·v: both are exact in float64 and do not
depend on the order of the keys. The quotient is tensor by tensor, hence correctly rounded, and the
next layer snaps it. What is more than 8 below the largest score, 1/2981 of its weight, counts
nothing: a table has an end, and there it must meet zero, or many far keys would weigh something.

Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from corelic.entropy.grid import (
    ACTIVATION_LIMIT,
    TABLE_RANGE,
    TABLE_VALUE_BITS,
    GridLinear,
    GridSum,
    GridTable,
    Snap,
)

MOST_KEYS = 2**20  # of a query
SCORES_AT_ONCE = 2**21  # so memory is bounded where all attends to all


def softmax_weight(x: Tensor) -> Tensor:
    """Score below the largest, at most 0 -> weight, not normalised: the function of the table."""
    # A table has both signs.
    return (x.clamp_max(0.0).exp() - math.exp(-TABLE_RANGE)).clamp_min(0.0)


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    weight: GridTable,
    *,
    bias: Tensor | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """(B, H, n, d), (B, H, m, d), (B, H, m, e), all on grids -> (B, H, n, e).

    bias   (H, n, m), to the scores
    valid  (B, m) bool, keys that count; each query must have one

    Works through some pictures or queries at a time, so that scores take bounded memory: what one
    query gives does not depend on the others.
    """
    batch, heads, n, _ = queries.shape
    m = keys.shape[2]
    assert m <= MOST_KEYS
    if torch.is_grad_enabled() or batch * heads * n * m <= SCORES_AT_ONCE:
        return _attend(queries, keys, values, weight, bias, valid)
    if batch > 1:
        size = max(SCORES_AT_ONCE // (heads * n * m), 1)
        parts = [
            attend(
                queries[i : i + size],
                keys[i : i + size],
                values[i : i + size],
                weight,
                bias=bias,
                valid=None if valid is None else valid[i : i + size],
            )
            for i in range(0, batch, size)
        ]
        return torch.cat(parts)
    size = max(SCORES_AT_ONCE // (heads * m), 1)
    parts = [
        _attend(
            queries[:, :, i : i + size],
            keys,
            values,
            weight,
            None if bias is None else bias[:, i : i + size],
            valid,
        )
        for i in range(0, n, size)
    ]
    return torch.cat(parts, dim=2)


def _attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    weight: GridTable,
    bias: Tensor | None,
    valid: Tensor | None,
) -> Tensor:
    scores = queries @ keys.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    if valid is not None:
        scores = torch.where(valid[:, None, None], scores, -torch.inf)
    # The largest has weight 1, whichever it is: no gradient is lost.
    weights: Tensor = weight(scores - scores.detach().amax(-1, keepdim=True))
    total = weights.sum(-1, keepdim=True)
    # At least 1, but for a table of a file that lies: then it is not to be a NaN.
    return (weights @ values) / torch.where(total == 0, 1.0, total)


class GridAttention(GridSum):
    """Multi-head attention over the last axis but one, with its four projections."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or features % heads:
            raise ValueError(f"{heads} heads do not share {features} features")
        self.heads = heads
        # The 1/sqrt(d) of the paper is in the queries' first weights.
        self.query = GridLinear(features, features, gain=(features / heads) ** -0.5)
        self.key = GridLinear(features, features)
        self.value = GridLinear(features, features)
        self.queries, self.keys, self.values = Snap(), Snap(), Snap()
        self.join = GridLinear(features, features)
        products = features // heads * ACTIVATION_LIMIT**2, MOST_KEYS * ACTIVATION_LIMIT
        self.accumulator_bound = float(max(products[0], products[1] * 2**TABLE_VALUE_BITS))

    def memory_of(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(…, F) -> keys and values, (…, F) each: once for all that attend to them."""
        return self.keys(self.key(tokens)), self.values(self.value(tokens))

    def forward(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        weight: GridTable,
        *,
        bias: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """(B, n, F), and (B, m, F) from `memory_of` -> (B, n, F); the rest as for `attend`."""
        queries = self._split(self.queries(self.query(x)))
        found = attend(
            queries, self._split(keys), self._split(values), weight, bias=bias, valid=valid
        )
        joined: Tensor = self.join(found.transpose(1, 2).flatten(2))
        return joined

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, F) -> (B, heads, n, F / heads)"""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)
