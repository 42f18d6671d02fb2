"""Thousands of damaged files: each must end in a CorelicError, or in the right picture.

    small files ─► damage ───────────────────► CorelicError, or exactly the original picture
                └► damage ─► every CRC anew ─► CorelicError, or a picture of the declared size

    python benchmarks/fuzz.py --codec swift --count 5000

Half of the files are decoded in a budget so small that the largest of them take several tiles;
what comes out may then differ by one, as tiles may.

The second half is what an attacker sends: there checksums stop nothing, not even that of the
symbols, which becomes what the decoder says it found. No file may take longer than twice what a
sound one of as many pixels as are allowed takes, or 500 MB more than the idle process has, and no
other exception may come out, not even a `BaseException`.
Failures are kept under --out, and so is the file that was being decoded if the process dies.

The format is written here a second time, from docs/format.md. Linux only, for its peak of memory.
"""

import argparse
import faulthandler
import os
import random
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from time import perf_counter, process_time
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

import corelic
from corelic.codecs.context.base import LATENT_LIMIT
from corelic.codecs.files import open_codec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.memory import Costs
from corelic.codecs.tiling import Grid
from corelic.errors import CorelicError, SymbolMismatchError
from corelic.media import Picture

MAX_PIXELS = 1_000_000
LIMIT_BYTES = 500_000_000
HANGS_S = 120
SIZES_PX = (64, 48), (70, 33)
TILED_PX = 400, 140  # 7 × 3 cells, where the window of one has 3 × 3
QUALITIES = 10, 50, 90
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


# Damage: each takes bytes and the like of another file


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
            fields[chunks] = varint(dice.choice((0, 1, 2, 3, 10, 18, 2**62 + 2, 2**63 + 2)))
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


# What must hold


