"""From pictures to .clc files and back, for every learned codec.

Picture ─ tensor ─ y, z ─► symbols, tables ─► coder ─► container ─► bytes
bytes ─ container ─ coder ◄─ tables ◄─ hyper-synthesis, context ─► ŷ ─ synthesis ─► Picture
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import RLock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corelic.codecs.base import CodecFacts, ImageCodec
from corelic.codecs.context.base import GaussianParameters
from corelic.codecs.learned import HYPER_STRIDE, Latents, pad
from corelic.codecs.rate import QUALITY_MAX, QUALITY_STEPS, nearest_node
from corelic.codecs.store import Weights, by_name
from corelic.entropy import coder, container
from corelic.entropy.coder import Decoder, Segment
from corelic.entropy.container import MAX_PIXELS, Colour, Container, Header
from corelic.errors import (
    DeviceError,
    HeaderError,
    MissingWeightsError,
    OutOfMemoryError,
    PayloadError,
    QualityError,
    SymbolMismatchError,
    TooManyPixelsError,
)
from corelic.media import Picture

SUFFIX = ".clc"
SWEEP = tuple(10.0 * step for step in range(11))  # of benchmarks
DEVICES = ("auto", "cpu", "cuda")
PADDING_ALLOWED = 2**18  # pixels; 1,000,000 × 1 would be padded to 64 megapixels


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
    except MemoryError as error:
        raise OutOfMemoryError(width_px, height_px) from error
    except RuntimeError as error:
        # torch's CPU allocator has no exception of its own.
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise OutOfMemoryError(width_px, height_px) from error
        raise


class FileCodec(ImageCodec):
    """A learned codec with its weights, on a device, as a maker and reader of files."""

    def __init__(self, weights: Weights, device: torch.device) -> None:
        self.weights, self.device = weights, device
        # Weights are cached and shared: moving them would pull them from under another codec.
        shared = device.type == "cpu"
        self.codec = weights.codec if shared else copy.deepcopy(weights.codec).to(device)

    @property
    def facts(self) -> CodecFacts:
        spec = self.codec.spec
        return CodecFacts(
            name=spec.full_name,
            title=spec.full_name,
            suffix=SUFFIX,
            colour="RGB",
            scale=f"log-linear in λ, {spec.lambda_min:g} … {spec.lambda_max:g}",
            version=f"weights {self.weights.fingerprint.hex()}, corelic {version('corelic')}",
            qualities=SWEEP,
            in_process=True,
        )

    def encode(self, picture: Picture, quality: float) -> bytes:
        """A complete .clc file. quality in [0, 100], rounded to 1/16.

        Raises QualityError, OutOfMemoryError, and TooManyPixelsError for what no reader would
        decode unasked.
        """
        step = quality_step_of(quality)
        spec, size = self.codec.spec, (picture.width_px, picture.height_px)
        check_size(*size, MAX_PIXELS)
        check_size(*size, MAX_PIXELS, spec.pad_multiple_px)
        with memory_for(*size), exact_arithmetic():
            latents, segments = self.symbols_of(picture, step)
        header = Header(
            codec=spec.name,
            generation=spec.generation,
            fingerprint=self.weights.fingerprint,
            width_px=picture.width_px,
            height_px=picture.height_px,
            colour=Colour.GREY if picture.colour == "grey" else Colour.RGB,
            quality_step=step,
        )
        words = coder.encode(segments)
        return container.write(Container(header, latents.crc32, words))

    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        """The picture in a .clc file of these weights; BadFileError for anything damaged."""
        header = container.read_header(data)
        spec, size = self.codec.spec, (header.width_px, header.height_px)
        check_size(*size, max_pixels)
        check_size(*size, max_pixels, spec.pad_multiple_px)
        content = container.read(data)
        name = f"{header.codec}-{header.generation}"
        if header.fingerprint != self.weights.fingerprint:
            raise MissingWeightsError(name, header.fingerprint)
        if name != spec.full_name:
            raise HeaderError("codec", name, f"{spec.full_name}, whose weights it names")
        with memory_for(*size), exact_arithmetic():
            latents = self.parse(content)
            if latents.crc32 != content.symbols_crc32:
                raise SymbolMismatchError(content.symbols_crc32, latents.crc32)
            quality = self.quality_tensor(header.quality)
            x_hat = self.codec.pixels_of(latents.y_hat.float(), quality)
            if not bool(x_hat.isfinite().all()):
                raise PayloadError("its latents are beyond what any picture gives")
        return to_picture(x_hat[0, :, : header.height_px, : header.width_px], header.colour)

    def estimate(self, picture: Picture, quality: float) -> Estimate:
        """Rate and picture of one differentiable-style pass: no file, no integers."""
        quality = quality_step_of(quality) / QUALITY_STEPS
        with exact_arithmetic():
            result = self.codec(self.to_tensor(picture), self.quality_tensor(quality))
        colour = Colour.GREY if picture.colour == "grey" else Colour.RGB
        return Estimate(float(result.bits.item()), to_picture(result.x_hat[0], colour))

    def symbols_of(self, picture: Picture, quality_step: int) -> tuple[Latents, list[Segment]]:
        """The encoder's half: everything a file will say, in coding order."""
        codec = self.codec
        quality = self.quality_tensor(quality_step / QUALITY_STEPS)
        x = pad(self.to_tensor(picture), codec.spec.pad_multiple_px)
        y = codec.latents_of(x, quality)
        z_hat = (codec.hyper_latents_of(y) + 0.5).floor().double()
        node = nearest_node(quality)
        hyper = codec.hyper_synthesis(z_hat, node)
        segments = [
            Segment(integers(z_hat), self.hyper_rows(z_hat, node), self.weights.hyper_tables)
        ]
        y = y.double().contiguous()  # positions count in row-major order
        y_hat = torch.zeros_like(y)
        for step, positions in enumerate(self.positions(y)):
            parameters = self.parameters_for(step, hyper, y_hat, positions)
            symbols = (y.flatten()[positions] - parameters.mean + 0.5).floor()
            y_hat.view(-1)[positions] = symbols + parameters.mean
            indexes = parameters.scale_index.to(torch.uint8).cpu().numpy()
            segments.append(Segment(integers(symbols), indexes, self.weights.latent_tables))
        return Latents(z_hat, y_hat), segments

    def parse(self, content: Container) -> Latents:
        """The decoder's half: bytes to latents; PayloadError if the stream does not fit."""
        header, spec = content.header, self.codec.spec
        stream = Decoder(content.words)
        height, width = (
            round_up(side, spec.pad_multiple_px) for side in (header.height_px, header.width_px)
        )
        stride = spec.transform.stride_px
        shape = (1, spec.transform.latent_channels, height // stride, width // stride)
        hyper_shape = (1, spec.hyper_channels, *(side // HYPER_STRIDE for side in shape[2:]))
        node = nearest_node(self.quality_tensor(header.quality))
        z_hat = torch.zeros(hyper_shape, dtype=torch.float64, device=self.device)
        symbols = stream.decode(self.hyper_rows(z_hat, node), self.weights.hyper_tables)
        z_hat += torch.from_numpy(symbols).to(self.device).view(hyper_shape)
        hyper = self.codec.hyper_synthesis(z_hat, node)
        y_hat = torch.zeros(shape, dtype=torch.float64, device=self.device)
        for step, positions in enumerate(self.positions(y_hat)):
            parameters = self.parameters_for(step, hyper, y_hat, positions)
            indexes = parameters.scale_index.to(torch.uint8).cpu().numpy()
            found = stream.decode(indexes, self.weights.latent_tables)
            symbols_here = torch.from_numpy(found).to(self.device)
            y_hat.view(-1)[positions] = symbols_here + parameters.mean
        stream.finish()
        return Latents(z_hat, y_hat)

    def positions(self, y: Tensor) -> Iterator[Tensor]:
        """Per step: where its elements are in the flattened latents, ascending."""
        for mask in self.codec.context.masks(y.shape):
            yield mask.flatten().nonzero().squeeze(1).to(self.device)

    def parameters_for(
        self, step: int, hyper: Tensor, y_hat: Tensor, positions: Tensor
    ) -> GaussianParameters:
        """As coded, of the step's elements alone: scale_index and mean (n,)."""
        dense = self.codec.context.parameters_for(step, hyper, y_hat)
        index, mean = (part.flatten()[positions] for part in (dense.scale_index, dense.mean))
        return GaussianParameters(index, mean).on_grid()

    def hyper_rows(self, z_hat: Tensor, node: Tensor) -> NDArray[np.uint16]:
        """Table of each hyper-latent, flattened: one per rate node and channel."""
        _, channels, height, width = z_hat.shape
        rows = int(node.item()) * channels + np.arange(channels)
        return np.repeat(rows.astype(np.uint16), height * width)

    def quality_tensor(self, quality: float) -> Tensor:
        return torch.tensor([quality], dtype=torch.float32, device=self.device)

    def to_tensor(self, picture: Picture) -> Tensor:
        """(1, 3, H, W) float32 in [0, 1]; grey as three equal planes."""
        pixels = picture.pixels
        planes = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
        planes = planes.expand(3, -1, -1) if pixels.ndim == 2 else planes.permute(2, 0, 1)
        return planes.float().div(255).unsqueeze(0)


def open_codec(name: str | Path, device: str = "auto") -> FileCodec:
    """A codec by name (`swift`, `swift-1`) or path of its weights, ready to make files."""
    return FileCodec(by_name(str(name)), device_of(device))


def device_of(name: str) -> torch.device:
    """A usable device; DeviceError where it is unknown or absent."""
    if name not in DEVICES:
        raise DeviceError(name, f"is not known; choose from {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(name, "is not there; leave --device out, or say cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def quality_step_of(quality: float) -> int:
    """What a file holds: sixteenths; QualityError outside 0 … 100."""
    if not 0 <= quality <= QUALITY_MAX:  # false for NaN, too
        raise QualityError(quality)
    return round(quality * QUALITY_STEPS)


def check_size(width_px: int, height_px: int, max_pixels: int, pad_multiple_px: int = 1) -> None:
    """TooManyPixelsError before anything of the picture's size is allocated.

    Counts what padding adds, too, beyond what any but the thinnest pictures need; the error then
    names the padded size, for that is what has to be processed.
    """
    width, height = (round_up(side, pad_multiple_px) for side in (width_px, height_px))
    padding_allowed = PADDING_ALLOWED if pad_multiple_px > 1 else 0
    if width * height > max_pixels + padding_allowed:
        raise TooManyPixelsError(width, height, max_pixels)


def round_up(side: int, multiple: int) -> int:
    """The least multiple that is not below `side`."""
    return -(-side // multiple) * multiple


def integers(x: Tensor) -> NDArray[np.int32]:
    """Whole numbers, flattened."""
    array: NDArray[np.int32] = x.flatten().to(torch.int32).cpu().numpy()
    return array


def to_picture(x_hat: Tensor, colour: Colour) -> Picture:
    """(3, H, W) float -> 8 bits; grey is the mean of the three planes."""
    if colour is Colour.GREY:
        x_hat = x_hat.mean(dim=0, keepdim=True)
    pixels = (x_hat.clamp(0, 1) * 255 + 0.5).floor().to(torch.uint8).permute(1, 2, 0)
    array = pixels.cpu().numpy()
    return Picture(array[:, :, 0] if colour is Colour.GREY else array)
