"""The pieces of a benchmark: each works on one picture with one codec, and knows its own name.

    Measure  one quality: bytes, distortion                     ─► Measured
    Clock    one quality: seconds, median of rounds             ─► Clocked
    Show     the picture at a given rate, for people to look at ─► Shown
    Memory   the most memory that a process of its own takes    ─► MemoryUsed

A task is data and can travel; all that decides its result is in its key, the codec's version and
the picture's SHA-256 among it, so that a stored result is never taken for another's.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from base64 import b64encode
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from io import BytesIO
from statistics import median
from time import perf_counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from corelic.codecs.api import open_image_codec
from corelic.codecs.base import ImageCodec
from corelic.errors import PeerError
from corelic.eval import memory
from corelic.eval.metrics import luma_mse, ms_ssim, mse, mse_as_db, psnr_db, ssim
from corelic.eval.threads import can_limit, cores, torch_threads
from corelic.media import Picture, read_picture
from corelic.workers import usable_cores

FORMAT = 2  # of results; a new one forgets what was stored
SHOWN_PX = 768, 512  # at most; of a larger picture the middle is shown
RATE_TOLERANCE = 0.03
RATE_STEPS = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """Which codec, which picture.

    version  of the codec, and of what it computes with
    picture  its name
    digest   SHA-256 of its file
    """

    codec: str
    version: str
    device: str
    picture: str
    digest: str


def subject_of(codec: str, device: str, picture: str, digest: str) -> Subject:
    """As the codec is here and now: where that is chosen by what is there, by what was chosen."""
    if device == "auto":
        from corelic.codecs.files import device_of  # imports PyTorch, which not all codecs need

        device = device_of(device).type
    return Subject(codec, version_of(codec, device), device, picture, digest)


def version_of(codec: str, device: str) -> str:
    """Of a codec here and now, and of what it computes with."""
    facts = opened(codec, device).facts
    return f"{facts.name}; {facts.version}; {software()}"


@lru_cache(maxsize=1)
def software() -> str:
    """Of which another version may give other files and pixels."""
    return ", ".join(f"{package} {version(package)}" for package in ("torch", "pillow"))


@dataclass(frozen=True, slots=True)
class Measured:
    """One picture at one quality, decoded from a complete file to 8-bit RGB."""

    file_bytes: int
    pixels: int
    mse: float
    luma_mse: float
    ssim: float | None  # None where the picture is too small for it, as is ms_ssim
    ms_ssim: float | None

    @property
    def rate_bpp(self) -> float:
        return 8 * self.file_bytes / self.pixels

    @property
    def psnr_db(self) -> float:
        return mse_as_db(self.mse)

    @property
    def psnr_y_db(self) -> float:
        return mse_as_db(self.luma_mse)


@dataclass(frozen=True, slots=True)
class Clocked:
    """Medians, of one picture at one quality; None where cores cannot be limited."""

    encode_s: float
    decode_s: float
    encode_one_core_s: float | None
    decode_one_core_s: float | None
    pixels: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture near a given rate, or its original: pixels in lossless WebP, base64."""

    rate_bpp: float | None
    psnr_db: float | None
    quality: float | None
    webp: str


@dataclass(frozen=True, slots=True)
class MemoryUsed:
    """By a process that encodes and decodes once, programs it starts included; None if unknown."""

    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class Task(ABC):
    result: ClassVar[type]
    subject: Subject

    @property
    def key(self) -> str:
        """A file name for the result."""
        told = json.dumps([FORMAT, type(self).__name__, asdict(self)], sort_keys=True)
        words = f"{self.subject.codec}-{type(self).__name__}-{self.subject.picture}"
        slug = re.sub(r"[^a-z0-9]+", "-", words.lower())[:80]
        return f"{slug}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    @property
    def title(self) -> str:
        """For people: whom it is about."""
        return f"{self.subject.codec}, {self.subject.picture}"

    @abstractmethod
    def run(self, data: bytes) -> object:
        """The result, from the picture file's bytes; raises CorelicError."""

    def open(self, data: bytes) -> tuple[ImageCodec, Picture]:
        return same_codec(self.subject), _picture(data)


@dataclass(frozen=True, slots=True)
class Measure(Task):
    result: ClassVar[type] = Measured
    quality: float

    def run(self, data: bytes) -> Measured:
        codec, picture = self.open(data)
        with torch_threads(1):  # the same figures whatever the engine
            file = codec.encode(picture, self.quality)
            decoded = codec.decode(file)
        original, other = _rgb(picture), _rgb(decoded)
        return Measured(
            file_bytes=len(file),
            pixels=picture.width_px * picture.height_px,
            mse=mse(original, other),
            luma_mse=luma_mse(original, other),
            ssim=ssim(original, other),
            ms_ssim=ms_ssim(original, other),
        )


