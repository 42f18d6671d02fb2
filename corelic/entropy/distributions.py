"""Probability models: likelihoods to train with, integer frequency tables to code with.

    training   (values + noise, mean, scale) ──► bits, differentiable
    export     scales, learned densities     ──► integer tables, shipped, never recomputed

Two families. Latents: Gaussians centred on a mean that the context predicts, one table per scale
(Minnen et al., NeurIPS 2018, arXiv:1809.02736); the tables that ship are fitted to the symbols of
the trained codec, which are a little more peaked. Hyper-latents: a learned density per channel and
rate node, a mixture of logistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

if TYPE_CHECKING:  # training runs on machines that have no entropy coder installed
    from corelic.entropy.coder import FrequencyTables

SCALE_MIN = 0.11
SCALE_MAX = 128.0
SCALES = 64  # a step of 12 %: at most 0.2 % more bits than exact scales
LIKELIHOOD_MIN = 1e-9
TAIL_MASS = 2.0**-14  # outside a table, both sides together; those symbols escape
MAX_COUNTED = 600  # in magnitude: beyond the edge of every table of a Gaussian
PRIOR_COUNT = 500.0  # symbols that a Gaussian is worth when tables are fitted to what was seen
LOG_SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)


class _LowerBound(torch.autograd.Function):
    """max(x, bound), whose gradient also passes where it would raise x."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound  # type: ignore[attr-defined]  # the context is made for attributes
        return x.clamp_min(bound)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]  # untyped in torch
        (gradient,) = gradients
        passes = (x >= ctx.bound) | (gradient < 0)  # type: ignore[attr-defined]  # as above
        return gradient * passes, None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """max(x, bound); a value below can still be pulled up by its gradient."""
    result: Tensor = _LowerBound.apply(x, bound)  # type: ignore[no-untyped-call]  # untyped
    return result


def scale_of(index: Tensor) -> Tensor:
    """Continuous scale index -> standard deviation in latent units, SCALE_MIN … SCALE_MAX."""
    bounded = SCALES - 1 - lower_bound(SCALES - 1 - lower_bound(index, 0.0), 0.0)
    return torch.exp(bounded * LOG_SCALE_STEP) * SCALE_MIN


def gaussian_bits(residual: Tensor, scale_index: Tensor) -> Tensor:
    """Bits of each residual (value minus mean), elementwise, under the discretised Gaussian."""
    # By symmetry take the tail on the left, where ndtr keeps its relative precision.
    distance = -residual.abs()
    width = 1.0 / scale_of(scale_index)
    mass = torch.special.ndtr((distance + 0.5) * width)
    mass = mass - torch.special.ndtr((distance - 0.5) * width)
    return -torch.log2(lower_bound(mass, LIKELIHOOD_MIN))


