"""What defences cost where nobody attacks: a codec's rate and PSNR behind each, on real files.

    python benchmarks/defences.py
    python benchmarks/defences.py --defences median,two-way,purifier:weights=purifier.safetensors

Every picture's middle is coded at four qualities, plain and behind each defence; BD-rate is that of
one against the other. Defences that measure clean pictures first are shown training photographs,
never those that are counted. docs/defences.md quotes the table.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from corelic.attacks.defences.cost import CleanCost, clean_cost, rate_curve
from corelic.attacks.defences.named import DEFENCES, defend
from corelic.attacks.victim import victim_of
from corelic.codecs.api import open_image_codec
from corelic.disk import atomic_write
from corelic.eval.machine import machine
from corelic.media import Picture, read_picture
from corelic.training.data import is_held_out, read_pictures

HERE = Path(__file__).parent
QUALITIES = (20.0, 40.0, 60.0, 80.0)
CLEAN_COUNT = 8


def clean_pictures(photos: Path, side_px: int) -> list[Picture]:
    """Of training photographs, their middles."""
    allowed = (image for name, image in read_pictures(photos) if not is_held_out(name))
    chosen = islice(allowed, CLEAN_COUNT)
    return [Picture(np.asarray(image)).middle(side_px, side_px) for image in chosen]


def described(cost: CleanCost) -> str:
    """One cell: BD-rate, or why there is none."""
    return "–" if cost.bd_rate is None else f"{cost.bd_rate.percent:+.1f} %"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    kodak = Path(data) / "kodak" if data else None
    photos = Path(data) / "photos" if data else None
    ready = ",".join(name for name, one in DEFENCES.items() if "" not in one.parameters.values())
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--defences", default=ready, help="comma-separated (%(default)s)")
    parser.add_argument("--pictures", type=Path, default=kodak, required=kodak is None)
    parser.add_argument("--photos", type=Path, default=photos, required=photos is None)
    parser.add_argument("--limit", type=int, default=6, help="pictures (%(default)s)")
    parser.add_argument("--side", type=int, default=256, help="of their middles (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, help="default: results/defences-CODEC.json, beside this"
    )
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    codec = open_image_codec(given.codec, "cpu")
    victims = [victim_of(codec, quality) for quality in QUALITIES]
    paths = sorted(given.pictures.glob("*.png"))[: given.limit]
    if not paths:
        print(f"error: no .png in {given.pictures}", file=sys.stderr)
        return 1
    pictures = [read_picture(path).in_8_bits().middle(given.side, given.side) for path in paths]
    clean = clean_pictures(given.photos, given.side)
    costs, plain = {}, rate_curve("plain", victims, pictures)
    for name in track(given.defences.split(","), description=codec.facts.name):
        costs[name] = clean_cost(
            victims, partial(defend, names=name, clean=clean), pictures, plain=plain
        )
    print("| defence | BD-rate | rate, lowest and highest quality | PSNR lost, dB |")
    print("|---|---|---|---|")
    for name, cost in costs.items():
        rates, losses = cost.rate_ratios, cost.psnr_losses_db
        print(
            f"| `{name.partition(':weights')[0]}` | {described(cost)} "
            f"| ×{rates[0]:.3f}, ×{rates[-1]:.3f} | {losses[0]:.2f}, {losses[-1]:.2f} |"
        )
    result = {
        "codec": codec.facts.name,
        "version": codec.facts.version,
        "qualities": QUALITIES,
        "pictures": [path.name for path in paths],
        "side_px": given.side,
        "machine": machine(),
        "costs": {name: asdict(cost) for name, cost in costs.items()},
    }
    out = given.out or HERE / "results" / f"defences-{codec.facts.name}.json"
    atomic_write(out, (json.dumps(result, indent=1) + "\n").encode(), overwrite=True)
    print(f"all figures: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
