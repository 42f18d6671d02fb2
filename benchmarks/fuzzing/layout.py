"""The file format, written a second time, from docs/format.md: taken apart, and sealed again."""

import zlib
from dataclasses import dataclass

SIGNATURE = bytes.fromhex("89434c430d0a010a")
LATENTS = b"\x01"
CRC_BYTES = 4


@dataclass(frozen=True, slots=True)
class File:
    """A file taken apart; `seal` puts it together, with its lengths and checksums right.

    fields   of the header, each as coded
    payload  of the latents: checksum of the symbols, then words
    extras   of the other chunks: type and payload
    """

    fields: tuple[bytes, ...]
    payload: bytes
    extras: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def take(cls, data: bytes) -> "File":
        """Of a sound file."""
        rest = data[len(SIGNATURE) :]
        header, rest = _sized(rest)
        payload, rest = _sized(rest[CRC_BYTES + 1 :])
        extras = []
        while len(rest) > 2 * CRC_BYTES:  # of the chunk before, and of the contents
            kind = rest[CRC_BYTES : CRC_BYTES + 1]
            extra, rest = _sized(rest[CRC_BYTES + 1 :])
            extras.append((kind, extra))
        name = 1 + header[0]
        fields, header = [header[:name]], header[name:]
        for length in (None, 4, None, None, 1, None, None):  # None: a varint
            length = length or _varint_bytes(header)
            fields.append(header[:length])
            header = header[length:]
        return cls(tuple(fields), payload, tuple(extras))

    def seal(self) -> bytes:
        return sealed(self.bare())

    def bare(self) -> bytes:
        """Without its checksums."""
        header = b"".join(self.fields)
        chunks = ((LATENTS, self.payload), *self.extras)
        body = b"".join(kind + varint(len(payload)) + payload for kind, payload in chunks)
        return SIGNATURE + varint(len(header)) + header + body


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def number(field: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(field))


def _varint_bytes(data: bytes) -> int:
    return next((i + 1 for i, byte in enumerate(data[:9]) if byte < 0x80), len(data))


def _sized(data: bytes) -> tuple[bytes, bytes]:
    """What a length and its bytes hold, and what follows."""
    start = _varint_bytes(data)
    end = start + number(data[:start])
    return data[start:end], data[end:]


def crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CRC_BYTES, "little")


def sealed(bare: bytes) -> bytes:
    """Checksums wherever a reader that believes every length will look for one."""
    result, at = b"", 0
    while at < len(bare):
        before_length = 1 if at else len(SIGNATURE)  # a chunk's type, or the signature
        _, rest = _sized(bare[at + before_length :])
        end = len(bare) - len(rest)
        result += bare[at:end] + crc32(bare[at:end])
        at = end
    return result + crc32(bare)
