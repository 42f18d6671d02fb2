"""One stretch of the campaign: train for some minutes, measure on Kodak, write the line.

recipes/swift-on.yaml ─► run (begun, or gone on with) ─► weights ─► kodak.py ─► recipes/CAMPAIGN.md

python benchmarks/campaign.py --minutes 25      (or: make campaign MINUTES=25)

The run is planned once, by the recipe; every call brings it so many minutes further on the device
that is there. A run that is not at its end has not been annealed, and its line says so. After one
that is, the next begins from its weights, with another seed: runs/swift-on-2, and so on.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from corelic.disk import atomic_write
from corelic.training import checkpoint
from corelic.training.setup import Setup

ROOT = Path(__file__).parents[1]
LOG = ROOT / "recipes" / "CAMPAIGN.md"
RESULT = "kodak.json"  # in a run's folder
MARK = "<!-- stretches: python benchmarks/campaign.py writes them above this line -->"


def is_finished(run: Path) -> bool:
    """At its end, exported and measured; what was killed in between is taken up again."""
    measured, at_its_end = run / RESULT, run / checkpoint.INDEX
    if not Setup.exists(run) or not checkpoint.exists(run) or not measured.exists():
        return False
    if measured.stat().st_mtime < at_its_end.stat().st_mtime:
        return False
    return checkpoint.load(run).position.step >= Setup.load(run).recipe.steps


def next_job(recipe: Path, run: Path) -> tuple[Path, Path]:
    """Recipe and folder of the run that is not at its end: `run`, or one that follows it."""
    finished: Path | None = None
    number, job = 1, run
    while is_finished(job):
        finished = job
        number += 1
        job = run.with_name(f"{run.name}-{number}")
    planned = job.with_suffix(".yaml")
    if finished is None:
        return recipe, job
    if planned.exists():
        return planned, job
    content = yaml.safe_load(recipe.read_text())
    weights = next(finished.glob("*.safetensors"))
    content |= {"start": str(weights.resolve()), "seed": content["seed"] + number - 1}
    atomic_write(planned, yaml.safe_dump(content).encode(), overwrite=True)
    return planned, job


def line(run: Path, kodak: dict[str, object]) -> str:
    """A row of the table in CAMPAIGN.md."""
    setup, position = Setup.load(run), checkpoint.load(run).position
    steps = setup.recipe.steps
    state = "to its end" if position.step >= steps else f"step {position.step:,} of {steps:,}"
    rates = kodak["bd_rates"]
    assert isinstance(rates, list)
    of_psnr = (rate for rate in rates if rate["metric"] == "psnr" and "trained" not in str(rate))
    found = next(of_psnr, None)  # none where the curve has no range in common
    cells = (
        f"not published: {run.name}, {state}, from {setup.recipe.start or 'nothing'}",
        setup.device,
        f"{position.elapsed_s / 60:.0f} min",
        f"{position.step:,}",
        f"{position.crops:,}",
        f"{found['percent']:+.1f} % ({found['low_db']:.1f} … {found['high_db']:.1f} dB)"
        if found
        else "none",
        f"`{os.path.relpath(run, ROOT)}`",
    )
    return "| " + " | ".join(cells) + " |"


def add_line(text: str, row: str) -> str:
    """The log with one more row at the end of its table."""
    if text.count(MARK) != 1:
        raise SystemExit(f"error: {LOG} has lost the mark under its table")
    return text.replace(f"\n{MARK}", f"{row}\n\n{MARK}", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", default="25")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "swift-on.yaml")
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "swift-on")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    recipe, run = next_job(given.recipe, given.run)
    train = [sys.executable, "-m", "corelic", "train", str(recipe), "--run", str(run)]
    train += ["--resume", "--stop-after", given.minutes, "--device", given.device]
    subprocess.run(train, check=True)
    weights = next(run.glob("*.safetensors"))
    result = run / RESULT
    measure = [sys.executable, str(ROOT / "benchmarks" / "kodak.py"), "--codec", str(weights)]
    measure += ["--device", given.device]
    result.unlink(missing_ok=True)
    subprocess.run([*measure, "--out", str(result)], check=False)  # fails where a curve bends
    if not result.exists():
        raise SystemExit(f"error: {weights} was not measured; {result} is missing")
    row = line(run, json.loads(result.read_text()))
    atomic_write(LOG, add_line(LOG.read_text(), row).encode(), overwrite=True)
    print(row)


if __name__ == "__main__":
    main()
