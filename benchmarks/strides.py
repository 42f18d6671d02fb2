"""How wide should a step of PGD be? Crops of training photographs, for Kodak is not tuned on.

    python benchmarks/strides.py --count 4 --side 64

Prints what the attack's own surrogate scores at the end, by stride in radii of an L∞ ball; the
default of `corelic.attacks.optimisers.pgd` is chosen by it. docs/log.md quotes the table.
"""

import argparse
import os
import sys
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from corelic.attacks.constraints import Linf
from corelic.attacks.objectives import Distortion, Objective, Rate
from corelic.attacks.optimisers import PGD
from corelic.attacks.victim import LearnedVictim
from corelic.media import Picture
from corelic.training.data import is_held_out, read_pictures

STRIDES = (0.0625, 0.25, 0.5, 1.0, 2.0)  # radii
OBJECTIVES: tuple[Objective, ...] = (Distortion(), Rate())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    photos = Path(data) / "photos" if data else None
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--photos", type=Path, default=photos, required=photos is None)
    parser.add_argument("--count", type=int, default=4, help="crops (%(default)s)")
    parser.add_argument("--side", type=int, default=128, help="of a crop, in pixels (%(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="of PGD (%(default)s)")
    parser.add_argument("--eps", type=int, default=8, help="of 255 (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def crops(photos: Path, count: int, side_px: int) -> list[Picture]:
    """The middles of photographs that training sees."""
    allowed = (image for name, image in read_pictures(photos) if not is_held_out(name))
    chosen = islice(allowed, count)
    return [Picture(np.asarray(image)).middle(side_px, side_px) for image in chosen]


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    clip = crops(given.photos, given.count, given.side)
    victim, constraint = LearnedVictim(given.codec, given.quality), Linf(given.eps / 255)
    print("| stride, radii | " + " | ".join(f"{stride:g}" for stride in STRIDES) + " |")
    print("|---|" + "---|" * len(STRIDES))
    for objective in OBJECTIVES:
        scores = []
        for stride in STRIDES:
            attack = PGD(
                victim,
                objective=objective,
                constraint=constraint,
                steps=given.steps,
                stride=stride * constraint.radius,
            )
            scores.append(f"{fmean(attack(clip).end):.4g}")
        print(f"| {objective.title} | " + " | ".join(scores) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
