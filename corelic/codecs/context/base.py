"""What every context model is: a fixed number of steps that cover the latent exactly once.

ẑ ─► hyper features ─┬────────────────► step 0 ──► ŷ of mask 0 ─┐
                     ├─────────────────────┬────────────────────┘
                     └──► … ──► step k, which sees the ŷ of all earlier masks

A step may refine its own ŷ = symbol + mean before later steps and the synthesis see it: latent
residual prediction (Minnen & Singh, ICIP 2020, arXiv:2007.08739).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from corelic.entropy.distributions import SCALES

MEAN_UNIT = 1.0 / 64  # of means, hence of ŷ: coded symbols are whole numbers
LATENT_LIMIT = 511.0  # ŷ is held in 16 bits: a sign, 9 bits above the point, 6 below
INDEX_START = 20.0  # a scale of 1, before anything is learnt
INDEX_UNIT = 8.0  # a head's output of 1 is 8 scale indexes, a factor of 2.45


def on_latent_grid(x: Tensor) -> Tensor:
    """The nearest multiples of 1/64, halves up."""
    return (x * (1 / MEAN_UNIT) + 0.5).floor() * MEAN_UNIT


@dataclass(frozen=True, slots=True, eq=False)
class GaussianParameters:
    """Predicted distribution of the latents of one step; valid where its mask holds.

    scale_index  (N, M, h, w), row of the scale tables; real while training, whole when exact
    mean         (N, M, h, w), latent units; a multiple of 1/64 when exact
    """

    scale_index: Tensor
    mean: Tensor

    def on_grid(self) -> GaussianParameters:
        """The nearest coded values: what encoder and decoder use."""
        index = (self.scale_index + 0.5).floor().clamp(0, SCALES - 1)
        mean = on_latent_grid(self.mean)
        return GaussianParameters(index, mean.clamp(-LATENT_LIMIT, LATENT_LIMIT))

    def placed(self, channels: slice, like: Tensor) -> GaussianParameters:
        """These of some channels, in tensors of the shape of `like`; zeros elsewhere."""
        index, mean = torch.zeros_like(like), torch.zeros_like(like)
        index[:, channels], mean[:, channels] = self.scale_index, self.mean
        return GaussianParameters(index, mean)

    def narrow(self) -> GaussianParameters:
        """What `on_grid` gave, the same numbers in 5 bytes for 16."""
        return GaussianParameters(self.scale_index.to(torch.uint8), self.mean.float())


def to_gaussian(head: Tensor) -> GaussianParameters:
    """What a last layer gives, (N, 2M, …): scale indexes from a sensible start, then means."""
    index, mean = head.chunk(2, dim=1)
    return GaussianParameters(index * INDEX_UNIT + INDEX_START, mean)


@dataclass(frozen=True, slots=True)
class Lattice:
    """Every `period`-th element each way of some channels, from a row and column on."""

    channels: slice
    row: int
    column: int
    period: int

    def of(self, whole: Tensor) -> Tensor:
        """Its elements, a view: (…, M, h, w) -> (…, channels, h / period, w / period)."""
        rows, columns = (slice(first, None, self.period) for first in (self.row, self.column))
        return whole[..., self.channels, rows, columns]


class ContextModel(nn.Module, ABC):
    """(hyper features, latents decoded so far) -> parameters of the next latents.

    Built from `entropy.grid` layers only: what it computes decides how bytes are read.
    """

    steps: int
    hyper_features: int  # channels that it wants from the hyper-synthesis
    reach: int | None  # latents each way that parameters depend on; None: on all there are
    working_values: int  # alive at its peak, per latent, beside its inputs
    period: int = 4  # latents after which masks repeat, each way
    refines: bool = False  # whether `refine` does anything
    autocasts: bool = False  # whether it sees autocast, and keeps means in float32 by itself

    @abstractmethod
    def masks(self, shape: torch.Size) -> list[Tensor]:
        """One bool mask (M, h, w) per step for latents of `shape` (N, M, h, w): an exact cover.

        They repeat every `period` latents each way, so that they can be had for a part.
        """

    def lattices(self, step: int) -> tuple[Lattice, ...] | None:
        """The mask of a step, where it consists of lattices of ascending channels.

        None: the masks alone say where its elements are. Lattices need no index of every element.
        """
        return None

    @abstractmethod
    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        """hyper (N, F, h, w); decoded (N, M, h, w) latents, as far as they are decoded.

        Must not depend on what `decoded` holds at elements of this or a later step.
        """

    def refine(self, step: int, hyper: Tensor, decoded: Tensor) -> Tensor:
        """ŷ as later steps and the synthesis see it, (N, M, h, w); valid where the mask holds.

        decoded has symbol + mean at the elements of `step`, and is refined at earlier ones. Must
        not depend on later ones, nor reach farther than `parameters_for`. The caller rounds to
        multiples of 1/64.
        """
        return decoded

    def lattice_parameters(
        self, step: int, hyper: Tensor, decoded: Tensor
    ) -> list[GaussianParameters]:
        """`parameters_for`, of each of the step's lattices alone."""
        dense = self.parameters_for(step, hyper, decoded)
        return [
            GaussianParameters(lattice.of(dense.scale_index), lattice.of(dense.mean))
            for lattice in self.lattices(step) or ()
        ]

    def earlier(self, step: int, decoded: Tensor) -> Tensor:
        """`decoded` where it was decoded before `step`, zero elsewhere, whatever it holds there."""
        if step == 0:
            return torch.zeros_like(decoded)
        known = torch.stack(self.masks(decoded.shape)[:step]).any(0).to(decoded.device)
        return torch.where(known, decoded, 0.0)
