"""corelic bench"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Console
from rich.table import Table
from typer import Argument, BadParameter, Exit, Option

import corelic
from corelic.cli import options
from corelic.console import printable, show_error, step_bar

if TYPE_CHECKING:
    from corelic.eval.results import Results


def bench(
    sources: Annotated[list[Path], Argument(help="Folders of pictures, or pictures.")],
    output: Annotated[
        Path, Option("--output", "-o", help="Folder of results; a run goes on where it was.")
    ] = Path("bench"),
    codecs: Annotated[
        str, Option(help="As in swift,avif:speed=6,webp; anything that --codec takes.")
    ] = f"{corelic.DEFAULT_CODEC},avif,webp,jpeg",
    qualities: Annotated[
        str | None, Option(help="As in 10,50,90; default: those that each codec declares.")
    ] = None,
    anchor: Annotated[
        str | None,
        Option(help="A codec of the run, or a published curve; default: the last codec."),
    ] = None,
    average: Annotated[
        Literal["picture", "pixel"], Option(help="What counts the same in an average.")
    ] = "picture",
    sample: Annotated[
        int, Option(min=0, help="How many pictures are timed, and shown in the report.")
    ] = 2,
    rounds: Annotated[int, Option(min=1, help="A time is the median of so many.")] = 3,
    jobs: Annotated[int, Option("--jobs", min=1, help="Processes, or Ray's workers.")] = 1,
    engine: Annotated[
        Literal["local", "ray"], Option(help="Processes here, or a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None, Option(help="Of the cluster, with --engine ray; default: one on this machine.")
    ] = None,
    device: options.Device = "cpu",
) -> None:
    """Measure codecs on pictures: rate, distortion, time and memory, all in one run.

    Interrupt it as you like: the same command goes on. Then see `corelic report`.

    \b
    Examples:
      corelic bench photos/ --codecs swift,avif,webp,jpeg,jxl
      corelic bench kodak/ -o results --anchor kodak/cai-vtm --jobs 4
      corelic bench photos/ --engine ray --ray-address auto --jobs 64
    """
    from corelic.eval import bench, results
    from corelic.eval.engines import Engine, Processes, Ray, Serial

    if ray_address is not None and engine != "ray":
        raise BadParameter("--ray-address is for --engine ray; give both or neither")
    names = options.some_listed("codecs", codecs)
    plan = results.Plan(
        codecs=names,
        anchor=anchor or names[-1],
        qualities=options.quality_list(qualities) if qualities else None,
        average=average,
        device=device,
        sample=sample,
        rounds=rounds,
    )
    workers: Engine = Serial() if jobs == 1 else Processes(jobs)
    if engine == "ray":
        workers = Ray(jobs, ray_address)
    console = Console(stderr=True)
    with step_bar(console) as show:
        outcome = bench.run(plan, sources, output, engine=workers, progress=show)
    for failure in outcome.failures:
        show_error(str(failure), console)
    _show(outcome.results, Console(markup=False))
    print(f"all figures: {output}; for plots and a page: corelic report {output}")
    if outcome.failures:
        run = outcome.results.run
        left_out = [p.name for p in run.pictures if not p.averaged]
        if left_out:
            print(printable(f"left out of every average: {', '.join(left_out)}"))
        # Failures are of files, or of a codec on one: they do not add up with pictures.
        count, averaged = len(outcome.failures), len(run.averaged)
        failures = "1 failure" if count == 1 else f"{count} failures"
        show_error(f"{failures}, named above; averages are over {averaged} pictures", console)
        raise Exit(1)


def _show(found: Results, console: Console) -> None:
    run = found.run
    columns = "BD-rate", "over", "encode", "decode", "one core", "", "memory"
    title = f"{len(run.averaged)} pictures, anchor {run.plan.anchor}, PSNR"
    table = Table("codec", *columns, title=title)
    table.columns[0].overflow = "fold"  # cut, two names may be one
    for column in table.columns[1:]:
        column.justify = "right"
    rates = {row.curve: row.rate for row in run.bd_rates if row.metric == "psnr"}
    for cost in found.costs:
        rate = rates[cost.codec]
        times = cost.encode_s, cost.decode_s, cost.encode_one_core_s, cost.decode_one_core_s
        table.add_row(
            printable(cost.codec),
            f"{rate.percent:+.1f} %" if rate else "none",
            f"{rate.low_db:.1f} … {rate.high_db:.1f} dB" if rate else "",
            *("" if time is None else f"{time:.3f} s" for time in times),
            "" if cost.peak_bytes is None else f"{cost.peak_bytes / 1e6:,.0f} MB",
        )
    console.print(table)
    print("times are per megapixel: encode and decode with all cores, then with one")
    for row in run.bd_rates:
        for warning in (*row.warnings, *filter(None, [row.reason])):
            print(printable(f"mind, {row.curve}, {row.metric}: {warning}"))
