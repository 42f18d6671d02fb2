"""The .clc file, format version 1: what surrounds the entropy-coded words.

    signature │ header                  │ chunk, ascending types         │ … │ CRC-32
    8 bytes   │ length, fields, CRC-32  │ type, length, payload, CRC-32  │   │ of the rest

`docs/format.md` is normative. Every byte is under a checksum, every length is compared with what is
there before anything is taken, and whatever is wrong is a `BadFileError`.
"""

import re
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from os import SEEK_END
from typing import Any, BinaryIO, NamedTuple

from corelic.errors import (
    ChecksumError,
    ChunkError,
    HeaderError,
    NotACorelicFileError,
    PayloadError,
    TrailingDataError,
    TransferDamageError,
    TruncatedFileError,
    UnknownChunkError,
    UnsupportedVersionError,
)

VERSION = 1
# As PNG's: a high bit, CR LF and a lone LF, so that a transfer that alters any of them shows.
SIGNATURE = b"\x89CLC\r\n" + bytes([VERSION]) + b"\n"
VERSION_AT = 6
MAX_PIXELS = 2**27  # a reader's limit unless it is told another; no part of the format
MAX_SIDE_PX = 2**24
MAX_QUALITY_STEP = 1600
QUALITY_STEPS_PER_UNIT = 16

# A header of the longest fields there are, for who reads a file's beginning alone.
HEADER_MAX_BYTES = 128

_VARINT_BYTES = 9  # of 7 bits each, hence below 2**63
_CRC_BYTES = 4
_FINGERPRINT_BYTES = 4
_CODEC_NAME = re.compile(r"[a-z0-9_]{1,32}")
_DAMAGE = {
    SIGNATURE[:4]: "line ends were converted, as a text-mode transfer does",
    b"\x09CLC": "the high bit of every byte is gone, as after a 7-bit transfer",
    b"\xc2\x89CLC": "it was taken for text and written as UTF-8",
    b"\xef\xbf\xbdCLC": "it was taken for UTF-8 text, and what is not was replaced",
}


class Colour(IntEnum):
    """What the decoded picture consists of."""

    GREY = 0
    RGB = 1


class ChunkType(IntEnum):
    """Even types are optional; for their payloads see `codecs.chunks` and `codecs.wiener`."""

    LATENTS = 1  # CRC-32 of the symbols, then the entropy-coded words
    ALPHA = 2
    ICC = 4
    EXIF = 6
    XMP = 8
    DEPTH = 10
    FILTER = 12


def label(type: int) -> str:
    """What a chunk is called: "latents", "alpha", …, or "optional 14" where it is unknown."""
    known = type in tuple(ChunkType)
    return ChunkType(type).name.lower() if known else f"optional {type}"


METADATA = ChunkType.ICC, ChunkType.EXIF, ChunkType.XMP
DEEP = bytes([16])  # all that a depth chunk may hold; without the chunk, samples have 8 bits


@dataclass(frozen=True, slots=True)
class Header:
    """All that is known of a picture before it is decoded.

    codec         name, matches [a-z0-9_]{1,32}
    generation    of that codec's weights; 0 for weights that were never published
    fingerprint   4 bytes that tell these weights from all others
    width_px      1 to 2**24, as is height_px
    quality_step  0 to 1600, sixteenths of a quality unit
    """

    codec: str
    generation: int
    fingerprint: bytes
    width_px: int
    height_px: int
    colour: Colour
    quality_step: int

    def __post_init__(self) -> None:
        side, steps = f"1 to {MAX_SIDE_PX}", f"0 to {MAX_QUALITY_STEP}"
        for field, sound, expected in (
            ("codec", _CODEC_NAME.fullmatch(self.codec), "1 to 32 of a-z, 0-9 and _"),
            ("generation", 0 <= self.generation < 2**63, "0 to 2**63 - 1"),
            ("fingerprint", len(self.fingerprint) == _FINGERPRINT_BYTES, "4 bytes"),
            ("width_px", 1 <= self.width_px <= MAX_SIDE_PX, side),
            ("height_px", 1 <= self.height_px <= MAX_SIDE_PX, side),
            ("colour", self.colour in tuple(Colour), "0 (grey) or 1 (RGB)"),
            ("quality_step", 0 <= self.quality_step <= MAX_QUALITY_STEP, steps),
        ):
            if not sound:
                raise HeaderError(field, getattr(self, field), expected)
        object.__setattr__(self, "colour", Colour(self.colour))

    @property
    def quality(self) -> float:
        """In [0, 100]."""
        return self.quality_step / QUALITY_STEPS_PER_UNIT


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the file: even types may be skipped by a reader that does not know them."""

    type: int  # 0 to 62
    payload: bytes


@dataclass(frozen=True, slots=True)
class Container:
    """One file.

    symbols_crc32  of hyper-latents and latents in grid units
    words          the entropy-coded stream
    optional       chunks of even types, ascending, one of each type
    """

    header: Header
    symbols_crc32: int
    words: bytes
    optional: tuple[Chunk, ...] = ()

    def __post_init__(self) -> None:
        types = [chunk.type for chunk in self.optional]
        if types != sorted(set(types)) or not set(types) <= set(range(0, 63, 2)):
            raise ValueError(f"optional chunks are {types}: use even types, 0 to 62, ascending")

    def payload(self, type: ChunkType) -> bytes | None:
        """Of an optional chunk; None if it is not there."""
        return next((chunk.payload for chunk in self.optional if chunk.type == type), None)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Type and payload bytes of each chunk, as they lie in the file."""
        latents = ChunkType.LATENTS, _CRC_BYTES + len(self.words)
        return tuple(sorted((latents, *((c.type, len(c.payload)) for c in self.optional))))

    @property
    def bit_depth(self) -> int:
        """Of the picture's samples, 8 or 16; ChunkError if the file says something else."""
        depth = self.payload(ChunkType.DEPTH)
        if depth not in (None, DEEP):
            raise ChunkError(label(ChunkType.DEPTH), "it is not the one byte 16")
        return 16 if depth else 8


