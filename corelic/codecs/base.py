"""Interfaces of all codecs, learned and classical alike, and what they return."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

from torch import Tensor, nn

if TYPE_CHECKING:
    from corelic.codecs.context.base import ContextModel
    from corelic.media import Picture


MOST_REPEATS = 64  # of blocks, layers or slices: each is many modules, which a file could ask for


def check_repeats(count: int, what: str) -> None:
    """ValueError for too many of them."""
    if count > MOST_REPEATS:
        raise ValueError(f"{count} {what} are more than {MOST_REPEATS}")


class TransformSpec(Protocol):
    """Data that builds an analysis/synthesis pair; a frozen dataclass."""

    @property
    def latent_channels(self) -> int: ...
    @property
    def stride_px(self) -> int:
        """Pixels per latent, each way."""

    @property
    def analysis_halo_px(self) -> int | None:
        """How far each way analysis sees beyond a tile; None: it sees everything."""

    @property
    def synthesis_halo_px(self) -> int | None:
        """The same of synthesis. What analysis sees beyond that costs a decoder nothing."""

    @property
    def working_floats(self) -> float:
        """Alive at the peak of analysis or synthesis, per pixel, beside the picture."""

    @classmethod
    def sized(cls, latent_channels: int) -> Self:
        """A small one of its family: to compare families, and to test them."""

    def build_analysis(self) -> nn.Module: ...
    def build_synthesis(self) -> nn.Module: ...
    def start(self, analysis: nn.Module, synthesis: nn.Module, pictures: Tensor) -> None:
        """Starting weights from pictures (N, 3, H, W) in [0, 1]; may do nothing."""


class ContextSpec(Protocol):
    """Data that builds a context model; a frozen dataclass."""

    @property
    def latent_channels(self) -> int: ...
    @classmethod
    def sized(cls, latent_channels: int) -> Self:
        """In its family's usual proportions: to compare families, and to test them."""

    def build(self) -> ContextModel: ...


@dataclass(frozen=True)
class CodecSpec:
    """A named codec: data only, so that it can be hashed, printed and compared."""

    name: str  # [a-z0-9_]+
    generation: int  # of its published weights, from 1
    paper: str
    transform: TransformSpec
    context: ContextSpec
    hyper_channels: int
    lambda_min: float  # at quality 0; times 255² MSE
    lambda_max: float  # at quality 100
    pad_multiple_px: int
    # "halo": a part of a picture depends on its surroundings alone, so tiles leave no seam;
    # "independent": it depends on all of the picture, and what sees all of it is processed whole.
    tiling: Literal["halo", "independent"]
    weights_licence: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", self.name):
            raise ValueError(f"a codec cannot be named {self.name!r}: use 1 to 32 of a-z, 0-9, _")
        if not 0 < self.lambda_min < self.lambda_max < math.inf:
            raise ValueError(f"{self.name}: λ goes from {self.lambda_min} to {self.lambda_max}")

    @property
    def full_name(self) -> str:
        return f"{self.name}-{self.generation}"

    @property
    def weights(self) -> str:
        """File name of the published weights."""
        return f"{self.full_name}.safetensors"


@dataclass(frozen=True, slots=True, eq=False)  # eq: tensors do not compare to one bool
class Reconstruction:
    """One differentiable pass through a learned codec.

    x_hat        (N, 3, H, W) float, cropped to the input, not rounded to 8 bits
    latent_bits  (N,) bit, estimate for the stream of y
    hyper_bits   (N,) bit, estimate for the stream of z
    """

    x_hat: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor

    @property
    def bits(self) -> Tensor:
        """(N,) bit, all streams: the only sum of rates, so that no caller forgets one."""
        return self.latent_bits + self.hyper_bits


@dataclass(frozen=True, slots=True)
class CodecFacts:
    """What a codec says about itself, for file names, legends and results."""

    name: str  # that opens it again
    title: str  # for people
    suffix: str  # of its files
    colour: str  # what becomes of RGB samples: matrix, range, sampling
    scale: str  # what quality 0 … 100 is in the codec's own terms
    version: str  # of all that decides its bytes; weights count
    qualities: tuple[float, ...]  # that cover its useful range, ascending
    in_process: bool  # else each call starts a program, and its time includes that


class ImageCodec(ABC):
    """Pictures to complete files and back."""

    @property
    @abstractmethod
    def facts(self) -> CodecFacts: ...

    @abstractmethod
    def encode(self, picture: Picture, quality: float) -> bytes:
        """A complete file. quality: 0 smallest, 100 best."""

    @abstractmethod
    def decode(self, data: bytes) -> Picture:
        """The picture in a complete file; BadFileError if it is not one."""
