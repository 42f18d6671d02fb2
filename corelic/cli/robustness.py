"""corelic robustness"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.table import Table
from typer import Argument, Exit, Option

import corelic
from corelic.cli import options
from corelic.console import show_error, step_bar

if TYPE_CHECKING:
    from corelic.attacks.findings import Finding, Point


def robustness(
    sources: Annotated[list[Path], Argument(help="Folders of pictures, or pictures.")],
    output: Annotated[
        Path, Option("--output", "-o", help="Folder of results; a run goes on where it was.")
    ] = Path("robustness"),
    codecs: Annotated[
        str, Option(help="As in swift,avif; anything that --codec takes.")
    ] = corelic.DEFAULT_CODEC,
    qualities: Annotated[str, Option(help="As in 20,50,80.")] = "50",
    attacks: Annotated[str, Option(help="As in pgd,square; see `corelic attack`.")] = "pgd",
    objectives: Annotated[str, Option(help="As in distortion,rate.")] = "distortion,rate",
    constraints: Annotated[str, Option(help="As in linf=4,linf=8.")] = "linf=8",
    defences: Annotated[
        str, Option(help="Beside none, as in median,jpeg:quality=60+blur; docs/defences.md.")
    ] = "",
    control: Annotated[
        str, Option(help="Classical codec that is given the same pictures, at equal PSNR.")
    ] = "jpeg",
    steps: Annotated[int, Option(min=1, help="Of attacks with gradients.")] = 40,
    queries: Annotated[int, Option(min=1, help="Of attacks without.")] = 2000,
    draws: Annotated[
        int, Option(min=1, help="Averaged in a step, of defences that draw lots.")
    ] = 3,
    crop: Annotated[
        int | None, Option(min=16, metavar="PX", help="Attack the middle of each picture.")
    ] = None,
    clean: Annotated[
        list[Path] | None,
        Option(help="Other photographs, for defences that measure before they work."),
    ] = None,
    sample: Annotated[int, Option(min=0, help="So many pictures are shown on the page.")] = 2,
    seed: Annotated[
        int, Option(min=0, max=options.LAST_SEED, help="The same one gives the same figures.")
    ] = 0,
    device: options.Device = "cpu",
    jobs: Annotated[int, Option("--jobs", "-j", min=1, help="Processes.")] = 1,
) -> None:
    """Attack codecs, plain and defended, on many pictures, and make a page of what comes of it.

    Every figure is of files. A defended codec is attacked by who knows the codec alone, and by who
    knows its defence, too. Interrupt it as you like: the same command goes on. OUT gets
    robustness.json, index.html and the attacked pictures.

    \b
    Examples:
      corelic robustness photos/ --crop 128 --steps 10
      corelic robustness photos/ --codecs swift,jpeg --qualities 20,50,80 --jobs 4
      corelic robustness photos/ --defences median,random-geometry,two-way -o defended
    """
    from corelic.attacks import grid
    from corelic.attacks.findings import Plan
    from corelic.eval.engines import Engine, Processes, Serial

    plan = Plan(
        codecs=options.some_listed("codecs", codecs),
        qualities=options.quality_list(qualities),
        attacks=options.some_listed("attacks", attacks),
        objectives=options.some_listed("objectives", objectives),
        constraints=options.some_listed("constraints", constraints),
        defences=options.listed(defences),
        control=control,
        steps=steps,
        queries=queries,
        draws=draws,
        seed=seed,
        side_px=crop,
        clean=tuple(clean or ()),
        sample=sample,
        device=device,
    )
    workers: Engine = Serial() if jobs == 1 else Processes(jobs)
    console = Console(stderr=True)
    with step_bar(console) as show:
        outcome = grid.run(plan, sources, output, engine=workers, progress=show)
    for failure in outcome.failures:
        show_error(str(failure), console)
    if outcome.findings:
        Console().print(_table(outcome.findings))
    print(f"all figures: {output / 'robustness.json'}; to look at: {output / 'index.html'}")
    if outcome.failures:
        # Of files, or of a codec, a defence or an attack on one: they do not add up.
        count = len(outcome.failures)
        failures = "1 failure" if count == 1 else f"{count} failures"
        show_error(f"{failures}, named above; all else is in the results", console)
        raise Exit(1)


def _table(findings: tuple[Finding, ...]) -> Table:
    """Means over the pictures; the page has more columns."""
    found = Table(title="means over the pictures, of files; dB of PSNR")
    for column in ("codec, attack", "attacker", "output", "noise", "lost", "bytes", "noise"):
        found.add_column(column, justify="left" if column[0] in "ca" else "right")
    for finding in findings:
        attack, noise, *_ = finding.rows
        found.add_row(
            "\n".join(filter(None, [str(finding.point), attack.left_out])),
            _attacker(finding.point),
            *(_db(attack.output_psnr_db), _db(noise.output_psnr_db), _db(attack.source_loss_db)),
            *(f"× {attack.bytes_ratio:.3f}", f"× {noise.bytes_ratio:.3f}"),
        )
    return found


def _attacker(point: Point) -> str:
    from corelic.attacks.findings import NONE

    if point.defence == NONE:
        return ""
    return "adaptive" if point.knows == "all" else "blind"


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