@dataclass(frozen=True, slots=True)
class Outline:
    """The beginning of a file: its header, and the types of the chunks that follow."""

    header: Header
    types: tuple[int, ...]


def write(container: Container) -> bytes:
    """The complete file."""
    latents = Chunk(
        ChunkType.LATENTS, container.symbols_crc32.to_bytes(4, "little") + container.words
    )
    chunks = sorted((latents, *container.optional), key=lambda chunk: chunk.type)
    values = {name: getattr(container.header, name) for name in Header.__slots__}
    values["chunks"] = sum(1 << chunk.type for chunk in chunks)
    fields = b"".join(field.write(values[field.name]) for field in HEADER_FIELDS)
    parts = [SIGNATURE + _varint(len(fields)) + fields]
    parts += [bytes([chunk.type]) + _varint(len(chunk.payload)) + chunk.payload for chunk in chunks]
    return b"".join(part + _crc32(part) for part in parts) + _crc32(b"".join(parts))


def read_header(data: bytes) -> Header:
    """The header of a file of which only the beginning need be there."""
    return outline(data).header


def outline(data: bytes) -> Outline:
    """The header and what it announces, of a file of which only the beginning need be there."""
    header, types = _read_header(_Reader(data))
    return Outline(header, tuple(types))


def skim(file: BinaryIO, types: Collection[int]) -> dict[int, bytes]:
    """The payloads of some chunks of a file that can be sought in; the others are not read.

    What there is of it is checked as `read` checks it, but for the contents CRC-32.
    """
    file.seek(0)
    reader = _Reader(file.read(HEADER_MAX_BYTES))
    _, announced = _read_header(reader)
    position, size = reader.position, file.seek(0, SEEK_END)
    found = {}
    for chunk_type in announced:
        file.seek(position)
        head = _Reader(file.read(1 + _VARINT_BYTES))
        head.take(1, f"chunk {chunk_type}")
        length = head.varint(f"chunk {chunk_type} length")
        chunk_bytes = head.position + length + _CRC_BYTES
        if position + chunk_bytes > size:
            raise TruncatedFileError(f"chunk {chunk_type}", position + chunk_bytes, size)
        if chunk_type in types:
            file.seek(position)
            found[chunk_type] = _read_chunk(_Reader(file.read(chunk_bytes)), chunk_type).payload
        position += chunk_bytes
    return found


def read(data: bytes) -> Container:
    """The whole file, with everything verified but the symbols."""
    reader = _Reader(data)
    header, types = _read_header(reader)
    for chunk_type in types:
        if chunk_type % 2 and chunk_type != ChunkType.LATENTS:
            raise UnknownChunkError(chunk_type)
    chunks = [_read_chunk(reader, chunk_type) for chunk_type in types]
    reader.check_crc("contents", reader.contents_crc32)
    if reader.position < len(data):
        raise TrailingDataError(len(data) - reader.position)

    latents = next(chunk.payload for chunk in chunks if chunk.type == ChunkType.LATENTS)
    if len(latents) < _CRC_BYTES:
        raise PayloadError(f"{len(latents)} bytes are too few for the checksum of the symbols")
    return Container(
        header,
        symbols_crc32=int.from_bytes(latents[:_CRC_BYTES], "little"),
        words=latents[_CRC_BYTES:],
        optional=tuple(chunk for chunk in chunks if chunk.type != ChunkType.LATENTS),
    )


