"""corelic attack"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from typer import Argument, BadParameter, Option

import corelic
from corelic.cli import options
from corelic.console import as_text, printable
from corelic.disk import check_output, make_folder
from corelic.jobs import Job, plan, report, run

if TYPE_CHECKING:
    from rich.table import Table

    from corelic.attacks.evaluation.damage import Row
    from corelic.attacks.objectives import Box
    from corelic.media import Picture

SUFFIX = ".png"
FIGURES = "attack.json"


@dataclass(frozen=True, slots=True)
class AttackOptions:
    """As they were typed; each process makes its own parts of them."""

    codec: str
    quality: float
    attack: str
    objective: str
    constraint: str
    modifiers: tuple[str, ...]
    defence: str | None
    clean: tuple[Path, ...]
    region: Box | None
    control: str
    steps: int
    queries: int
    seed: int
    crop: int | None
    device: str


def attack(
    sources: Annotated[list[Path], Argument(help="Pictures, without transparency.")],
    output: Annotated[
        Path,
        Option("--output", "-o", help="Folder of attacked pictures, made where there is none."),
    ],
    codec: options.Codec = corelic.DEFAULT_CODEC,
    quality: Annotated[
        float, Option("--quality", "-q", min=0, max=100, help="At which it is attacked.")
    ] = 50,
    attack: Annotated[
        str,
        Option(
            help="pgd, ifgsm, fgsm, apgd, adam, cw:goal=100; square, spsa, genetic, random, which "
            "ask real files; noise."
        ),
    ] = "pgd",
    objective: Annotated[
        str,
        Option(
            help="distortion, source, frobenius, rate, joint, targeted=PICTURE or task=residual; "
            ":low-band=10 keeps to high frequencies by a penalty."
        ),
    ] = "distortion",
    constraint: Annotated[
        str,
        Option(
            help="linf=8 (of 255), psnr=40 (dB) or two-branch:psnr=38:linf=16; :high=0.25 keeps to "
            "frequencies from there on."
        ),
    ] = "linf=8",
    modifier: Annotated[
        list[str] | None,
        Option(
            help="momentum=1, nesterov, diverse, smooth, scales, variance, eot=8, "
            "ensemble=swift@20+swift@80, sampled=…; again for the next one."
        ),
    ] = None,
    defence: Annotated[
        str | None, Option(help="Before the codec, as in median or jpeg:quality=75+blur.")
    ] = None,
    clean: Annotated[
        list[Path] | None,
        Option(
            help="Other photographs, or folders of them, for defences that measure before they "
            "work, as latent-clipping does; again for more."
        ),
    ] = None,
    region: Annotated[
        str | None, Option(metavar="X,Y,W,H", help="Damage counts only there, in pixels.")
    ] = None,
    crop: Annotated[
        int | None, Option(min=16, metavar="PX", help="Attack the middle of each picture.")
    ] = None,
    control: Annotated[
        str, Option(help="Classical codec that is given the same pictures, at equal PSNR.")
    ] = "jpeg",
    steps: Annotated[int, Option(min=1, help="Of attacks with gradients.")] = 40,
    queries: Annotated[int, Option(min=1, help="Of attacks without.")] = 2000,
    seed: Annotated[
        int,
        Option(
            min=0,
            max=options.LAST_SEED,
            help="The same one gives the same pictures, on as many cores.",
        ),
    ] = 0,
    device: options.Device = "cpu",
    processes: options.Jobs = 1,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Change pictures, hardly visibly, so that a codec fails on them; measure how badly.

    photo.png becomes OUT/photo.png, 8-bit RGB without metadata, within the constraint. All figures
    are of that file, read and encoded again: real bytes, decoded pictures. They are printed, and
    kept in OUT/attack.json. Three rows stand beside the attack: as much noise as the constraint
    allows, and both on a classical codec whose PSNR is the same on the clean picture.

    \b
    Examples:
      corelic attack photo.png -o attacked
      corelic attack photo.png -q 30 --objective rate --constraint linf=4 -o attacked
      corelic attack photo.png --constraint psnr=38:high=0.25 --modifier momentum=0.9 -o attacked
      corelic attack photo.png --attack adam --constraint two-branch:psnr=38:linf=16 -o attacked
      corelic attack photo.png --codec avif --attack square --queries 500 -o attacked
      corelic attack photo.png --defence latent-clipping --clean photos/ -o attacked
      corelic attack photo.png --crop 128 -o attacked
    """
    from corelic.attacks.defences.named import check_clean
    from corelic.attacks.defences.shown import shown_files
    from corelic.attacks.evaluation.damage import joined
    from corelic.attacks.evaluation.figures import save_rows, to_json
    from corelic.cli.show import print_json

    check_clean([defence] if defence is not None else [], clean or [])
    given = AttackOptions(
        codec=codec,
        quality=quality,
        attack=attack,
        objective=objective,
        constraint=constraint,
        modifiers=tuple(modifier or ()),
        defence=defence,
        clean=shown_files(clean or ()),
        region=_region(region),
        control=control,
        steps=steps,
        queries=queries,
        seed=seed,
        crop=crop,
        device=device,
    )
    check(given)  # one error if a part cannot be had, not one for each picture
    make_folder(output)
    check_output(output / FIGURES, overwrite=overwrite)
    jobs = plan(sources, output, suffix=SUFFIX, overwrite=overwrite)
    outcome = run(jobs, partial(attack_one, given=given), processes=processes)
    if outcome.results:
        rows = [joined(both) for both in zip(*outcome.results, strict=True)]
        save_rows(output / FIGURES, rows)
        if as_json:
            print_json([to_json(row) for row in rows])
        else:
            Console(markup=False).print(table(rows))
            print(printable(f"attacked pictures and all figures: {output}"))
    outcome.raise_failures()


