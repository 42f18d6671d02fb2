"""One run: a recipe, a folder, and a codec that gets better.

    crops ─► codec.forward at a random quality per sample ─► loss ─► Adam ─► average of weights

Everything follows from the recipe and the number of the step: crops, qualities, noise, stage and
learning rate. So a run that was killed and resumed ends like one that was not, bit for bit in
float32 on CPUs. Under `torchrun` each process takes its share of every step's crops.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from lightning.fabric.wrappers import _FabricModule
from torch import Tensor, nn

from corelic.codecs import spec_json
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import QUALITY_MAX
from corelic.codecs.registry import find_spec
from corelic.errors import TrainingError
from corelic.training import checkpoint
from corelic.training.attacked import MixedCrops
from corelic.training.averaged import exponential_average, load_float_weights
from corelic.training.checkpoint import Position
from corelic.training.data import Crops, as_float
from corelic.training.fabric import (
    compiled,
    gradients_agree,
    in_words,
    make_fabric,
    sentences,
)
from corelic.training.loss import Objective
from corelic.training.recipe import Recipe, Stage, fit_to_minutes
from corelic.training.setup import FILE as PLAN
from corelic.training.setup import Setup
from corelic.workers import usable_cores

START_CROPS = 256  # for the statistics that a codec starts from
START_CROP_PX = 256
START_STEP = 2**32 - 1  # the number of their step: training never gets there
CUTTERS = 8  # at most: a crop takes a few milliseconds of a core, a step on a GPU some
LOCK = "lock"  # the file in a run's folder that whoever trains there holds
LOG_EVERY_STEPS = 100
MAX_SKIPPED_STEPS = 100  # one after the other
# A step that took longer than both means that the process was paused, and counts as so much.
PAUSE_S, PAUSE_STEPS = 3.0, 4
TIMED_STEPS = 6  # per stage, to tell how long it takes; the first ones warm up
WARM_STEPS = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """What a progress bar shows: means over the steps since the last one.

    waiting_share  of the time, in which this process had no crops yet: 0 where they come in time
    """

    position: Position
    share: float  # of the run, 0 … 1
    loss: float
    rate_bpp: float
    psnr_db: float
    learning_rate: float
    steps_per_s: float
    waiting_share: float


def learning_rate_share(recipe: Recipe, step: int) -> float:
    """Share of the full learning rate: warm-up, constant, cosine."""
    optimiser = recipe.optimiser
    warm = min(1.0, (step + 1) / optimiser.warmup_steps)
    falling = (step / recipe.steps - optimiser.constant_share) / (1 - optimiser.constant_share)
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(max(falling, 0.0), 1.0))
    return warm * (optimiser.final_share + (1 - optimiser.final_share) * cosine)


def with_attacked(photographs: Crops, setup: Setup, run: Path) -> Crops:
    """The crops of a run: stored attacks among them, where its recipe asks for that."""
    attacked, recipe = setup.open_attacked(run), setup.recipe
    if attacked is None or recipe.attacked is None:
        return photographs
    mixed = MixedCrops(photographs, attacked, recipe.attacked.share)
    mixed.check(max(stage.crop_px for stage in recipe.stages))
    return mixed


def lay_out_moments(adam: torch.optim.Adam) -> None:
    """As weights lie in memory: the fused update goes along both, whatever their strides say."""
    for weight, moments in adam.state.items():
        for name, moment in moments.items():
            if moment.shape == weight.shape:
                moments[name] = torch.empty_like(weight).copy_(moment)


class Trainer:
    """Holds a run's state; `run` yields its progress, and can be stopped after any of them."""

    def __init__(self, setup: Setup, run: Path, *, device: str = "auto") -> None:
        """Resumes from the checkpoint in `run` if there is one."""
        recipe = setup.recipe
        self.recipe, self.folder = recipe, run
        self.spec = find_spec(recipe.codec)
        spec_json.to_json(self.spec)  # PluginError now, not when the weights are to be written
        self.fabric = make_fabric(recipe, device)
        for stage in recipe.stages:
            self.check_shares(stage)
        # One process decodes the pictures, however long it takes, and the others find them.
        with self.fabric.rank_zero_first():
            run.mkdir(parents=True, exist_ok=True)
            cache, attacked = setup.open_cache(run), setup.open_attacked(run)
        known = " ".join(each.digest for each in (cache, attacked) if each is not None)
        self.setup = replace(setup, pictures=known)
        photographs = Crops(cache, recipe.seed, recipe.scale_max)
        self.crops = with_attacked(photographs, setup, run)
        self.position = Position(0, 0.0, 0, 0, 0)
        self.skipped_in_a_row = 0
        self.waited_s = 0.0  # for crops, since the last progress
        torch.manual_seed(recipe.seed)
        codec = LearnedImageCodec(self.spec)
        saved = checkpoint.load(run) if checkpoint.exists(run) else None
        if saved is not None:
            self.position = saved.position
            load_float_weights(codec, saved.model)
        elif recipe.start is not None:
            from corelic.training.warm_start import pinned, start_from  # need the entropy coder

            start_from(codec, recipe.start)
            self.recipe = replace(recipe, start=pinned(recipe.start))
        else:
            pictures = photographs.batch(START_STEP, range(START_CROPS), START_CROP_PX)
            self.spec.transform.start(codec.analysis, codec.synthesis, pictures)
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
            lay_out_moments(adam)
        self.weights = [parameter.data for parameter in self.codec.parameters()]
        self.averages = [weight.clone() for weight in self.weights]
        if saved is not None:
            for name, average in zip(self.parameter_names, self.averages, strict=True):
                average.copy_(saved.average[name])
        objective: nn.Module = Objective(self.codec, recipe.loss)
        self.checked: set[Stage] = set()  # of whose shapes a compiled step has been found sound
        if recipe.compiled:
            self.plain = self.fabric.setup_module(objective)
            objective = compiled(objective, recipe, self.fabric)
        self.objective, self.adam = self.fabric.setup(objective, adam)
        self.check_agreement()

    @property
    def parameter_names(self) -> list[str]:
        return [name for name, _ in self.codec.named_parameters()]

    @property
    def share(self) -> float:
        return self.position.step / self.recipe.steps

    def check_agreement(self) -> None:
        """TrainingError unless all processes begin at one step of one plan."""
        mine = self.position.step, self.recipe.stages
        if self.fabric.broadcast(mine) != mine:
            raise TrainingError(
                f"process {self.fabric.global_rank} finds another state of the run than the first "
                f"one does; all machines need {self.folder} on a disk that they share"
            )

    def remember_setup(self) -> None:
        """Writes the plan into the run's folder: a resumed run follows that.

        Not before the plan is final: a run may be killed at any time.
        """
        if self.fabric.is_global_zero:
            # With a generation: the newest may be another one, of other networks, when it goes on.
            plan = replace(self.recipe, codec=self.spec.full_name)
            setup = replace(self.setup, recipe=plan)
            if self.position.step < self.recipe.steps:  # else this device trains nothing
                setup = setup.on(in_words(self.fabric.device, self.fabric.world_size))
            setup.save(self.folder)

    def fit_to(self, minutes: float) -> None:
        """Makes a fresh run as long as takes about that time here; no weight changes.

        A few steps of each stage are timed, and the stages keep their proportions.
        """
        times = torch.tensor([self.step_s(stage) for stage in self.recipe.stages])
        times = self.fabric.broadcast(times)  # all processes must plan the same
        self.recipe = fit_to_minutes(self.recipe, minutes, times.tolist())
        self.remember_setup()

    def step_s(self, stage: Stage) -> float:
        """Median seconds of a step of that stage."""
        on_gpu = self.fabric.device.type == "cuda"
        times = []
        for number in range(TIMED_STEPS):
            start = time.perf_counter()
            x, quality = self.samples(START_STEP - 1 - number, stage)
            cut = time.perf_counter()
            self.gradients(START_STEP - 1 - number, stage, x, quality)
            self.adam.zero_grad()
            if on_gpu:
                torch.cuda.synchronize()
            end = time.perf_counter()
            # A GPU computes while crops are cut; a CPU does both.
            times.append(max((cut - start) / self.cutters, end - cut) if on_gpu else end - start)
        return sorted(times[WARM_STEPS:])[(TIMED_STEPS - WARM_STEPS) // 2]

    def run(self, *, stop_after_s: float = math.inf) -> Iterator[Progress]:
        """Trains to the end of the recipe, saving a checkpoint now and then and at the end.

        stop_after_s  of the clock; a later `Trainer` of the same folder goes on from there

        TrainingError where another process is at it: each would remove the other's checkpoints.
        """
        with self.alone():
            yield from self._run(stop_after_s)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the run's folder; the system lets go of it when a process ends, however it does."""
        lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            if self.fabric.is_global_zero:
                lock.acquire()
        except Timeout as error:
            reason = "wait for it, or give this run another folder"
            raise TrainingError(f"{self.folder} is being trained in already; {reason}") from error
        try:
            yield
        finally:
            lock.release()

    def _run(self, stop_after_s: float) -> Iterator[Progress]:
        self.remember_setup()
        if self.position.step >= self.recipe.steps:
            return
        saved_at_s, took_s = self.position.elapsed_s, 0.0
        began = time.perf_counter()
        sums, steps, start, self.waited_s = torch.zeros(3), 0, time.perf_counter(), 0.0
        with ThreadPoolExecutor(self.cutters, "crops") as background:
            coming = range(self.position.step, self.position.step + self.cutters)
            ahead = deque(background.submit(self.samples_of, step) for step in coming)
            while self.position.step < self.recipe.steps:
                before = time.perf_counter()
                x, quality = self.next_samples(background, ahead)
                sums += self.step(x, quality)
                steps += 1
                took_s = min(time.perf_counter() - before, max(PAUSE_S, PAUSE_STEPS * took_s))
                elapsed_s = self.position.elapsed_s + took_s
                self.position = replace(self.position, elapsed_s=elapsed_s)
                late = stop_after_s < math.inf and self.agree(
                    time.perf_counter() - began >= stop_after_s
                )
                done = late or self.position.step == self.recipe.steps
                if self.position.step % LOG_EVERY_STEPS == 0 or done:
                    took = time.perf_counter() - start
                    yield self.progress(sums / steps, steps / took, self.waited_s / took)
                    sums, steps, start, self.waited_s = torch.zeros(3), 0, time.perf_counter(), 0.0
                if elapsed_s - saved_at_s > 60 * self.recipe.checkpoint_minutes or done:
                    self.save()
                    saved_at_s = elapsed_s
                if done:
                    self.fabric.barrier()  # nobody leaves before the checkpoint is whole
                if late:
                    return

    def progress(self, means: Tensor, steps_per_s: float, waiting_share: float) -> Progress:
        """means (3,): loss, bpp, PSNR of this process."""
        loss, rate_bpp, psnr_db = torch.as_tensor(self.fabric.all_reduce(means)).tolist()
        return Progress(
            position=self.position,
            share=self.share,
            loss=loss,
            rate_bpp=rate_bpp,
            psnr_db=psnr_db,
            learning_rate=self.learning_rate,
            steps_per_s=steps_per_s,
            waiting_share=waiting_share,
        )

    def agree(self, mine: bool) -> bool:
        """What the first process found, in all of them."""
        return bool(self.fabric.broadcast(torch.tensor(mine)))

    @property
    def cutters(self) -> int:
        """Threads that cut crops, a step each; one on a CPU, whose cores have other work."""
        return min(CUTTERS, usable_cores()) if self.fabric.device.type == "cuda" else 1

    def next_samples(
        self, background: ThreadPoolExecutor, ahead: deque[Future[tuple[Tensor, Tensor]]]
    ) -> tuple[Tensor, Tensor]:
        """This step's crops, while those of later steps are cut: so the device seldom waits."""
        start = time.perf_counter()
        samples = ahead.popleft().result()
        self.waited_s += time.perf_counter() - start
        ahead.append(background.submit(self.samples_of, self.position.step + len(ahead) + 1))
        return samples

    def samples_of(self, step: int) -> tuple[Tensor, Tensor]:
        return self.samples(step, self.recipe.stage_at(step))

    def samples(self, step: int, stage: Stage) -> tuple[Tensor, Tensor]:
        """This process's share of a step: crops (n, 3, H, W) uint8, qualities (n,), on the CPU."""
        self.check_shares(stage)
        world, rank = self.fabric.world_size, self.fabric.global_rank
        each = stage.batch // world
        mine = range(rank * each, (rank + 1) * each)
        random = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        # One from each equal part of the scale: by chance alone, a small batch may miss half of it.
        parts = torch.arange(stage.batch) + torch.rand(stage.batch, generator=random)
        quality = parts * (QUALITY_MAX / stage.batch)
        crops = self.crops.batch_of_bytes(step, mine, stage.crop_px)
        quality = quality[mine.start : mine.stop]
        if self.fabric.device.type == "cuda":  # else the device waits while they travel
            return crops.pin_memory(), quality.pin_memory()
        return crops, quality

    def check_shares(self, stage: Stage) -> None:
        """TrainingError where the processes cannot have equal parts of a step."""
        world = self.fabric.world_size
        if stage.batch % (world * stage.passes):
            raise TrainingError(
                f"{stage.batch} crops cannot be shared by {world} processes "
                f"of {stage.passes} passes each; change the stage's batch"
            )

    @property
    def learning_rate(self) -> float:
        """Of the step that comes."""
        full = self.recipe.optimiser.learning_rate
        return full * learning_rate_share(self.recipe, self.position.step)

    def gradients(
        self,
        step: int,
        stage: Stage,
        x: Tensor,
        quality: Tensor,
        objective: _FabricModule | None = None,
    ) -> Tensor:
        """Adds a step's gradients, pass by pass -> (loss, mean bpp, mean PSNR), detached.

        objective  in place of the run's own
        """
        if objective is None:
            objective = self.objective
        # Noise differs between processes, as if each had drawn its part of one field.
        torch.manual_seed((self.recipe.seed * 1_000_003 + step) * 64 + self.fabric.global_rank)
        device = self.fabric.device
        if self.recipe.compiled:
            self.keep_masks(stage)
        total = torch.zeros(3, device=device)
        parts = list(zip(x.chunk(stage.passes), quality.chunk(stage.passes), strict=True))
        for number, (crops, qualities) in enumerate(parts):
            crops = as_float(crops.to(device, non_blocking=True))
            with sentences(self.recipe), ExitStack() as stack:
                if self.fabric.world_size > 1 and number < len(parts) - 1:
                    stack.enter_context(self.fabric.no_backward_sync(objective))
                qualities = qualities.to(device, non_blocking=True)
                figures: Tensor = objective(crops, qualities) / len(parts)
                self.fabric.backward(figures[0])
            total += figures.detach()
        return total.cpu()

    def check_compiled(self, step: int, stage: Stage, x: Tensor, quality: Tensor) -> None:
        """TrainingError unless this step's gradients are those of the networks as they are written.

        Once for each stage: another shape is another graph.
        """
        wanted, found = (
            self.named_gradients(step, stage, x, quality, objective)
            for objective in (self.plain, self.objective)
        )
        if gradients_agree(found, wanted):
            self.checked.add(stage)

    def named_gradients(
        self, step: int, stage: Stage, x: Tensor, quality: Tensor, objective: _FabricModule
    ) -> dict[str, Tensor]:
        """Of one step, which leaves none behind."""
        self.gradients(step, stage, x, quality, objective)
        parameters = self.codec.named_parameters()
        # Copies: those of a replayed graph are in its own memory.
        found = {name: one.grad.clone() for name, one in parameters if one.grad is not None}
        self.adam.zero_grad()
        return found

    def keep_masks(self, stage: Stage) -> None:
        """Those of the context, before a graph begins that would make them at every step."""
        transform, multiple_px = self.spec.transform, self.spec.pad_multiple_px
        side = math.ceil(stage.crop_px / multiple_px) * multiple_px // transform.stride_px
        shape = 1, transform.latent_channels, side, side
        self.codec.masks_for(torch.empty(shape, device=self.fabric.device))

    def step(self, x: Tensor, quality: Tensor) -> Tensor:
        """One update with these crops -> (loss, mean bpp, mean PSNR) of this process."""
        position, recipe = self.position, self.recipe
        stage = recipe.stage_at(position.step)
        for group in self.adam.param_groups:
            group["lr"] = self.learning_rate
        if recipe.compiled and stage not in self.checked:
            self.check_compiled(position.step, stage, x, quality)
        figures = self.gradients(position.step, stage, x, quality)
        norm = torch.nn.utils.clip_grad_norm_(
            self.codec.parameters(), recipe.optimiser.clip_grad_norm
        )
        finite = bool(torch.isfinite(norm))  # of averaged gradients, so alike in all processes
        if finite:
            self.adam.step()
            # A short memory at first, so that the start does not linger.
            decay = min(recipe.optimiser.ema_decay, (1 + position.step) / (10 + position.step))
            exponential_average(self.averages, self.weights, decay)
        self.adam.zero_grad()
        self.position = Position(
            step=position.step + 1,
            elapsed_s=position.elapsed_s,
            crops=position.crops + stage.batch,
            pixels=position.pixels + stage.batch * stage.crop_px**2,
            skipped_steps=position.skipped_steps + (not finite),
        )
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row > MAX_SKIPPED_STEPS:
            raise TrainingError(
                f"{MAX_SKIPPED_STEPS} steps one after the other had gradients that are not finite; "
                f"lower the learning rate in {self.folder / PLAN}, and resume"
            )
        return figures

    def save(self) -> None:
        """Writes the checkpoint of this moment."""
        if self.fabric.is_global_zero:
            averages = dict(zip(self.parameter_names, self.averages, strict=True))
            moments = self.adam.state_dict()["state"]
            checkpoint.save(self.folder, self.position, self.codec.state_dict(), averages, moments)