@dataclass(frozen=True, slots=True)
class Clock(Task):
    result: ClassVar[type] = Clocked
    quality: float
    rounds: int
    machine: str  # a time is one of a machine's

    def run(self, data: bytes) -> Clocked:
        codec, picture = self.open(data)
        codec.decode(codec.encode(picture, self.quality))  # warm-up
        with torch_threads(usable_cores()):
            encode_s, decode_s = self.times(codec, picture)
        one_core: tuple[float | None, float | None] = None, None
        if can_limit():
            with cores(1):
                one_core = self.times(codec, picture)
        return Clocked(encode_s, decode_s, *one_core, pixels=picture.width_px * picture.height_px)

    def times(self, codec: ImageCodec, picture: Picture) -> tuple[float, float]:
        encode_s, decode_s = [], []
        for _ in range(self.rounds):
            start = perf_counter()
            file = codec.encode(picture, self.quality)
            middle = perf_counter()
            codec.decode(file)
            encode_s.append(middle - start)
            decode_s.append(perf_counter() - middle)
        return median(encode_s), median(decode_s)


@dataclass(frozen=True, slots=True)
class Show(Task):
    """`known` are (quality, bpp) that were measured, ascending: where the search begins."""

    result: ClassVar[type] = Shown
    target_bpp: float
    known: tuple[tuple[float, float], ...]

    def run(self, data: bytes) -> Shown:
        codec, picture = self.open(data)
        pixels = picture.width_px * picture.height_px
        known = dict(self.known)
        files: dict[float, bytes] = {}
        with torch_threads(1):
            for _ in range(RATE_STEPS):
                quality = _interpolated(known, self.target_bpp)
                if quality in files:
                    break
                files[quality] = codec.encode(picture, quality)
                known[quality] = 8 * len(files[quality]) / pixels
                if abs(known[quality] / self.target_bpp - 1) < RATE_TOLERANCE:
                    break
            best = min(files, key=lambda quality: abs(math.log(known[quality] / self.target_bpp)))
            decoded = codec.decode(files[best])
        distance = psnr_db(_rgb(picture), _rgb(decoded))
        finite = distance if math.isfinite(distance) else None
        return Shown(known[best], finite, best, lossless_webp(_rgb(decoded)))


@dataclass(frozen=True, slots=True)
class ShowOriginal(Task):
    result: ClassVar[type] = Shown

    def run(self, data: bytes) -> Shown:
        return Shown(None, None, None, lossless_webp(_rgb(_picture(data))))


@dataclass(frozen=True, slots=True)
class Memory(Task):
    result: ClassVar[type] = MemoryUsed
    quality: float
    machine: str

    def run(self, data: bytes) -> MemoryUsed:
        if self.subject.device == "cuda":  # of which the kernel knows nothing
            return MemoryUsed(None)
        return MemoryUsed(memory.peak_bytes(_once, self.subject, data, self.quality))


def _once(subject: Subject, data: bytes, quality: float) -> None:
    """What `Memory` watches."""
    codec = same_codec(subject)
    codec.decode(codec.encode(_picture(data), quality))


def same_codec(subject: Subject) -> ImageCodec:
    """The one that a task is about; PeerError where another is here by that name.

    Another process opens it later, and perhaps on another machine.
    """
    here = version_of(subject.codec, subject.device)
    if here != subject.version:
        reason = f"is {here!r} where a worker is, and was {subject.version!r} where the run began"
        raise PeerError(subject.codec, f"{reason}; run it again")
    return opened(subject.codec, subject.device)


@lru_cache(maxsize=32)
def opened(name: str, device: str) -> ImageCodec:
    return open_image_codec(name, device)


@lru_cache(maxsize=2)
def _picture(data: bytes) -> Picture:
    """Its colours in 8 bits, which every codec takes and every figure is of; no metadata."""
    return Picture(read_picture(data).in_8_bits().pixels)


def _rgb(picture: Picture) -> NDArray[np.uint8]:
    """Some codecs give three equal channels back for grey; all are compared as RGB."""
    pixels = picture.pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _interpolated(known: dict[float, float], target_bpp: float) -> float:
    """The quality that should have this rate, ln bpp linear between neighbours; whole, for all
    classical codecs round it anyway."""
    pairs = sorted((rate, quality) for quality, rate in known.items())
    rates, qualities = zip(*pairs, strict=True)
    return float(np.rint(np.interp(math.log(target_bpp), np.log(rates), qualities)))


def lossless_webp(pixels: NDArray[np.uint8]) -> str:
    """The middle of it, at most SHOWN_PX, in base64: exact pixels for a page to show."""
    width_px, height_px = SHOWN_PX
    middle = Picture(pixels).middle(height_px, width_px)
    file = BytesIO()
    middle.to_image().save(file, "WEBP", lossless=True, quality=60, exact=True)
    return b64encode(file.getvalue()).decode()
