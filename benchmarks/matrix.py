"""Every transform with every context model, under one budget.

    transform with no context ─ trained ─► frozen ─► its latents, cached
    for each context, for each seed:   hyperprior and context trained on these latents
                                       ─► exact weights ─► files of pictures ─► bits, PSNR, times

    python benchmarks/matrix.py --data photos/ --pictures kodak/
    python benchmarks/matrix.py --frozen swift --contexts hyperprior_only,quarters,channel_slices

All contexts of a transform get the same steps of the same batches; rates are those of real files.
What is done is kept in build/matrix and not done again: interrupt it when you like, and give the
same options to go on. Transforms and contexts are the kinds in the folders of these names in
corelic/codecs, each as its `sized` makes it for the number of latent channels: their own
proportions, so parameters differ, and are shown.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from matrix_study.rows import BASELINE, Row, conditions, table, without_places
from matrix_study.training import pictures_of, published_base, row_of, trained_base

from corelic.codecs import spec_json
from corelic.codecs.files import device_of
from corelic.codecs.registry import find_spec
from corelic.disk import atomic_write
from corelic.eval.machine import machine
from corelic.training.frozen import LatentCache
from corelic.training.recipe import Precision

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "context-models.md"
BEGIN, END = "<!-- measured: python benchmarks/matrix.py", "<!-- end of measured -->"
FIXED = (  # options that all rows must share
    *("channels", "transform_steps", "steps", "batch", "crop", "cached", "learning_rate"),
    *("precision", "data", "pictures", "limit", "centre"),
)


def with_baseline_first(kinds: Iterable[str]) -> list[str]:
    return sorted(kinds, key=lambda kind: (kind != BASELINE, kind))


def full_names(codecs: str) -> str:
    """With their generations: latents and rows of one are not those of the next."""
    return ",".join(find_spec(name).full_name for name in codecs.split(","))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    photos, kodak = (Path(data) / name if data else None for name in ("photos", "kodak"))
    kinds = with_baseline_first(spec_json.kinds("context"))
    parser.add_argument("--data", type=Path, default=photos, required=photos is None)
    parser.add_argument("--pictures", type=Path, default=kodak, required=kodak is None)
    parser.add_argument("--limit", type=int, help="only so many pictures")
    parser.add_argument("--centre", type=int, help="of pictures, only a square of so many pixels")
    parser.add_argument("--transforms", default=",".join(spec_json.kinds("transform")))
    parser.add_argument(
        "--frozen", type=full_names, help="instead of those: of these codecs, as they are published"
    )
    parser.add_argument("--contexts", default=",".join(kinds))
    parser.add_argument("--channels", type=int, default=128, help="of latents (%(default)s)")
    parser.add_argument("--transform-steps", type=int, default=20000)
    parser.add_argument("--steps", type=int, default=8000, help="of each context (%(default)s)")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256, help="side in pixels (%(default)s)")
    parser.add_argument("--cached", type=int, default=8192, help="crops of latents (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="32-true", help="of transforms"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "matrix")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "matrix.json")
    parser.add_argument("--show", action="store_true", help="what is done, and train nothing")
    parser.add_argument("--page", action="store_true", help=f"write the table into {PAGE.name}")
    return parser.parse_args()


def places(name: str, given: argparse.Namespace) -> Iterable[tuple[str, int, Path]]:
    """Of the rows on one transform: context, seed, and where it is kept."""
    for seed in map(int, given.seeds.split(",")):
        for context in given.contexts.split(","):
            yield context, seed, given.work / name / f"{context}-{seed}.json"


def kept(name: str, given: argparse.Namespace) -> list[Row]:
    """What is done on one transform."""
    paths = [path for *_, path in places(name, given)]
    return [Row(**json.loads(path.read_text())) for path in paths if path.exists()]


def measure(name: str, given: argparse.Namespace) -> None:
    """All contexts on one transform, but for what is done."""
    base = (published_base if given.frozen else trained_base)(name, given)
    codec, latents = base.codec.to(device_of(given.device)), given.work / name / "latents"
    cache = LatentCache.build(codec, base.crops, latents, given.cached, given.crop)
    for context, seed, path in places(name, given):
        if not path.exists():
            row = row_of(name, context, codec, cache, seed, given)
            atomic_write(path, json.dumps(asdict(row)).encode(), overwrite=True)


def keep_to(options: dict[str, str], work: Path) -> str | None:
    """What would make a run that goes on another run than it was; None for nothing."""
    path = work / "options.json"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(options))
    before = json.loads(path.read_text())
    changed = [name for name in FIXED if before[name] != options[name]]
    if not changed:
        return None
    was = ", ".join(f"--{name.replace('_', '-')} {before[name]}" for name in changed)
    return f"{work} holds a run with {was}; give that, or another --work"


def asked(options: dict[str, str]) -> str:
    """A run's options, but for places, and for transforms and contexts, which its rows show."""
    names = [name for name in FIXED if name not in ("data", "pictures")] + ["seeds", "frozen"]
    given = ((f"--{name.replace('_', '-')}", options[name]) for name in names)
    return " ".join(f"{name} {value}" for name, value in given if value != "None")


def main() -> int:
    given = arguments()
    options = {name: str(value) for name, value in vars(given).items()}
    problem = keep_to(options, given.work)
    if problem is not None:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    pictures_of(given)  # or there is nothing to measure with
    names = (given.frozen or given.transforms).split(",")
    for name in names:
        if not given.show:
            measure(name, given)
    rows = [row for name in names for row in kept(name, given)]
    lines = "\n".join((*table(rows), "", conditions(options)))
    result = {"options": without_places(options), "machine": machine(given.device)}
    result["rows"] = [asdict(row) for row in rows]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(given.out, (json.dumps(result, indent=1) + "\n").encode(), overwrite=True)
    print(f"{lines}\n\nall figures: {given.out}")
    if given.page:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        mark = f"{BEGIN} {asked(options)} -->"
        PAGE.write_text(f"{before}{mark}\n{lines}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
