"""How fast a codec trains here: steps a second by precision, compilation and batch, and what for.

    recipe ─ one precision, compiled or not, one batch ─► trainer ─► seconds a step, in memory
                                                              └────► kernels, and how long they run

    python benchmarks/steps.py --batches 4,16,32,64
    python benchmarks/steps.py --modes bf16-mixed,bf16-mixed+compiled --profile

Steps are those of `corelic train`, with crops cut beforehand. What a device does while it computes
is told by a profile of some more: `busy` is the share of the time in which kernels run. Where it is
far below 1, launching them is what takes the time, and compilation or a larger batch helps.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from corelic.disk import atomic_write
from corelic.errors import TrainingError
from corelic.eval.machine import machine
from corelic.training.recipe import Recipe, load_recipe
from corelic.training.setup import DATA_VARIABLE, Setup
from corelic.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
MODES = ("32-true", "32-true+compiled", "bf16-mixed", "bf16-mixed+compiled")
PROFILED_STEPS = 5
CUT_STEPS = 5
SHOWN_KERNELS = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One mode at one batch.

    first_s  of the first step, in which what is compiled is compiled
    cut_s    of a step's crops, which a run cuts meanwhile; it takes the longer of the two
    busy     share of the time in which kernels run on the GPU; None on CPUs, and without a profile
    kernels  names and shares of their time, longest first
    """

    mode: str
    batch: int
    crop_px: int
    first_s: float
    step_s: float
    cut_s: float
    peak_gib: float | None
    busy: float | None
    kernels: tuple[tuple[str, float], ...]

    @property
    def cells(self) -> Iterable[str]:
        yield from (f"`{self.mode}`", f"{self.batch} × {self.crop_px}²", f"{self.first_s:.1f} s")
        yield from (f"{1 / self.step_s:.2f}", f"{self.batch / self.step_s:.1f}")
        yield f"{1e3 * self.cut_s:.0f} ms"
        yield "" if self.peak_gib is None else f"{self.peak_gib:.1f} GiB"
        yield "" if self.busy is None else f"{self.busy:.2f}"


HEAD = ("mode", "crops", "first step", "steps/s", "crops/s", "crops cut in", "peak", "busy")


def in_mode(recipe: Recipe, mode: str, batch: int) -> Recipe:
    """The recipe's last stage alone: what most of a run consists of."""
    precision, _, compiled = mode.partition("+")
    stage = replace(recipe.stages[-1], batch=batch, passes=1)
    changed = replace(recipe, stages=(stage,), start=None, attacked=None)
    changed = replace(changed, compiled=bool(compiled))
    return replace(changed, precision="32-true" if precision == "32-true" else "bf16-mixed")


class Timed:
    """A trainer whose steps are done when they have been taken."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.samples = trainer.samples_of(0)
        self.on_gpu = trainer.fabric.device.type == "cuda"

    def step_s(self) -> float:
        start = perf_counter()
        self.trainer.step(*self.samples)
        if self.on_gpu:
            torch.cuda.synchronize()
        return perf_counter() - start

    def cut_s(self) -> float:
        """What a step's crops take, which a run cuts meanwhile, several steps' at once on GPUs."""
        start = perf_counter()
        self.trainer.samples_of(1)
        return (perf_counter() - start) / self.trainer.cutters

    def profile(self, step_s: float) -> tuple[float | None, tuple[tuple[str, float], ...]]:
        """As `busy` and `kernels` of a row; `step_s` without a profiler, which slows launches."""
        activity = ProfilerActivity.CUDA if self.on_gpu else ProfilerActivity.CPU
        with profile(activities=[activity]) as found:
            for _ in range(PROFILED_STEPS):
                self.step_s()
        wanted = DeviceType.CUDA if self.on_gpu else DeviceType.CPU
        times_us: dict[str, float] = {}
        for event in found.key_averages():
            if event.device_type == wanted and not event.is_user_annotation:  # they span kernels
                own_us = event.self_device_time_total if self.on_gpu else event.self_cpu_time_total
                times_us[event.key] = times_us.get(event.key, 0.0) + own_us
        total_us = sum(times_us.values())
        longest = sorted(times_us.items(), key=lambda item: -item[1])[:SHOWN_KERNELS]
        busy = total_us / 1e6 / PROFILED_STEPS / step_s if self.on_gpu else None
        return busy, tuple((name, own_us / total_us) for name, own_us in longest)


def measured(recipe: Recipe, mode: str, batch: int, given: argparse.Namespace) -> Row:
    torch.compiler.reset()
    gc.collect()  # the last row's trainer
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        setup = Setup(in_mode(recipe, mode, batch), given.data)
        timed = Timed(Trainer(setup, Path(folder), device=given.device))
        if timed.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        first_s = timed.step_s()
        for _ in range(given.warm_up):
            timed.step_s()
        step_s = median(timed.step_s() for _ in range(given.steps))
        peak_gib = torch.cuda.max_memory_allocated() / 2**30 if timed.on_gpu else None
        cut_s = median(timed.cut_s() for _ in range(CUT_STEPS))
        busy, kernels = timed.profile(step_s) if given.profile else (None, ())
        crop_px = timed.trainer.recipe.stages[0].crop_px
    return Row(mode, batch, crop_px, first_s, step_s, cut_s, peak_gib, busy, kernels)


def shown(row: Row) -> Iterable[str]:
    yield f"| {' | '.join(row.cells)} |"
    yield from (f"    {share:6.1%}  {name}" for name, share in row.kernels)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get(DATA_VARIABLE)
    photos = Path(data) / "photos" if data else None
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "swift-on.yaml")
    parser.add_argument("--modes", default=",".join(MODES), help="comma-separated (%(default)s)")
    parser.add_argument("--batches", default="4", help="comma-separated (%(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="that are timed (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="before those (%(default)s)")
    parser.add_argument("--profile", action="store_true", help="say what takes the time")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", type=Path, default=photos, required=photos is None)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "steps", help="for caches")
    parser.add_argument("--out", type=Path, help="a JSON file")
    given = parser.parse_args()
    unknown = sorted(set(given.modes.split(",")) - set(MODES))
    if unknown:
        parser.error(f"{', '.join(unknown)}: no mode; there are {', '.join(MODES)}")
    return given


def main() -> int:
    given = arguments()
    given.work.mkdir(parents=True, exist_ok=True)
    recipe, rows = load_recipe(given.recipe), []
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for mode in given.modes.split(","):
        for batch in map(int, given.batches.split(",")):
            try:
                rows.append(measured(recipe, mode, batch, given))
            except TrainingError as error:  # too little memory, say: the others may do
                print(f"| `{mode}` | {batch} crops | {error} |", flush=True)
                continue
            print("\n".join(shown(rows[-1])), flush=True)
            if given.out is not None:  # time may be up before the last row
                result = {"machine": machine(given.device), "rows": [asdict(row) for row in rows]}
                text = json.dumps(result, indent=1) + "\n"
                atomic_write(given.out, text.encode(), overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
