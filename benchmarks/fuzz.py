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

Linux only, for its peak of memory. `fuzzing.layout` has the format, `fuzzing.damage` what is done
to it.
"""

import argparse
import faulthandler
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from time import perf_counter, process_time
from unittest.mock import patch

import numpy as np
import torch
from fuzzing.damage import KINDS, damaged, resealed
from fuzzing.layout import CRC_BYTES, File, number
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
    sides = (-(-side // codec.spec.pad_multiple_px) for side in reversed(TILED_PX))
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
