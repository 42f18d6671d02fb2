"""What every context model is: a fixed number of steps that cover the latent exactly once.

ẑ ─► hyper features ─┬────────────────► step 0 ──► ŷ of mask 0 ─┐
                     ├─────────────────────┬────────────────────┘
                     └──► … ──► step k, which sees the ŷ of all earlier masks
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from corelic.entropy.distributions import SCALES

MEAN_UNIT = 1.0 / 64  # of means, hence of ŷ: coded symbols are whole numbers
LATENT_LIMIT = 511.0  # ŷ is held in 16 bits: a sign, 9 bits above the point, 6 below


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
        mean = (self.mean * (1 / MEAN_UNIT) + 0.5).floor() * MEAN_UNIT
        return GaussianParameters(index, mean.clamp(-LATENT_LIMIT, LATENT_LIMIT))

    def narrow(self) -> GaussianParameters:
        """What `on_grid` gave, the same numbers in 5 bytes for 16."""
        return GaussianParameters(self.scale_index.to(torch.uint8), self.mean.float())


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

    @abstractmethod
    def masks(self, shape: torch.Size) -> list[Tensor]:
        """One bool mask (M, h, w) per step for latents of `shape` (N, M, h, w): an exact cover.

        With a finite `reach` it repeats every 4 × 4 latents, so that it can be had for a part.
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
