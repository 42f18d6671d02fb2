"""What would help the default codec: one change at a time, each with the same minutes of training.

    swift ─ one change ─► fresh run of --minutes ─► averaged weights
          ─► held-out photographs, estimated rates ─► BD-rate against `swift` itself, so trained

    python benchmarks/ablation.py --minutes 5
    python benchmarks/ablation.py --minutes 5 --only hyper-192,rate-3e-4

All runs see the same photographs, seed and qualities; each has as many steps as fit into the
minutes, so that a change which makes a step dearer pays for it. What is done is kept in
build/ablation and not done again. A few minutes order what learns fast, not what ends up best:
read a difference under a per cent as none, and repeat with another --seed what looks good.
"""

import argparse
import csv
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from corelic.codecs import registry
from corelic.codecs.base import CodecSpec
from corelic.codecs.context.checkerboard import CheckerboardSpec
from corelic.codecs.context.hyperprior_only import HyperpriorOnlySpec
from corelic.codecs.context.quarters import QuartersSpec
from corelic.codecs.files import device_of
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.registry import find_spec
from corelic.codecs.transforms.depthwise import DepthwiseSpec
from corelic.disk import atomic_write
from corelic.eval.complexity import codec_cost
from corelic.eval.machine import machine
from corelic.eval.metrics import mse_as_db
from corelic.eval.rate_distortion import Curve, Point, bd_rate
from corelic.training.averaged import averaged_codec
from corelic.training.data import PhotoCache, as_float, listing
from corelic.training.logs import FILE as LOG
from corelic.training.logs import write_logs
from corelic.training.recipe import Recipe, Stage, load_recipe
from corelic.training.setup import DATA_VARIABLE, Setup
from corelic.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
BASE = "swift"
QUALITIES = (5.0, 20.0, 40.0, 60.0, 80.0, 95.0)
PICTURES, SIDE_PX = 12, 384  # of held-out photographs, the middles
PLANNED_STEPS = 1000  # before they are fitted to the minutes


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise."""

    text: str
    spec: Callable[[CodecSpec], CodecSpec] = lambda spec: spec
    recipe: Callable[[Recipe], Recipe] = lambda recipe: recipe


@dataclass(frozen=True, slots=True)
class Row:
    """A change, trained once; the loss is the mean of its last tenth."""

    change: str
    text: str
    steps: int
    step_s: float
    loss: float
    parameters: int
    decode_kmac_per_pixel: float
    points: tuple[tuple[float, float], ...]  # bpp, PSNR in dB; lowest quality first

    @property
    def curve(self) -> Curve:
        return Curve(self.change, tuple(Point(rate_bpp, db) for rate_bpp, db in self.points))


def transform(**changes: Any) -> Callable[[CodecSpec], CodecSpec]:
    def changed(spec: CodecSpec) -> CodecSpec:
        assert isinstance(spec.transform, DepthwiseSpec)
        return replace(spec, transform=replace(spec.transform, **changes))

    return changed


def context(**changes: Any) -> Callable[[CodecSpec], CodecSpec]:
    def changed(spec: CodecSpec) -> CodecSpec:
        assert isinstance(spec.context, QuartersSpec)
        return replace(spec, context=replace(spec.context, **changes))

    return changed


def latents(channels: int) -> Callable[[CodecSpec], CodecSpec]:
    def changed(spec: CodecSpec) -> CodecSpec:
        assert isinstance(spec.transform, DepthwiseSpec) and isinstance(spec.context, QuartersSpec)
        # Both at once: they have to agree.
        return replace(
            spec,
            transform=replace(spec.transform, latent_channels=channels),
            context=replace(spec.context, latent_channels=channels),
        )

    return changed


def optimiser(**changes: float) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, optimiser=replace(recipe.optimiser, **changes))


def stage(**changes: int) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, stages=(replace(recipe.stages[0], **changes),))


def loss(exponent: float) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, loss=replace(recipe.loss, exponent=exponent))


CHANGES = {
    BASE: Change("as it is"),
    "context-1": Change(
        "no context beside the hyperprior",
        lambda spec: replace(spec, context=HyperpriorOnlySpec.sized(320)),
    ),
    "context-2": Change(
        "checkerboard, 2 steps",
        lambda spec: replace(spec, context=CheckerboardSpec.sized(320)),
    ),
    "context-kernel-3": Change("context sees 3 × 3", context(kernel_size=3)),
    "context-width-320": Change(
        "context of 320 features instead of 224", context(width=320, gate_channels=320)
    ),
    "width-144": Change("144 channels at 1/8 instead of 192", transform(channels=144)),
    "synthesis-2-2": Change(
        "2 + 2 blocks of synthesis, not 2 + 4", transform(synthesis_blocks=(2, 2))
    ),
    "synthesis-2-6": Change("2 + 6 blocks of synthesis", transform(synthesis_blocks=(2, 6))),
    "synthesis-4-4": Change("4 + 4 blocks of synthesis", transform(synthesis_blocks=(4, 4))),
    "analysis-4-2": Change(
        "4 + 2 blocks of analysis, not 5 + 3", transform(analysis_blocks=(4, 2))
    ),
    "latents-192": Change("192 latent channels instead of 320", latents(192)),
    "latents-384": Change("384 latent channels", latents(384)),
    "hyper-64": Change(
        "64 hyper-latents instead of 128", lambda spec: replace(spec, hyper_channels=64)
    ),
    "hyper-192": Change("192 hyper-latents", lambda spec: replace(spec, hyper_channels=192)),
    "rate-3e-4": Change("learning rate 3e-4 instead of 6e-4", recipe=optimiser(learning_rate=3e-4)),
    "rate-1.2e-3": Change("learning rate 1.2e-3", recipe=optimiser(learning_rate=1.2e-3)),
    "cosine": Change("cosine from the start", recipe=optimiser(constant_share=0.0)),
    "average-0": Change("last weights instead of their average", recipe=optimiser(ema_decay=0.0)),
    "exponent-0.4": Change("losses weighted by (0.012/λ)^0.4, not 0.6", recipe=loss(0.4)),
    "exponent-0.8": Change("losses weighted by (0.012/λ)^0.8", recipe=loss(0.8)),
    "crops-256": Change("2 crops of 256² instead of 8 of 128²", recipe=stage(batch=2, crop_px=256)),
    "batch-16": Change("16 crops a step", recipe=stage(batch=16)),
    "scale-3": Change(
        "squares of up to three times a crop's side, reduced",
        recipe=lambda recipe: replace(recipe, scale_max=3.0),
    ),
}


def recipe_for(codec: str, given: argparse.Namespace) -> Recipe:
    """A newcomer's first run, of one stage: its schedule is made for minutes."""
    return replace(
        load_recipe(ROOT / "recipes" / "tiny.yaml"),
        codec=codec,
        seed=given.seed,
        precision=given.precision,
        stages=(Stage(steps=PLANNED_STEPS, batch=8, crop_px=128),),
    )


