"""corelic train"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from typer import Argument, Option

from corelic.cli import options
from corelic.cli.show import print_json
from corelic.errors import OutputError


def train(
    recipe: Annotated[Path, Argument(help="A YAML file; see the folder recipes.")],
    run: Annotated[
        Path | None, Option("--run", help="Folder of the run; default: runs/RECIPE.")
    ] = None,
    data: Annotated[
        Path | None,
        Option(help="Pictures or tar shards; default: the recipe's name in CORELIC_DATA."),
    ] = None,
    minutes: Annotated[
        float | None, Option(min=0.01, help="Length of the run; default: the recipe's.")
    ] = None,
    resume: Annotated[bool, Option("--resume", help="Go on from the run's checkpoint.")] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Train a codec: checkpoints, a CSV log, and at the end a weights file, measured.

    Interrupt it when you like: --resume goes on from the last checkpoint.

    \b
    Examples:
      corelic train recipes/swift.yaml
      corelic train recipes/swift.yaml --data photos/ --minutes 30 --run runs/short
      corelic train recipes/swift.yaml --resume
    """
    from corelic.codecs.files import device_of
    from corelic.training.export import export
    from corelic.training.recipe import load_recipe
    from corelic.training.setup import Setup, find_source
    from corelic.training.trainer import Trainer, write_log
    from corelic.training.validation import validate

    folder = run if run is not None else Path("runs") / recipe.stem
    if (folder / "checkpoint.safetensors").exists() and not resume:
        raise OutputError(str(folder), "holds a run; give --resume to go on, or another --run")
    chosen = load_recipe(recipe)
    if minutes is not None:
        chosen = replace(chosen, minutes=minutes)
    setup = Setup(chosen, find_source(chosen, data))
    device_of(device)  # says so if it is not here
    trainer = Trainer(setup, folder, device=device)
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=1.0)
        for step in write_log(folder / "log.csv", trainer.run()):
            text = (
                f"step {step.position.step:,}, {step.steps_per_s:.2f} steps/s, "
                f"loss {step.loss:.3f}, {step.rate_bpp:.3f} bpp, {step.psnr_db:.2f} dB"
            )
            bar.update(task, completed=step.share, description=text)
    weights = folder / f"{chosen.codec}.safetensors"
    exported = export(folder, weights, overwrite=True)
    rows = list(validate(weights, setup.open_cache(folder), device=device))
    if as_json:
        print_json(
            {
                "weights": str(weights),
                "fingerprint": exported.fingerprint,
                "validation": [
                    {"quality": row.quality, "rate_bpp": row.rate_bpp, "psnr_db": row.psnr_db}
                    for row in rows
                ],
            }
        )
        return
    table = Table("quality", "bpp", "PSNR", title="held-out photographs, from file bytes")
    for row in rows:
        table.add_row(f"{row.quality:g}", f"{row.rate_bpp:.3f}", f"{row.psnr_db:.2f} dB")
    Console().print(table)
    print(f"{weights}: {exported.file_bytes:,} bytes, fingerprint {exported.fingerprint}")
