"""From pictures to .clc files and back, for every learned codec.

Picture ─ tensor ─ y, z ─► symbols, tables ─► coder ─► container ─► bytes
bytes ─ container ─ coder ◄─ tables ◄─ hyper-synthesis, context ─► ŷ ─ synthesis ─► Picture
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from threading import RLock

import numpy as np
import torch
from torch import Tensor

from corelic.codecs import plugins
from corelic.codecs.annealing import ITERATIONS, Annealer, Unrounded, split_effort
from corelic.codecs.base import CodecFacts, CodecSpec, ImageCodec
from corelic.codecs.chunks import Extras, chunks_of, extras_of
from corelic.codecs.context.base import ContextModel
from corelic.codecs.float_twin import float_context
from corelic.codecs.learned import Latents, LearnedImageCodec, pad
from corelic.codecs.limits import MEMORY_BYTES, check_size
from corelic.codecs.memory import Costs, Network, Work
from corelic.codecs.passes import Passes, Progress, Tables, silent
from corelic.codecs.precision import has_fast_bfloat16, lower_precision
from corelic.codecs.rate import QUALITY_STEPS, check_quality, lambda_of
from corelic.codecs.store import Weights, by_name
from corelic.codecs.tiling import Area, Grid, Tile
from corelic.codecs.wiener import MARGIN_PX, WienerFilter, filter_in
from corelic.codecs.wiener_fit import Fit, clip_for
from corelic.entropy import container
from corelic.entropy.coder import Decoder
from corelic.entropy.container import MAX_PIXELS, Chunk, ChunkType, Colour, Container, Header
from corelic.errors import (
    CodecOptionError,
    DeviceError,
    HeaderError,
    MemoryBudgetError,
    MissingWeightsError,
    OutOfMemoryError,
    PayloadError,
    SymbolMismatchError,
)
from corelic.media import Picture, Samples
from corelic.media.hidden import smooth_hidden

SUFFIX = ".clc"
SWEEP = tuple(10.0 * step for step in range(11))  # of benchmarks
DEVICES = ("auto", "cpu", "cuda")
CODING: tuple[Network, ...] = ("analysis", "hyper_analysis", "hyper_synthesis", "context")


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What the likelihoods say a file would take, without making it."""

    bits: float
    picture: Picture