def held_out_crops(cache: PhotoCache) -> list[torch.Tensor]:
    """The middles of photographs that training leaves out, (1, 3, side, side) in [0, 1]."""
    large = (
        entry
        for entry in cache.split(held_out=True)
        if min(entry.height_px, entry.width_px) >= SIDE_PX
    )
    crops = []
    for entry, _ in zip(large, range(PICTURES), strict=False):
        top, left = ((side - SIDE_PX) // 2 for side in (entry.height_px, entry.width_px))
        pixels = cache.picture(entry)[top : top + SIDE_PX, left : left + SIDE_PX]
        crops.append(as_float(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]))
    return crops


@torch.inference_mode()
def points_of(codec: LearnedImageCodec, crops: list[torch.Tensor]) -> Iterable[tuple[float, float]]:
    """Mean rate, estimated, and mean PSNR at each quality."""
    for quality in QUALITIES:
        found = []
        for x in crops:
            result = codec(x, torch.tensor([quality]))
            mse = (result.x_hat.clamp(0, 1) - x).mul(255).square().mean().item()
            found.append((result.bits.item() / SIDE_PX**2, mse_as_db(mse)))
        yield fmean(rate_bpp for rate_bpp, _ in found), fmean(db for _, db in found)


def run_name(name: str, given: argparse.Namespace) -> str:
    """Of what is kept: all that decides the result is in it."""
    source = hashlib.sha1(listing(given.data).encode()).hexdigest()[:8]
    device = device_of(given.device).type  # which decides how many steps go into the minutes
    facts = f"{given.seed}-{given.minutes:g}-{given.precision}-{device}-{source}"
    return f"{name}-{find_spec(BASE).full_name}-{facts}"


