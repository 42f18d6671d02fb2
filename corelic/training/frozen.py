"""Context models on latents of a transform that no longer changes: how they are compared fairly.

    crops ─► analysis · gain ─► latents, once, on disk ─┐
                                                        ▼
    bits + 8.66 · |y − ŷ|² ◄─ hyperprior, context ◄─ batches, the same for every context

Latents, gains and synthesis are the same for all, so distortion is nearly so, and what differs is
rate. A squared error of latents costs the bits that a finer step would take: at high rate a step Δ
has D = Δ²/12 and R = h − log2 Δ, hence dR/dD = −6 / (ln 2 · Δ²), and here Δ = 1. It matters to
contexts that refine ŷ; for the others ŷ has no gradient.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import QUALITY_MAX, lambda_of
from corelic.entropy import grid
from corelic.training.data import Crops
from corelic.training.recipe import Loss

ERROR_BITS = 6 / math.log(2)
AT_ONCE = 16  # crops through the analysis
CLIP_GRAD_NORM = 1.0
WARMUP_SHARE, CONSTANT_SHARE, FINAL_SHARE = 0.05, 0.35, 0.01  # of steps, of steps, of the rate
CALIBRATION_BATCHES = 32
FIRST_STEP = 2**33  # of the crops: training never gets there


@dataclass(frozen=True, slots=True, eq=False)
class LatentCache:
    """Gained latents (n, M, h, w) float32, memory-mapped, and the quality (n,) of each."""

    latents: np.memmap[tuple[int, ...], np.dtype[np.float32]]
    qualities: Tensor
    pixels: int  # of a crop

    @classmethod
    @torch.no_grad()
    def build(
        cls, codec: LearnedImageCodec, crops: Crops, folder: Path, count: int, crop_px: int
    ) -> LatentCache:
        """What is in `folder`, or fresh: `count` crops at qualities drawn with the crops' seed.

        What is there of another codec or other crops is made anew.
        """
        device = next(codec.parameters()).device
        side = crop_px // codec.spec.transform.stride_px
        shape = (count, codec.spec.transform.latent_channels, side, side)
        random = torch.Generator().manual_seed(crops.seed)
        qualities = torch.rand(count, generator=random) * QUALITY_MAX
        path, done = folder / "latents.bin", folder / "latents.done"
        origin = _origin(codec, crops, count, crop_px)
        if not done.exists() or done.read_text() != origin:
            folder.mkdir(parents=True, exist_ok=True)
            done.unlink(missing_ok=True)  # or half of them would be taken for what was there
            latents = np.memmap(path, np.float32, "w+", shape=shape)
            for first in range(0, count, AT_ONCE):
                own = slice(first, min(first + AT_ONCE, count))
                x = crops.batch(FIRST_STEP, range(own.start, own.stop), crop_px).to(device)
                y = codec.latents_of(x, qualities[own].to(device))
                latents[own] = y.cpu().numpy()
            latents.flush()
            done.write_text(origin)
        return cls(np.memmap(path, np.float32, "r", shape=shape), qualities, crop_px**2)

    def batch(self, seed: int, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Latents and qualities: the same for every codec at this step of this seed."""
        chosen = np.random.default_rng((seed, step)).integers(len(self.latents), size=size)
        return torch.from_numpy(self.latents[chosen]), self.qualities[torch.from_numpy(chosen)]


def _origin(codec: LearnedImageCodec, crops: Crops, count: int, crop_px: int) -> str:
    """All that cached latents follow from."""
    weights = hashlib.sha1()
    for part in (codec.analysis, codec.gains):
        for name, tensor in part.state_dict().items():
            weights.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    facts = {"weights": weights.hexdigest(), "pictures": crops.cache.digest, "seed": crops.seed}
    facts |= {"scale_max": crops.scale_max, "count": count, "crop_px": crop_px}
    return json.dumps(facts, indent=1) + "\n"


def between_transforms(codec: LearnedImageCodec) -> nn.ModuleList:
    """What is trained here."""
    return nn.ModuleList([codec.hyper_analysis, codec.hyper_synthesis, codec.context, codec.prior])


def train_on_latents(
    codec: LearnedImageCodec,
    cache: LatentCache,
    *,
    steps: int,
    batch: int,
    seed: int,
    learning_rate: float,
    loss: Loss,
) -> Iterator[float]:
    """Yields the loss of each step: weighted bits per pixel and error."""
    device = next(codec.parameters()).device
    parameters = list(between_transforms(codec).parameters())
    adam = torch.optim.Adam(parameters, lr=learning_rate, betas=(0.9, 0.99), fused=True)
    codec.train()
    torch.manual_seed(seed)
    for step in range(steps):
        y, quality = (part.to(device) for part in cache.batch(seed, step, batch))
        for group in adam.param_groups:
            group["lr"] = learning_rate * _share(step / steps)
        found = codec.rated(y, quality)
        error = (y - found.y_hat).square().sum((1, 2, 3))
        weight = (loss.pivot_lambda / lambda_of(codec.spec, quality)) ** loss.exponent
        bits = found.bits + ERROR_BITS * error
        mean = (weight * bits).mean() / cache.pixels
        adam.zero_grad()
        mean.backward()  # type: ignore[no-untyped-call]  # torch's stub
        nn.utils.clip_grad_norm_(parameters, CLIP_GRAD_NORM)
        adam.step()
        yield mean.item()
    codec.eval()


def _share(done: float) -> float:
    """Of the learning rate: warm-up, constant, cosine."""
    falling = max(done - CONSTANT_SHARE, 0.0) / (1 - CONSTANT_SHARE)
    cosine = 0.5 + 0.5 * math.cos(math.pi * falling)
    return min(1.0, (done + 1e-3) / WARMUP_SHARE) * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


@torch.no_grad()
def freeze_on_latents(codec: LearnedImageCodec, cache: LatentCache, *, batch: int) -> None:
    """Ranges from cached latents, then the grid: as export does with crops."""
    device = next(codec.parameters()).device
    codec.eval()
    with grid.watching(codec.parsing_path):
        for number in range(CALIBRATION_BATCHES):
            y, quality = (part.to(device) for part in cache.batch(FIRST_STEP, number, batch))
            codec.rated(y, quality)
    codec.freeze()
