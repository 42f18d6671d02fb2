"""A finished benchmark as a page to explore and plots to print.

results ─► index.html        curves, BD-rates, times, pictures side by side; needs nothing else
        └► psnr.png, .svg    and the same for MS-SSIM, where it was measured
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from corelic.disk import atomic_write, make_folder
from corelic.errors import CorelicError, MissingPartError, OutputError
from corelic.eval import published, results
from corelic.eval.plots import pairs, plot, style
from corelic.eval.rate_distortion import Curve
from corelic.eval.results import METRICS, Results

# What tells a page that may be replaced from somebody's own.
MARK, MARKED_BYTES = b"<title>corelic bench:", 1000
KINDS: tuple[Literal["png"], Literal["svg"]] = ("png", "svg")


def write(folder: Path, out: Path, *, also: Sequence[str] = ()) -> list[Path]:
    """From the results in `folder`, with the published curves (or files) `also`; what it wrote.

    Raises CorelicError: ResultsError, CurveError, MissingPartError, OutputError.
    """
    found = results.read(folder)
    curves = labelled(found, also)
    make_folder(out)
    title = f"{len(found.run.averaged)} pictures"
    files = {"index.html": page(folder, found, curves).encode()}
    brief = _briefly(curves)
    for metric in METRICS:
        if any(pairs(curve, metric) for _, curve in curves):
            for kind in KINDS:
                files[f"{metric}.{kind}"] = plot(brief, metric, kind, title=title)
    replaced = is_ours(out)
    if not replaced:
        check_free(out, files)
    for name, data in files.items():
        atomic_write(out / name, data, overwrite=True)
    if replaced:  # else a plot of another run would lie beside this page
        for name in {f"{metric}.{kind}" for metric in METRICS for kind in KINDS} - files.keys():
            (out / name).unlink(missing_ok=True)
    return [out / name for name in files]


def labelled(found: Results, also: Sequence[str]) -> list[tuple[str, Curve]]:
    """All curves that are shown: the run's own, those beside it, and the anchor."""
    anchor = found.run.plan.anchor
    own = {curve.name for curve in found.curves}
    others = [name for name in dict.fromkeys([*also, anchor]) if name not in own]
    titles = {facts.name: facts.title for facts in found.run.codecs}
    curves = [(titles[curve.name], curve) for curve in found.curves]
    for name in others:
        try:
            other = published.find(name)
        except CorelicError:
            if name == anchor and name not in also:  # a codec that failed on every picture
                continue
            raise
        # Under the name it is asked for by, which is unique.
        curves.append((f"{other.name} ({name})", replace(other, name=name)))
    return curves


def is_ours(out: Path) -> bool:
    """Whether a page of ours is in the folder."""
    page = out / "index.html"
    return page.is_file() and MARK in page.read_bytes()[:MARKED_BYTES]


def check_free(out: Path, names: Iterable[str]) -> None:
    """OutputError where files of these names are in the folder."""
    for name in names:
        if (out / name).exists():
            reason = "it exists already, and is of no report; give another folder with -o"
            raise OutputError(str(out / name), reason)


def _briefly(curves: Sequence[tuple[str, Curve]]) -> list[tuple[str, Curve]]:
    """Labels without the name in brackets, where they still tell curves apart."""
    short = [label.removesuffix(f" ({curve.name})") for label, curve in curves]
    return [
        (brief if short.count(brief) == 1 else label, curve)
        for brief, (label, curve) in zip(short, curves, strict=True)
    ]


def page(folder: Path, found: Results, curves: Sequence[tuple[str, Curve]]) -> str:
    """The whole page, with its program, its data and its pictures inside."""
    data = json.dumps(_data(folder, found, curves), ensure_ascii=False, allow_nan=False)
    parts = {
        "title": html.escape(f"corelic bench: {len(found.run.averaged)} pictures"),
        "style": part("page.css"),
        "plotly": _plotly(),
        # In a script element nothing but its end tag is special.
        "data": data.replace("<", "\\u003c"),
        "program": part("page.js"),
    }
    before, *marked = part("page.html").split("{{")
    return before + "".join(
        parts[name] + rest for name, _, rest in (part.partition("}}") for part in marked)
    )


def _data(folder: Path, found: Results, curves: Sequence[tuple[str, Curve]]) -> dict[str, Any]:
    run = found.run
    anchor = run.plan.anchor
    computed = results.bd_rows(anchor, tuple(curve for _, curve in curves), len(run.averaged))
    # The run's own figures stand, even where the anchor's file has changed since.
    rates = {(row.curve, row.metric): row for row in (*computed, *run.bd_rates)}
    costs = {cost.codec: cost for cost in found.costs}
    rows = []
    for place, (label, curve) in enumerate(curves):
        colour, dash = style(place)
        rows.append(
            {
                "name": curve.name,
                "label": label,
                "colour": colour,
                "dash": {"solid": "solid", "dashed": "dash", "dotted": "dot"}[dash],
                "points": {metric: pairs(curve, metric) for metric in METRICS},
                "bd": {metric: _bd(rates[curve.name, metric]) for metric in METRICS},
                "cost": asdict(costs[curve.name]) if curve.name in costs else None,
            }
        )
    return {
        "anchor": anchor,
        "average": run.plan.average,
        "pictures": len(run.averaged),
        "machine": run.machine,
        "failures": [asdict(failure) for failure in run.failures],
        "left_out": [picture.name for picture in run.pictures if not picture.averaged],
        "rows": rows,
        "shown": _shown(folder, found),
    }


def _bd(row: results.BdRow) -> dict[str, Any]:
    rate = row.rate
    if rate is None:
        return {"percent": None, "warnings": [row.reason]}
    return {
        "percent": rate.percent,
        "low_db": rate.low_db,
        "high_db": rate.high_db,
        "warnings": [*row.warnings, *_left_out(row)],
        "quartiles": row.pictures.quartiles if row.pictures.percents else None,
    }


def _left_out(row: results.BdRow) -> list[str]:
    count = len(row.pictures.left_out)
    if count == 0:
        return []
    of = count + len(row.pictures.percents)
    return [f"{count} of {of} pictures cannot be compared, and quartiles are without them"]


def _shown(folder: Path, found: Results) -> list[dict[str, Any]]:
    """Pictures for the viewer; those whose cells were removed are not in it."""
    pictures = []
    for place in found.run.shown:
        try:
            shown = results.read_shown(folder, place)
        except (CorelicError, ValueError):
            continue
        pictures.append({**asdict(place), **asdict(shown)})
    return pictures


def part(name: str) -> str:
    """A piece of a page, by its file name."""
    return resources.files("corelic.eval").joinpath("page", name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingPartError("the page", "plotly", "bench") from error
    program: str = get_plotlyjs()
    return program.replace("</script", "<\\/script")
