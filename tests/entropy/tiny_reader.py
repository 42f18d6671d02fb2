"""A second reader of .clc files, written from docs/format.md and sharing no code with corelic.

It is slow and plain on purpose: what it and corelic agree on is what the page says. `read` takes a
file apart, `Stream` decodes its words one entry at a time.
"""

import lzma
import zlib
from dataclasses import dataclass


@dataclass
class TinyFile:
    version: int
    codec: str
    generation: int
    fingerprint: bytes
    width_px: int
    height_px: int
    colour: str
    quality: float
    symbols_crc32: int
    words: bytes
    optional: dict[int, bytes]


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.checked = b""

    def take(self, count: int) -> bytes:
        assert self.at + count <= len(self.data), "file ends too early"
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        groups = [self.byte()]
        while groups[-1] & 0x80:
            groups.append(self.byte())
        assert len(groups) <= 9 and (groups[-1] or len(groups) == 1), "varint not minimal"
        return sum((group & 0x7F) << 7 * place for place, group in enumerate(groups))

    def crc_since(self, start: int) -> None:
        part = self.data[start : self.at]
        self.checked += part
        assert zlib.crc32(part) == self.u32(), "checksum"


def read(data: bytes) -> TinyFile:
    file = Bytes(data)
    signature = file.take(8)
    assert signature == bytes.fromhex("89 43 4C 43 0D 0A 01 0A"), "signature"
    header_bytes = file.varint()
    header_start = file.at
    codec = file.take(file.byte()).decode("ascii")
    generation = file.varint()
    fingerprint = file.take(4)
    width_px, height_px = file.varint(), file.varint()
    colour = ["grey", "RGB"][file.byte()]
    quality = file.varint() / 16
    mask = file.varint()
    assert file.at == header_start + header_bytes, "header length"
    file.crc_since(0)

    assert 1 <= width_px <= 2**24 and 1 <= height_px <= 2**24 and quality <= 100, "range"
    assert 1 <= len(codec) <= 32 and set(codec) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    chunks = {}
    for announced in (t for t in range(63) if mask & 1 << t):
        assert announced % 2 == 0 or announced == 1, "unknown required chunk"
        start = file.at
        assert file.byte() == announced, "chunk type"
        chunks[announced] = file.take(file.varint())
        file.crc_since(start)
    assert zlib.crc32(file.checked) == file.u32(), "contents checksum"
    assert file.at == len(data), "trailing bytes"

    latents = Bytes(chunks.pop(1))
    return TinyFile(
        version=signature[6],
        codec=codec,
        generation=generation,
        fingerprint=fingerprint,
        width_px=width_px,
        height_px=height_px,
        colour=colour,
        quality=quality,
        symbols_crc32=latents.u32(),
        words=latents.data[4:],
        optional=chunks,
    )


@dataclass
class TinyTable:
    low: int
    frequencies: list[int]


