"""docs/benchmarks.md: our codec beside every peer, measured in one run, and beside the published.

    python benchmarks/page.py --pictures $CORELIC_DATA/kodak
    python benchmarks/page.py --pictures $CORELIC_DATA/kodak --codecs c3m,jpeg \\
        --kept benchmarks/results/kodak

Goes on with build/kodak-bench where it was interrupted, makes the report there, and writes the page
from what it finds. All figures on the page come from runs; nothing is typed in. With --kept, codecs
that the run has not are taken from an earlier one; each one's times stay ratios within its own run.
"""

import argparse
import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

from rich.progress import Progress

from corelic.disk import atomic_write
from corelic.eval import bench, published, report, results
from corelic.eval.engines import Processes, Serial
from corelic.eval.plots import plot
from corelic.eval.rate_distortion import Curve, CurveError, bd_rate
from corelic.eval.results import Cost, Plan, Results, Run

ROOT = Path(__file__).parents[1]
CODECS = ("swift", "jpeg", "jpeg-420", "webp", "avif", "avif-420", "avif-psnr", "jpeg2000", "jxl")
CODECS += (
    "x265",
    "vvenc:preset=1",
    "libaom",
    "svt-av1",
)  # VVenC fast: medium takes four times as long
ANCHOR = "kodak/cai-vtm"
COMMON_DB = 28.5, 40.0  # where most curves are
REFERENCE = "jpeg"  # of times
PLOT = "psnr.svg"
PUBLISHED = (
    *("kodak/dcae", "kodak/mlicplusplus", "kodak/tcm-large", "kodak/cai-paper-elic2022-mse"),
    *("kodak/cai-compressai-cheng2020-anchor-mse-cuda", "kodak/cai-compressai-mbt2018-mse-cuda"),
    *("kodak/cai-compressai-bmshj2018-hyperprior-mse-cuda", "kodak/cai-bpg-444-x265-ycbcr"),
    *("kodak/cai-webp", "kodak/cai-jpeg2000", "kodak/cai-jpeg"),
)


def in_common(anchor: Curve, curve: Curve) -> str:
    try:
        return f"{bd_rate(anchor, curve, interval_db=COMMON_DB).percent:+.1f} %"
    except CurveError:  # it does not reach so far
        return ""


def rate_table(found: Results) -> Iterable[str]:
    """Measured and published together, best first."""
    anchor = published.find(ANCHOR)
    curves = {curve.name: curve for curve in found.curves}
    rates = {row.curve: row for row in found.run.bd_rates if row.metric == "psnr"}
    similar = {row.curve: row.rate for row in found.run.bd_rates if row.metric == "ms-ssim"}
    lines = []
    for facts in found.run.codecs:
        row, ms_ssim = rates[facts.name], similar[facts.name]
        if row.rate is None:
            lines.append((float("inf"), f"| `{facts.name}` | {row.reason} | | | | |"))
            continue
        name = f"**{facts.title}** (`{facts.name}`)"
        second = f"{ms_ssim.percent:+.1f} %" if ms_ssim else ""
        where = f"{row.rate.low_db:.1f} … {row.rate.high_db:.1f} dB"
        common = in_common(anchor, curves[facts.name])
        rate = f"{row.rate.percent:+.1f} % | {where} | {common}"
        lines.append((row.rate.percent, f"| {name} | measured here | {rate} | {second} |"))
    for name in PUBLISHED:
        curve = published.find(name)
        rate = bd_rate(anchor, curve)
        where = f"{rate.low_db:.1f} … {rate.high_db:.1f} dB"
        common = in_common(anchor, curve)
        line = f"| {curve.name} (`{name}`) | published | {rate.percent:+.2f} % | {where}"
        lines.append((rate.percent, f"{line} | {common} | |"))
    low, high = COMMON_DB
    yield f"| codec | | BD-rate, PSNR | over | {low:g} … {high:g} dB | BD-rate, MS-SSIM |"
    yield "|---|---|---:|---:|---:|---:|"
    yield from (line for _, line in sorted(lines))


def time_table(runs: Sequence[Results], shown: Results) -> Iterable[str]:
    """As ratios, because seconds are those of one machine on one day."""
    yield f"| codec | encode, × {REFERENCE} | decode, × {REFERENCE} | on one core | | memory |"
    yield "|---|---:|---:|---:|---:|---:|"
    for facts in shown.run.codecs:
        costs = next(costs for costs in map(costs_of, runs) if facts.name in costs)
        reference = costs[REFERENCE]
        cost = costs[facts.name]
        pairs = (
            (cost.encode_s, reference.encode_s),
            (cost.decode_s, reference.decode_s),
            (cost.encode_one_core_s, reference.encode_one_core_s),
            (cost.decode_one_core_s, reference.decode_one_core_s),
        )
        ratios = ["" if not a or not b else f"{a / b:,.1f}" for a, b in pairs]
        memory = "" if cost.peak_bytes is None else f"{cost.peak_bytes / 1e6:,.0f} MB"
        star = "" if cost.in_process else " *"
        yield f"| {facts.title}{star} | {' | '.join(ratios)} | {memory} |"


