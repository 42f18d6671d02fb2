"""What photographs have in common: how rate and error go with λ, for where searches start and go.

    photographs ─► bytes and MSE at some qualities ─┬─► constants of codecs/targets.py
    forecasts of the same ──────────────────────────┴─► weights of codecs/forecast.py

    CORELIC_DATA=DATA python benchmarks/slopes.py

Photographs are those that training holds out (`corelic.training.data.is_held_out`), for slopes
they alone, and others for forecasts, whose errors are told of both; of each, the middle 768 × 512
pixels. Slopes are of an analysis for one quality, quantised for it and for STALE units more.
"""

import argparse
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from scipy.optimize import least_squares

from corelic.codecs.files import exact_arithmetic, open_codec
from corelic.codecs.forecast import ERROR, RATE, Forecast
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.rate import QUALITY_STEPS
from corelic.codecs.search import Search
from corelic.codecs.targets import LAMBDA, Scale
from corelic.media import Picture
from corelic.training.data import is_held_out, read_pictures

QUALITIES = 12, 35, 58, 80
STALE = 5
SIZE_PX = 768, 512


def photographs(folder: Path, others: int) -> list[tuple[Picture, bool]]:
    """And whether they are held out."""
    found, left = [], others
    for name, image in read_pictures(folder):
        held = is_held_out(name)
        if not held and left == 0:
            continue
        if min(image.size) >= min(SIZE_PX) and max(image.size) >= max(SIZE_PX):
            width, height = SIZE_PX if image.width >= image.height else SIZE_PX[::-1]
            left -= not held
            x, y = (image.width - width) // 2, (image.height - height) // 2
            picture = Picture.from_image(image.crop((x, y, x + width, y + height)))
            found.append((picture, held))
    return found


def fit(features: list[list[float]], values: list[float]) -> np.ndarray:
    found, *_ = np.linalg.lstsq(np.array(features), np.array(values), rcond=None)
    return found


def robust(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A drawing among photographs shall not count for more than they do."""
    start = np.zeros(features.shape[1])
    return least_squares(
        lambda weights: values - features @ weights, start, loss="soft_l1", f_scale=0.1
    ).x


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    photos = Path(data) / "photos" if data else None
    parser.add_argument("--photos", type=Path, default=photos, required=photos is None)
    parser.add_argument("--others", type=int, default=90, help="beside those held out")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    codec = open_codec("swift", "cpu")
    scale = Scale(codec)
    stale, own = [], []
    laws = {"RATE": RATE, "ERROR": ERROR}
    features: dict[str, list[list[float]]] = {name: [] for name in laws}
    values: dict[str, list[float]] = {name: [] for name in laws}
    whose: list[bool] = []
    for picture, held in track(
        photographs(given.photos, given.others), description=codec.spec.full_name
    ):
        forecast = Forecast(picture.pixels)
        for quality in QUALITIES:
            step = QUALITY_STEPS * quality
            with exact_arithmetic():
                search = Search(codec, picture, MEMORY_BYTES, silent)
                found = []
                for at in (step, step + QUALITY_STEPS * STALE) if held else (step,):
                    quantised = search.quantise(at)
                    rate = len(search.passes.words_of(quantised)) * 8 / math.prod(SIZE_PX)
                    error = search.error(quantised.latents.y_hat, at)
                    of_quantising = search.quantisation_error(quantised.latents.y_hat, at)
                    found.append(np.log([rate, error, of_quantising]))
            whose.append(held)
            for (name, law), value in zip(laws.items(), found[0], strict=False):
                features[name].append(list(forecast.features(law, scale.at(step))))
                values[name].append(float(value))
            if held:
                slopes = (found[1] - found[0]) / scale.slope(QUALITY_STEPS * STALE)
                share = found[0][2] - found[0][1]
                own.append([math.log(max(-slopes[1], 1e-3)), share, scale.at(step)])
                stale.append(slopes)
    counts = [len(each) // len(QUALITIES) for each in (stale, whose)]
    print("{} photographs held out, {} in all".format(*counts))
    for name in laws:
        table, known = np.array(features[name]), np.array(values[name])
        weights = robust(table, known)
        rest = known - table @ weights
        spreads = [np.sqrt(np.mean(rest[np.array(whose) == held] ** 2)) for held in (True, False)]
        shown = ", ".join(f"{weight:.3f}" for weight in weights)
        print("{} ({}), ± {:.3f} held out, ± {:.3f}".format(name, shown, *spreads))
    means, deviations = np.mean(stale, 0), np.std(stale, 0)
    for name, mean, spread in zip(("RATE_SLOPE", "ERROR_SLOPE"), means, deviations, strict=False):
        print(f"{name} {mean:.3f} ± {spread:.3f}")
    logs, shares, lambdas = np.array(own).T
    above = lambdas - math.log(LAMBDA)
    exponent, drift, constant = fit(np.stack([shares, above, np.ones(len(own))], 1), logs)
    rest = logs - exponent * shares - drift * above - constant
    print(
        f"OWN_SLOPE {-math.exp(constant):.3f}, OWN_EXPONENT {exponent:.3f}, OWN_DRIFT {drift:.3f}"
    )
    print(f"logarithms of slopes: ± {logs.std():.3f}, of which ± {rest.std():.3f} stays")
    return 0


if __name__ == "__main__":
    sys.exit(main())