class _Reader:
    """Takes what it is asked for from the front of `data`, and never more than there is."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.contents_crc32 = 0  # of all parts so far, without their checksums

    def take(self, count: int, part: str) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise TruncatedFileError(part, needed_bytes=end, found_bytes=len(self.data))
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def varint(self, part: str) -> int:
        """Unsigned LEB128, at most 9 bytes, no longer than it must be."""
        value = 0
        for place in range(_VARINT_BYTES):
            (byte,) = self.take(1, part)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if byte == 0 and place > 0:
                    raise HeaderError(part, value, "varints without leading zeros")
                return value
        raise HeaderError(part, value, f"varints of at most {_VARINT_BYTES} bytes")

    def check_part(self, part: str, *, start: int) -> None:
        """Compares all from `start` to here with the CRC-32 that comes next."""
        # Parts without their checksums: whatever is followed by its own CRC leaves every CRC
        # register in the same state, and parts of two files could be exchanged unnoticed.
        found = memoryview(self.data)[start : self.position]
        self.contents_crc32 = zlib.crc32(found, self.contents_crc32)
        self.check_crc(part, zlib.crc32(found))

    def check_crc(self, part: str, found: int) -> None:
        expected = int.from_bytes(self.take(_CRC_BYTES, f"{part} checksum"), "little")
        if found != expected:
            raise ChecksumError(part, expected, found)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CRC_BYTES, "little")


class _HeaderField(NamedTuple):
    name: str
    write: Callable[[Any], bytes]
    read: Callable[[_Reader, str], Any]  # the second is the name, for the error


def _read_name(reader: _Reader, part: str) -> str:
    (length,) = reader.take(1, part)
    return reader.take(length, part).decode("ascii", errors="replace")  # Header refuses the rest


# The header, field by field: writes it and reads it, and a test holds docs/format.md to it.
HEADER_FIELDS = (
    _HeaderField("codec", lambda name: bytes([len(name)]) + name.encode("ascii"), _read_name),
    _HeaderField("generation", _varint, _Reader.varint),
    _HeaderField("fingerprint", bytes, lambda reader, part: reader.take(_FINGERPRINT_BYTES, part)),
    _HeaderField("width_px", _varint, _Reader.varint),
    _HeaderField("height_px", _varint, _Reader.varint),
    _HeaderField(
        "colour", lambda value: bytes([value]), lambda reader, part: reader.take(1, part)[0]
    ),
    _HeaderField("quality_step", _varint, _Reader.varint),
    _HeaderField("chunks", _varint, _Reader.varint),
)


def _check_signature(found: bytes) -> None:
    """`found` is the beginning of the file, 8 bytes unless the file is shorter."""
    version = found[VERSION_AT : VERSION_AT + 1]
    if not (SIGNATURE[:VERSION_AT] + version + SIGNATURE[VERSION_AT + 1 :]).startswith(found):
        for mark, damage in _DAMAGE.items():
            if found.startswith(mark):
                raise TransferDamageError(damage)
        raise NotACorelicFileError(found)
    if len(found) < len(SIGNATURE):
        raise TruncatedFileError("signature", len(SIGNATURE), len(found))
    if found[VERSION_AT] != VERSION:
        raise UnsupportedVersionError(found[VERSION_AT], VERSION)


def _read_header(reader: _Reader) -> tuple[Header, list[int]]:
    """The header and the types of the chunks that follow it."""
    _check_signature(reader.data[: len(SIGNATURE)])
    reader.position = len(SIGNATURE)
    payload = reader.take(reader.varint("header length"), "header")
    reader.check_part("header", start=0)

    fields = _Reader(payload)
    try:
        values = {field.name: field.read(fields, field.name) for field in HEADER_FIELDS}
    except TruncatedFileError as error:  # the file is all there, the field is not
        raise HeaderError(error.part, payload[fields.position :], "a complete field") from None
    if fields.position < len(payload):
        raise HeaderError("chunks", payload[fields.position :], "nothing after it")
    mask = values.pop("chunks")
    if not mask >> ChunkType.LATENTS & 1:
        raise HeaderError("chunks", mask, "masks with bit 1, the latents")
    return Header(**values), [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _read_chunk(reader: _Reader, expected_type: int) -> Chunk:
    part = f"chunk {expected_type}"
    start = reader.position
    (chunk_type,) = reader.take(1, part)
    payload = reader.take(reader.varint(f"{part} length"), part)
    reader.check_part(part, start=start)
    if chunk_type != expected_type:
        raise HeaderError(f"{part} type", chunk_type, str(expected_type))
    return Chunk(chunk_type, payload)
