"""corelic: a learned image codec that encodes and decodes real files, offline, on a CPU.

    data = corelic.encode("photo.png", quality=60)   # a complete .clc file
    image = corelic.decode(data)                     # PIL.Image.Image
    corelic.info(data)                               # size, codec, quality, without decoding

All three take a path or bytes.

Pillow knows .clc files, too: Image.open("photo.clc"), image.save("photo.clc", quality=60).

Importing this package imports the core of Pillow, to tell it, but not torch: the first call that
needs that does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corelic import pillow_plugin
from corelic.codecs.limits import MEMORY_BYTES
from corelic.disk import read_file
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
    "MEMORY_BYTES",
    "ChunkInfo",
    "CorelicError",
    "FileInfo",
    "decode",
    "decode_picture",
    "encode",
    "info",
    "list_codecs",
    "native_suffix",
]

DEFAULT_CODEC = "swift"
Bytes = bytes | bytearray | memoryview

pillow_plugin.register()


@dataclass(frozen=True, slots=True)
class ChunkInfo:
    """A part of a .clc file."""

    name: str  # "latents", "alpha", "icc", "exif", "xmp", "depth", or "optional 12" if unknown
    payload_bytes: int


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
    bit_depth: int  # 8 or 16
    quality: float  # 0 … 100
    file_bytes: int
    chunks: tuple[ChunkInfo, ...]

    @property
    def rate_bpp(self) -> float:
        """Bits of the whole file per pixel."""
        return 8 * self.file_bytes / (self.width_px * self.height_px)


def encode(
    picture: str | Path | Bytes | Image.Image | Picture,
    *,
    codec: str | Path = DEFAULT_CODEC,
    quality: float | None = None,
    target_bpp: float | None = None,
    target_bytes: int | None = None,
    target_psnr_db: float | None = None,
    device: str = "auto",
    strip: bool = False,
    max_pixels: int = MAX_PIXELS,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
    fast: bool = False,
) -> bytes:
    """Encode a picture to a complete file.

    picture         path or bytes of a file, PIL.Image or corelic.media.Picture, of any kind in
                    docs/pictures.md
    codec           a name from `list_codecs`, the path of a weights file, or a classical codec such
                    as avif, whose own kind of file this then is; after the first two, :effort=1
                    … 6 takes longer for a better file, that decodes as fast
    quality         0 (smallest) … 100 (best), log-linear in λ, rounded to 1/16; 50 unless given,
                    or else one of the targets:
    target_bpp      bits of the file per pixel, at most
    target_bytes    of the file, at most
    target_psnr_db  of what the file decodes to, as near as can be; with a classical codec, at least
    device          "auto", "cpu" or "cuda"; the file does not depend on it beyond rounding in
                    analysis and filter
    strip           leave out ICC profile, EXIF and XMP; the orientation is applied all the same
    max_pixels      larger pictures are refused before anything is allocated
    memory_bytes    to get by with, beside the picture and the libraries; larger pictures are
                    processed in tiles
    progress        called with the tiles done, and how many there are; a target starts over with
                    each quality it tries
    fast            no filter is fitted to the picture: a learned codec's file is some 30 bytes
                    smaller, 0.1 dB farther from the picture and decodes as any; see docs/filter.md

    Warns PictureWarning where a picture is converted with a loss.
    Raises CorelicError: PictureError, TooManyPixelsError, UnknownCodecError, CodecOptionError,
    BadWeightsError, DeviceError, TargetError, MemoryBudgetError.
    """
    from corelic.codecs import api

    return api.encode(
        picture,
        codec=str(codec),
        quality=quality,
        target_bpp=target_bpp,
        target_bytes=target_bytes,
        target_psnr_db=target_psnr_db,
        device=device,
        max_pixels=max_pixels,
        memory_bytes=memory_bytes,
        progress=progress,
        strip=strip,
        fast=fast,
    )


def decode(
    data: str | Path | Bytes,
    *,
    device: str = "auto",
    codec: str | Path | None = None,
    max_pixels: int = MAX_PIXELS,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
    fast: bool = False,
) -> Image.Image:
    """Decode a complete file; it names its own codec, weights, size and colour.

    A .clc file gives mode L, LA, RGB, RGBA or I;16, with ICC profile, EXIF and XMP in `info`; any
    other format that Pillow reads gives what Pillow makes of it.

    data          path or bytes of the file
    codec         path of the weights, where they are neither shipped nor in CORELIC_MODELS, or the
                  classical codec that made the file
    max_pixels    larger pictures are refused before anything is allocated
    memory_bytes  as for `encode`
    progress      as for `encode`
    fast          synthesis in bfloat16, where the device is quicker so: samples differ by 2 of 255,
                  hardly ever by more

    Raises CorelicError: BadFileError for damage of any kind, TooManyPixelsError,
    MissingWeightsError, DeviceError, MemoryBudgetError; PictureError for other
    formats, and for a path that cannot be read.
    """
    from corelic.codecs import api

    return api.decode(
        _bytes_of(data),
        _path_of(data) or api.DATA,
        device=device,
        codec=None if codec is None else str(codec),
        max_pixels=max_pixels,
        memory_bytes=memory_bytes,
        progress=progress,
        fast=fast,
    )


def decode_picture(
    data: str | Path | Bytes,
    *,
    device: str = "auto",
    codec: str | Path | None = None,
    max_pixels: int = MAX_PIXELS,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
    fast: bool = False,
) -> Picture:
    """As `decode`, to arrays: with 16 bits in colour, too, for which Pillow has no mode.

    Other formats come as `encode` would take them: upright, palettes resolved, inks converted.
    """
    from corelic.codecs import api

    return api.decode_picture(
        _bytes_of(data),
        _path_of(data) or api.DATA,
        device=device,
        codec=None if codec is None else str(codec),
        max_pixels=max_pixels,
        memory_bytes=memory_bytes,
        progress=progress,
        fast=fast,
    )


def info(data: str | Path | Bytes) -> FileInfo:
    """What a file says about itself, checked, without decoding it; `data` as for `decode`.

    BadFileError for damage; PictureError for a path that cannot be read.
    """
    from corelic.entropy import container

    whole = _bytes_of(data)
    content = container.read(whole)
    header = content.header
    return FileInfo(
        format_version=container.VERSION,
        codec=header.codec,
        generation=header.generation,
        weights_fingerprint=header.fingerprint.hex(),
        width_px=header.width_px,
        height_px=header.height_px,
        colour=header.colour.name.lower(),
        bit_depth=content.bit_depth,
        quality=header.quality,
        file_bytes=len(whole),
        chunks=tuple(ChunkInfo(container.label(type), size) for type, size in content.sizes),
    )


def native_suffix(codec: str | Path) -> str | None:
    """Of the files that a classical codec makes; None where the result is a .clc file."""
    from corelic.codecs import peers

    peer = peers.find(str(codec))
    return None if peer is None else peer.facts.suffix


def list_codecs() -> tuple[CodecInfo, ...]:
    """The codecs that this version knows, by name and generation."""
    from corelic.codecs import api

    return api.list_codecs()


def _bytes_of(data: str | Path | Bytes) -> bytes:
    if isinstance(data, str | Path):
        return read_file(Path(data))
    return data if isinstance(data, bytes) else bytes(memoryview(data))


def _path_of(data: str | Path | Bytes) -> str | None:
    return str(data) if isinstance(data, str | Path) else None
