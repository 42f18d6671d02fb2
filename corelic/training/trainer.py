"""One run: a recipe, a folder, and a codec that gets better.

    crops ─► codec.forward at a random quality per sample ─► bits + λ·255²·MSE ─► Adam ─► average

Pictures, noise and qualities of a step follow from seed, step and stage. Stage and learning rate
follow the training time spent so far, which no two runs spend alike: a resumed run goes on where
it was, but does not repeat an uninterrupted one bit for bit.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from corelic.codecs.base import CodecSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import QUALITY_MAX
from corelic.codecs.registry import find_spec
from corelic.errors import BadWeightsError
from corelic.training import checkpoint
from corelic.training.checkpoint import Position
from corelic.training.data import Crops
from corelic.training.recipe import Loss, Recipe
from corelic.training.setup import Setup

START_CROPS = 256  # for the statistics that a codec starts from
START_CROP_PX = 256
LOG_EVERY_STEPS = 100
MAX_SKIPPED_STEPS = 100
PAUSE_S = 3.0  # a step that took longer means that the process was paused, and counts as this


@dataclass(frozen=True, slots=True)
class Progress:
    """What a progress bar shows: means over the steps since the last one."""

    position: Position
    share: float  # of the run, 0 … 1
    loss: float
    rate_bpp: float
    psnr_db: float
    steps_per_s: float


def lambda_of(spec: CodecSpec, quality: Tensor) -> Tensor:
    """quality (N,) in [0, 100] -> λ (N,), log-linear."""
    ratio = math.log(spec.lambda_max / spec.lambda_min)
    return torch.exp(quality * (ratio / QUALITY_MAX)) * spec.lambda_min


class Objective(nn.Module):
    """A codec and its loss as one module, so that Fabric wraps (and distributes) the whole step."""

    def __init__(self, codec: LearnedImageCodec, weighting: Loss) -> None:
        super().__init__()
        self.codec, self.weighting = codec, weighting

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (N, 3, H, W) in [0, 1], quality (N,) -> (3,): loss, mean bpp, mean PSNR in dB."""
        result = self.codec(x, quality)
        rate_bpp = result.bits / (x.shape[-2] * x.shape[-1])
        mse = (result.x_hat.float() - x).square().mean(dim=(1, 2, 3))
        lambdas = lambda_of(self.codec.spec, quality)
        # High λ has the larger losses; unweighted, it would drown low λ.
        weight = (self.weighting.pivot_lambda / lambdas) ** self.weighting.exponent
        loss = (weight * (rate_bpp + lambdas * 255**2 * mse)).mean()
        psnr_db = -10 * torch.log10(mse.detach().clamp_min(1e-10))
        return torch.stack([loss, rate_bpp.detach().mean(), psnr_db.mean()])


def learning_rate_share(recipe: Recipe, position: Position) -> float:
    """Share of the full learning rate: warm-up by steps, the rest by training time."""
    optimiser = recipe.optimiser
    warm = min(1.0, (position.step + 1) / optimiser.warmup_steps)
    progress = position.elapsed_s / (60 * recipe.minutes)
    falling = (progress - optimiser.constant_share) / (1 - optimiser.constant_share)
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(max(falling, 0.0), 1.0))
    return warm * (optimiser.final_share + (1 - optimiser.final_share) * cosine)