class Stream:
    """The entropy-coded words, from the last to the first."""

    def __init__(self, words: bytes) -> None:
        assert len(words) % 4 == 0
        self.words = [int.from_bytes(words[i : i + 4], "little") for i in range(0, len(words), 4)]
        assert not self.words or self.words[-1] != 0
        self.x = 0
        while self.x < 2**32 and self.words:
            self.x = self.x * 2**32 + self.words.pop()

    def entry(self, frequencies: list[int]) -> int:
        q = self.x % 2**24
        j, cumulative = 0, 0
        while cumulative + frequencies[j] <= q:
            cumulative += frequencies[j]
            j += 1
        self.x = frequencies[j] * (self.x // 2**24) + q - cumulative
        if self.x < 2**32 and self.words:
            self.x = self.x * 2**32 + self.words.pop()
        return j

    def segment(self, indexes: list[int], tables: list[TinyTable]) -> list[int]:
        order = sorted(range(len(indexes)), key=lambda position: (indexes[position], position))
        symbols = [0] * len(indexes)
        escaped = []
        for position in order:
            table = tables[indexes[position]]
            j = self.entry(table.frequencies)
            symbols[position] = table.low + j
            if j == len(table.frequencies) - 1:
                escaped.append(position)
        classes = [self.entry([2**19] * 32) for _ in escaped]
        for position, escape_class in zip(escaped, classes, strict=True):
            k = escape_class // 2 + 1
            m = 2**k + self.entry([2 ** (24 - k)] * 2**k) - 2
            table = tables[indexes[position]]
            edge = table.low + len(table.frequencies) - 1
            symbols[position] = edge + m if escape_class % 2 else table.low - 1 - m
        return symbols

    def finish(self) -> None:
        assert self.x == 0 and not self.words, "words are left"


def plane(payload: bytes, height: int, width: int, bit_depth: int) -> list[list[int]]:
    """The alpha of a file, row by row."""
    form, rest = payload[0], payload[1:]
    full = 2**bit_depth - 1
    if form == 0:
        assert len(rest) == bit_depth // 8
        return [[int.from_bytes(rest, "little")] * width for _ in range(height)]
    assert form in (1, 8, bit_depth)
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**23}]
    data = lzma.decompress(rest[1:], lzma.FORMAT_RAW, filters=filters)
    columns = (width + 7) // 8 if form == 1 else width
    count = height * columns
    if form == 16:
        data = [data[i] * 256 + data[count + i] for i in range(count)]
    assert len(data) == count
    rows: list[list[int]] = []
    for y in range(height):
        row: list[int] = []
        for x in range(columns):
            left = row[x - 1] if x else 0
            up = rows[y - 1][x] if y else 0
            corner = rows[y - 1][x - 1] if x and y else 0
            prediction = [0, left, up, left + up - corner][rest[0]]
            row.append((data[y * columns + x] + prediction) % (2**16 if form == 16 else 2**8))
        rows.append(row)
    if form == 1:
        return [[(row[x // 8] >> (7 - x % 8) & 1) * full for x in range(width)] for row in rows]
    return [[value * (full // (2**form - 1)) for value in row] for row in rows]


# Filter: terms of a plane are 1, the three planes, and four second differences of each.
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
FARTHER = ((0, 2), (2, 0), (2, 2), (2, -2), (1, 2), (1, -2), (2, 1), (2, -1))


def filter_weights(payload, planes):
    """64 weights for each of three planes, from the payload of chunk 12."""
    form, precision, k = payload[0] % 4, payload[0] // 4 % 8, payload[0] // 32
    bits = "".join(f"{byte:08b}" for byte in payload[2 if form == 3 else 1 :])
    at = 0

    def number():
        nonlocal at
        ones = bits.index("0", at) - at
        at += ones + 1
        low = bits[at : at + k]
        assert len(low) == k, "ends within a number"
        at += k
        folded = ones * 2**k + int(low or "0", 2)
        return folded // 2 if folded % 2 == 0 else -(folded + 1) // 2

    weights = [[0.0] * 64 for _ in range(3)]
    for plane in range(planes):
        near, far, clipped = 4 + 4 * plane, 16 + 8 * plane, 40 + 8 * plane
        own = [*range(far, far + 8), *range(clipped, clipped + 8)]
        terms = {0: (), 1: range(near, near + 4), 2: range(4, 16), 3: [*range(4, 16), *own]}
        for term in range(64):
            if term < 4 or term in terms[form]:
                exponent = -10 if term == 0 else -7 if term < 4 else -5
                weights[plane][term] = number() * 2.0 ** (exponent - precision)
    assert len(bits) - at < 8 and "1" not in bits[at:], "goes on"
    return weights


def filter_clip(payload):
    """d of the payload of chunk 12."""
    if payload[0] % 4 < 3:
        return None
    assert payload[1] <= 15, "clip"
    return 2.0 ** (-payload[1] / 2)


def filtered(x, weights, clip):
    """Red, green and blue, lists of rows of numbers -> the same, filtered and not clamped."""
    height, width = len(x[0]), len(x[0][0])
    root = [3**0.5, 6**0.5, 2**0.5]
    basis = [[1 / root[0]] * 3, [-1 / root[1], -1 / root[1], 2 / root[1]]]
    basis.append([1 / root[2], -1 / root[2], 0.0])
    clamped = [[[min(max(float(v), 0.0), 1.0) for v in row] for row in plane] for plane in x]

    def opponent(c, row, column):
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
        return sum(basis[c][a] * (clamped[a][row][column] - 0.5) for a in range(3))

    found = [[[0.0] * width for _ in range(height)] for _ in range(3)]
    for row in range(height):
        for column in range(width):
            terms = [1.0] + [opponent(c, row, column) for c in range(3)]
            clipped = (DIRECTIONS + FARTHER[:4], clip or 9)
            for moves, limit in ((DIRECTIONS, 9), (FARTHER, 9), clipped):
                for c in range(3):
                    for down, right in moves:
                        one = opponent(c, row + down, column + right) - terms[1 + c]
                        other = opponent(c, row - down, column - right) - terms[1 + c]
                        terms.append(sum(min(max(d, -limit), limit) for d in (one, other)))
            change = [sum(float(w) * t for w, t in zip(own, terms, strict=True)) for own in weights]
            for a in range(3):
                added = sum(basis[c][a] * change[c] for c in range(3))
                found[a][row][column] = clamped[a][row][column] + added
    return found
