"""What photographs have in common: rate and error by busyness and λ, for where searches start.

    held-out photographs ─► bytes and MSE at some qualities ─► constants of codecs/targets.py

    CORELIC_DATA=DATA python benchmarks/slopes.py

Photographs are those that training holds out (`corelic.training.data.is_held_out`), their middle
768 × 512 pixels. For every quality there are two results: analysed for it, and with the analysis
of a quality of STALE units less.
"""

import argparse
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from corelic.codecs.files import exact_arithmetic, open_codec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.sample import activity_of
from corelic.codecs.search import Search
from corelic.codecs.targets import LAMBDA
from corelic.media import Picture
from corelic.training.data import is_held_out, read_pictures

QUALITIES = 20, 50, 80
STALE = 5
SIZE_PX = 768, 512


def photographs(folder: Path) -> list[Picture]:
    found = []
    for name, image in read_pictures(folder):
        if (
            is_held_out(name)
            and min(image.size) >= min(SIZE_PX)
            and max(image.size) >= max(SIZE_PX)
        ):
            width, height = SIZE_PX if image.width >= image.height else SIZE_PX[::-1]
            left, top = (image.width - width) // 2, (image.height - height) // 2
            found.append(Picture.from_image(image.crop((left, top, left + width, top + height))))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    photos = Path(data) / "photos" if data else None
    parser.add_argument("--photos", type=Path, default=photos, required=photos is None)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    codec = open_codec("swift", "cpu")
    spec = codec.spec
    nats = math.log(spec.lambda_max / spec.lambda_min) / 100  # of λ, per unit of quality
    rows, stale, own = [], [], []
    for picture in track(photographs(given.photos), description=spec.full_name):
        activity = math.log(activity_of(picture.pixels))
        for quality in QUALITIES:
            with exact_arithmetic():
                search = Search(codec, picture, MEMORY_BYTES, silent)
                values, shares = [], []
                above_usual = math.log(spec.lambda_min) + nats * quality - math.log(LAMBDA)
                for step in (16 * quality, 16 * (quality + STALE)):
                    quantised = search.quantise(step)
                    rate = len(search.passes.words_of(quantised)) * 8 / math.prod(SIZE_PX)
                    error = search.error(quantised.latents.y_hat, step)
                    values.append(np.log([rate, error]))
                    of_quantising = search.quantisation_error(quantised.latents.y_hat, step)
                    shares.append(math.log(of_quantising / error))
            slope = (values[1][1] - values[0][1]) / (STALE * nats)
            own.append([math.log(max(-slope, 1e-3)), shares[0], above_usual])
            rows.append([activity, above_usual, *values[0]])
            stale.append((values[1] - values[0]) / (STALE * nats))
    table = np.array(rows)
    ones = np.ones(len(table))
    rate = table[:, 2] - table[:, 0]
    (exponent, constant), *_ = np.linalg.lstsq(np.stack([table[:, 1], ones], 1), rate, rcond=None)
    print(f"{len(rows) // len(QUALITIES)} photographs")
    print(f"RATE_BPP {math.exp(constant):.4f}, RATE_EXPONENT {exponent:.3f}")
    design = np.stack([table[:, 0], table[:, 1], ones], 1)
    (power, exponent, constant), *_ = np.linalg.lstsq(design, table[:, 3], rcond=None)
    print(
        f"ERROR {math.exp(constant):.3f}, ERROR_ACTIVITY {power:.3f}, ERROR_EXPONENT {exponent:.3f}"
    )
    means, spreads = np.mean(stale, 0), np.std(stale, 0)
    for name, mean, spread in zip(("RATE_SLOPE", "ERROR_SLOPE"), means, spreads, strict=True):
        print(f"{name} {mean:.3f} ± {spread:.3f}")
    logs, shares, lambdas = np.array(own).T
    (exponent, drift, constant), *_ = np.linalg.lstsq(
        np.stack([shares, lambdas, np.ones(len(own))], 1), logs, rcond=None
    )
    rest = logs - exponent * shares - drift * lambdas - constant
    print(
        f"OWN_SLOPE {-math.exp(constant):.3f}, OWN_EXPONENT {exponent:.3f}, OWN_DRIFT {drift:.3f}"
    )
    print(f"logarithms of slopes: ± {logs.std():.3f}, of which ± {rest.std():.3f} stays")
    return 0


if __name__ == "__main__":
    sys.exit(main())
