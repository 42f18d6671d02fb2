"""corelic: a learned image codec that encodes and decodes real files, offline, on a CPU.

    data = corelic.encode("photo.png", quality=60)   # a complete .clc file
    image = corelic.decode(data)                     # PIL.Image.Image
    corelic.info(data)                               # size, codec, quality, without decoding

Importing this package imports neither torch nor Pillow; the first call that needs them does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corelic.entropy.container import MAX_PIXELS
from corelic.errors import CorelicError

if TYPE_CHECKING:
    from PIL import Image

    from corelic.codecs.api import CodecInfo
    from corelic.media import Picture

__version__ = "0.1.0"
__all__ = [
    "DEFAULT_CODEC",
    "MAX_PIXELS",
    "CorelicError",
    "FileInfo",
    "decode",
    "encode",
    "info",
    "list_codecs",
    "native_suffix",
]

DEFAULT_CODEC = "swift"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a .clc file says about itself."""

    format_version: int
    codec: str
    generation: int
    weights_fingerprint: str  # hexadecimal
    width_px: int
    height_px: int
    colour: str  # "grey" or "rgb"
    quality: float  # 0 … 100
    file_bytes: int
    chunks: tuple[str, ...]

    @property
    def rate_bpp(self) -> float:
        """Bits of the whole file per pixel."""
        return 8 * self.file_bytes / (self.width_px * self.height_px)


def encode(
    picture: str | Path | Image.Image | Picture,
    *,
    codec: str = DEFAULT_CODEC,
    quality: float = 50,
    device: str = "auto",
) -> bytes:
    """Encode a picture to a complete file.

    picture  path, PIL.Image or corelic.media.Picture; 8-bit grey or RGB
    codec    a name from `list_codecs`, the path of a weights file, or a classical codec such as
             avif, whose own kind of file this then is
    quality  0 (smallest) … 100 (best), log-linear in λ, rounded to 1/16
    device   "auto", "cpu" or "cuda"; the file does not depend on it beyond rounding in analysis

    Raises CorelicError: PictureError, UnknownCodecError, BadWeightsError, DeviceError.
    """
    from corelic.codecs import api

    return api.encode(picture, codec=codec, quality=quality, device=device)


def decode(
    data: bytes, *, device: str = "auto", codec: str | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode a complete file; it names its own codec, weights, size and colour.

    codec       path of the weights, where they are neither shipped nor in CORELIC_MODELS, or the
                classical codec that made the file
    max_pixels  larger pictures are refused before anything is allocated

    Raises CorelicError: BadFileError for damage of any kind, TooManyPixelsError,
    MissingWeightsError, DeviceError.
    """
    from corelic.codecs import api

    return api.decode(data, device=device, codec=codec, max_pixels=max_pixels)


def info(data: bytes) -> FileInfo:
    """What a file says about itself, checked, without decoding it; BadFileError for damage."""
    from corelic.entropy import container

    content = container.read(data)
    header = content.header
    return FileInfo(
        format_version=container.VERSION,
        codec=header.codec,
        generation=header.generation,
        weights_fingerprint=header.fingerprint.hex(),
        width_px=header.width_px,
        height_px=header.height_px,
        colour=header.colour.name.lower(),
        quality=header.quality,
        file_bytes=len(data),
        chunks=("latents", *(f"optional {chunk.type}" for chunk in content.optional)),
    )


def native_suffix(codec: str) -> str | None:
    """Of the files that a classical codec makes; None where the result is a .clc file."""
    from corelic.codecs import peers

    peer = peers.find(codec)
    return None if peer is None else peer.facts.suffix


def list_codecs() -> tuple[CodecInfo, ...]:
    """The codecs that this version knows, by name and generation."""
    from corelic.codecs import api

    return api.list_codecs()