def check(given: AttackOptions) -> None:
    """AttackError, UnknownCodecError, … where a part is misspelt."""
    from corelic.attacks import spelling
    from corelic.attacks.defences.named import defend
    from corelic.attacks.defences.shown import shown_pictures
    from corelic.attacks.objectives import Box, Region
    from corelic.attacks.victim import victim_of
    from corelic.codecs.api import open_image_codec
    from corelic.codecs.peers import PEERS
    from corelic.errors import UnknownCodecError

    victim = victim_of(open_image_codec(given.codec, given.device), given.quality)
    if given.defence is not None:
        victim = defend(victim, given.defence, shown_pictures(given.clean))
    if given.control not in PEERS:
        raise UnknownCodecError(given.control, tuple(PEERS))
    _ = PEERS[given.control].facts  # for which some need a program, or a package
    objective = spelling.objective(given.objective)
    if given.region is not None:  # where it lies, each picture must say
        given.region.check()
        objective = Region.box(objective, 1, 1, Box(0, 0, 1, 1))
    spelling.attack(
        given.attack,
        victim,
        objective=objective,
        constraint=spelling.constraint(given.constraint),
        modifiers=[spelling.modifier(modifier) for modifier in given.modifiers],
    )


def attack_one(job: Job, given: AttackOptions) -> tuple[Row, ...]:
    """Attacks one picture, writes it, and measures what the written file does."""
    from corelic.codecs.files import memory_for
    from corelic.media import read_picture

    whole = read_picture(job.read(), name=job.name)
    with memory_for(whole.width_px, whole.height_px):
        return _attacked(job, whole, given)


def _attacked(job: Job, whole: Picture, given: AttackOptions) -> tuple[Row, ...]:
    from corelic.attacks import spelling
    from corelic.attacks.defences.named import defend
    from corelic.attacks.defences.shown import check_not_shown, shown_pictures
    from corelic.attacks.evaluation.controls import with_controls
    from corelic.attacks.evaluation.damage import CleanSide
    from corelic.attacks.evaluation.written import reread
    from corelic.attacks.objectives import Region
    from corelic.attacks.pixels import as_rgb
    from corelic.attacks.victim import victim_of
    from corelic.codecs.api import open_image_codec
    from corelic.codecs.peers import PEERS

    picture = as_rgb(whole if given.crop is None else whole.middle(given.crop, given.crop))
    victim = victim_of(open_image_codec(given.codec, given.device), given.quality)
    if given.defence is not None:
        others = shown_pictures(given.clean)
        check_not_shown(as_rgb(whole), given.clean, others)
        victim = defend(victim, given.defence, others)
    objective = spelling.objective(given.objective)
    if given.region is not None:
        objective = Region.box(objective, picture.width_px, picture.height_px, given.region)
    attack = spelling.attack(
        given.attack,
        victim,
        objective=objective,
        constraint=spelling.constraint(given.constraint),
        modifiers=[spelling.modifier(text) for text in given.modifiers],
        steps=given.steps,
        queries=given.queries,
        seed=given.seed,
    )
    result, png = reread(attack([picture], progress=report))
    side = CleanSide(victim, [picture], [as_text(Path(job.name)).rpartition(os.sep)[2]])
    rows = with_controls(attack, result, [side, side.beside(PEERS[given.control])])
    job.write(png)  # not before it has its figures: a picture without any would be in the way
    return rows


def table(rows: Sequence[Row]) -> Table:
    """Means over the pictures."""
    from rich.table import Table

    found = Table(title=f"means over {len(rows[0].damages)} pictures, of files", show_lines=True)
    for column in ("victim", "attack", "score", "input", "output", "lost", "bytes", "s"):
        found.add_column(column, justify="left" if column in ("victim", "attack") else "right")
    for row in rows:
        found.add_row(
            row.victim,
            "\n".join(filter(None, (row.attack, *_remarks(row)))),
            f"{_score(row.score_before)}\n→ {_score(row.score_after)}",
            f"{_db(row.input_psnr_db)}\nL∞ {row.linf_levels}",
            f"{_db(row.output_psnr_db)}\nVI {_db(row.vi_db)}",
            _db(row.source_loss_db),
            f"× {row.bytes_ratio:.3f}",
            f"{row.seconds:.1f}",
        )
    found.caption = (
        "score: what the attack was to raise, of files, before → after; "
        "input: PSNR of the attacked picture; output: PSNR between both decoded pictures; "
        "VI: input − output; lost: PSNR to the source, before − after; "
        "bytes: file of the attacked picture / of the clean one"
    )
    return found


def _remarks(row: Row) -> Iterator[str]:
    if not row.moved:
        before, after = row.score_before, row.score_after
        rose = before is not None and after is not None and after > before
        yield "(aim not reached)" if rose else "(nothing gained)"
    if row.reclassified is not None:
        yield f"(another class in {row.reclassified} of {len(row.damages)})"
    if row.left_out:
        yield f"({row.left_out})"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} dB"


def _region(text: str | None) -> Box | None:
    if text is None:
        return None
    from corelic.attacks.objectives import Box

    numbers = text.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise BadParameter(f"{text!r} is no region; give left,top,width,height, as in 0,0,64,64")
    return Box(*(int(number) for number in numbers))
