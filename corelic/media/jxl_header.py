"""What a JPEG XL file says of itself: its plug-in decodes, the first frame alone, as it opens.

    [box │ box │ …] jxlc: FF 0A │ small? │ height │ ratio │ width, if no ratio │
                          all as usual? │ more fields? │ orientation │ … │ frames? │ …

SizeHeader and the first of ImageMetadata, ISO/IEC 18181-1, bits from the lowest of each byte on;
boxes as in part 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corelic.media.jxl import BOXES, CODESTREAM

HEADER_BYTES = 20  # that all of it can take, with the signature
SIDE_BITS = 9, 13, 18, 30
RATIOS = (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)


@dataclass(frozen=True, slots=True)
class JxlHeader:
    """Width and height are as coded, not turned.

    animated  whether there are frames, and times to show them; of files with a preview, which
              nobody makes, not known
    """

    width_px: int
    height_px: int
    animated: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.width_px, self.height_px


def jxl_header(data: bytes) -> JxlHeader:
    """ValueError where there is none."""
    stream = b""
    for part in _parts(data):
        stream += part[:HEADER_BYTES]
        if len(stream) >= HEADER_BYTES:
            break
    if not stream.startswith(CODESTREAM):
        raise ValueError("it does not begin as one")
    bits = _Bits(stream[len(CODESTREAM) :])
    width_px, height_px = bits.size()
    usual, more = bits.take(1), bits.take(1)
    if usual or not more:
        return JxlHeader(width_px, height_px, animated=False)
    bits.take(3)  # orientation
    if bits.take(1):
        bits.size()  # as it is to be shown
    preview, frames = bits.take(1), bits.take(1)
    return JxlHeader(width_px, height_px, animated=bool(frames and not preview))


def _parts(data: bytes) -> Iterator[bytes]:
    """The codestream: as it is, in one box, or in several."""
    if not data.startswith(BOXES):
        yield data
        return
    at = 0
    while at + 8 <= len(data):
        length, kind, start = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if length == 1:
            length, start = int.from_bytes(data[start : start + 8]), start + 8
        end = at + length if length else len(data)
        if end < start:
            return
        if kind in (b"jxlc", b"jxlp"):
            yield data[start + 4 * (kind == b"jxlp") : end]  # a part begins with its number
        at = end


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self.left:
            raise ValueError("its header is cut")
        found = self.value & ((1 << count) - 1)
        self.value, self.left = self.value >> count, self.left - count
        return found

    def size(self) -> tuple[int, int]:
        """Width and height."""
        small = bool(self.take(1))
        height = self.side(small)
        ratio = self.take(3)
        if not ratio:
            return self.side(small), height
        wide, high = RATIOS[ratio - 1]
        return height * wide // high, height

    def side(self, small: bool) -> int:
        return (self.take(5) + 1) * 8 if small else self.take(SIDE_BITS[self.take(2)]) + 1
