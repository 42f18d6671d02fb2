"""corelic train"""

import math
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from typer import Argument, Option

from corelic.cli import options
from corelic.cli.show import print_json
from corelic.console import show_warning
from corelic.errors import OutputError, RecipeError

if TYPE_CHECKING:
    from corelic.training.recipe import Recipe
    from corelic.training.trainer import Progress


ETA_LOOKS_BACK_S = 1800.0
WORTH_SAYING = 0.02  # of the time that a device waits


def train(
    recipe: Annotated[Path, Argument(help="A YAML file; see the folder recipes.")],
    run: Annotated[
        Path | None, Option("--run", help="Folder of the run; default: runs/RECIPE.")
    ] = None,
    data: Annotated[
        Path | None,
        Option(
            help="Folder of pictures, tar shards or clips; default: the folder in CORELIC_DATA "
            "that the recipe names."
        ),
    ] = None,
    attacked: Annotated[
        Path | None,
        Option(
            help="Stored attacks, where the recipe mixes some in; default: its name, as --data."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        Option(min=0.01, help="Fit a fresh run into about so long; default: the recipe's steps."),
    ] = None,
    start: Annotated[
        str | None, Option(help="Weights to go on from, by name or path; default: the recipe's.")
    ] = None,
    resume: Annotated[bool, Option("--resume", help="Go on from the run's checkpoint.")] = False,
    stop_after: Annotated[
        float, Option(min=0.01, help="Pause after so many minutes; --resume goes on.")
    ] = math.inf,
    validate_on: Annotated[
        Path | None,
        Option("--validate", help="Folder of pictures to measure at the end; default: held out."),
    ] = None,
    anchor: Annotated[
        str | None,
        Option(
            help="A curve to give the BD-rate against, as in kodak/cai-vtm with Kodak's pictures."
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Train a codec: checkpoints, logs, and at the end a weights file, measured.

    Interrupt it when you like: --resume goes on from the last checkpoint, and ends as an
    uninterrupted run would. Start it with torchrun for several GPUs or machines.

    \b
    Examples:
      corelic train recipes/tiny.yaml --data photos/ --minutes 5
      corelic train recipes/swift.yaml --start swift --minutes 60 --run runs/longer
      corelic train recipes/swift.yaml --resume
      torchrun --nproc-per-node 4 -m corelic train recipes/swift.yaml
    """
    from corelic.codecs.files import device_of
    from corelic.eval import published
    from corelic.eval.rate_distortion import CurveError, bd_rate
    from corelic.training.export import export
    from corelic.training.logs import write_logs
    from corelic.training.recipe import load_recipe
    from corelic.training.setup import Setup, find_attacked, find_source
    from corelic.training.trainer import Trainer
    from corelic.training.validation import curve_of, held_out, pictures_in, validate

    folder = run if run is not None else Path("runs") / recipe.stem
    going_on = Setup.exists(folder)  # even without a checkpoint: the plan was made
    if going_on and not resume:
        raise OutputError(str(folder), "holds a run; give --resume to go on, or another --run")
    against = published.find(anchor) if anchor is not None else None
    device_of(device)  # says so if it is not here
    pictures = pictures_in(validate_on) if validate_on else None
    if going_on:
        # The plan was made when the run began: another one would make it another run.
        if start is not None or minutes is not None:
            text = "--start and --minutes are for a run that begins: this one follows its own plan"
            show_warning(text, Console(stderr=True))
        setup = Setup.load(folder)
        if is_another(recipe, setup.asked):
            text = f"{recipe} is not what the run in {folder} began with: it follows its own plan"
            show_warning(text, Console(stderr=True))
        # Where pictures are may have changed; that they are the same, the trainer checks.
        if data is not None:
            setup = replace(setup, source=find_source(setup.recipe, data))
        if attacked is not None:
            setup = replace(setup, attacked=find_attacked(setup.recipe, attacked))
    else:
        asked = load_recipe(recipe)
        chosen = replace(asked, start=start) if start is not None else asked
        source, stored = find_source(chosen, data), find_attacked(chosen, attacked)
        setup = Setup(chosen, source, attacked=stored, asked=asked)
    trainer = Trainer(setup, folder, device=device)
    if minutes is not None and not going_on:
        trainer.fit_to(minutes)
    rows: Iterable[Progress] = trainer.run(stop_after_s=60 * stop_after)
    if not trainer.fabric.is_global_zero:
        for _ in rows:
            pass
        return
    rows = write_logs(folder, rows, step=trainer.position.step)
    show_progress(rows, trainer.recipe.steps)
    weights = folder / f"{trainer.spec.name}.safetensors"
    exported = export(folder, weights, overwrite=True)
    if pictures is None:
        pictures = held_out(setup.open_cache(folder))
    found = list(validate(weights, pictures, device=device))
    compared, warnings = None, []
    if against is not None and anchor is not None and found:
        # What came out of hours is shown, whatever becomes of the comparison.
        try:
            compared = bd_rate(against, curve_of(found, weights.stem))
            of_sets = published.of_other_sets(anchor, weights.stem, len(pictures))
            warnings = [*compared.warnings, *of_sets]
        except CurveError as error:
            warnings = [str(error)]
    for text in warnings:
        show_warning(f"BD-rate: {text}", Console(stderr=True))
    if as_json:
        print_json(
            {
                "weights": str(weights),
                "fingerprint": exported.fingerprint,
                "steps": trainer.position.step,
                "validation": [asdict(row) for row in found],
                "bd_rate": None if compared is None else asdict(compared),
            }
        )
        return
    table = Table("quality", "bpp", "PSNR", title=f"{len(pictures)} pictures, from file bytes")
    for row in found:
        table.add_row(f"{row.quality:g}", f"{row.rate_bpp:.3f}", f"{row.psnr_db:.2f} dB")
    Console().print(table)
    if compared is not None and against is not None:
        print(
            f"BD-rate against {against.name}: {compared.percent:+.2f} % "
            f"over {compared.low_db:.1f} … {compared.high_db:.1f} dB"
        )
    print(f"{weights}: {exported.file_bytes:,} bytes, fingerprint {exported.fingerprint}")


def is_another(path: Path, asked: "Recipe | None") -> bool:
    """Whether a recipe file has changed since a run began with it, or is gone."""
    from corelic.training.recipe import load_recipe

    try:
        found = load_recipe(path)
    except RecipeError:
        return True
    return asked is not None and found != asked


def show_progress(rows: "Iterable[Progress]", steps: int) -> None:
    """A bar on standard error: steps per second, loss, rate, PSNR, time left."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    # Rows of a slow machine are minutes apart; by default only half of one is looked back at.
    console = Console(stderr=True)
    with ProgressBar(*columns, console=console, speed_estimate_period=ETA_LOOKS_BACK_S) as bar:
        task = bar.add_task("starting", total=steps)
        for row in rows:
            text = (
                f"step {row.position.step:,} of {steps:,}, {row.steps_per_s:.2f} steps/s, "
                f"loss {row.loss:.3f}, {row.rate_bpp:.3f} bpp, {row.psnr_db:.2f} dB"
            )
            if row.waiting_share > WORTH_SAYING:
                text += f", {row.waiting_share:.0%} of the time without crops"
            bar.update(task, completed=row.position.step, description=text)
