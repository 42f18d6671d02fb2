"""Do targets hit their mark? Sizes and PSNRs on a folder of pictures, from real files.

    python benchmarks/targets.py
    python benchmarks/targets.py --limit 4 --rates 0.5 --psnrs 34

For every picture and target: the share of the size that the file reaches, or the distance from the
PSNR; how often the picture was quantised; the time, against a plain encode at the quality found,
measured beside it; and what that plain encode has of rate and PSNR, for its analysis was made for
this very quality.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter

import torch
from keeping import keep, place_of
from rich.console import Console
from rich.progress import track
from rich.table import Table

from corelic.codecs.files import FileCodec, open_codec
from corelic.codecs.targets import TRIALS, encode_to_psnr, encode_to_size
from corelic.errors import TargetError
from corelic.eval.machine import machine
from corelic.eval.metrics import psnr_db
from corelic.media import Picture, read_picture

RATES_BPP, PSNRS_DB = (0.25, 0.5, 1.0), (31.0, 34.0, 37.0)
SHARE, DISTANCE_DB, TIME_RATIO = 0.97, 0.05, 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """One picture and target; a target that no quality reaches has no row."""

    picture: str
    target_bytes: int | None
    target_psnr_db: float | None
    file_bytes: int
    psnr_db: float
    quality: float
    trials: int
    drafts: int
    analyses: int
    seconds: float
    plain_bytes: int
    plain_psnr_db: float
    plain_seconds: float

    @property
    def share(self) -> float:
        assert self.target_bytes is not None
        return self.file_bytes / self.target_bytes

    @property
    def distance_db(self) -> float:
        assert self.target_psnr_db is not None
        return self.psnr_db - self.target_psnr_db


def decoded_db(codec: FileCodec, picture: Picture, data: bytes) -> float:
    found = psnr_db(picture.pixels, codec.decode(data).pixels)
    assert found is not None
    return found


def measure(
    codec: FileCodec,
    name: str,
    picture: Picture,
    *,
    target_bytes: int | None = None,
    target_psnr_db: float | None = None,
) -> Row | None:
    start = perf_counter()
    try:
        if target_bytes is not None:
            found = encode_to_size(codec, picture, target_bytes)
        else:
            assert target_psnr_db is not None
            found = encode_to_psnr(codec, picture, target_psnr_db)
    except TargetError:
        return None
    middle = perf_counter()
    quality = found.quality_step / 16
    plain = codec.encode(picture, quality)
    end = perf_counter()
    return Row(
        picture=name,
        target_bytes=target_bytes,
        target_psnr_db=target_psnr_db,
        file_bytes=len(found.data),
        psnr_db=decoded_db(codec, picture, found.data),
        quality=quality,
        trials=found.trials,
        drafts=found.drafts,
        analyses=found.analyses,
        seconds=middle - start,
        plain_bytes=len(plain),
        plain_psnr_db=decoded_db(codec, picture, plain),
        plain_seconds=end - middle,
    )


def numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def mean(values: Iterable[float]) -> float | None:
    """None of none: where no target is in reach."""
    every = list(values)
    return fmean(every) if every else None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    pictures = Path(data) / "kodak" if data else None
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--pictures", type=Path, default=pictures, required=pictures is None)
    parser.add_argument("--rates", type=numbers, default=RATES_BPP, help="targets in bpp")
    parser.add_argument("--psnrs", type=numbers, default=PSNRS_DB, help="in dB")
    parser.add_argument("--limit", type=int, help="only so many pictures, for a quick look")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: results/targets-CODEC.json, beside this")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    codec = open_codec(given.codec, "cpu")
    name = codec.facts.name
    paths = sorted(given.pictures.glob("*.png"))[: given.limit]
    if not paths:
        print(f"error: no .png in {given.pictures}", file=sys.stderr)
        return 1
    usual = (given.limit, given.rates, given.psnrs) == (None, RATES_BPP, PSNRS_DB)
    out = place_of("targets", codec, given.out, partial=not usual)
    sizes: list[Row] = []
    psnrs: list[Row] = []
    missed: list[str] = []
    for number, path in enumerate(track(paths, description=name)):
        picture = read_picture(path)
        if number == 0:
            codec.encode(picture, 50)  # warms up
        for rate in given.rates:
            target_bytes = int(rate * picture.width_px * picture.height_px / 8)
            row = measure(codec, path.name, picture, target_bytes=target_bytes)
            sizes += [row] if row else []
            missed += [] if row else [f"{path.name}: {rate:g} bpp"]
        for target_db in given.psnrs:
            row = measure(codec, path.name, picture, target_psnr_db=target_db)
            psnrs += [row] if row else []
            missed += [] if row else [f"{path.name}: {target_db:g} dB"]
    ratios = {
        kind: sum(row.seconds for row in rows) / sum(row.plain_seconds for row in rows)
        for kind, rows in (("size", sizes), ("psnr", psnrs))
        if rows
    }
    rows = [*sizes, *psnrs]
    summary = {
        "overshoots": sum(row.share > 1 for row in sizes),
        "least_share": min((row.share for row in sizes), default=None),
        "mean_share": mean(row.share for row in sizes),
        "largest_distance_db": max((abs(row.distance_db) for row in psnrs), default=None),
        "most_trials": max((row.trials for row in rows), default=None),
        "mean_trials": mean(row.trials for row in rows),
        "time_ratios": ratios,
        "plain_bytes_ratio": mean(row.plain_bytes / row.file_bytes for row in rows),
        "plain_psnr_db_more": mean(row.plain_psnr_db - row.psnr_db for row in rows),
        "out_of_reach": missed,
    }
    table = Table("", name, title=f"{len(rows)} targets on {len(paths)} pictures")
    for key, value in summary.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        table.add_row(key.replace("_", " "), shown)
    Console().print(table)
    result = {"codec": name, "machine": machine(), **summary, "rows": [asdict(row) for row in rows]}
    keep(result, out)
    sound = (
        bool(rows)
        and all(SHARE <= row.share <= 1 for row in sizes)
        and all(abs(row.distance_db) <= DISTANCE_DB for row in psnrs)
        and all(row.trials <= TRIALS for row in rows)
        and all(ratio <= TIME_RATIO for ratio in ratios.values())
    )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
