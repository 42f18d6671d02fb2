"""Latents sought for one picture: what the analysis could not foresee about its rounding.

    analysis ─► y, z ─┬─► rounded at random, ever less so ─► bits + λ · squared error ─┐
                      └───────────────────── Adam ◄── gradient ────────────────────────┘

Stochastic Gumbel annealing (Yang, Bamler & Mandt, "Improving Inference for Neural Image
Compression", NeurIPS 2020, arXiv:2006.04240, section 3.2). Only the encoder takes longer: files,
and the time to decode them, are those of any other. Ours differs: from a learning rate that grows
with quality, tens of iterations instead of 2,000; gradients in bfloat16 where that is quicker; a
large picture is gone through window by window; and what has not become better is left as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from corelic.codecs.context.base import LATENT_LIMIT
from corelic.codecs.float_twin import float_twin
from corelic.codecs.learned import (
    HYPER_LIMIT,
    HYPER_STRIDE,
    LearnedImageCodec,
    straight_through_round,
)
from corelic.codecs.memory import Costs, Work
from corelic.codecs.passes import at
from corelic.codecs.precision import lower_precision
from corelic.codecs.rate import MSE_UNIT, QUALITY_MAX, lambda_of
from corelic.codecs.tiling import Grid, Tile
from corelic.errors import CodecOptionError, MemoryBudgetError

ITERATIONS = (0, 10, 20, 40, 80, 160, 320)  # of each effort
HOT, COLD = 0.4, 0.15  # temperature of the noise: first, last
# At quality 0 and 100, of up to 40 iterations; falls with more of them (docs/log.md).
LEARNING_RATES = 0.009, 0.024
FEW_ITERATIONS, EXPONENT = 40, -0.35
BETAS = 0.8, 0.999
EDGE = 1e-4  # how near to a whole number the odds of its neighbours are told apart
PROBE = 2  # cells each way of the window whose memory is measured
TRANSIENT = 1.75  # peak of a gradient over what its forward pass leaves for it

Read = Callable[[tuple[slice, slice]], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Unrounded:
    """Gained latents (1, M, h, w) and hyper-latents (1, C, h/4, w/4), float32, before rounding."""

    y: Tensor
    z: Tensor


def split_effort(name: str) -> tuple[str, int]:
    """`swift:effort=3` -> `swift`, 3; CodecOptionError where it is no effort."""
    base, _, option = name.rpartition(":")
    key, equals, value = option.partition("=")
    if not base or not equals or not key.isidentifier() or Path(value).name != value:
        return name, 0  # a path may have both
    if key != "effort":
        raise CodecOptionError(base, f"has no parameter {key!r}; it has effort")
    if value not in map(str, range(len(ITERATIONS))):
        reason = f"effort is {value!r}; give a whole number, 0 … {len(ITERATIONS) - 1}"
        raise CodecOptionError(base, reason)
    return base, int(value)


class Annealer:
    """Finds latents for pictures, with the weights of a codec and a number of iterations."""

    def __init__(self, codec: LearnedImageCodec, iterations: int) -> None:
        self.iterations = iterations
        with torch.inference_mode(False):
            self.codec = float_twin(codec)
            self.bytes_per_cell = round(TRANSIENT * self._kept_bytes() / PROBE**2)
        self.costs = Costs(codec)
        halos = [self.costs.stages[name].halo for name in ("context", "synthesis")]
        # Hyper features reach farther, and little of them does: for those, a window's border is
        # one of the picture.
        self.halo = None if None in halos else max(halo or 0 for halo in halos)
        self.cell_px = codec.spec.pad_multiple_px
        self.cell_latents = self.cell_px // codec.spec.transform.stride_px

    def tiles(self, grid: Grid, work: Work, memory_bytes: int) -> list[Tile]:
        """MemoryBudgetError where not even the smallest window fits."""
        held_bytes = self.costs.held_bytes(grid, work)
        least_bytes = held_bytes + grid.least_window(self.halo) * self.bytes_per_cell
        if least_bytes > memory_bytes:
            raise MemoryBudgetError(least_bytes, memory_bytes)
        return grid.tiles(self.halo, (memory_bytes - held_bytes) // self.bytes_per_cell)

    def find(
        self,
        read: Read,
        start: Unrounded,
        quality: Tensor,
        tiles: list[Tile],
        size: tuple[int, int],
        advance: Callable[[], None],
    ) -> None:
        """Betters `start` in place.

        read     gives (1, 3, height, width) of the padded picture
        size     height and width without padding, whose errors count for nothing
        advance  is called after each iteration
        """
        noise = torch.Generator(start.y.device).manual_seed(0)  # the same file every time
        for tile in tiles:
            with torch.inference_mode(False), torch.enable_grad():
                window = _Window(self, read, start, quality.clone(), tile, size)
                found = window.annealed(self.iterations, noise, advance)
            start.y[at(tile.inner(self.cell_latents))] = found.y
            start.z[at(tile.inner(self.cell_latents // HYPER_STRIDE))] = found.z

    def _kept_bytes(self) -> int:
        """What a forward pass over a small window leaves for its gradient."""
        spec = self.codec.spec
        weights = {each.untyped_storage().data_ptr() for each in self.codec.parameters()}
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        side = PROBE * spec.pad_multiple_px
        device = next(self.codec.parameters()).device
        quality = torch.zeros(1, device=device)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept):
            x = torch.zeros(1, 3, side, side, device=device)
            with torch.no_grad():
                y = self.codec.latents_of(x, quality)
                z = self.codec.hyper_latents_of(y)
            noise = torch.Generator(device).manual_seed(0)
            _cost(
                self.codec,
                x,
                Unrounded(y.requires_grad_(), z.requires_grad_()),
                quality,
                gumbel(HOT, noise),
            )
        return sum(kept.values())


class _Window:
    """A tile and what is around it, which stays as it is."""

    def __init__(
        self,
        annealer: Annealer,
        read: Read,
        start: Unrounded,
        quality: Tensor,
        tile: Tile,
        size: tuple[int, int],
    ) -> None:
        self.codec, self.quality = annealer.codec, quality
        cell_px, cell_latents = annealer.cell_px, annealer.cell_latents
        cell_hyper = cell_latents // HYPER_STRIDE
        pixels = tile.window(cell_px)
        rows, columns = (
            min(span.stop, length) - span.start for span, length in zip(pixels, size, strict=True)
        )
        self.x = read(pixels)[:, :, :rows, :columns].clone()
        # Of what inference made, only clones can have gradients.
        self.around = Unrounded(
            start.y[at(tile.window(cell_latents))].clone(),
            start.z[at(tile.window(cell_hyper))].clone(),
        )
        self.inner = at(tile.crop(cell_latents)), at(tile.crop(cell_hyper))

    def annealed(
        self, iterations: int, noise: torch.Generator, advance: Callable[[], None]
    ) -> Unrounded:
        """Of the tile: the better of what it began with and what was found."""
        y, z = self.inner
        start = Unrounded(self.around.y[y].clone(), self.around.z[z].clone())
        found = Unrounded(start.y.clone().requires_grad_(), start.z.clone().requires_grad_())
        rate = learning_rate(float(self.quality.item()), iterations)
        optimiser = torch.optim.Adam([found.y, found.z], lr=rate, betas=BETAS)
        for iteration in range(iterations):
            temperature = HOT * (COLD / HOT) ** (iteration / iterations)
            optimiser.zero_grad()
            # Less precise than the noise in them; what comes of it is judged in float32.
            with lower_precision(found.y.device):
                cost = self._cost(found, gumbel(temperature, noise))
            torch.autograd.backward(cost)
            optimiser.step()
            advance()
        with torch.no_grad():
            found = Unrounded(
                found.y.detach().clamp(-LATENT_LIMIT, LATENT_LIMIT),
                found.z.detach().clamp(-HYPER_LIMIT, HYPER_LIMIT),
            )
            costs = [self._cost(each, straight_through_round) for each in (start, found)]
        return found if bool(costs[1] < costs[0]) else start

    def _cost(self, tile: Unrounded, quantise: Callable[[Tensor], Tensor]) -> Tensor:
        whole = Unrounded(self.around.y.clone(), self.around.z.clone())
        whole.y[self.inner[0]], whole.z[self.inner[1]] = tile.y, tile.z
        return _cost(self.codec, self.x, whole, self.quality, quantise)


def _cost(
    codec: LearnedImageCodec,
    x: Tensor,
    latents: Unrounded,
    quality: Tensor,
    quantise: Callable[[Tensor], Tensor],
) -> Tensor:
    """Bits and what squared errors are worth in bits, as in training."""
    *_, height, width = x.shape
    rated = codec.rated(latents.y, quality, quantise, latents.z)
    x_hat = codec.pixels_of(rated.y_hat, quality)[:, :, :height, :width]
    worth = lambda_of(codec.spec, quality) * (MSE_UNIT / 3)  # of an error summed over three colours
    return (rated.bits + worth * (x_hat - x).square().sum()).sum()


def learning_rate(quality: float, iterations: int) -> float:
    """Of Adam, in units of rounding."""
    at_worst, at_best = LEARNING_RATES
    usual = at_worst + quality / QUALITY_MAX * (at_best - at_worst)
    return usual * math.pow(max(iterations / FEW_ITERATIONS, 1), EXPONENT)


def gumbel(temperature: float, noise: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Rounding down or up, nearly: with odds by distance, sharper the lower the temperature.

    Logits are −atanh(distance) / τ; the difference of their two Gumbel variables is logistic.
    """

    def rounded(x: Tensor) -> Tensor:
        below = x.detach().floor()
        share = (x - below).clamp(EDGE, 1 - EDGE)
        uniform = torch.rand(x.shape, generator=noise, device=x.device).clamp_(1e-6, 1 - 1e-6)
        logistic = torch.logit(uniform)
        odds = (torch.atanh(share) - torch.atanh(1 - share)) / temperature
        return below + torch.sigmoid((odds + logistic) / temperature)

    return rounded
