"""How large a JPEG XL picture is, as its header says: its plug-in decodes as soon as it opens.

    [box │ box │ …] jxlc: FF 0A │ small? │ height │ ratio │ width, if no ratio │ …

The size header of ISO/IEC 18181-1, bits from the lowest of each byte on; boxes as in part 2.
"""

from __future__ import annotations

from collections.abc import Iterator

from corelic.media.jxl import BOXES, CODESTREAM

SIZE_BYTES = 11  # that the size header can take, with the signature
SIDE_BITS = 9, 13, 18, 30
RATIOS = (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)


def jxl_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, as coded, not turned; ValueError where there is no header."""
    stream = b""
    for part in _parts(data):
        stream += part[:SIZE_BYTES]
        if len(stream) >= SIZE_BYTES:
            break
    if not stream.startswith(CODESTREAM):
        raise ValueError("it does not begin as one")
    bits = _Bits(stream[len(CODESTREAM) :])
    small = bool(bits.take(1))
    height = bits.side(small)
    ratio = bits.take(3)
    if not ratio:
        return bits.side(small), height
    wide, high = RATIOS[ratio - 1]
    return height * wide // high, height


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

    def side(self, small: bool) -> int:
        return (self.take(5) + 1) * 8 if small else self.take(SIDE_BITS[self.take(2)]) + 1