# torch's switch for cuDNN is one for the process: two threads must not restore it out of turn.
_cudnn_switch = RLock()


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Float64 as IEEE 754 has it: no lower precision, no library that rearranges into FFTs."""
    with (
        _cudnn_switch if torch.cuda.is_available() else nullcontext(),
        torch.inference_mode(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        torch.backends.cudnn.flags(enabled=False),
    ):
        yield


@contextmanager
def memory_for(width_px: int, height_px: int) -> Iterator[None]:
    """What allocators raise, as one typed error."""
    try:
        yield
    except MemoryBudgetError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(width_px, height_px) from error
    except RuntimeError as error:
        # torch's CPU allocator has no exception of its own.
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise OutOfMemoryError(width_px, height_px) from error
        raise


@lru_cache(maxsize=4)  # modules are told apart by identity
def _moved(codec: LearnedImageCodec, device: torch.device) -> LearnedImageCodec:
    """A copy on the device; to make one takes as long as to encode a picture."""
    return copy.deepcopy(codec).to(device)


class FileCodec(ImageCodec):
    """A learned codec with its weights, on a device, as a maker and reader of files."""

    def __init__(
        self, weights: Weights, device: torch.device, effort: int = 0, *, fast: bool = False
    ) -> None:
        """effort: how long the encoder looks for better latents; see `codecs.annealing`.

        fast: files without a fitted filter, and synthesis in bfloat16, where `codecs.precision`
        knows it to be quicker; what a file decodes to differs by 1 of 255 from what float32 gives,
        hardly ever by more.
        """
        self.weights, self.device, self.effort, self.fast = weights, device, effort, fast
        # Weights are cached and shared: moving them would pull them from under another codec.
        shared = device.type == "cpu"
        self.codec = weights.codec if shared else _moved(weights.codec, device)

    @property
    def spec(self) -> CodecSpec:
        return self.codec.spec

    @property
    def facts(self) -> CodecFacts:
        spec, effort = self.spec, self.effort
        weights = f"weights {self.weights.fingerprint.hex()}"
        return CodecFacts(
            name=f"{spec.full_name}:effort={effort}" if effort else spec.full_name,
            title=f"{spec.full_name}, effort {effort}" if effort else spec.full_name,
            suffix=SUFFIX,
            colour="RGB",
            scale=f"log-linear in λ, {spec.lambda_min:g} … {spec.lambda_max:g}",
            version=f"{weights}, {self._manner}, {versions_of(spec)}",
            qualities=SWEEP,
            in_process=True,
        )

    @property
    def _manner(self) -> str:
        """What its files depend on beside weights and versions."""
        analysis = "bfloat16" if has_fast_bfloat16(self.device) else "float32"
        return f"analysis in {analysis}, {'no filter' if self.fast else 'fitted filter'}"

    def encode(
        self,
        picture: Picture,
        quality: float,
        *,
        max_pixels: int = MAX_PIXELS,
        memory_bytes: int = MEMORY_BYTES,
        progress: Progress = silent,
    ) -> bytes:
        """A complete .clc file. quality in [0, 100], rounded to 1/16.

        max_pixels    larger pictures are refused; by default, what no reader would decode unasked
        memory_bytes  to get by with, beside the picture; see `codecs.memory`
        progress      is called with the tiles done, and how many there are

        Raises QualityError, MemoryBudgetError, OutOfMemoryError, TooManyPixelsError.
        """
        step = quality_step_of(quality)
        with self.working_on(picture, max_pixels):
            size = picture.width_px, picture.height_px
            windows = self.windows(*size, "encode", memory_bytes)
            passes = self.passes(*size, "encode", memory_bytes, progress)
            picture = smooth_hidden(picture)  # once there is room for the rest
            more = self.iterations(windows)
            last: tuple[Network, ...] = () if self.fast else ("synthesis",)
            passes.expects(*CODING, *last, more=more)
            at_step = self.quality_tensor(step / QUALITY_STEPS)
            y = passes.latents_of(partial(self.window, picture), at_step)
            y = passes.gain(y, at_step, into=y)
            z = self.settled(passes, picture, y, at_step, windows)
            quantised = passes.quantise(y, passes.start(z, at_step))
            crc32, words = quantised.latents.crc32, passes.words_of(quantised)
            chunks = chunks_of(picture)
            if not self.fast:
                chunks += self.filter_chunk(passes, picture, quantised.latents.y_hat, at_step)
            return self.file_of(picture, chunks, step, crc32, words)

    def filter_chunk(
        self,
        passes: Passes,
        picture: Picture,
        y_hat: Tensor,
        quality: Tensor,
        most_bytes: float = math.inf,
    ) -> tuple[Chunk, ...]:
        """The filter of what ŷ decodes to, where one is worth its bits, and has no more bytes."""
        lambda_ = float(lambda_of(self.spec, quality))
        fit = Fit(picture.width_px * picture.height_px, clip_for(lambda_))
        for area, x_hat in passes.pictures_of(y_hat, quality, MARGIN_PX):
            x = self.to_tensor(Picture(picture.pixels[area]))[0]
            height, width = (side + 2 * MARGIN_PX for side in x.shape[1:])
            seen = None if picture.alpha is None else torch.from_numpy(picture.alpha[area] != 0)
            fit.add(x, x_hat[:, :height, :width], seen)
        grey = colour_of(picture) is Colour.GREY
        found = fit.best(lambda_, grey=grey, most_bytes=most_bytes)
        return () if found is None else (Chunk(ChunkType.FILTER, found.payload()),)

    @cached_property
    def annealer(self) -> Annealer:
        return Annealer(self.codec, ITERATIONS[self.effort])

    @property
    def plain(self) -> FileCodec:
        """The same codec without an effort, and without filters."""
        found = copy.copy(self)  # whose networks are where they are
        found.effort, found.fast = 0, True
        return found

    @cached_property
    def float_context(self) -> ContextModel:
        """The context as a search's drafts take it: twice as fast, and exact nowhere."""
        return float_context(self.codec)

    def windows(self, width_px: int, height_px: int, work: Work, memory_bytes: int) -> list[Tile]:
        """In which latents are sought; none without an effort.

        MemoryBudgetError names what suffices for all else, too: gradients take most.
        """
        if not self.effort:
            return []
        return self.annealer.tiles(self.grid(width_px, height_px), work, memory_bytes)

    def iterations(self, windows: list[Tile]) -> int:
        return len(windows) * ITERATIONS[self.effort]

    def settled(
        self,
        passes: Passes,
        picture: Picture,
        y: Tensor,
        quality: Tensor,
        windows: list[Tile],
    ) -> Tensor:
        """Hyper-latents for gained latents; in `windows`, both are sought, y in place."""
        z = passes.hyper_latents(y)
        if windows:
            read, size = partial(self.window, picture), (picture.height_px, picture.width_px)
            self.annealer.find(read, Unrounded(y, z), quality, windows, size, passes.advance)
        return z

    @contextmanager
    def working_on(self, picture: Picture, max_pixels: int) -> Iterator[None]:
        """What encoding at any quality starts with: limits, arithmetic, typed errors."""
        size = picture.width_px, picture.height_px
        check_size(*size, max_pixels)
        check_size(*size, max_pixels, self.codec.spec.pad_multiple_px)
        with memory_for(*size), exact_arithmetic():
            yield

    def decode(
        self,
        data: bytes | Container,
        *,
        max_pixels: int = MAX_PIXELS,
        memory_bytes: int = MEMORY_BYTES,
        progress: Progress = silent,
    ) -> Picture:
        """The picture in a .clc file of these weights; BadFileError for anything damaged.

        data  as bytes, or as `container.read` has checked them before
        """
        header = container.read_header(data) if isinstance(data, bytes) else data.header
        spec, size = self.codec.spec, (header.width_px, header.height_px)
        check_size(*size, max_pixels)
        check_size(*size, max_pixels, spec.pad_multiple_px)
        content = container.read(data) if isinstance(data, bytes) else data
        name = f"{header.codec}-{header.generation}"
        if header.fingerprint != self.weights.fingerprint:
            raise MissingWeightsError(name, header.fingerprint)
        if name != spec.full_name:
            raise HeaderError("codec", name, f"{spec.full_name}, whose weights it names")
        with memory_for(*size), exact_arithmetic():
            passes = self.passes(*size, "decode", memory_bytes, progress)
            extras, wiener = extras_of(content), filter_in(content)
            passes.expects("hyper_synthesis", "context", "synthesis")
            quality = self.quality_tensor(header.quality)
            latents = passes.parse(Decoder(content.words), quality)
            if latents.crc32 != content.symbols_crc32:
                raise SymbolMismatchError(content.symbols_crc32, latents.crc32)
            return self.picture_of(passes, latents.y_hat, quality, header, extras, wiener)

    def picture_of(
        self,
        passes: Passes,
        y_hat: Tensor,
        quality: Tensor,
        header: Header,
        extras: Extras,
        wiener: WienerFilter | None,
    ) -> Picture:
        """PayloadError where ŷ makes no finite pixels."""
        size = header.height_px, header.width_px
        pixels = None
        for area, part in self.parts_of(
            passes, y_hat, quality, header.colour, size, extras.bit_depth, wiener
        ):
            if pixels is None:
                pixels = np.empty((*size, *part.shape[2:]), part.dtype)
            pixels[area] = part
        assert pixels is not None  # every picture has a tile
        return extras.onto(pixels)

    def parts_of(
        self,
        passes: Passes,
        y_hat: Tensor,
        quality: Tensor,
        colour: Colour,
        size: tuple[int, int],
        bit_depth: int = 8,
        wiener: WienerFilter | None = None,
    ) -> Iterator[tuple[Area, Samples]]:
        """A picture of height and width `size`, tile by tile: where, and its pixels."""
        margin_px = 0 if wiener is None else wiener.margin_px
        for (rows, columns), x_hat in passes.pictures_of(y_hat, quality, margin_px):
            # A sum is not finite if one of its terms is not, and takes a tenth of the time.
            if not bool(x_hat.sum().isfinite()):
                raise PayloadError("its latents are beyond what any picture gives")
            if wiener is not None:
                x_hat = wiener.applied(x_hat)
            height, width = size[0] - rows.start, size[1] - columns.start
            yield (rows, columns), to_pixels(x_hat[:, :height, :width], colour, bit_depth)

    def estimate(self, picture: Picture, quality: float) -> Estimate:
        """Rate and picture of one differentiable-style pass: no file, no integers, no filter."""
        at_step = self.quality_tensor(quality_step_of(quality) / QUALITY_STEPS)
        with exact_arithmetic():
            x = pad(self.to_tensor(picture), self.spec.pad_multiple_px)
            with lower_precision(self.device):  # as the encoder
                y = self.codec.latents_of(x, at_step)
            found = self.codec.rated(y, at_step)
            x_hat = self.codec.pixels_of(found.y_hat, at_step)[0]
        x_hat = x_hat[:, : picture.height_px, : picture.width_px]
        return Estimate(float(found.bits.item()), Picture(to_pixels(x_hat, colour_of(picture))))

    def passes(
        self, width_px: int, height_px: int, work: Work, memory_bytes: int, progress: Progress
    ) -> Passes:
        """The networks, planned for a picture of this size; MemoryBudgetError if that cannot be."""
        plan = Costs(self.codec).plan(self.grid(width_px, height_px), work, memory_bytes)
        tables = Tables(self.weights.latent_tables, self.weights.hyper_tables)
        measured = work != "decode"  # what is decoded, and then dropped
        return Passes(
            self.codec,
            tables,
            plan,
            self.device,
            progress,
            low_precision=self.fast or measured,
        )

    def grid(self, width_px: int, height_px: int) -> Grid:
        unit_px = self.codec.spec.pad_multiple_px
        return Grid(*(-(-side // unit_px) for side in (height_px, width_px)))

    def window(self, picture: Picture, area: Area) -> Tensor:
        """(1, 3, height, width) of the padded picture."""
        x = self.to_tensor(Picture(picture.pixels[area]))
        return pad(x, self.codec.spec.pad_multiple_px)

    def file_of(
        self,
        picture: Picture,
        chunks: tuple[Chunk, ...],
        quality_step: int,
        crc32: int,
        words: bytes,
    ) -> bytes:
        """The complete file; `chunks` are those of the picture."""
        spec = self.codec.spec
        header = Header(
            codec=spec.name,
            generation=spec.generation,
            fingerprint=self.weights.fingerprint,
            width_px=picture.width_px,
            height_px=picture.height_px,
            colour=colour_of(picture),
            quality_step=quality_step,
        )
        return container.write(Container(header, crc32, words, chunks))

    def parse(
        self,
        content: Container,
        *,
        memory_bytes: int = MEMORY_BYTES,
    ) -> Latents:
        """Bytes to latents; PayloadError if the stream does not fit."""
        header = content.header
        size = header.width_px, header.height_px
        passes = self.passes(*size, "decode", memory_bytes, silent)
        return passes.parse(Decoder(content.words), self.quality_tensor(header.quality))

    def quality_tensor(self, quality: float) -> Tensor:
        return torch.tensor([quality], dtype=torch.float32, device=self.device)

    def to_tensor(self, picture: Picture) -> Tensor:
        """(1, 3, H, W) float32 in [0, 1]; grey as three equal planes."""
        pixels, largest = picture.pixels, 2**picture.bit_depth - 1
        # Writable, though nothing writes: of a view of other people's memory torch warns.
        owned = np.require(pixels, requirements=["C", "W"])
        planes = torch.from_numpy(owned).to(self.device)
        planes = planes.expand(3, -1, -1) if pixels.ndim == 2 else planes.permute(2, 0, 1)
        return planes.float().div(largest).unsqueeze(0)


def open_codec(name: str | Path, device: str = "auto", *, fast: bool = False) -> FileCodec:
    """A codec by name (`swift`, `swift-1`) or path of its weights, ready to make files.

    With `:effort=3` behind it, its encoder takes longer for better files.
    """
    try:
        base, effort = split_effort(str(name))
    except CodecOptionError as error:
        by_name(error.codec)  # what is no codec has no parameters either, and is told so first
        raise
    return FileCodec(by_name(base), device_of(device), effort, fast=fast)


def device_of(name: str) -> torch.device:
    """A usable device; DeviceError where it is unknown or absent."""
    if name not in DEVICES:
        raise DeviceError(name, f"is not known; choose from {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(name, "is not there; leave --device out, or say cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def versions_of(spec: CodecSpec) -> str:
    """Of corelic, and of the packages that other parts of the codec are from."""
    modules = {type(part).__module__.partition(".")[0] for part in (spec.transform, spec.context)}
    others = plugins.versions(modules - {"corelic"})
    return ", ".join([f"corelic {version('corelic')}", *others])


def quality_step_of(quality: float) -> int:
    """What a file holds: sixteenths; QualityError outside 0 … 100."""
    check_quality(quality)
    return round(quality * QUALITY_STEPS)


def colour_of(picture: Picture) -> Colour:
    return Colour.GREY if picture.colour == "grey" else Colour.RGB


def to_pixels(x_hat: Tensor, colour: Colour, bit_depth: int = 8) -> Samples:
    """(3, H, W) float -> 8 or 16 bits, as in a Picture; grey is the mean of the three planes."""
    if colour is Colour.GREY:
        x_hat = x_hat.mean(dim=0, keepdim=True)
    steps = x_hat.clamp(0, 1).mul_(2**bit_depth - 1).add_(0.5)
    # Whole numbers are made by cutting off. torch has no 16 bits without a sign.
    array = steps.to(torch.int32 if bit_depth == 16 else torch.uint8).cpu().numpy()
    planes: Samples = array.astype(np.uint16 if bit_depth == 16 else np.uint8, copy=False)
    # Plane after plane: a copy that goes pixel by pixel takes five times as long.
    return planes[0] if colour is Colour.GREY else np.stack([*planes], axis=-1)
