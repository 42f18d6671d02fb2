"""What `--fast` saves, and what it changes, on pictures: each coded both ways in one process.

    picture ─┬─ encode, filter fitted ─► file ─ decode, float32 ──┐
             │                             └─── decode, bfloat16 ─┼─► seconds, samples that differ
             └─ encode, none ──────────► file ─ decode, bfloat16 ─┴─► seconds, bytes, PSNR lost
    python benchmarks/fast.py --pictures kodak/ --codecs swift,checkerboard_small

Samples that differ are those of one file, decoded both ways; bytes and PSNR are those of both ways
all through. Times are the better of two, so that the first does not count its warming up.
"""

import argparse
import os
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from corelic.codecs.files import FileCodec, open_codec
from corelic.codecs.precision import has_fast_bfloat16
from corelic.eval.metrics import psnr_db
from corelic.media import Picture, read_picture

QUALITIES = (0.0, 50.0, 100.0)
COLUMNS = ("encode", "decode", "file", "samples that differ", "by at most", "PSNR")


def encoded(codec: FileCodec, picture: Picture, quality: float) -> tuple[float, bytes]:
    times = []
    for _ in range(2):
        start = perf_counter()
        data = codec.encode(picture, quality)
        times.append(perf_counter() - start)
    return min(times), data


def decoded(codec: FileCodec, data: bytes) -> tuple[float, Picture]:
    times = []
    for _ in range(2):
        start = perf_counter()
        picture = codec.decode(data)
        times.append(perf_counter() - start)
    return min(times), picture


def figures(plain: FileCodec, fast: FileCodec, picture: Picture, quality: float) -> list[float]:
    """As COLUMNS has them: two ratios of time, one of size, a share, levels, dB."""
    (encode_s, data), (fast_encode_s, fast_data) = (
        encoded(codec, picture, quality) for codec in (plain, fast)
    )
    (decode_s, one), (fast_decode_s, other) = (decoded(codec, data) for codec in (plain, fast))
    change = np.abs(one.pixels.astype(int) - other.pixels)
    quickly = fast.decode(fast_data)
    had, has = (psnr_db(picture.pixels, each.pixels) for each in (one, quickly))
    return [
        fast_encode_s / encode_s,
        fast_decode_s / decode_s,
        len(fast_data) / len(data),
        float((change > 0).mean()),
        float(change.max()),
        has - had,
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    pictures = Path(data) / "kodak" if data else None
    parser.add_argument("--codecs", default="swift", help="comma-separated (%(default)s)")
    parser.add_argument("--pictures", type=Path, default=pictures, required=pictures is None)
    parser.add_argument("--limit", type=int, help="only so many pictures, for a quick look")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    if not has_fast_bfloat16(torch.device("cpu")):
        print("error: without AMX --fast leaves out filters and no more", file=sys.stderr)
        return 1
    paths = sorted(given.pictures.glob("*.png"))[: given.limit]
    if not paths:
        print(f"error: no .png in {given.pictures}", file=sys.stderr)
        return 1
    pictures = [Picture(read_picture(path).in_8_bits().pixels) for path in paths]
    title = f"--fast and without, means of {len(paths)} pictures, {given.threads} threads"
    table = Table("codec, quality", *COLUMNS, title=title)
    for name in given.codecs.split(","):
        plain, fast = (open_codec(name, "cpu", fast=quick) for quick in (False, True))
        for quality in QUALITIES:
            rows = np.array(
                [
                    figures(plain, fast, picture, quality)
                    for picture in track(pictures, description=f"{name}, {quality:g}")
                ]
            )
            encode, decode, size, share, _, lost_db = rows.mean(0)
            table.add_row(
                f"{plain.spec.full_name}, {quality:g}",
                f"× {encode:.2f}",
                f"× {decode:.2f}",
                f"× {size:.5f}",
                f"{share:.1%}",
                f"{rows[:, 4].max():.0f}",
                f"{lost_db:+.4f} dB",
            )
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
