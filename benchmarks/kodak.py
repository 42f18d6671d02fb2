"""Rate and distortion of a learned codec on a folder of pictures, from real files.

    picture ─ encode ─► bytes on disk ─► rate       ─► mean per quality ─► curve ─► BD-rate
                          └─ decode ─► 8-bit pixels ─► PSNR, MS-SSIM

    python benchmarks/kodak.py --codec swift
    python benchmarks/kodak.py --codec build/new.safetensors --float-run runs/new --limit 4

Beside each file stands its estimate from the likelihoods, and with --float-run the whole curve of
the model as it was trained. The result is a JSON file that also CompressAI's plots read.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from time import perf_counter

import torch
from keeping import keep, place_of
from rich import print as show
from rich.progress import track
from rich.table import Table

from corelic.codecs.files import FileCodec, colour_of, open_codec, to_pixels
from corelic.codecs.learned import LearnedImageCodec
from corelic.entropy import container
from corelic.entropy.container import ChunkType
from corelic.eval import published
from corelic.eval.machine import machine
from corelic.eval.metrics import ms_ssim, psnr_db
from corelic.eval.rate_distortion import (
    Curve,
    CurveError,
    Metric,
    Point,
    bd_rate,
    to_json,
)
from corelic.media import Picture, read_picture
from corelic.training.averaged import averaged_codec

KODAK_PICTURES = 24
QUALITIES = tuple(range(0, 101, 10))


@dataclass(frozen=True, slots=True)
class Row:
    """One picture at one quality."""

    picture: str
    quality: float
    width_px: int
    height_px: int
    file_bytes: int
    overhead_bytes: int  # all but the entropy-coded words and the filter
    filter_bytes: int
    estimated_psnr_db: float
    estimated_bits: float
    psnr_db: float
    ms_ssim: float | None
    encode_s: float
    decode_s: float

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px

    @property
    def rate_bpp(self) -> float:
        return 8 * self.file_bytes / self.pixels

    @property
    def point(self) -> Point:
        return Point(self.rate_bpp, self.psnr_db, self.ms_ssim)

    @property
    def estimated_point(self) -> Point:
        return Point(self.estimated_bits / self.pixels, self.estimated_psnr_db)

    @property
    def excess(self) -> float:
        """Of the whole file over the estimate."""
        return 8 * self.file_bytes / self.estimated_bits - 1

    @property
    def words_excess(self) -> float:
        """Of the entropy-coded words over the estimate."""
        words_bytes = self.file_bytes - self.overhead_bytes - self.filter_bytes
        return 8 * words_bytes / self.estimated_bits - 1


def measure(codec: FileCodec, name: str, picture: Picture, quality: float) -> Row:
    start = perf_counter()
    data = codec.encode(picture, quality)
    middle = perf_counter()
    decoded = codec.decode(data)
    end = perf_counter()
    content, estimate = container.read(data), codec.estimate(picture, quality)
    filter_bytes = len(content.payload(ChunkType.FILTER) or b"")
    return Row(
        picture=name,
        quality=quality,
        width_px=picture.width_px,
        height_px=picture.height_px,
        file_bytes=len(data),
        overhead_bytes=len(data) - len(content.words) - filter_bytes,
        filter_bytes=filter_bytes,
        estimated_bits=estimate.bits,
        estimated_psnr_db=psnr_db(picture.pixels, estimate.picture.pixels),
        psnr_db=psnr_db(picture.pixels, decoded.pixels),
        ms_ssim=ms_ssim(picture.pixels, decoded.pixels),
        encode_s=middle - start,
        decode_s=end - middle,
    )


@torch.inference_mode()
def measure_float(
    codec: LearnedImageCodec, files: FileCodec, picture: Picture, quality: float
) -> Point:
    """The model as it was trained: rate from likelihoods, picture rounded to 8 bits."""
    result = codec(files.to_tensor(picture), files.quality_tensor(quality))
    decoded = to_pixels(result.x_hat[0], colour_of(picture))
    rate_bpp = result.bits.item() / (picture.width_px * picture.height_px)
    return Point(rate_bpp, psnr_db(picture.pixels, decoded))


def mean_curve(name: str, points: Iterable[Sequence[Point]]) -> Curve:
    """One point per quality, from the points of its pictures."""
    return Curve(name, tuple(mean_point(of_quality) for of_quality in points))


def mean_point(points: Sequence[Point]) -> Point:
    similarities = [point.ms_ssim for point in points if point.ms_ssim is not None]
    return Point(
        rate_bpp=fmean(point.rate_bpp for point in points),
        psnr_db=fmean(point.psnr_db for point in points if point.psnr_db is not None),
        ms_ssim=fmean(similarities) if len(similarities) == len(points) else None,
    )


def rises(points: Sequence[Point]) -> bool:
    pairs = [(point.rate_bpp, point.psnr_db or 0) for point in points]
    return all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(pairs))


def table(rows: dict[float, list[Row]], curve: Curve) -> Table:
    columns = "quality", "bpp", "PSNR", "MS-SSIM", "over estimate", "encode", "decode"
    shown = Table(*columns, title=curve.name)
    for column in shown.columns:
        column.justify = "right"
    for (quality, these), point in zip(rows.items(), curve.points, strict=True):
        shown.add_row(
            f"{quality:g}",
            f"{point.rate_bpp:.4f}",
            f"{point.psnr_db:.3f} dB",
            "none" if point.ms_ssim is None else f"{point.ms_ssim:.5f}",
            f"{fmean(row.excess for row in these):+.2%}",
            f"{fmean(row.encode_s for row in these):.3f} s",
            f"{fmean(row.decode_s for row in these):.3f} s",
        )
    return shown


def compared(
    anchor: Curve, curve: Curve, metrics: Sequence[Metric] = ("psnr",)
) -> list[dict[str, object]]:
    """BD-rates, printed and for JSON."""
    found: list[dict[str, object]] = []
    for metric in metrics:
        try:
            result = bd_rate(anchor, curve, metric=metric)
        except CurveError as error:
            print(f"no BD-rate in {metric}: {error}")
            continue
        print(
            f"BD-rate of {curve.name} against {anchor.name}, {metric}: "
            f"{result.percent:+.2f} % over {result.low_db:.2f} … {result.high_db:.2f} dB"
        )
        for warning in result.warnings:
            print(f"  mind: {warning}")
        found.append(
            {"curve": curve.name, "anchor": anchor.name, "metric": metric} | asdict(result)
        )
    return found


def numbers(text: str) -> tuple[float, ...]:
    return tuple(sorted({float(part) for part in text.split(",")}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    pictures = Path(data) / "kodak" if data else None
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--pictures", type=Path, default=pictures, required=pictures is None)
    parser.add_argument("--qualities", type=numbers, default=QUALITIES, help="as in 0,25,50")
    parser.add_argument("--anchor", default="kodak/cai-vtm", help="published, or a file")
    parser.add_argument("--float-run", type=Path, help="folder of the training run it came from")
    parser.add_argument("--limit", type=int, help="only so many pictures, for a quick look")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: results/kodak-CODEC.json, beside this")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    codec = open_codec(given.codec, given.device)
    name = codec.facts.name
    paths = sorted(given.pictures.glob("*.png"))[: given.limit]
    if not paths:
        print(f"error: no .png in {given.pictures}", file=sys.stderr)
        return 1
    partial = len(paths) != KODAK_PICTURES or given.qualities != QUALITIES
    out = place_of("kodak", codec, given.out, partial=partial)
    in_float = None
    if given.float_run:
        in_float = averaged_codec(given.float_run, codec.spec).to(codec.device)
    pictures = [read_picture(path) for path in paths]
    measure(codec, "warm-up", pictures[0], 50)

    rows: dict[float, list[Row]] = {quality: [] for quality in given.qualities}
    floats: dict[float, list[Point]] = {quality: [] for quality in given.qualities}
    work = [(path, picture, q) for path, picture in zip(paths, pictures, strict=True) for q in rows]
    for path, picture, quality in track(work, description=name):
        rows[quality].append(measure(codec, path.name, picture, quality))
        if in_float is not None:
            floats[quality].append(measure_float(in_float, codec, picture, quality))

    curve = mean_curve(name, ([row.point for row in these] for these in rows.values()))
    show(table(rows, curve))
    anchor = published.find(given.anchor)
    if len(paths) != KODAK_PICTURES:
        print(f"{len(paths)} of {KODAK_PICTURES} pictures: a BD-rate may be off by tens of points")
    found = compared(anchor, curve, ("psnr", "ms-ssim"))
    if in_float is not None:
        trained = mean_curve(f"{name} as trained, estimated", floats.values())
        estimates = ([row.estimated_point for row in these] for these in rows.values())
        found += compared(trained, mean_curve(f"{name}, estimated", estimates))

    every = [row for these in rows.values() for row in these]
    real = {
        "mean_excess": fmean(row.excess for row in every),
        "largest_excess": max((row.excess for row in every), key=abs),
        "largest_words_excess": max((row.words_excess for row in every), key=abs),
        "overhead_bytes": max(row.overhead_bytes for row in every),
    }
    print(
        f"files over their estimates: {real['mean_excess']:+.3%} on average, at most "
        f"{real['largest_excess']:+.3%}; without the {real['overhead_bytes']} bytes around "
        f"the words, at most {real['largest_words_excess']:+.3%}"
    )
    rising = rises(curve.points)
    by_picture = [rises([row.point for row in every if row.picture == path.name]) for path in paths]
    print(
        f"bpp and PSNR rise strictly with quality: {'yes' if rising else 'NO'}, "
        f"and in {sum(by_picture)} of {len(paths)} pictures"
    )
    result = {
        **to_json(curve),
        "meta": {
            "dataset": given.pictures.name,
            "aggregation": "per-image mean; rate of whole files, decoded 8-bit pictures",
            "qualities": list(rows),
            "weights_fingerprint": codec.weights.fingerprint.hex(),
            "machine": machine(codec.device.type),
        },
        "bd_rates": found,
        "files_over_estimates": real,
        "rises_strictly": rising,
        "pictures": [asdict(row) for row in every],
    }
    keep(result, out)
    return 0 if rising else 1


if __name__ == "__main__":
    sys.exit(main())
