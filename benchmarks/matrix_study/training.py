"""A transform without context, then each context on its latents, and files of pictures.

`given` are the options of `benchmarks/matrix.py`.
"""

import argparse
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import NamedTuple

import torch
from rich.progress import track

from corelic.codecs import registry, spec_json, store
from corelic.codecs.base import CodecSpec, ContextSpec, TransformSpec
from corelic.codecs.files import FileCodec, device_of
from corelic.codecs.learned import LearnedImageCodec
from corelic.errors import PictureError
from corelic.eval.complexity import codec_cost
from corelic.eval.metrics import psnr_db
from corelic.media import Picture, read_picture
from corelic.training.averaged import averaged_codec
from corelic.training.data import Crops, PhotoCache
from corelic.training.frozen import LatentCache, freeze_on_latents, train_on_latents
from corelic.training.recipe import Loss, Optimiser, Recipe, Stage
from corelic.training.setup import Setup
from corelic.training.trainer import Trainer
from corelic.training.warm_start import start_from
from matrix_study.rows import BASELINE, Row

LOSS = Loss(pivot_lambda=0.012, exponent=0.6)
QUALITIES = (10.0, 35.0, 60.0, 85.0)
HYPER_CHANNELS = 64


def codec_spec(name: str, transform: TransformSpec, context: ContextSpec) -> CodecSpec:
    halos = transform.analysis_halo_px, transform.synthesis_halo_px, context.build().reach
    everything = None in halos
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


def pictures_of(given: argparse.Namespace) -> list[Picture]:
    paths = sorted(given.pictures.glob("*.png"))[: given.limit]
    if not paths:
        raise PictureError(str(given.pictures), "has no .png; give --pictures another folder")
    pictures = [read_picture(path) for path in paths]
    side_px = given.centre
    return [picture.middle(side_px, side_px) for picture in pictures] if side_px else pictures


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
