"""Stores attacks on crops of training photographs: what fine-tuning and purifiers learn from.

    python benchmarks/harden.py --out attacked
    corelic train recipes/swift-hardened.yaml --attacked attacked --run runs/hardened
    python benchmarks/harden.py --out attacked --purifier purifier.safetensors

Half of the attacks aim at the decoded picture, half at the rate, at three qualities of each codec.
The crops are of photographs that training may see; held-out ones are left out. With --purifier and
--irad those networks are trained on what is stored.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch
from rich.progress import Progress

from corelic.attacks.constraints import Linf
from corelic.attacks.defences.irad import train_irad
from corelic.attacks.defences.learning import Schedule, save_network
from corelic.attacks.defences.purifier import train_purifier
from corelic.attacks.defences.stored import read_pairs, store_attacks
from corelic.attacks.objectives import Distortion, Rate
from corelic.attacks.optimisers import PGD
from corelic.attacks.pixels import pictures_of
from corelic.attacks.victim import LearnedVictim
from corelic.disk import atomic_write, check_output, make_folder
from corelic.training.data import Crops, PhotoCache

QUALITIES = (20.0, 50.0, 80.0)
SEED = 7


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    photos = Path(data) / "photos" if data else None
    parser.add_argument("--codecs", default="swift", help="names or weights, comma-separated")
    parser.add_argument("--photos", type=Path, default=photos, required=photos is None)
    parser.add_argument("--out", type=Path, required=True, help="folder of stored attacks")
    parser.add_argument("--cache", type=Path, help="of decoded photographs; default: beside --out")
    parser.add_argument("--count", type=int, default=480, help="crops (%(default)s)")
    parser.add_argument("--size", type=int, default=128, help="of a crop, in pixels (%(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="of PGD (%(default)s)")
    parser.add_argument("--eps", type=int, default=8, help="of 255 (%(default)s)")
    parser.add_argument("--purifier", type=Path, help="train one, and write it there")
    parser.add_argument("--irad", type=Path, help="train one, and write it there")
    parser.add_argument("--train-steps", type=int, default=400, help="of either (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def settings_of(victims: list[LearnedVictim], crops: Crops, given: argparse.Namespace) -> str:
    """All that stored attacks follow from, but their number: with more crops there are more."""
    weights = [f"{one.title}, {one.codec.weights.fingerprint.hex()}" for one in victims]
    settings = {"victims": weights, "photographs": crops.cache.digest, "seed": SEED}
    settings |= {"size_px": given.size, "steps": given.steps, "eps_of_255": given.eps}
    return json.dumps(settings, indent=1) + "\n"


def keep_to(settings: str, folder: Path) -> None:
    """Writes them beside the attacks; SystemExit where those that are there had others."""
    path = folder / "settings.json"
    if path.exists():
        if path.read_text() != settings:
            text = f"{folder} holds attacks with other settings, those in {path.name}"
            raise SystemExit(f"error: {text}; give another --out")
    elif any(folder.glob("*.png")):
        text = f"{folder} holds attacks with settings that are not known"
        raise SystemExit(f"error: {text}; give another --out")
    else:
        make_folder(folder)
        atomic_write(path, settings.encode())


def main() -> int:
    given = arguments()
    for path in (given.purifier, given.irad):
        if path is not None:
            check_output(path, overwrite=False)  # or what took hours is lost
    torch.set_num_threads(given.threads)
    victims = [
        LearnedVictim(name, quality) for name in given.codecs.split(",") for quality in QUALITIES
    ]
    attacks = [
        PGD(victim, objective=objective, constraint=Linf(given.eps / 255), steps=given.steps)
        for victim in victims
        for objective in (Distortion(), Rate())
    ]
    cache = given.cache or given.out.with_name(f"{given.out.name}-cache")
    crops = Crops(PhotoCache.build(given.photos, cache), SEED)
    keep_to(settings_of(victims, crops, given), given.out)
    pictures = pictures_of(crops.batch(0, range(given.count), given.size))
    start = time.perf_counter()
    with Progress() as bar:
        task = bar.add_task("attacking", total=len(pictures))
        made = store_attacks(
            pictures, attacks, given.out, progress=lambda done, _: bar.update(task, completed=done)
        )
    print(f"{made} attacks made in {time.perf_counter() - start:.0f} s, {len(pictures)} stored")
    schedule = Schedule(steps=given.train_steps)
    for path, name in ((given.purifier, "purifier"), (given.irad, "IRAD")):
        if path is None:
            continue
        start, pairs = time.perf_counter(), read_pairs(given.out)
        if name == "purifier":
            save_network(train_purifier(tuple(victims), pairs, schedule=schedule), path)
        else:
            save_network(train_irad(victims[0], pairs, schedule=schedule), path)
        print(f"{path}: {name}, trained in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
