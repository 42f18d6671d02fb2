"""Rate–distortion curves for papers: PNG and SVG by matplotlib, the same bytes always."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Literal

from corelic.errors import MissingPartError
from corelic.eval.rate_distortion import Curve, Metric

# Okabe & Ito, "Color universal design", 2008: told apart by everyone.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
DASHES = ("solid", "dashed", "dotted")  # when the colours are used up
MANY = 8  # curves, whose legend would cover them
LABELS = {"psnr": "PSNR (dB)", "ms-ssim": "MS-SSIM (dB)"}


def style(place: int) -> tuple[str, str]:
    """Colour and dash of the curve at this place."""
    return COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]


def pairs(curve: Curve, metric: Metric) -> list[tuple[float, float]]:
    """(bpp, dB), by rate; what was not measured, or has no error at all, is left out."""
    found = [(point.rate_bpp, point.quality_db(metric)) for point in curve.points]
    return sorted((rate, db) for rate, db in found if db is not None and math.isfinite(db))


def plot(
    curves: Sequence[tuple[str, Curve]], metric: Metric, kind: Literal["png", "svg"], *, title: str
) -> bytes:
    """A file of (label, curve) each; MissingPartError without matplotlib."""
    matplotlib, figure_type = _matplotlib()
    with matplotlib.rc_context({"svg.hashsalt": "corelic", "svg.fonttype": "none"}):
        many = len(curves) > MANY
        figure = figure_type(figsize=(10 if many else 7, 5), layout="constrained")
        axes = figure.subplots()
        for place, (label, curve) in enumerate(curves):
            points = pairs(curve, metric)
            if points:
                colour, dash = style(place)
                rates, values = zip(*points, strict=True)
                [line] = axes.plot(rates, values, marker="o", markersize=3, label=label)
                line.set(color=colour, linestyle=dash)
        axes.set(xscale="log", xlabel="rate (bits per pixel)", ylabel=LABELS[metric], title=title)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(which="both", alpha=0.25)
        if many:
            figure.legend(loc="outside right upper", fontsize=8)
        else:
            axes.legend(fontsize=8)
        file = BytesIO()
        figure.savefig(file, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else {})
    return file.getvalue()


def _matplotlib() -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure  # not pyplot: it would look for a screen
    except ImportError as error:
        raise MissingPartError("a plot", "matplotlib", "bench") from error
    return matplotlib, Figure
