"""Every kind of picture through the codec that ships, at 2048 × 1365: mode, size, alpha, PSNR.

    python benchmarks/modes.py
    python benchmarks/modes.py --size 130x97 --kinds RGBA,CMYK

The kinds are those of tests/test_pictures.py, which does the same with a tiny codec.
"""

import argparse
import sys
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import corelic
from corelic.errors import PictureWarning
from corelic.media import Picture

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.test_pictures import KINDS, Kind, photo_of, psnr_db

QUALITY = 80
LEAST_DB, LEAST_DB_OF_DOTS = 30, 18  # black and white dots are no photograph


def size_px(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def faults_of(kind: Kind, data: bytes, original: Picture, decoded: Picture) -> list[str]:
    info, image = corelic.info(data), decoded.to_image()
    checks = {
        "mode": image.mode == kind.decodes,
        "size": decoded.pixels.shape == original.pixels.shape,
        "colour": decoded.colour == info.colour == kind.colour,
        "depth": decoded.bit_depth == info.bit_depth == kind.bit_depth,
        "alpha": (original.alpha is None and decoded.alpha is None)
        or np.array_equal(original.alpha, decoded.alpha),
    }
    return [name for name, sound in checks.items() if not sound]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=size_px, default=(2048, 1365), help="width x height, px")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore", PictureWarning)
    table = Table("kind", "decodes to", "bytes", "PSNR, dB", "seconds", "wrong")
    failures = 0
    for name in given.kinds:
        kind, photo = KINDS[name], photo_of(*given.size)
        original = Picture.from_image(kind.make(photo))
        start = perf_counter()
        data = corelic.encode(kind.make(photo), quality=QUALITY, device="cpu")
        decoded = corelic.decode_picture(data, device="cpu")
        seconds = perf_counter() - start
        found_db = psnr_db(original, decoded)
        faults = faults_of(kind, data, original, decoded)
        if found_db <= (LEAST_DB_OF_DOTS if name == "1" else LEAST_DB):
            faults.append("PSNR")
        failures += bool(faults)
        shown = f"{len(data):,}", f"{found_db:.2f}", f"{seconds:.1f}", ", ".join(faults)
        table.add_row(name, kind.decodes, *shown)
    Console().print(table)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
