"""LearnedImageCodec = transform + hyperprior + context + rate gains.

    x ─ analysis ─ ·gain ─► y ─┬─ hyper-analysis ─► z ─ round ─► ẑ ─ hyper-synthesis ─┐
                               │                                                      ▼
                               └─ round(y − mean) ◄── mean, scale index ◄── context, step by step
    ŷ = symbol + mean, refined by the context ─ /gain ─ synthesis ─► x̂

One class, two lives (see `entropy.grid`): trainable until `freeze`, exact afterwards. Only an
exact codec makes files.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.base import CodecSpec, Reconstruction
from corelic.codecs.context.base import (
    LATENT_LIMIT,
    MEAN_UNIT,
    GaussianParameters,
    on_latent_grid,
)
from corelic.codecs.hyperprior import HyperAnalysis, HyperSynthesis
from corelic.codecs.rate import NODES, Gains, nearest_node
from corelic.entropy import grid
from corelic.entropy.distributions import FactorisedPrior, gaussian_bits

HYPER_STRIDE = 4  # latents per hyper-latent, each way
HYPER_LIMIT = 300  # of hyper-latent symbols; tables reach a little further
CRC_ELEMENTS = 2**20  # converted at once


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """What a file says about a picture, before any probability.

    hyper        (1, C, h/4, w/4) float64, whole numbers
    y_hat        (1, M, h, w) float32, multiples of 1/64; float32 holds all that a file can say
    """

    hyper: Tensor
    y_hat: Tensor

    @property
    def crc32(self) -> int:
        """Over the hyper-latents, then ŷ in units of 1/64, as little-endian int32."""
        crc32 = 0
        for whole, unit in ((self.hyper, 1.0), (self.y_hat, MEAN_UNIT)):
            channels = max(CRC_ELEMENTS // whole[0, 0].numel(), 1)
            for first in range(0, whole.shape[1], channels):
                part = whole[0, first : first + channels]
                integers = part.div(unit).to(torch.int32).cpu().numpy()
                crc32 = zlib.crc32(integers.astype("<i4", copy=False).data, crc32)
        return crc32


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the context's steps make of known latents; all (N, M, h, w).

    coded       symbol + mean: what the stream says
    y_hat       the same as refined by the context: what the decoder sees
    parameters  that each element is coded with
    """

    coded: Tensor
    y_hat: Tensor
    parameters: GaussianParameters


