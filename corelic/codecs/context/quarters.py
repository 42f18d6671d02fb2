"""Four steps over channel quarters and 2×2 phases: the default codec's context.

At each step every channel quarter is decoded at another phase of the 2×2 lattice, so that a
position learns from its neighbours and from its own earlier channels at once (the "4×" prior of
DCVC-DC, Li et al., CVPR 2023, arXiv:2302.14402, section 3.3). Ours differs: one shared trunk with
an input and a head for each step, heads evaluated only at the phase they decode, exact arithmetic.

    quarter    0      1      2      3         hyper ────────┐
              ┌───┐  ┌───┐  ┌───┐  ┌───┐      decoded ─1×1─►+─► block ─┬─► phase ◤ ─► head 0
              │0 3│  │3 0│  │2 1│  │1 2│                               ├─► phase ◥ ─► head 1
              │2 1│  │1 2│  │0 3│  │3 0│      (the numbers are         ├─► …
              └───┘  └───┘  └───┘  └───┘       steps)                  └─► scale index, mean
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from corelic.codecs.context.base import (
    INDEX_START,
    INDEX_UNIT,
    ContextModel,
    GaussianParameters,
)
from corelic.entropy.grid import GridBlock, GridConv2d

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))  # (row, column) of the 2×2 lattice
# ORDER[step][quarter] is the phase at which the quarter is decoded.
ORDER = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))


@dataclass(frozen=True)
class QuartersSpec:
    latent_channels: int  # a multiple of 4
    width: int
    kernel_size: int
    gate_channels: int

    def __post_init__(self) -> None:
        if self.latent_channels % 4:
            raise ValueError(f"{self.latent_channels} latent channels do not make four quarters")

    @classmethod
    def sized(cls, latent_channels: int) -> QuartersSpec:
        """The default codec's proportions."""
        width = 7 * latent_channels // 10
        return cls(latent_channels, width, kernel_size=5, gate_channels=width)

    def build(self) -> Quarters:
        return Quarters(self)


class Quarters(ContextModel):
    """Four network passes at any picture size."""

    steps = len(ORDER)

    def __init__(self, spec: QuartersSpec) -> None:
        super().__init__()
        self.hyper_features = spec.width
        self.reach = spec.kernel_size // 2  # of the trunk; all else is 1×1
        self.working_values = spec.latent_channels + 4 * (spec.width + spec.gate_channels)
        self.latent_channels = spec.latent_channels
        self.quarter = spec.latent_channels // 4
        # Latents reach hundreds, hyper features do not: hence the small gains.
        self.inputs = nn.ModuleList(
            GridConv2d(spec.latent_channels, spec.width, gain=0.1) for _ in range(self.steps - 1)
        )
        self.trunk = GridBlock(spec.width, spec.kernel_size, spec.gate_channels)
        self.heads = nn.ModuleList(
            nn.ModuleList(GridConv2d(spec.width, 2 * self.quarter, gain=0.1) for _ in PHASES)
            for _ in range(self.steps)
        )

    def masks(self, shape: torch.Size) -> list[Tensor]:
        masks = torch.zeros((self.steps, *shape[1:]), dtype=torch.bool)
        for step, phases in enumerate(ORDER):
            for quarter, phase in enumerate(phases):
                row, column = PHASES[phase]
                masks[step, self.channels_of(quarter), row::2, column::2] = True
        return list(masks)

    def channels_of(self, quarter: int) -> slice:
        return slice(quarter * self.quarter, (quarter + 1) * self.quarter)

    def earlier(self, step: int, decoded: Tensor) -> Tensor:
        """As the base class has it, without building masks."""
        known = decoded.clone()
        for phases in ORDER[step:]:
            for quarter, phase in enumerate(phases):
                row, column = PHASES[phase]
                known[:, self.channels_of(quarter), row::2, column::2] = 0
        return known

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        with torch.autocast(hyper.device.type, enabled=False):
            features = hyper
            if step > 0:
                features = hyper + self.inputs[step - 1](self.earlier(step, decoded))
        features = self.trunk(features)
        index, mean = torch.zeros_like(decoded), torch.zeros_like(decoded)
        heads = self.heads[step]
        assert isinstance(heads, nn.ModuleList)
        with torch.autocast(hyper.device.type, enabled=False):
            for quarter, phase in enumerate(ORDER[step]):
                row, column = PHASES[phase]
                part = features[:, :, row::2, column::2].contiguous()
                part_index, part_mean = heads[quarter](part).chunk(2, dim=1)
                channels = self.channels_of(quarter)
                index[:, channels, row::2, column::2] = part_index * INDEX_UNIT + INDEX_START
                mean[:, channels, row::2, column::2] = part_mean
        return GaussianParameters(index, mean)