def trained(name: str, change: Change, given: argparse.Namespace) -> Row:
    own_name = "ablation_" + re.sub(r"\W", "_", name)
    spec = replace(find_spec(BASE), name=own_name, generation=0)
    spec = registry.register(change.spec(spec))
    recipe = change.recipe(recipe_for(spec.name, given))
    folder = given.work / run_name(name, given)
    begun = Setup.exists(folder)
    setup = Setup.load(folder) if begun else Setup(recipe, given.data)
    trainer = Trainer(setup, folder, device=given.device)
    if not begun:
        trainer.fit_to(given.minutes)
    for row in write_logs(folder, trainer.run(), step=trainer.position.step):
        print(
            f"{name}: step {row.position.step:,} of {trainer.recipe.steps:,}, loss {row.loss:.3f}",
            flush=True,
        )
    codec = averaged_codec(folder, spec)
    position, cost = trainer.position, codec_cost(spec)
    with (folder / LOG).open(newline="") as log:
        losses = [float(row["loss"]) for row in csv.DictReader(log)]
    return Row(
        change=name,
        text=change.text,
        steps=position.step,
        step_s=position.elapsed_s / position.step,
        loss=fmean(losses[-max(len(losses) // 10, 1) :]),
        parameters=cost.parameters,
        decode_kmac_per_pixel=cost.decode_kmac_per_pixel,
        points=tuple(points_of(codec, held_out_crops(trainer.setup.open_cache(folder)))),
    )


def table(rows: list[Row]) -> Iterable[str]:
    """Markdown, best first."""
    base = next(row for row in rows if row.change == BASE)
    yield "| change | BD-rate | over | steps | s a step | parameters | kMAC/pixel to decode |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    lines = []
    for row in rows:
        rate = bd_rate(base.curve, row.curve)
        figures = (
            *(f"{rate.percent:+.2f} %", f"{rate.low_db:.1f} … {rate.high_db:.1f} dB"),
            *(f"{row.steps:,}", f"{row.step_s:.2f}", f"{row.parameters / 1e6:.2f} M"),
            f"{row.decode_kmac_per_pixel:.1f}",
        )
        line = f"| `{row.change}`: {row.text} | {' | '.join(figures)} |"
        lines.append((rate.percent, line))
    yield from (line for _, line in sorted(lines))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get(DATA_VARIABLE)
    photos = Path(data) / "photos" if data else None
    parser.add_argument("--minutes", type=float, default=5.0, help="of each run (%(default)s)")
    parser.add_argument("--only", help=f"some of {', '.join(CHANGES)}; {BASE} is always there")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", type=Path, default=photos, required=photos is None)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "ablation")
    parser.add_argument("--out", type=Path, help="default: results/ablation.json, beside this")
    return parser.parse_args()


def chosen(only: str | None) -> list[str]:
    """Names of changes, the base first; SystemExit for one that is none."""
    names = list(CHANGES) if only is None else only.split(",")
    unknown = sorted(set(names) - CHANGES.keys())
    if unknown:
        raise SystemExit(f"error: {', '.join(unknown)}: no change; there are {', '.join(CHANGES)}")
    return list(dict.fromkeys([BASE, *names]))


def main() -> int:
    given = arguments()
    rows = []
    for name in chosen(given.only):
        kept = given.work / f"{run_name(name, given)}.json"
        if not kept.exists():
            row = trained(name, CHANGES[name], given)
            atomic_write(kept, json.dumps(asdict(row)).encode(), overwrite=True)
        rows.append(Row(**json.loads(kept.read_text())))
    lines = list(table(rows))
    print("\n".join(lines))
    result = {
        "minutes": given.minutes,
        "seed": given.seed,
        "precision": given.precision,
        "codec": find_spec(BASE).full_name,
        "data": given.data.name,
        "machine": machine(given.device),
        "rows": [asdict(row) for row in rows],
    }
    out = given.out or Path(__file__).parent / "results" / "ablation.json"
    atomic_write(out, (json.dumps(result, indent=1) + "\n").encode(), overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
