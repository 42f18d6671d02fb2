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

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from corelic.codecs.context.base import (
    INDEX_START,
    INDEX_UNIT,
    ContextModel,
    GaussianParameters,
    Lattice,
)
from corelic.entropy.blocks import GridBlock, exact_products
from corelic.entropy.grid import GridConv2d

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
    autocasts = True  # its trunk, which takes most of the time

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
        for step, mask in enumerate(masks):
            for lattice in self.lattices(step):
                lattice.of(mask)[:] = True
        return list(masks)

    def lattices(self, step: int) -> tuple[Lattice, ...]:
        return tuple(self._lattice(quarter, phase) for quarter, phase in enumerate(ORDER[step]))

    def _lattice(self, quarter: int, phase: int) -> Lattice:
        channels = slice(quarter * self.quarter, (quarter + 1) * self.quarter)
        return Lattice(channels, *PHASES[phase], 2)

    def earlier(self, step: int, decoded: Tensor) -> Tensor:
        """As the base class has it, without building masks."""
        known = decoded.clone()
        for later in range(step, self.steps):
            for lattice in self.lattices(later):
                lattice.of(known)[:] = 0
        return known

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        index, mean = torch.zeros_like(decoded), torch.zeros_like(decoded)
        parts = self.lattice_parameters(step, hyper, decoded)
        for lattice, part in zip(self.lattices(step), parts, strict=True):
            lattice.of(index)[:] = part.scale_index
            lattice.of(mean)[:] = part.mean
        return GaussianParameters(index, mean)

    def lattice_parameters(
        self, step: int, hyper: Tensor, decoded: Tensor
    ) -> list[GaussianParameters]:
        features: Tensor = self.trunk(self._features(step, hyper, decoded))
        heads = cast("list[GridConv2d]", [*cast(nn.ModuleList, self.heads[step])])
        if heads[0].weight_bits is not None:
            return self._of_exact_heads(heads, step, features)
        found = []
        with torch.autocast(hyper.device.type, enabled=False):
            for head, lattice in zip(heads, self.lattices(step), strict=True):
                part = replace(lattice, channels=slice(None)).of(features)
                index, mean = head(part.contiguous()).chunk(2, dim=1)
                found.append(GaussianParameters(index * INDEX_UNIT + INDEX_START, mean))
        return found

    @torch.no_grad()  # what is floored has no gradient
    def _of_exact_heads(
        self, heads: list[GridConv2d], step: int, features: Tensor
    ) -> list[GaussianParameters]:
        """All four in one product."""
        ordered = [heads[ORDER[step].index(phase)] for phase in range(len(PHASES))]
        weight = torch.stack([head.weight.flatten(1) for head in ordered])
        bias = torch.stack([head.bias[:, None] for head in ordered])
        scale = features.new_tensor([head.snap.scale for head in ordered])[:, None, None]
        phases = by_phase(features)
        values = torch.empty(phases.shape, dtype=features.dtype, device=features.device)
        torch.mul(phases, scale.view(2, 2, 1, 1, 1), out=values)
        sums = exact_products(weight, bias, scale, values.flatten(1, 2))
        index, mean = sums.chunk(2, dim=2)
        index = index * INDEX_UNIT + INDEX_START
        return [GaussianParameters(index[:, phase], mean[:, phase]) for phase in ORDER[step]]

    def _features(self, step: int, hyper: Tensor, decoded: Tensor) -> Tensor:
        if step == 0:
            return hyper
        layer = self.inputs[step - 1]
        assert isinstance(layer, GridConv2d)
        if layer.weight_bits is None:
            with torch.autocast(hyper.device.type, enabled=False):
                added: Tensor = layer(self.earlier(step, decoded))
                return hyper + added
        return self._exact_features(layer, step, hyper, decoded)

    @torch.no_grad()  # what is floored has no gradient
    def _exact_features(
        self, layer: GridConv2d, step: int, hyper: Tensor, decoded: Tensor
    ) -> Tensor:
        """The same sums without their zeros: at each phase, `step` quarters are known at most."""
        count, _, height, width = decoded.shape
        known_channels = step * self.quarter
        shape = (count, len(PHASES), known_channels, height // 2, width // 2)
        values = torch.empty(shape, dtype=decoded.dtype, device=decoded.device)
        weight = layer.weight.new_empty(len(PHASES), len(layer.weight), known_channels)
        for phase in range(len(PHASES)):
            parts = values[:, phase].chunk(step, dim=1), weight[phase].chunk(step, dim=1)
            for order, part, of_part in zip(ORDER[:step], *parts, strict=True):
                lattice = self._lattice(order.index(phase), phase)
                torch.mul(lattice.of(decoded), layer.snap.scale, out=part)
                of_part[:] = layer.weight[:, lattice.channels, 0, 0]
        sums = exact_products(weight, layer.bias[:, None], layer.snap.scale, values)
        features = torch.empty_like(hyper)
        torch.add(by_phase(hyper), sums.view(count, 2, 2, *sums.shape[2:]), out=by_phase(features))
        return features


def by_phase(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, 2, 2, C, h / 2, w / 2), a view: rows and columns of the 2×2 lattice.

    h and w are even: latents are padded to whole hyper-latents.
    """
    count, channels, height, width = x.shape
    cells = x.view(count, channels, height // 2, 2, width // 2, 2)
    return cells.permute(0, 3, 5, 1, 2, 4)