class Memory:
    """Of this process, from Linux."""

    def __init__(self) -> None:
        self.idle_bytes = self._read("VmRSS")

    def growth_bytes(self) -> int:
        """The highest since `reset`, above what it was when this was made."""
        return self._read("VmHWM") - self.idle_bytes

    def reset(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")

    @staticmethod
    def _read(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


@dataclass(frozen=True, slots=True)
class Ending:
    """How decoding a file went: `name` of the error or "picture"; `fault` if it must not."""

    name: str
    seconds: float  # of the processor, all threads
    elapsed_s: float
    growth_bytes: int
    fault: str | None


def decode(data: bytes, memory_bytes: int = MEMORY_BYTES) -> Image.Image:
    faulthandler.dump_traceback_later(HANGS_S, exit=True)  # counts anew from here
    return corelic.decode(data, device="cpu", max_pixels=MAX_PIXELS, memory_bytes=memory_bytes)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a decode: what it may take."""

    seconds: float
    memory_bytes: int  # its budget


def limits_for(name: str) -> list[Limits]:
    """With the default budget, and with one that asks for tiles."""
    side = isqrt(MAX_PIXELS)
    picture = Picture(np.zeros((side, side, 3), np.uint8))
    data = open_codec(name, "cpu").encode(picture, 50)
    start = process_time()
    decode(data)
    seconds = max(2 * (process_time() - start), 2.0)
    return [Limits(seconds, budget) for budget in (MEMORY_BYTES, budget_for_tiles(name))]


def check(
    data: bytes, allowed: Callable[[Image.Image], bool], memory: Memory, limits: Limits
) -> Ending:
    """How one file ends; seconds are those of the process, whatever else the machine does."""
    fault = None
    memory.reset()
    start, started = process_time(), perf_counter()
    try:
        picture = decode(data, limits.memory_bytes)
        name = "picture"
    except CorelicError as error:
        name = type(error).__name__
        if not str(error) or "\n" in str(error):
            fault = f"its message is no sentence: {error!r}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic in native code is no Exception
        name, fault = type(error).__name__, repr(error)
    seconds, elapsed_s = process_time() - start, perf_counter() - started
    growth_bytes = memory.growth_bytes()
    if name == "picture" and not allowed(picture):
        fault = f"another picture came out, {picture.size}"
    if seconds > limits.seconds:
        fault = f"it took {seconds:.1f} s"
    if growth_bytes > LIMIT_BYTES:
        fault = f"it took {growth_bytes / 1e6:.0f} MB"
    return Ending(name, seconds, elapsed_s, growth_bytes, fault)


def with_its_symbols(data: bytes) -> bytes:
    """The same file with the checksum of the symbols that are really in it, if it is sound else."""
    try:
        decode(data)
    except SymbolMismatchError as error:
        file = File.take(data)
        found = error.found_crc32.to_bytes(CRC_BYTES, "little")
        return replace(file, payload=found + file.payload[CRC_BYTES:]).seal()
    except BaseException:  # `check` meets it again, and judges it
        return data
    return data


def of_declared_size(data: bytes) -> Callable[[Image.Image], bool]:
    def allowed(picture: Image.Image) -> bool:
        fields = File.take(data).fields
        return picture.size == (number(fields[3]), number(fields[4]))

    return allowed


def one_of(*pictures: Image.Image) -> Callable[[Image.Image], bool]:
    def same(one: Image.Image, other: Image.Image) -> bool:
        if (one.mode, one.size) != (other.mode, other.size):
            return False
        # Of samples in 8 bits; synthesis in tiles may round the other way.
        return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max()) <= 1

    return lambda picture: any(same(picture, one) for one in pictures)


def originals(name: str, dice: np.random.Generator) -> list[bytes]:
    """Small files: two sizes at three qualities and with latents of no picture, and a grey one.

    One more with alpha, ICC profile, EXIF and XMP, the same in 16 bits, and both large enough for
    tiles.
    """
    codec = open_codec(name, "cpu")
    files = []
    for size in SIZES_PX:
        image = _image(size, dice)
        picture = Picture.from_image(image)
        files += [codec.encode(picture, quality) for quality in QUALITIES]
        # Sound files that no encoder makes: damage alone hardly ever gets as far as synthesis.
        real = codec.codec.latents_of
        with patch.object(codec.codec, "latents_of", lambda *x, of=real: noisy(of(*x), dice)):
            files.append(codec.encode(picture, dice.uniform(0, 100)))
    files.append(codec.encode(Picture.from_image(image.convert("L")), 50))
    for size in (SIZES_PX[-1], TILED_PX):
        image = _image(size, dice)
        alpha = image.convert("L").point(lambda value: min(max(2 * value - 128, 0), 255))
        extras = b"an ICC profile" * 20, b"MM\0*\0\0\0\x08\0\0", b"<x/>"
        rich = Picture(np.asarray(image), np.asarray(alpha), *extras)
        deep = replace(rich, pixels=_deep(rich.pixels), alpha=_deep(np.asarray(alpha)))
        files += [codec.encode(picture, 50) for picture in (rich, deep)]
    return files


def _image(size: tuple[int, int], dice: np.random.Generator) -> Image.Image:
    width, height = size
    coarse = dice.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def budget_for_tiles(name: str) -> int:
    """The least in which a picture of TILED_PX is decoded."""
    codec = open_codec(name, "cpu")
    sides = (-(-side // codec.codec.spec.pad_multiple_px) for side in reversed(TILED_PX))
    grid, costs = Grid(*sides), Costs(codec.codec)
    least_bytes = costs.least_bytes(grid, "decode")
    assert len(costs.plan(grid, "decode", least_bytes).tiles["synthesis"]) > 1
    return least_bytes


def _deep(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.uint16) * np.uint16(250)


def noisy(latents: Tensor, dice: np.random.Generator) -> Tensor:
    """Of the same shape, of every magnitude up to the largest."""
    found = LATENT_LIMIT ** dice.uniform(-1, 1, latents.shape) * dice.choice((-1, 1), latents.shape)
    return torch.from_numpy(found).to(latents)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--count", type=int, default=5000, help="files of each half (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="%(default)s")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    faulthandler.enable()
    if Path(given.codec).is_file():
        os.environ["CORELIC_MODELS"] = str(Path(given.codec).resolve().parent)
    files = originals(given.codec, np.random.default_rng(given.seed))
    pictures = [decode(data) for data in files]
    both = limits_for(given.codec)
    given.out.mkdir(parents=True, exist_ok=True)
    current = given.out / "current.clc"
    dice, memory = random.Random(given.seed), Memory()
    endings: dict[str, list[Ending]] = {"old checksums": [], "new checksums": []}
    for half, found in endings.items():
        for turn in track(range(given.count), description=half):
            kind = KINDS[turn % len(KINDS)]
            one, other = dice.choices(range(len(files)), k=2)
            limits = dice.choice(both)
            make = damaged if half == "old checksums" else resealed
            data = make(files[one], files[other], kind, dice)
            current.write_bytes(data)
            if half == "old checksums":
                allowed = one_of(pictures[one], pictures[other])
            else:
                data = with_its_symbols(data)
                current.write_bytes(data)
                allowed = of_declared_size(data)
            ending = check(data, allowed, memory, limits)
            if ending.seconds > limits.seconds:  # again, for the machine may have been busy
                ending = check(data, allowed, memory, limits)
            found.append(ending)
            if ending.fault:
                kept = given.out / f"seed{given.seed}-{half[:3]}-{turn}-{kind}.clc"
                kept.write_bytes(data)
                print(f"FAILED {kept}: {ending.fault}")
    faulthandler.cancel_dump_traceback_later()
    current.unlink()

    counts = {half: Counter(ending.name for ending in found) for half, found in endings.items()}
    table = Table("ends in", *endings, title=f"seed {given.seed}")
    for name in sorted(set().union(*counts.values())):
        table.add_row(name, *(f"{count[name]:,}" for count in counts.values()))
    Console().print(table)
    every = [ending for found in endings.values() for ending in found]
    faults = sum(ending.fault is not None for ending in every)
    slowest_s = max(ending.seconds for ending in every)
    longest_s = max(ending.elapsed_s for ending in every)
    largest_bytes = max(ending.growth_bytes for ending in every)
    print(
        f"{len(every):,} files, {faults} failures; the slowest took {longest_s:.2f} s "
        f"({slowest_s:.2f} s of processor time), the largest "
        f"{largest_bytes / 1e6:.0f} MB more than the idle process"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
