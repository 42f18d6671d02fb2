"""Damage to a file: each kind takes bytes, the like of another file, and dice."""

import random
from collections.abc import Callable
from dataclasses import replace

from fuzzing.layout import CRC_BYTES, File, sealed, varint


def flip(data: bytes, other: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3, 8)) if data else 0):
        bit = dice.randrange(8 * len(damaged))
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def truncate(data: bytes, other: bytes, dice: random.Random) -> bytes:
    return data[: dice.randint(0, max(len(data) - 1, 0))]


def splice(data: bytes, other: bytes, dice: random.Random) -> bytes:
    here = dice.randint(0, len(data))
    there = here if dice.random() < 0.5 else dice.randint(0, len(other))
    return data[:here] + other[there:]


def insert(data: bytes, other: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.randbytes(dice.choice((1, 1, 2, 4, 8, 300))) + data[at:]


def delete(data: bytes, other: bytes, dice: random.Random) -> bytes:
    at, count = dice.randint(0, len(data)), dice.choice((1, 1, 2, 4, 8, 100))
    return data[:at] + data[at + count :]


def duplicate(data: bytes, other: bytes, dice: random.Random) -> bytes:
    start, end = sorted(dice.choices(range(len(data) + 1), k=2))
    return data[:end] + data[start:end] + data[end:]


def noise(data: bytes, other: bytes, dice: random.Random) -> bytes:
    kept = dice.choice((0, 4, 8, len(data) // 2))
    return data[:kept] + dice.randbytes(dice.randint(0, 2 * len(data) + 8))


Damage = Callable[[bytes, bytes, random.Random], bytes]
DAMAGES: dict[str, Damage] = {
    damage.__name__: damage for damage in (flip, truncate, splice, insert, delete, duplicate, noise)
}
KINDS = (*DAMAGES, "header")
ODD_NUMBERS = (
    *(0, 1, 2, 3, 7, 16, 33, 48, 63, 64, 65, 70, 127, 128, 500, 800, 1000, 1600, 1601, 4096),
    *(15_625, 65_535, 10**6, 10**6 + 1, 2**24, 2**24 + 1, 2**31, 2**32, 2**62, 2**63, 2**70),
)


# As many pixels as are allowed, but more once they are padded.
ODD_SIZES_PX = (10**6, 1), (1, 10**6), (10**3, 10**3), (15_625, 64), (64, 15_625), (2, 5 * 10**5)


def edit_header(file: File, dice: random.Random) -> File:
    """One to three fields get another value, which the format may or may not allow."""
    fields = list(file.fields)
    codec, generation, fingerprint, width, height, colour, step, chunks = range(len(fields))
    often = [width, height, step] * 4
    for _ in range(dice.choice((1, 1, 2, 3))):
        field = dice.choice((codec, generation, fingerprint, colour, chunks, *often))
        if field == codec:
            name = dice.choice((b"swift", b"swift2", b"", b"../../x", b"\xff\xfe", b"a" * 200))
            fields[codec] = bytes([len(name)]) + name
        elif field == fingerprint:
            fields[fingerprint] = dice.randbytes(4)
        elif field == colour:
            fields[colour] = bytes([dice.choice((0, 1, 1, 2, 255))])
        elif field == chunks:
            announced = (0, 1, 2, 3, 10, 18, 2**12 + 2, 2**62 + 2, 2**63 + 2)
            fields[chunks] = varint(dice.choice(announced))
        else:
            fields[field] = varint(dice.choice((*ODD_NUMBERS, dice.randint(1, 300))))
    if dice.random() < 0.1:
        fields[width], fields[height] = map(varint, dice.choice(ODD_SIZES_PX))
    return replace(file, fields=tuple(fields))


def damaged(data: bytes, other: bytes, kind: str, dice: random.Random) -> bytes:
    """A file whose checksums are the old ones, or what became of them."""
    if kind in DAMAGES:
        return DAMAGES[kind](data, other, dice)
    return edit_header(File.take(data), dice).seal()[:-CRC_BYTES] + data[-CRC_BYTES:]


def resealed(data: bytes, other: bytes, kind: str, dice: random.Random) -> bytes:
    """A file whose checksums are all right, but for that of the symbols."""
    file, another = File.take(data), File.take(other)
    if kind not in DAMAGES:
        return edit_header(file, dice).seal()
    damage = DAMAGES[kind]
    parts = ("all", "header", "payload", "words", "words")
    match dice.choice((*parts, "extra", "extra") if file.extras else parts):
        case "all":
            return sealed(damage(file.bare(), another.bare(), dice))
        case "header":
            header = damage(b"".join(file.fields), b"".join(another.fields), dice)
            return replace(file, fields=(header,)).seal()
        case "payload":
            return replace(file, payload=damage(file.payload, another.payload, dice)).seal()
        case "extra":
            return damage_extra(file, damage, dice).seal()
    words = damage(file.payload[CRC_BYTES:], another.payload[CRC_BYTES:], dice)
    return replace(file, payload=file.payload[:CRC_BYTES] + words).seal()


def damage_extra(file: File, damage: Damage, dice: random.Random) -> File:
    """Alpha, ICC profile, EXIF, XMP or bit depth is another one than was written."""
    extras = list(file.extras)
    at = dice.randrange(len(extras))
    kind, payload = extras[at]
    extras[at] = kind, damage(payload, dice.choice(extras)[1], dice)
    return replace(file, extras=tuple(extras))
