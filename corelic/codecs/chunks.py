"""What a picture has beside its colours, as optional chunks of a .clc file and back.

    Picture ─► alpha, ICC, EXIF, XMP, bit depth ─► chunks ─► … ─► Extras ─► onto decoded pixels

An unknown optional chunk is skipped; one that is known and wrong is an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from corelic.entropy import planes
from corelic.entropy.container import DEEP, Chunk, ChunkType, Container, label
from corelic.errors import ChunkError
from corelic.media import Picture, Samples


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What `Picture` has beside its pixels; bit_depth 8 or 16."""

    bit_depth: int
    alpha: Samples | None
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None

    def onto(self, pixels: Samples) -> Picture:
        """(H, W) or (H, W, 3), of `bit_depth`, in the size that the alpha was read for."""
        return Picture(pixels, self.alpha, self.icc, self.exif, self.xmp)


def chunks_of(picture: Picture) -> tuple[Chunk, ...]:
    """What a file holds of the picture beside latents and filter, in ascending order of type."""
    payloads = {
        ChunkType.ALPHA: None if picture.alpha is None else planes.encode(picture.alpha),
        ChunkType.ICC: picture.icc,
        ChunkType.EXIF: picture.exif,
        ChunkType.XMP: picture.xmp,
        ChunkType.DEPTH: DEEP if picture.bit_depth == 16 else None,
    }
    return tuple(Chunk(type, payload) for type, payload in payloads.items() if payload)


def extras_of(content: Container) -> Extras:
    """ChunkError for a chunk that does not hold what its type says.

    The header's size must have been found bearable: alpha takes memory for it.
    """
    header, bit_depth = content.header, content.bit_depth
    alpha = content.payload(ChunkType.ALPHA)
    size = header.height_px, header.width_px
    return Extras(
        bit_depth=bit_depth,
        alpha=None
        if alpha is None
        else planes.decode(alpha, size, bit_depth, label(ChunkType.ALPHA)),
        icc=_filled(content, ChunkType.ICC),
        exif=_filled(content, ChunkType.EXIF),
        xmp=_filled(content, ChunkType.XMP),
    )


def _filled(content: Container, type: ChunkType) -> bytes | None:
    payload = content.payload(type)
    if payload == b"":
        raise ChunkError(label(type), "it is empty")
    return payload
