"""How many threads are worth their while: seconds to encode and decode, by size of the picture.

    scikit-image's photographs, mirrored to size ─ encode, decode with 1, 2, 4 … threads ─► table

    python benchmarks/threads.py
    python benchmarks/threads.py --megapixels 0.1,25 --rounds 3

All counts take turns in one process, so that a drift of the machine hits all alike; medians are
shown, as shares of what one thread takes. Unless told otherwise, corelic leaves the number to
torch, which takes one for each core: that is right as long as the last column is the smallest.
"""

import argparse
import statistics
import sys
from time import perf_counter

import torch
from memory import mosaic
from rich.console import Console
from rich.progress import track
from rich.table import Table

from corelic.codecs.files import FileCodec, open_codec
from corelic.media import Picture
from corelic.workers import usable_cores


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def counts(cores: int) -> list[int]:
    """Powers of two, and all there are."""
    return sorted({2**power for power in range(cores.bit_length()) if 2**power <= cores} | {cores})


def times(codec: FileCodec, picture: Picture, threads: int) -> tuple[float, float]:
    """Of one round, in seconds."""
    torch.set_num_threads(threads)
    start = perf_counter()
    data = codec.encode(picture, 50)
    middle = perf_counter()
    codec.decode(data)
    return middle - start, perf_counter() - middle


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--megapixels", type=numbers, default="0.004,0.065,0.4,3")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    codec, columns = open_codec(given.codec, "cpu"), counts(usable_cores())
    table = Table(title=f"{codec.facts.name}: share of the time that one thread takes")
    for name in (
        "megapixels",
        "work",
        "one thread",
        *(f"{count} threads" for count in columns[1:]),
    ):
        table.add_column(name, justify="right")
    for megapixels in track(given.megapixels, description=codec.facts.name):
        picture = mosaic(megapixels)
        for threads in columns:  # warms up
            times(codec, picture, threads)
        rounds = [[times(codec, picture, each) for each in columns] for _ in range(given.rounds)]
        for number, work in enumerate(("encode", "decode")):
            medians = [
                statistics.median(row[place][number] for row in rounds)
                for place in range(len(columns))
            ]
            shares = (f"{median / medians[0]:.2f}" for median in medians[1:])
            table.add_row(f"{megapixels:g}", work, f"{medians[0]:.3f} s", *shares)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