def integer_frequencies(mass: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Positive integers that sum to 2**24, proportional to `mass` up to rounding, each ≥ 1."""
    total = 1 << 24  # coder.PRECISION_BITS; FrequencyTables refuses any other sum
    scaled = mass / mass.sum() * (total - len(mass))
    frequencies = np.floor(scaled).astype(np.int64) + 1
    # What rounding left over goes where it changes probabilities least: to the largest.
    frequencies[np.argmax(frequencies)] += total - frequencies.sum()
    counts: npt.NDArray[np.int32] = frequencies.astype(np.int32)
    return counts


def gaussian_tables() -> FrequencyTables:
    """One table per scale index, for symbols = value − mean."""
    masses, lows = zip(*_gaussians(), strict=True)
    return tables_of([integer_frequencies(mass) for mass in masses], lows)


def fitted_tables(counts: npt.NDArray[np.int64]) -> FrequencyTables:
    """As `gaussian_tables`, but with the frequencies that a trained codec's symbols really have.

    counts (SCALES, 2 · MAX_COUNTED + 1), how often each symbol came with each scale index. What
    was hardly seen stays Gaussian, and both signs are held to be equally likely.
    """
    rows, lows = [], []
    for (mass, low), seen in zip(_gaussians(), counts + counts[:, ::-1], strict=True):
        inside = seen[MAX_COUNTED + low : MAX_COUNTED - low + 1]
        observed = np.append(inside, seen.sum() - inside.sum())
        rows.append(integer_frequencies(observed + PRIOR_COUNT * mass / mass.sum()))
        lows.append(low)
    return tables_of(rows, lows)


def _gaussians() -> Iterator[tuple[npt.NDArray[np.float64], int]]:
    """Per scale index: masses of the symbols from the lowest, then of the escape; the lowest."""
    for scale in SCALE_MIN * np.exp(np.arange(SCALES) * LOG_SCALE_STEP):
        # Tail mass at ±edge is TAIL_MASS: 4.0 standard deviations.
        edge = max(1, math.ceil(4.0 * scale))
        # The left half has the relative precision; symmetry gives the right one.
        borders = torch.arange(-edge, 1, dtype=torch.float64)
        upper = torch.special.ndtr((borders + 0.5) / scale)
        left = (upper - torch.special.ndtr((borders - 0.5) / scale)).numpy()
        mass = np.concatenate([left, left[-2::-1]])
        yield np.append(mass, max(1 - mass.sum(), TAIL_MASS / 64)), -edge


def tables_of(rows: Sequence[npt.NDArray[np.int32]], lows: Sequence[int]) -> FrequencyTables:
    """Tables of unequal sizes as one set."""
    from corelic.entropy.coder import FrequencyTables

    return FrequencyTables(
        frequencies=np.concatenate(rows),
        low=np.array(lows, dtype=np.int32),
        size=np.array([len(row) for row in rows], dtype=np.int32),
    )


class FactorisedPrior(nn.Module):
    """Learned density of hyper-latents, per channel and rate node: a mixture of logistics.

    The shape is shared over rates, position and width are not:
    z ~ Σ_k w[c,k] · Logistic(shift[r,c] + width[r,c] · centre[c,k], width[r,c] · spread[c,k]).
    """

    COMPONENTS = 3

    def __init__(self, channels: int, nodes: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(nodes, channels))
        self.log_width = nn.Parameter(torch.full((nodes, channels), 0.7))
        self.logits = nn.Parameter(torch.zeros(channels, self.COMPONENTS))
        centres = torch.from_numpy(np.linspace(-1.0, 1.0, self.COMPONENTS)).float()
        self.centre = nn.Parameter(centres.repeat(channels, 1))
        self.log_spread = nn.Parameter(torch.full((channels, self.COMPONENTS), -0.5))

    def cumulative(self, z: Tensor, node: Tensor) -> Tensor:
        """P(Z ≤ z). z (N, C, …), node (N,) int -> like z."""
        return (torch.sigmoid(self._standard(z, node)) * self._weight(z)).sum(-1)

    def _standard(self, z: Tensor, node: Tensor) -> Tensor:
        """(N, C, …, components): where z is in each standard logistic."""
        shape = (len(node), -1, *[1] * (z.dim() - 2))
        shift = self.shift[node].view(shape)
        width = self.log_width[node].exp().view(shape)
        u = ((z - shift) / width).unsqueeze(-1)
        per_channel = self._per_channel(z)
        steepness = (-self.log_spread).exp().view(per_channel)
        return (u - self.centre.view(per_channel)) * steepness

    def _weight(self, z: Tensor) -> Tensor:
        return self.logits.softmax(-1).view(self._per_channel(z))

    def _per_channel(self, z: Tensor) -> tuple[int, ...]:
        return 1, z.shape[1], *[1] * (z.dim() - 2), self.COMPONENTS

    def bits(self, z: Tensor, node: Tensor) -> Tensor:
        """Bits of each element. z (N, C, h, w), node (N,) int in 0 … nodes − 1."""
        above, below = self._standard(z + 0.5, node), self._standard(z - 0.5, node)
        # By symmetry take each logistic's tail on the left, where sigmoid keeps its relative
        # precision: in float32 it is 1 from 17.3 on, without a gradient.
        mirrored = above + below > 0
        upper = torch.where(mirrored, -below, above)
        lower = torch.where(mirrored, -above, below)
        mass = ((torch.sigmoid(upper) - torch.sigmoid(lower)) * self._weight(z)).sum(-1)
        return -torch.log2(lower_bound(mass, LIKELIHOOD_MIN))

    @torch.no_grad()
    def tables(self, limit: int = 400) -> FrequencyTables:
        """Row node · C + channel. Tables reach to where TAIL_MASS is left, or to ±`limit`."""
        prior = FactorisedPrior(self.shift.shape[1], self.shift.shape[0])
        prior.load_state_dict(self.state_dict())
        prior.double()
        nodes, channels = self.shift.shape
        edges = torch.arange(-limit, limit + 2, dtype=torch.float64) - 0.5
        node = torch.arange(nodes)
        grid = edges.expand(nodes, channels, -1)
        cumulative = prior.cumulative(grid, node).reshape(nodes * channels, -1).numpy()
        rows, lows = [], []
        for row in cumulative:
            first = max(int(np.searchsorted(row, TAIL_MASS / 2)) - 1, 0)
            last = min(int(np.searchsorted(row, 1 - TAIL_MASS / 2)) + 1, len(row) - 1)
            mass = np.diff(row[first : last + 1])
            rows.append(integer_frequencies(np.append(mass, max(1 - mass.sum(), TAIL_MASS / 64))))
            lows.append(first - limit)
        return tables_of(rows, lows)
