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
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import NamedTuple, get_args

import torch
from rich.progress import track

from corelic.codecs import registry, spec_json, store
from corelic.codecs.base import CodecSpec, ContextSpec, TransformSpec
from corelic.codecs.files import FileCodec, device_of
from corelic.codecs.learned import LearnedImageCodec
from corelic.errors import PictureError
from corelic.eval.complexity import codec_cost
from corelic.eval.machine import machine
from corelic.eval.metrics import psnr_db
from corelic.eval.rate_distortion import Curve, CurveError, Point, bd_rate
from corelic.jobs import atomic_write
from corelic.media import Picture, read_picture
from corelic.training.data import Crops, PhotoCache
from corelic.training.frozen import LatentCache, freeze_on_latents, train_on_latents
from corelic.training.recipe import Loss, Optimiser, Precision, Recipe, Stage
from corelic.training.setup import Setup
from corelic.training.trainer import Trainer, averaged_codec
from corelic.training.warm_start import start_from

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "context-models.md"
BEGIN, END = "<!-- measured: python benchmarks/matrix.py -->", "<!-- end of measured -->"
BASELINE = "hyperprior_only"
LOSS = Loss(pivot_lambda=0.012, exponent=0.6)
QUALITIES = (10.0, 35.0, 60.0, 85.0)
HYPER_CHANNELS = 64
FIXED = (  # options that all rows must share
    *("channels", "transform_steps", "steps", "batch", "crop", "cached", "learning_rate"),
    *("precision", "data", "pictures", "limit", "centre"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One context on one transform, trained once.

    points    (quality, bits per pixel of files, PSNR in dB), means over pictures
    encode_s  per megapixel, as decode_s: median over pictures and qualities
    """

    transform: str
    context: str
    seed: int
    context_parameters: int
    context_kmac_per_pixel: float
    passes: int
    loss: float
    points: tuple[tuple[float, float, float], ...]
    encode_s: float
    decode_s: float

    @property
    def curve(self) -> Curve:
        name = f"{self.transform}, {self.context}, seed {self.seed}"
        return Curve(name, tuple(Point(rate_bpp, db) for _, rate_bpp, db in self.points))


def codec_spec(name: str, transform: TransformSpec, context: ContextSpec) -> CodecSpec:
    everything = transform.halo_px is None or context.build().reach is None
    return CodecSpec(
        name=name,
        generation=0,
        paper="benchmarks/matrix.py",
        transform=transform,
        context=context,
        hyper_channels=HYPER_CHANNELS,
        lambda_min=0.0008,
        lambda_max=0.3,
        pad_multiple_px=64,
        tiling="independent" if everything else "halo",
        weights_licence="Apache-2.0",
    )


def trained_transform(spec: CodecSpec, given: argparse.Namespace, folder: Path) -> None:
    """Trains it with no context, or goes on with that."""
    optimiser = Optimiser(
        learning_rate=5e-4,
        beta1=0.9,
        beta2=0.99,
        warmup_steps=max(given.transform_steps // 50, 1),
        constant_share=0.35,
        final_share=0.01,
        clip_grad_norm=1.0,
        ema_decay=0.999,
    )
    recipe = Recipe(
        codec=spec.name,
        seed=1,
        data="photos",
        stages=(Stage(steps=given.transform_steps, batch=given.batch, crop_px=given.crop),),
        optimiser=optimiser,
        loss=LOSS,
        precision=given.precision,
    )
    trainer = Trainer(Setup(recipe, given.data), folder, device=given.device)
    for row in trainer.run():
        print(
            f"{spec.name}: step {row.position.step:,} of {recipe.steps:,}, loss {row.loss:.3f}, "
            f"{row.rate_bpp:.3f} bpp, {row.psnr_db:.2f} dB, {row.steps_per_s:.2f} steps/s",
            flush=True,
        )


class Base(NamedTuple):
    """A codec whose transforms are taken as they are, and what contexts learn from."""

    codec: LearnedImageCodec
    crops: Crops


def trained_base(kind: str, given: argparse.Namespace) -> Base:
    """Of a run of this script."""
    folder = given.work / f"transform-{kind}"  # pictures: beside it
    transform = spec_json.kinds("transform")[kind].sized(given.channels)
    baseline = spec_json.kinds("context")[BASELINE].sized(given.channels)
    spec = registry.register(codec_spec(f"matrix_{kind}", transform, baseline))
    trained_transform(spec, given, folder)
    setup = Setup.load(folder)
    return Base(averaged_codec(folder, spec), Crops(setup.open_cache(folder), setup.recipe.seed))


def published_base(name: str, given: argparse.Namespace) -> Base:
    """Of a codec with weights."""
    codec = LearnedImageCodec(registry.find_spec(name))
    start_from(codec, name)
    return Base(codec.eval(), Crops(PhotoCache.build(given.data, given.work / "photos"), seed=1))


def with_context(base: LearnedImageCodec, spec: CodecSpec, seed: int) -> LearnedImageCodec:
    """The transforms and gains of `base`, and all between them fresh."""
    torch.manual_seed(seed)
    codec = LearnedImageCodec(spec)
    for part in ("analysis", "synthesis", "gains"):
        codec.get_submodule(part).load_state_dict(base.get_submodule(part).state_dict())
    return codec.to(next(base.parameters()).device)


class Measured(NamedTuple):
    """As in `Row`; seconds per megapixel."""

    points: tuple[tuple[float, float, float], ...]
    encode_s: float
    decode_s: float


def measured(codec: FileCodec, pictures: list[Picture]) -> Measured:
    points, encode_s, decode_s = [], [], []
    for quality in QUALITIES:
        rates, qualities = [], []
        for picture in pictures:
            pixels = picture.width_px * picture.height_px
            started = perf_counter()
            data = codec.encode(picture, quality)
            encoded = perf_counter()
            decoded = codec.decode(data)
            encode_s.append((encoded - started) / pixels * 1e6)
            decode_s.append((perf_counter() - encoded) / pixels * 1e6)
            rates.append(8 * len(data) / pixels)
            qualities.append(psnr_db(picture.pixels, decoded.pixels))
        points.append((quality, fmean(rates), fmean(qualities)))
    return Measured(tuple(points), median(encode_s), median(decode_s))


def table(rows: list[Row]) -> Iterable[str]:
    """Markdown: a context a line, bits at equal distortion against no context."""
    names = "transform", "context", "bits at equal PSNR", "parameters", "kMAC/pixel", "passes"
    yield f"| {' | '.join((*names, 'encode', 'decode'))} |"
    yield "|---|---|---|---|---|---|---|---|"
    for transform, context in dict.fromkeys((row.transform, row.context) for row in rows):
        own = [row for row in rows if (row.transform, row.context) == (transform, context)]
        first = own[0]
        yield (
            f"| {transform} | {context} | {against_baseline(own, rows)} | "
            f"{first.context_parameters / 1e6:.2f} M | {first.context_kmac_per_pixel:.1f} | "
            f"{first.passes} | {fmean(row.encode_s for row in own):.2f} s | "
            f"{fmean(row.decode_s for row in own):.2f} s |"
        )


def conditions(options: dict[str, str]) -> str:
    """In words, of the run whose `options` these are."""
    middle = "" if options["centre"] == "None" else f"the middle {options['centre']}² of "
    count = "the" if options["limit"] == "None" else f"the first {options['limit']}"
    if options["frozen"] == "None":
        transforms = f"{options['channels']} latent channels. Transforms had "
        transforms += f"{options['transform_steps']} steps"
    else:
        transforms = f"Transforms are those of {options['frozen']}, as published"
    return (
        f"{transforms}; contexts had {options['steps']} steps of {options['batch']} crops of "
        f"{options['crop']}². Files are of {middle}{count} pictures in "
        f"`{Path(options['pictures']).name}`; "
        "times are per megapixel, with what a file costs whatever its size."
    )


def without_places(options: dict[str, str]) -> dict[str, str]:
    """As others may read them: sets have names, and where they are is this machine's business."""
    known = {
        name: text for name, text in options.items() if name not in ("work", "out", "page", "show")
    }
    return known | {name: Path(known[name]).name for name in ("data", "pictures")}


def against_baseline(own: list[Row], rows: list[Row]) -> str:
    if own[0].context == BASELINE:
        return "0"
    found = []
    for row in own:
        for other in rows:
            if (other.transform, other.context, other.seed) == (row.transform, BASELINE, row.seed):
                try:
                    found.append(bd_rate(other.curve, row.curve).percent)
                except CurveError as error:
                    return str(error)
    return " / ".join(f"{percent:+.1f} %" for percent in found)


def with_baseline_first(kinds: Iterable[str]) -> list[str]:
    return sorted(kinds, key=lambda kind: (kind != BASELINE, kind))


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
    parser.add_argument("--frozen", help="instead of those: of these codecs, as they are published")
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


def pictures_of(given: argparse.Namespace) -> list[Picture]:
    paths = sorted(given.pictures.glob("*.png"))[: given.limit]
    if not paths:
        raise PictureError(str(given.pictures), "has no .png; give --pictures another folder")
    pictures = [read_picture(path) for path in paths]
    return [centre_of(picture, given.centre) for picture in pictures] if given.centre else pictures


def centre_of(picture: Picture, side_px: int) -> Picture:
    """Its middle, a square; all of a side that is shorter."""
    rows, columns = (
        slice(max(length - side_px, 0) // 2, max(length - side_px, 0) // 2 + side_px)
        for length in picture.pixels.shape[:2]
    )
    return Picture(picture.pixels[rows, columns])


def row_of(
    transform: str,
    context: str,
    base: LearnedImageCodec,
    cache: LatentCache,
    seed: int,
    given: argparse.Namespace,
) -> Row:
    channels = base.spec.transform.latent_channels
    spec = codec_spec(
        "matrix", base.spec.transform, spec_json.kinds("context")[context].sized(channels)
    )
    codec = with_context(base, spec, seed)
    label = f"{transform}, {context}, seed {seed}"
    losses = list(
        track(
            train_on_latents(
                codec,
                cache,
                steps=given.steps,
                batch=given.batch,
                seed=seed,
                learning_rate=given.learning_rate,
                loss=LOSS,
            ),
            total=given.steps,
            description=label,
        )
    )
    freeze_on_latents(codec, cache, batch=given.batch)
    weights = store.unpack(store.pack(codec, {}), label)
    figures = measured(FileCodec(weights, device_of(given.device)), pictures_of(given))
    cost = codec_cost(spec)
    return Row(
        transform=transform,
        context=context,
        seed=seed,
        context_parameters=cost.context.parameters,
        context_kmac_per_pixel=cost.context.kmac_per_pixel,
        passes=codec.context.steps,
        loss=fmean(losses[-max(given.steps // 20, 1) :]),
        **figures._asdict(),
    )


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
        PAGE.write_text(f"{before}{BEGIN}\n{lines}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
