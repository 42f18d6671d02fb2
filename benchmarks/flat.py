"""Does decoding cost the same per pixel at any size? From real files, 0.25 to 8 megapixels.

    python benchmarks/flat.py photo.png --codecs swift,checkerboard_small

Pictures are the given one, repeated and cut. Codecs without weights get random ones, which do the
same work. For a context that sees the whole picture the figures say what that costs.
"""

import argparse
import sys
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch
from sizes import QUALITY, untrained

from corelic.allocator import keep_freed
from corelic.codecs import store
from corelic.codecs.files import FileCodec
from corelic.codecs.registry import find_spec
from corelic.errors import MemoryBudgetError
from corelic.media import Picture, read_picture

SIZES_PX = ((512, 512), (1024, 1024), (2048, 1024), (2048, 2048), (2048, 4096))
FLAT = 0.2  # from the median, each way


def of_size(picture: Picture, height_px: int, width_px: int) -> Picture:
    rows, columns = picture.pixels.shape[:2]
    repeats = (-(-height_px // rows), -(-width_px // columns), 1)
    return Picture(np.tile(picture.pixels, repeats)[:height_px, :width_px])


def encoded(codec: FileCodec, picture: Picture, largest: float) -> list[tuple[float, bytes]]:
    """Megapixels and file, of every size that the default budget of memory allows."""
    files = []
    for height_px, width_px in SIZES_PX:
        megapixels = height_px * width_px / 1e6
        if megapixels > largest:
            break
        try:
            data = codec.encode(of_size(picture, height_px, width_px), QUALITY)
        except MemoryBudgetError as error:
            print(f"{codec.spec.name}: {megapixels:.2f} megapixels: {error}", flush=True)
            break
        files.append((megapixels, data))
    return files


def decode_s(codec: FileCodec, files: list[bytes], rounds: int) -> list[float]:
    """Medians of the process' own seconds, which a busy machine changes least; all sizes in each
    round, so that its drift changes all alike."""
    times: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for data, own in zip(files, times, strict=True):
            started = process_time()
            codec.decode(data)
            own.append(process_time() - started)
    return [median(own) for own in times]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--codecs", default="swift,checkerboard_small")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--largest", type=float, default=8.5, help="megapixels (%(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed()  # as the program does
    picture = read_picture(given.picture)
    for name in given.codecs.split(","):
        spec = find_spec(name)
        path = store.shipped(spec)
        if path is None:
            codec = untrained(spec, picture)
        else:
            codec = FileCodec(store.from_file(path), torch.device("cpu"))
        files = encoded(codec, picture, given.largest)
        seconds = decode_s(codec, [data for _, data in files], given.rounds)
        found = [each / megapixels for each, (megapixels, _) in zip(seconds, files, strict=True)]
        for (megapixels, _), each in zip(files, found, strict=True):
            print(f"{name}: {megapixels:.2f} megapixels, {each:.2f} s each", flush=True)
        middle = median(found)
        flat = all(abs(each / middle - 1) <= FLAT for each in found)
        print(f"{name}: within {FLAT:.0%} of {middle:.2f} s: {'yes' if flat else 'NO'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
