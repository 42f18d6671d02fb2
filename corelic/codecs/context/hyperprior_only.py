"""No context: every latent from the hyper-latents alone. What the others are compared with.

The mean and scale of Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
Compression", NeurIPS 2018, arXiv:1809.02736, without its autoregressive part.

    hyper ─► 1×1 ─► leaky ─► 1×1 ─► scale index, mean
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.codecs.context.base import ContextModel, GaussianParameters, to_gaussian
from corelic.entropy.grid import GridConv2d


@dataclass(frozen=True)
class HyperpriorOnlySpec:
    latent_channels: int
    width: int

    @classmethod
    def sized(cls, latent_channels: int) -> HyperpriorOnlySpec:
        return cls(latent_channels, 2 * latent_channels)

    def build(self) -> HyperpriorOnly:
        return HyperpriorOnly(self)


class HyperpriorOnly(ContextModel):
    """One network pass."""

    steps = 1
    reach = 0

    def __init__(self, spec: HyperpriorOnlySpec) -> None:
        super().__init__()
        self.hyper_features = spec.width
        self.working_values = 2 * spec.width + 5 * spec.latent_channels
        self.hidden = GridConv2d(spec.width, spec.width)
        self.head = GridConv2d(spec.width, 2 * spec.latent_channels, gain=0.1)

    def masks(self, shape: torch.Size) -> list[Tensor]:
        return [torch.ones(shape[1:], dtype=torch.bool)]

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        return to_gaussian(self.head(F.leaky_relu(self.hidden(hyper), 0.125)))