def times_from(runs: Sequence[Results], shown: Results) -> Iterable[str]:
    """A line for each run that `time_table` takes times from: whose, where, and the unit there."""
    left = [facts.name for facts in shown.run.codecs]
    for run in runs:
        costs, machine = costs_of(run), run.run.machine
        own = [name for name in left if name in costs]
        left = [name for name in left if name not in costs]
        if own:
            reference = costs[REFERENCE]
            unit = (
                f"{REFERENCE} takes {reference.encode_s:.3f} s per megapixel to encode and "
                f"{reference.decode_s:.3f} s to decode"
                if reference.encode_s and reference.decode_s
                else "times were not measured"
            )
            names = ", ".join(f"`{name}`" for name in own)
            effort = f"pictures: {run.run.plan.sample}, rounds: {run.run.plan.rounds}"
            yield f"- {names}: {machine['cpu']}, {machine['cores']} cores; {effort}; {unit}"


def costs_of(run: Results) -> dict[str, Cost]:
    return {cost.codec: cost for cost in run.costs}


def together(fresh: Results, kept: Results) -> Results:
    """A run, and what an earlier one has of codecs that it has not.

    SystemExit where they are not about the same pictures, or were not averaged alike.
    """
    if comparable(fresh.run) != comparable(kept.run):
        raise SystemExit("error: what is kept is of other pictures, averages or anchors")
    names = {facts.name for facts in fresh.run.codecs}
    also = [facts for facts in kept.run.codecs if facts.name not in names]
    curves = {curve.name: curve for curve in kept.curves}
    run = replace(
        fresh.run,
        codecs=(*fresh.run.codecs, *also),
        bd_rates=(*fresh.run.bd_rates, *(r for r in kept.run.bd_rates if r.curve not in names)),
    )
    return replace(fresh, run=run, curves=(*fresh.curves, *(curves[facts.name] for facts in also)))


def comparable(run: Run) -> tuple[object, ...]:
    """What two runs have to share."""
    pictures = {(picture.name, picture.sha256) for picture in run.pictures if picture.averaged}
    return pictures, run.plan.average, run.plan.anchor


def picture(found: Results) -> bytes:
    """All curves of the table, and the anchor."""
    titles = {facts.name: facts.title for facts in found.run.codecs}
    curves = [(titles[curve.name], curve) for curve in found.curves]
    others = map(published.find, (*PUBLISHED, ANCHOR))
    curves += [(curve.name, curve) for curve in others]
    return plot(curves, "psnr", "svg", title=f"{len(found.run.averaged)} pictures")


def page(found: Results, runs: Sequence[Results], command: str) -> str:
    """found  all that is shown; runs  where the times are from; command  what made the page"""
    run, fresh = found.run, runs[0].run
    codecs = "\n".join(
        f"- `{facts.name}`: {facts.colour}; {facts.scale}; {facts.version}" for facts in run.codecs
    )
    machines = "\n".join(times_from(runs, found))
    rates, times = "\n".join(rate_table(found)), "\n".join(time_table(runs, found))
    names = ", ".join(f"`{facts.name}`" for facts in fresh.codecs)
    apart = f" The run of {names} is later than that of the rest." if runs[1:] else ""
    loosely = " Ratios of different runs cannot be compared exactly:" if runs[1:] else ""
    return f"""# Benchmarks

Made by `{command}`; do not edit.
What the words mean is in [bench.md](bench.md).

{len(run.averaged)} pictures of Kodak. Rate is that of whole files, PSNR and MS-SSIM are those of
decoded 8-bit RGB, and each {run.plan.average} counts the same. BD-rate is pchip against
`{ANCHOR}`: how much more rate is needed at equal quality, wherever both curves are, and over one
interval for all that reach so far; it depends on where it is taken. Published curves are their
authors' figures: often without rounding to 8 bits, and each codec at a few rates only.

## Rate at equal quality

{rates}

![PSNR against rate](kodak-{PLOT})

## Time and memory

Times are ratios to that of {REFERENCE} in the same run, means over pictures at
{bench.TIMED_QUALITIES} qualities, each the median of some rounds after one to warm up.
Memory is that of a whole fresh process, Python and libraries included.{loosely}

{machines}

{times}

\\* a program of its own, whose start counts in.

## What was measured

Pictures are the same by their SHA-256.{apart}

{codecs}
"""


def asked(given: argparse.Namespace) -> str:
    """The command that makes the page, but for where pictures and results are."""
    kept = (("--kept", os.path.relpath(folder, ROOT)) for folder in given.kept)
    codecs = ("--codecs", given.codecs) if given.codecs != ",".join(CODECS) else ()
    words = (*codecs, *(word for pair in kept for word in pair))
    return shlex.join(["python", "benchmarks/page.py", *words])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    pictures = Path(data) / "kodak" if data else None
    parser.add_argument("--pictures", type=Path, default=pictures, required=pictures is None)
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "kodak-bench")
    text = "results of an earlier run, for other codecs; again for more, the latest first"
    parser.add_argument("--kept", type=Path, action="append", default=[], help=text)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    plan = Plan(codecs=tuple(given.codecs.split(",")), anchor=ANCHOR)
    engine = Serial() if given.jobs == 1 else Processes(given.jobs)
    with Progress() as bar:
        task = bar.add_task("")

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        outcome = bench.run(plan, [given.pictures], given.results, engine=engine, progress=show)
    for failure in outcome.failures:
        print(f"failed: {failure}")
    report.write(given.results, given.results / "report", also=PUBLISHED)
    runs = [results.read(folder) for folder in (given.results, *given.kept)]
    found = reduce(together, runs)
    atomic_write(given.page.with_name(f"kodak-{PLOT}"), picture(found), overwrite=True)
    atomic_write(given.page, page(found, runs, asked(given)).encode(), overwrite=True)
    print(f"{given.page}\n{given.results / 'report' / 'index.html'}")


if __name__ == "__main__":
    main()