@dataclass(frozen=True, slots=True, eq=False)
class Rated:
    """Latents as the decoder sees them, (N, M, h, w) float32, and rates as in Reconstruction."""

    y_hat: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor

    @property
    def bits(self) -> Tensor:
        """All streams, as in Reconstruction."""
        return self.latent_bits + self.hyper_bits


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Of all steps of a context, each (M, h, w) bool: for latents of a shape, on a device."""

    shape: torch.Size
    device: torch.device
    masks: list[Tensor]


def straight_through_round(x: Tensor) -> Tensor:
    """round(x) with the gradient of x."""
    return x + (torch.floor(x + 0.5) - x).detach()


class LearnedImageCodec(nn.Module):
    """A transform and a context model, chosen independently, with all that codecs share."""

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        if spec.transform.latent_channels != spec.context.latent_channels:
            raise ValueError(f"{spec.name}: transform and context disagree on latent channels")
        unit_px = spec.transform.stride_px * HYPER_STRIDE
        if spec.pad_multiple_px == 0 or spec.pad_multiple_px % unit_px:
            raise ValueError(f"{spec.name}: pad to multiples of {unit_px} pixels")
        transform_halos_px = (spec.transform.analysis_halo_px, spec.transform.synthesis_halo_px)
        if spec.tiling == "halo" and None in transform_halos_px:
            raise ValueError(f"{spec.name}: its transform sees everything, so it has no halo")
        self.spec = spec
        channels = spec.transform.latent_channels
        self.analysis = spec.transform.build_analysis()
        self.synthesis = spec.transform.build_synthesis()
        self.gains = Gains(channels, spec.lambda_min, spec.lambda_max)
        self.hyper_analysis = HyperAnalysis(channels, spec.hyper_channels)
        self.context = spec.context.build()
        if spec.pad_multiple_px % (spec.transform.stride_px * self.context.period):
            raise ValueError(f"{spec.name}: pad to whole periods of its context's masks")
        if spec.tiling == "halo" and self.context.reach is None:
            raise ValueError(f"{spec.name}: its context sees everything, so it has no halo")
        if spec.tiling != "halo" and None not in (*transform_halos_px, self.context.reach):
            raise ValueError(f"{spec.name}: nothing in it sees everything, so it has a halo")
        self.hyper_synthesis = HyperSynthesis(spec.hyper_channels, self.context.hyper_features)
        self.prior = FactorisedPrior(spec.hyper_channels, NODES)
        _require_kept(self)
        self.exact = False
        self.last_masks: Masks | None = None

    @property
    def parsing_path(self) -> nn.ModuleList:
        """Everything that decides how bytes are read."""
        return nn.ModuleList([self.hyper_synthesis, self.context])

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def freeze(self) -> list[grid.AccumulatorBound]:
        """Moves the parsing path to the grid, for good. Its snaps must have been watching."""
        bounds = grid.freeze(self.parsing_path)
        self.exact = True
        return bounds

    def forward(
        self,
        x: Tensor,
        quality: Tensor,
        quantise: Callable[[Tensor], Tensor] = straight_through_round,
    ) -> Reconstruction:
        """x (N, 3, H, W) in [0, 1], any size; quality (N,) in [0, 100]; differentiable.

        While training, rates are those of values plus uniform noise and the decoder's side sees
        values rounded with a straight-through gradient (Minnen & Singh, ICIP 2020,
        arXiv:2007.08739, section 3.3); otherwise both see what `quantise` gives.
        """
        *_, height, width = x.shape
        y = self.latents_of(pad(x, self.spec.pad_multiple_px), quality)
        found = self.rated(y, quality, quantise)
        x_hat = self.pixels_of(found.y_hat, quality)
        return Reconstruction(
            x_hat=x_hat[:, :, :height, :width],
            latent_bits=found.latent_bits,
            hyper_bits=found.hyper_bits,
        )

    def rated(
        self,
        y: Tensor,
        quality: Tensor,
        quantise: Callable[[Tensor], Tensor] = straight_through_round,
        z: Tensor | None = None,
    ) -> Rated:
        """What lies between the transforms; y (N, M, h, w) gained latents.

        z  hyper-latents, where they are not to be those of y
        """
        z = self.hyper_latents_of(y) if z is None else z
        node = nearest_node(quality)
        z_hat = quantise(z)
        hyper = self.hyper_synthesis(self.for_parsing(z_hat), node)
        found = self.predict(self.for_parsing(y), hyper, quantise)
        noise = self.training
        z_rated = z + torch.rand_like(z) - 0.5 if noise else z_hat
        y_rated = y + torch.rand_like(y) - 0.5 if noise else found.coded
        residual = (y_rated - found.parameters.mean).float()
        scale_index = found.parameters.scale_index.float()
        return Rated(
            y_hat=found.y_hat.float(),
            latent_bits=gaussian_bits(residual, scale_index).sum((1, 2, 3)),
            hyper_bits=self.prior.bits(z_rated, node).sum((1, 2, 3)),
        )

    def latents_of(self, x: Tensor, quality: Tensor) -> Tensor:
        """Padded pictures -> gained latents, float32, within what ŷ can hold."""
        return self.gained(self.analysis(x, quality), quality)

    def gained(self, y: Tensor, quality: Tensor) -> Tensor:
        """What the analysis gives -> latents, as `latents_of`."""
        gains: Tensor = self.gains(quality)
        return (y.float() * gains).clamp(-LATENT_LIMIT, LATENT_LIMIT)

    def hyper_latents_of(self, y: Tensor) -> Tensor:
        z: Tensor = self.hyper_analysis(y)
        return z.clamp(-HYPER_LIMIT, HYPER_LIMIT)

    def pixels_of(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """ŷ (float32, gained) -> padded pictures, not clamped."""
        x_hat: Tensor = self.synthesis(y_hat / self.gains(quality), quality)
        return x_hat

    def for_parsing(self, x: Tensor) -> Tensor:
        return x.double() if self.exact else x

    def predict(
        self,
        y: Tensor,
        hyper: Tensor,
        quantise: Callable[[Tensor], Tensor] = straight_through_round,
    ) -> Prediction:
        """All steps, with y known."""
        coded, y_hat, index, mean = (torch.zeros_like(y) for _ in range(4))
        with self.context_precision(y.device):
            for step, mask in enumerate(self.masks_for(y)):
                parameters = self.context.parameters_for(step, hyper, y_hat)
                if self.exact:
                    parameters = parameters.on_grid()
                rounded = quantise(y - parameters.mean) + parameters.mean
                y_hat = torch.where(mask, rounded, y_hat)
                if self.context.refines:
                    coded = torch.where(mask, rounded, coded)
                    y_hat = torch.where(mask, self.refined(step, hyper, y_hat), y_hat)
                index = torch.where(mask, parameters.scale_index, index)
                mean = torch.where(mask, parameters.mean, mean)
        coded = coded if self.context.refines else y_hat
        return Prediction(coded, y_hat, GaussianParameters(index, mean))

    def context_precision(self, device: torch.device) -> AbstractContextManager[object]:
        """What a context trains in: float32, unless it sees to that itself."""
        if self.context.autocasts:
            return nullcontext()
        # Means are multiples of 1/64 and reach hundreds: 8 bits are too few.
        return torch.autocast(device.type, enabled=False)

    def masks_for(self, y: Tensor) -> list[Tensor]:
        """The context's masks, on the device of y; kept while training, whose steps are alike.

        Made anew, they would travel to the device at each step, and it would wait for them.
        """
        last = self.last_masks
        if last is not None and (last.shape, last.device) == (y.shape[1:], y.device):
            return last.masks
        masks = [mask.to(y.device) for mask in self.context.masks(y.shape)]
        if self.training:
            self.last_masks = Masks(y.shape[1:], y.device, masks)
        return masks

    def refined(self, step: int, hyper: Tensor, decoded: Tensor) -> Tensor:
        """As `ContextModel.refine`, on the grid of ŷ once this codec is exact."""
        found = self.context.refine(step, hyper, decoded)
        return on_latent_grid(found) if self.exact else found


def _require_kept(codec: nn.Module) -> None:
    """ValueError for a tensor that a weights file would lose, or round: not after training.

    A file keeps the state dict, in floating point, and fills it into networks without numbers.
    """
    kept = codec.state_dict(keep_vars=True)
    names: dict[int, str] = {}
    for name, module in codec.named_modules(remove_duplicate=False):
        other = names.setdefault(id(module), name)
        if other != name and module.state_dict():
            raise ValueError(f"{other} and {name} are one layer, which files would keep as two")
    for name, module in codec.named_modules():
        for field, value in (*module.named_buffers(recurse=False), *vars(module).items()):
            path = f"{name}.{field}"
            if isinstance(value, Tensor) and (path not in kept or not value.is_floating_point()):
                raise ValueError(
                    f"{path} is a tensor that weights files do not keep; make it a parameter, "
                    f"or a buffer of floating point (with persistent=True)"
                )


def pad(x: Tensor, multiple: int) -> Tensor:
    """(N, C, H, W), extended below and to the right to multiples of `multiple`."""
    *_, height, width = x.shape
    # The edge repeated, not zeros: a black border is an edge, and edges cost bits.
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
