"""Contexts on latents of a frozen transform."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corelic.codecs import store
from corelic.codecs.context.channel_attention import ChannelAttentionSpec
from corelic.codecs.context.checkerboard import CheckerboardSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import lambda_of
from corelic.training.data import Crops, PhotoCache
from corelic.training.frozen import LatentCache, freeze_on_latents, train_on_latents
from corelic.training.recipe import Loss
from tests import tiny

LOSS = Loss(pivot_lambda=0.012, exponent=0.6)
COUNT, CROP_PX, BATCH = 6, 64, 2


@pytest.fixture
def crops(photos: Path, tmp_path: Path) -> Crops:
    return Crops(PhotoCache.build(photos, tmp_path / "cache"), seed=1)


@pytest.fixture
def cache(crops: Crops, tmp_path: Path) -> LatentCache:
    return LatentCache.build(tiny.started(tiny.TINY), crops, tmp_path / "y", COUNT, CROP_PX)


def fresh(context: CheckerboardSpec | ChannelAttentionSpec) -> LearnedImageCodec:
    torch.manual_seed(0)
    tiling = "halo" if isinstance(context, CheckerboardSpec) else "independent"
    return LearnedImageCodec(replace(tiny.TINY, context=context, tiling=tiling))


def losses(codec: LearnedImageCodec, cache: LatentCache, steps: int) -> list[float]:
    given = {"steps": steps, "batch": BATCH, "seed": 3, "learning_rate": 2e-3, "loss": LOSS}
    return list(train_on_latents(codec, cache, **given))


@torch.no_grad()
def rate(codec: LearnedImageCodec, cache: LatentCache) -> float:
    """Bits of all latents there are: batches differ in quality, hence in loss."""
    codec.eval()
    found = codec.rated(torch.from_numpy(np.array(cache.latents)), cache.qualities)
    return float((found.latent_bits + found.hyper_bits).sum())


def test_latents_are_made_once(cache: LatentCache, crops: Crops, tmp_path: Path) -> None:
    assert cache.latents.shape == (COUNT, 16, 4, 4)
    assert np.abs(cache.latents).max() > 1
    codec, made, folder = tiny.started(tiny.TINY), np.array(cache.latents), tmp_path / "y"
    (folder / "latents.bin").write_bytes(bytes(made.nbytes))  # zeros, to tell them from others
    again = LatentCache.build(codec, crops, folder, COUNT, CROP_PX)
    assert again.latents.shape == made.shape and not again.latents.any()
    assert again.qualities.equal(cache.qualities)
    # Halfway is not there.
    (folder / "latents.done").unlink()
    redone = LatentCache.build(codec, crops, folder, COUNT, CROP_PX)
    assert np.array_equal(redone.latents, made)


def test_latents_of_anything_else_are_made_anew(
    cache: LatentCache, crops: Crops, tmp_path: Path
) -> None:
    codec, other = tiny.started(tiny.TINY), LearnedImageCodec(tiny.TINY)
    for number, (of, these, count, crop_px) in enumerate(
        [
            (other, crops, COUNT, CROP_PX),
            (codec, Crops(crops.cache, seed=2), COUNT, CROP_PX),
            (codec, crops, COUNT - 1, CROP_PX),
            (codec, crops, COUNT, 2 * CROP_PX),
            (codec, crops, COUNT, CROP_PX),  # of which the cache was, before the others
        ]
    ):
        found = LatentCache.build(of, these, tmp_path / "y", count, crop_px)
        expected = LatentCache.build(of, these, tmp_path / str(number), count, crop_px)
        assert np.array_equal(found.latents, expected.latents)


def test_every_codec_sees_the_same_batches(cache: LatentCache) -> None:
    (y, quality), (again, quality_again) = (cache.batch(1, 7, BATCH) for _ in range(2))
    assert y.equal(again) and quality.equal(quality_again)
    assert not cache.batch(2, 7, COUNT)[1].equal(cache.batch(1, 7, COUNT)[1])
    place = cache.qualities.tolist().index(quality[0].item())
    assert np.array_equal(y[0].numpy(), cache.latents[place])


@pytest.mark.parametrize("kind", [CheckerboardSpec, ChannelAttentionSpec])
def test_a_context_learns_and_moves_to_the_grid(
    kind: type[CheckerboardSpec] | type[ChannelAttentionSpec], cache: LatentCache
) -> None:
    codec = fresh(kind.sized(16))
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    at_first = rate(codec, cache)
    assert all(np.isfinite(losses(codec, cache, 40)))
    assert rate(codec, cache) < 0.9 * at_first
    for name, value in codec.state_dict().items():
        frozen = name.startswith(("analysis.", "synthesis.", "gains."))
        assert value.equal(before[name]) or not frozen, name
    with torch.no_grad():
        codec.hyper_analysis.reduce[-1].bias.normal_(0, 3)  # so little trained, all would be zero
    freeze_on_latents(codec, cache, batch=BATCH)
    assert store.unpack(store.pack(codec, {}), "this test").codec.exact


def test_what_a_context_refines_counts_as_error(cache: LatentCache) -> None:
    codec = fresh(ChannelAttentionSpec.sized(16))
    losses(codec, cache, 2)
    y, quality = cache.batch(0, 0, BATCH)
    codec.zero_grad()
    (y - codec.rated(y, quality).y_hat).square().sum().backward()
    assert all(part.grad is not None for part in codec.context.residuals.parameters())


def test_errors_of_latents_cost_what_a_finer_step_would(cache: LatentCache) -> None:
    context = ChannelAttentionSpec.sized(16)
    (loss,) = losses(fresh(context), cache, 1)
    codec = fresh(context).train()
    torch.manual_seed(3)
    y, quality = cache.batch(3, 0, BATCH)
    found = codec.rated(y, quality)
    error = (y - found.y_hat).square().sum((1, 2, 3))
    bits = found.latent_bits + found.hyper_bits + 6 / math.log(2) * error
    weight = (LOSS.pivot_lambda / lambda_of(codec.spec, quality)) ** LOSS.exponent
    assert loss == pytest.approx(((weight * bits).mean() / CROP_PX**2).item(), rel=1e-5)


def test_masks_are_kept_while_training_and_fit_their_latents() -> None:
    codec = LearnedImageCodec(tiny.TINY).train()
    m = tiny.TINY.transform.latent_channels
    for height, width in ((4, 4), (4, 8), (8, 4), (4, 4)):
        y = torch.zeros(2, m, height, width)
        found = codec.masks_for(y)
        expected = codec.context.masks(y.shape)
        assert all(one.equal(two) for one, two in zip(found, expected, strict=True))
        assert codec.masks_for(y) is found
    other = torch.zeros(1, m, 8, 8)  # a large picture's would only take memory
    assert codec.eval().masks_for(other) is not codec.masks_for(other)