class Trainer:
    """Holds a run's state; `run` yields its progress, and can be stopped after any of them."""

    def __init__(self, setup: Setup, run: Path, *, device: str = "auto") -> None:
        """Resumes from the checkpoint in `run` if there is one."""
        recipe = setup.recipe
        self.recipe, self.folder = recipe, run
        self.spec = find_spec(recipe.codec)
        self.fabric = Fabric(accelerator=device, devices=1, precision="bf16-mixed")
        run.mkdir(parents=True, exist_ok=True)
        self.crops = Crops(setup.open_cache(run), recipe.seed)
        self.position = Position(0, 0.0, 0, 0, 0)
        torch.manual_seed(recipe.seed)
        codec = LearnedImageCodec(self.spec)
        saved = None
        if (run / "checkpoint.safetensors").exists():
            saved = checkpoint.load(run)
            self.position = saved.position
            load_float_weights(codec, saved.model)
        else:
            crops = self.crops.batch(-1 % 2**32, START_CROPS, START_CROP_PX)
            self.spec.transform.start(codec.analysis, codec.synthesis, crops)
        replace(setup, device=in_words(self.fabric.device)).save(run)
        self.codec = codec.to(self.fabric.device)
        # Matrix products over channels are what the networks consist of.
        self.codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        adam = torch.optim.Adam(
            self.codec.parameters(),
            lr=recipe.optimiser.learning_rate,
            betas=(recipe.optimiser.beta1, recipe.optimiser.beta2),
            fused=True,
        )
        if saved is not None:
            adam.load_state_dict({**adam.state_dict(), "state": saved.optimiser})
        self.weights = [parameter.data for parameter in self.codec.parameters()]
        self.averages = [weight.clone() for weight in self.weights]
        if saved is not None:
            for name, average in zip(self.parameter_names, self.averages, strict=True):
                average.copy_(saved.average[name])
        objective = Objective(self.codec, recipe.loss)
        self.objective, self.adam = self.fabric.setup(objective, adam)

    @property
    def parameter_names(self) -> list[str]:
        return [name for name, _ in self.codec.named_parameters()]

    @property
    def share(self) -> float:
        return min(1.0, self.position.elapsed_s / (60 * self.recipe.minutes))

    def run(self) -> Iterable[Progress]:
        """Trains to the end of the recipe, saving a checkpoint now and then and at the end."""
        saved_at_s = self.position.elapsed_s
        sums, steps, start = torch.zeros(3), 0, time.perf_counter()
        while self.share < 1:
            before = time.perf_counter()
            sums += self.step()
            steps += 1
            elapsed_s = self.position.elapsed_s + min(time.perf_counter() - before, PAUSE_S)
            self.position = replace(self.position, elapsed_s=elapsed_s)
            if self.position.step % LOG_EVERY_STEPS == 0 or self.share == 1:
                loss, rate_bpp, psnr_db = (sums / steps).tolist()
                pace = steps / (time.perf_counter() - start)
                yield Progress(self.position, self.share, loss, rate_bpp, psnr_db, pace)
                sums, steps, start = torch.zeros(3), 0, time.perf_counter()
            due = elapsed_s - saved_at_s > 60 * self.recipe.checkpoint_minutes
            if due or self.share == 1:
                self.save()
                saved_at_s = elapsed_s

    def step(self) -> Tensor:
        """One update -> (loss, mean bpp, mean PSNR), detached, on the CPU."""
        position, recipe = self.position, self.recipe
        stage = recipe.stage_at(self.share)
        for group in self.adam.param_groups:
            rate = recipe.optimiser.learning_rate
            group["lr"] = rate * learning_rate_share(recipe, position)
        x = self.crops.batch(position.step, stage.batch, stage.crop_px).to(self.fabric.device)
        x = x.contiguous(memory_format=torch.channels_last)
        torch.manual_seed(recipe.seed * 1_000_003 + position.step)
        quality = (torch.rand(stage.batch) * QUALITY_MAX).to(x.device)
        figures: Tensor = self.objective(x, quality)
        self.fabric.backward(figures[0])
        norm = torch.nn.utils.clip_grad_norm_(
            self.codec.parameters(), recipe.optimiser.clip_grad_norm
        )
        finite = bool(torch.isfinite(norm))
        if finite:
            self.adam.step()
            # A short memory at first, so that the start does not linger.
            decay = min(recipe.optimiser.ema_decay, (1 + position.step) / (10 + position.step))
            checkpoint.exponential_average(self.averages, self.weights, decay)
        self.adam.zero_grad()
        self.position = Position(
            step=position.step + 1,
            elapsed_s=position.elapsed_s,
            crops=position.crops + stage.batch,
            pixels=position.pixels + stage.batch * stage.crop_px**2,
            skipped_steps=position.skipped_steps + (not finite),
        )
        if self.position.skipped_steps > MAX_SKIPPED_STEPS:
            raise FloatingPointError(
                f"{MAX_SKIPPED_STEPS} steps had gradients that are not finite; lower the "
                "learning rate or resume from an earlier checkpoint"
            )
        return figures.detach().cpu()

    def save(self) -> None:
        """Writes the checkpoint of this moment."""
        averages = dict(zip(self.parameter_names, self.averages, strict=True))
        moments = self.adam.state_dict()["state"]
        checkpoint.save(self.folder, self.position, self.codec.state_dict(), averages, moments)


def in_words(device: torch.device) -> str:
    """For people: which device, or how much of it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads"


def load_float_weights(codec: LearnedImageCodec, tensors: dict[str, Tensor]) -> None:
    """Into a codec that is not frozen; BadWeightsError if names or shapes differ."""
    try:
        codec.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadWeightsError("the checkpoint", f"does not hold a {codec.spec.name}") from error


def averaged_codec(run: Path, spec: CodecSpec) -> LearnedImageCodec:
    """The codec of a run with its averaged weights, in float, for evaluation and export."""
    saved = checkpoint.load(run)
    codec = LearnedImageCodec(spec)
    load_float_weights(codec, {**saved.model, **saved.average})
    return codec.eval()


def write_log(path: Path, rows: Iterable[Progress]) -> Iterable[Progress]:
    """Appends each progress to a CSV file as it passes."""
    for row in rows:
        fields = {key: value for key, value in asdict(row).items() if key != "position"}
        fields = asdict(row.position) | fields
        new = not path.exists()
        with open(path, "a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(fields))
            if new:
                writer.writeheader()
            writer.writerow(fields)
        yield row
