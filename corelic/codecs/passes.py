"""A codec's networks over whole pictures, tile by tile: pictures ─► latents ─► symbols, and back.

What is whole is kept small: ŷ in float32, hyper features in 16 bits (they are on a grid), scale
indexes in 8. While they are not yet coded, elements of ŷ hold something else: the latent itself in
the encoder, its predicted mean in the decoder. No context model looks at them before their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from corelic.allocator import give_back
from corelic.codecs.context.base import ContextModel, GaussianParameters, on_latent_grid
from corelic.codecs.elements import StepElements
from corelic.codecs.learned import HYPER_STRIDE, Latents, LearnedImageCodec
from corelic.codecs.memory import Network, Plan
from corelic.codecs.precision import lower_precision
from corelic.codecs.rate import nearest_node
from corelic.codecs.tiling import Area, Tile
from corelic.entropy.coder import Decoder, Encoder, FrequencyTables, Segment

Progress = Callable[[int, int], None]  # tiles done, of how many


def silent(done: int, total: int) -> None:
    """The progress that nobody watches."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Of the weights: row = scale index, and rate node · hyper channels + channel."""

    latent: FrequencyTables
    hyper: FrequencyTables


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """Everything a file will say.

    symbols  (M, h, w) int16
    indexes  (M, h, w) uint8, the table of each
    """

    latents: Latents
    node: Tensor
    symbols: Tensor
    indexes: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What quantising begins with: hyper-latents, and what follows from them alone.

    hyper  (1, F, h, w) int16, in units of their grid
    first  of each tile, the parameters of the parts of the first step; empty until they are known
    """

    z_hat: Tensor
    node: Tensor
    hyper: Tensor
    first: list[list[GaussianParameters]]


class Passes:
    """One picture's way through a codec, with a plan for its size.

    low_precision  whether synthesis may take bfloat16; analysis always may
    """

    def __init__(
        self,
        codec: LearnedImageCodec,
        tables: Tables,
        plan: Plan,
        device: torch.device,
        progress: Progress,
        *,
        low_precision: bool,
    ) -> None:
        self.codec, self.tables, self.plan, self.device = codec, tables, plan, device
        self.progress, self.low_precision = progress, low_precision
        spec = codec.spec
        self.cell_px = spec.pad_multiple_px
        self.cell_latents = self.cell_px // spec.transform.stride_px
        self.cell_hyper = self.cell_latents // HYPER_STRIDE
        self.steps = StepElements(codec, self.cell_latents, device)
        self.expected = self.done = 0

    def expects(self, *networks: Network, more: int = 0) -> None:
        """What is to come, for the progress: the tiles of networks, and calls of `advance`."""
        context = self.codec.context
        runs = {"context": context.steps * (2 if context.refines else 1)}
        self.done = 0
        tiles = sum(len(self.plan.tiles[name]) * runs.get(name, 1) for name in networks)
        self.expected = tiles + more

    def latents_of(self, read: Callable[[Area], Tensor], quality: Tensor) -> Tensor:
        """(1, M, h, w) float32, before any gain. `read` gives a window of the padded picture."""
        y = self._whole(self.codec.spec.transform.latent_channels, self.cell_latents, torch.float32)
        for tile in self._tiles("analysis"):
            with lower_precision(self.device):
                found = self.codec.analysis(read(tile.window(self.cell_px)), quality)
            y[at(tile.inner(self.cell_latents))] = found[at(tile.crop(self.cell_latents))]
        if len(self.plan.tiles["analysis"]) > 1:
            give_back()  # what is to come has blocks of other sizes
        return y

    def gain(self, y: Tensor, quality: Tensor, into: Tensor) -> Tensor:
        """What `latents_of` found, as it is quantised at a quality; `into` may be `y` itself."""
        for tile in self.plan.tiles["analysis"]:
            area = at(tile.inner(self.cell_latents))
            into[area] = self.codec.gained(y[area], quality)
        return into

    def means_of(self, quantised: Quantised, quality: Tensor) -> Tensor:
        """What the context said of each element, before any gain; in place of ŷ."""
        means, symbols = quantised.latents.y_hat, quantised.symbols.unsqueeze(0)
        for tile in self.plan.tiles["analysis"]:
            area = at(tile.inner(self.cell_latents))
            means[area] = means[area].sub_(symbols[area]).div_(self.codec.gains(quality))
        return means

    def draft(self, y: Tensor, means: Tensor, quality: Tensor) -> Tensor:
        """ŷ as `quantise` would find it if the context said these means; both before any gain."""
        y_hat = torch.empty_like(y)
        for tile in self.plan.tiles["analysis"]:
            area = at(tile.inner(self.cell_latents))
            mean, latent = (self.codec.gained(each[area], quality) for each in (means, y))
            y_hat[area] = mean.add_(latent.sub_(mean).add_(0.5).floor_())
        return y_hat

    def squared_error(self, y_hat: Tensor, y: Tensor, quality: Tensor) -> float:
        """Of ŷ, summed, in the units of what `latents_of` found."""
        total = 0.0
        for tile in self.plan.tiles["analysis"]:
            area = at(tile.inner(self.cell_latents))
            difference = (y_hat[area] / self.codec.gains(quality)).sub_(y[area])
            total += float(difference.square_().sum())
        return total

    def start(self, z: Tensor, quality: Tensor) -> Start:
        """z as `hyper_latents` gives them."""
        node = nearest_node(quality)
        z_hat = (z + 0.5).floor().double()
        return Start(z_hat, node, self._hyper_features(z_hat, node), [])

    def quantise(
        self,
        y: Tensor,
        start: Start,
        *,
        again: bool = False,
        context: ContextModel | None = None,
    ) -> Quantised:
        """y (1, M, h, w) with its gain; becomes ŷ in place.

        again    whether `start` is to serve again, for a gain that is hardly another: the first
                 step looks at nothing else
        context  in float32 in place of the exact one; what it gives is for no file
        """
        assert not (again and context), "what is kept is exact"
        symbols = torch.empty(y.shape[1:], dtype=torch.int16, device=self.device)
        indexes = torch.empty(y.shape[1:], dtype=torch.uint8, device=self.device)
        known = [] if context else list(start.first)
        for step in range(self.codec.context.steps):
            for number, tile in enumerate(self._tiles("context")):
                area = tile.inner(self.cell_latents)
                if step == 0 and known:
                    found = known[number]
                else:
                    found = self._parameters(step, tile, start.hyper, y, context)
                if step == 0 and again and not known:
                    start.first.append([each.narrow() for each in found])
                for part, coded in zip(self.steps.parts(step), found, strict=True):
                    symbol = (part.of(y[0], area).double() - coded.mean + 0.5).floor()
                    part.put(y[0], area, symbol + coded.mean)
                    part.put(symbols, area, symbol)
                    part.put(indexes, area, coded.scale_index)
            self._refine(step, start.hyper, y, context)
        return Quantised(Latents(start.z_hat, y), start.node, symbols, indexes)

    def words_of(self, quantised: Quantised) -> bytes:
        """The entropy-coded stream."""
        encoder = Encoder()
        for step in reversed(range(self.codec.context.steps)):
            symbols, indexes = (
                self.steps.select(step, whole) for whole in (quantised.symbols, quantised.indexes)
            )
            encoder.push(Segment(symbols, indexes, self.tables.latent))
        z_hat = quantised.latents.hyper
        hyper_symbols = z_hat.flatten().to(torch.int32).cpu().numpy()
        rows = self._hyper_rows(quantised.node)
        encoder.push(Segment(hyper_symbols, rows, self.tables.hyper))
        return encoder.finish()

    def parse(self, stream: Decoder, quality: Tensor) -> Latents:
        """The other way; PayloadError if the stream does not fit."""
        spec, node = self.codec.spec, nearest_node(quality)
        z_hat = self._whole(spec.hyper_channels, self.cell_hyper, torch.float64)
        z_symbols = stream.decode(self._hyper_rows(node), self.tables.hyper)
        z_hat.copy_(torch.from_numpy(z_symbols).to(self.device).view(z_hat.shape))
        hyper = self._hyper_features(z_hat, node)
        y_hat = self._whole(spec.transform.latent_channels, self.cell_latents, torch.float32)
        indexes = torch.empty(y_hat.shape[1:], dtype=torch.uint8, device=self.device)
        for step in range(self.codec.context.steps):
            for tile in self._tiles("context"):
                area = tile.inner(self.cell_latents)
                found = self._parameters(step, tile, hyper, y_hat)
                for part, coded in zip(self.steps.parts(step), found, strict=True):
                    part.put(y_hat[0], area, coded.mean)
                    part.put(indexes, area, coded.scale_index)
            values = stream.decode(self.steps.select(step, indexes), self.tables.latent)
            self.steps.add(step, y_hat[0], torch.from_numpy(values))
            self._refine(step, hyper, y_hat)
        stream.finish()
        return Latents(z_hat, y_hat)

    def pictures_of(
        self, y_hat: Tensor, quality: Tensor, margin_px: int = 0
    ) -> Iterator[tuple[Area, Tensor]]:
        """Areas of the padded picture, and their pixels (3, height, width), not clamped.

        margin_px  that pixels have around their area, less than a cell; the edge repeated where the
                   picture ends. Theirs are a tile's that sees so much less beyond them.
        """
        for tile in self._tiles("synthesis"):
            window = y_hat[at(tile.window(self.cell_latents))]
            with lower_precision(self.device) if self.low_precision else nullcontext():
                x_hat = self.codec.pixels_of(window, quality).float()
            crop = tile.crop(self.cell_px)
            yield tile.inner(self.cell_px), with_margin(x_hat[0], crop, margin_px)

    def hyper_latents(self, y: Tensor) -> Tensor:
        """(1, C, h/4, w/4) float32, before rounding; y (1, M, h, w) with its gain."""
        z = self._whole(self.codec.spec.hyper_channels, self.cell_hyper, torch.float32)
        for tile in self._tiles("hyper_analysis"):
            found = self.codec.hyper_latents_of(y[at(tile.window(self.cell_latents))])
            z[at(tile.inner(self.cell_hyper))] = found[at(tile.crop(self.cell_hyper))]
        return z

    def _hyper_features(self, z_hat: Tensor, node: Tensor) -> Tensor:
        """In units of their grid."""
        scale = self.codec.hyper_synthesis.leave.scale
        hyper = self._whole(self.codec.context.hyper_features, self.cell_latents, torch.int16)
        for tile in self._tiles("hyper_synthesis"):
            found = self.codec.hyper_synthesis(z_hat[at(tile.window(self.cell_hyper))], node)
            inner, crop = tile.inner(self.cell_latents), tile.crop(self.cell_latents)
            hyper[at(inner)] = (found[at(crop)] * scale).to(torch.int16)
        return hyper

    def _parameters(
        self,
        step: int,
        tile: Tile,
        hyper: Tensor,
        y: Tensor,
        in_float: ContextModel | None = None,
    ) -> list[GaussianParameters]:
        """As coded, of a step's elements in a tile, part by part."""
        context = in_float or self.codec.context
        seen, area = self._seen(tile, hyper, y, context), tile.crop(self.cell_latents)
        if context.lattices(step) is None:
            dense = [context.parameters_for(step, *seen)]
        else:
            dense = context.lattice_parameters(step, *seen)
        coded = []
        for part, found in zip(self.steps.parts(step), dense, strict=True):
            index, mean = (part.within(each[0], area) for each in (found.scale_index, found.mean))
            coded.append(GaussianParameters(index, mean).on_grid())
        return coded

    def _refine(
        self, step: int, hyper: Tensor, y: Tensor, in_float: ContextModel | None = None
    ) -> None:
        """ŷ of a step, in place, once all of it is there."""
        context = in_float or self.codec.context
        if not context.refines:
            return
        parts, found = self.steps.parts(step), []
        for tile in self._tiles("context"):
            dense = on_latent_grid(context.refine(step, *self._seen(tile, hyper, y, context)))[0]
            area = tile.crop(self.cell_latents)
            found.append([part.of(dense, area).to(y.dtype) for part in parts])
        # Only now: a tile's surroundings must not be refined before it.
        for tile, values in zip(self.plan.tiles["context"], found, strict=True):
            area = tile.inner(self.cell_latents)
            for part, refined in zip(parts, values, strict=True):
                part.put(y[0], area, refined)

    def _seen(
        self, tile: Tile, hyper: Tensor, y: Tensor, context: ContextModel
    ) -> tuple[Tensor, Tensor]:
        """Hyper features and latents around a tile, as the context takes them."""
        window = at(tile.window(self.cell_latents))
        dtype = next(context.parameters()).dtype
        features = hyper[window].to(dtype).mul_(1.0 / self.codec.hyper_synthesis.leave.scale)
        return features, y[window].to(dtype)

    def _hyper_rows(self, node: Tensor) -> NDArray[np.uint16]:
        """Table of each hyper-latent, flattened: one per rate node and channel."""
        channels = self.codec.spec.hyper_channels
        rows = int(node.item()) * channels + np.arange(channels)
        return np.repeat(rows.astype(np.uint16), self.plan.grid.cells * self.cell_hyper**2)

    def _tiles(self, network: Network) -> Iterator[Tile]:
        tiles = self.plan.tiles[network]
        for tile in tiles:
            yield tile
            if len(tiles) > 1 and not self.plan.roomy:
                # Else 8 megapixels in a budget of 260 MB take 368; with it, 262.
                give_back()
            self.advance()

    def advance(self) -> None:
        """One more of what was expected is done."""
        self.done += 1
        self.progress(self.done, max(self.expected, self.done))

    def _whole(self, channels: int, scale: int, dtype: torch.dtype) -> Tensor:
        grid = self.plan.grid
        shape = (1, channels, grid.rows * scale, grid.columns * scale)
        return torch.zeros(shape, dtype=dtype, device=self.device)


def with_margin(x: Tensor, area: Area, margin_px: int) -> Tensor:
    """(C, H, W) -> (C, h + 2 · margin, w + 2 · margin) around an area, edges of `x` repeated."""
    around, beyond = [], []
    for part, length in zip(area, x.shape[1:], strict=True):
        first, stop = max(part.start - margin_px, 0), min(part.stop + margin_px, length)
        around.append(slice(first, stop))
        beyond.append((margin_px - (part.start - first), margin_px - (stop - part.stop)))
    rows, columns = beyond
    found = x[:, around[0], around[1]]
    if not any((*rows, *columns)):
        return found
    return F.pad(found.unsqueeze(0), (*columns, *rows), mode="replicate")[0]


def at(area: Area) -> tuple[slice, slice, slice, slice]:
    """Of (N, C, h, w), in all channels."""
    return (slice(None), slice(None), *area)
