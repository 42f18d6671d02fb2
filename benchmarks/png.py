"""Sizes and times of PNG files, by zlib's level: of photographs, and of what they decode to.

    python benchmarks/png.py --pictures kodak/

Decoding to a PNG spends a third of its time on writing it at Pillow's own level, 6.
"""

import argparse
import os
from io import BytesIO
from pathlib import Path
from statistics import fmean
from time import perf_counter

from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

import corelic

LEVELS = 1, 2, 3, 4, 5, 6, 9
USUAL = 6
QUALITIES = 20.0, 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    folder = Path(data) / "kodak" if data else None
    parser.add_argument("--pictures", type=Path, default=folder, required=folder is None)
    given = parser.parse_args()
    console = Console()
    times: dict[int, list[float]] = {level: [] for level in LEVELS}
    sizes: dict[int, list[int]] = {level: [] for level in LEVELS}
    for path in track(sorted(given.pictures.glob("*.png")), "PNG", console=console):
        photo = Image.open(path).convert("RGB")
        decoded = [corelic.decode(corelic.encode(photo, quality=q)) for q in QUALITIES]
        for image in (photo, *decoded):
            for level in LEVELS:
                file, start = BytesIO(), perf_counter()
                image.save(file, "PNG", compress_level=level)
                times[level].append(perf_counter() - start)
                sizes[level].append(file.tell())
    table = Table("level", "s", "size of level 6", "at most", title="means")
    for level in LEVELS:
        ratios = [size / usual for size, usual in zip(sizes[level], sizes[USUAL], strict=True)]
        row = f"{fmean(times[level]):.3f}", f"{fmean(ratios):.3f}", f"{max(ratios):.3f}"
        table.add_row(str(level), *row)
    console.print(table)


if __name__ == "__main__":
    main()
