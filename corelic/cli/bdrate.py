"""corelic bdrate"""

from dataclasses import asdict, replace
from typing import Annotated, Literal

from rich.console import Console
from rich.table import Table
from typer import Argument, BadParameter, Exit, Option

from corelic.cli import options
from corelic.cli.show import print_json
from corelic.console import printable


def _print_list(given: bool) -> None:
    from corelic.eval import published

    if given:
        print("\n".join(published.names()))
        raise Exit


def bdrate(
    curves: Annotated[
        list[str], Argument(help="Files or published curves; the last one is the anchor.")
    ],
    metric: Annotated[
        Literal["psnr", "ms-ssim"], Option(help="What is equal; MS-SSIM counts in dB, too.")
    ] = "psnr",
    between: Annotated[
        tuple[float, float] | None,
        Option(metavar="LOW HIGH", help="Compare there, in dB; default: wherever two curves are."),
    ] = None,
    as_json: options.Json = False,
    _: Annotated[
        bool,
        Option("--list", callback=_print_list, is_eager=True, help="Name the published curves."),
    ] = False,
) -> None:
    """Compare rate–distortion curves: how much more rate each needs than the last one.

    A curve is a file in CompressAI's layout, as `corelic bench` writes it, or one that was
    published and ships with corelic. Where both know single pictures, their quartiles
    follow.

    \b
    Examples:
      corelic bdrate kodak/dcae kodak/cai-vtm
      corelic bdrate results/curves/swift-9.json kodak/dcae
      corelic bdrate kodak/cai-webp kodak/cai-jpeg kodak/cai-vtm --between 29 39
      corelic bdrate --list
    """
    from corelic.eval import published
    from corelic.eval.rate_distortion import bd_rate, bd_rates_by_picture
    from corelic.eval.results import average_of, of_other_averages

    *sources, last = curves
    if not sources:
        raise BadParameter("give at least two curves; the last one is the anchor")
    anchor = replace(published.find(last), name=last)
    found = []
    warnings = {}
    for source in sources:
        curve = replace(published.find(source), name=source)  # names in files may be the same
        pictures = bd_rates_by_picture(anchor, curve, metric=metric, interval_db=between)
        rate = bd_rate(anchor, curve, metric=metric, interval_db=between)
        averages = average_of(last, anchor), average_of(source, curve)
        count = len(curve.pictures or anchor.pictures)  # published curves hold none
        of_sets = published.of_other_sets(last, source, count)
        warnings[source] = (*rate.warnings, *of_sets, *of_other_averages(*averages))
        found.append((source, rate, pictures))
    if as_json:
        print_json(
            [
                {"curve": source, "anchor": last, "metric": metric}
                | asdict(rate)
                | {"warnings": warnings[source]}
                | {"pictures": dict(pictures.percents), "left_out": dict(pictures.left_out)}
                for source, rate, pictures in found
            ]
        )
        return
    each = any(pictures.percents for _, _, pictures in found)
    columns = ["curve", "BD-rate", "over"]
    table = Table(*columns, *(["pictures: least, quartiles, most"] if each else []))
    table.columns[0].overflow = "fold"  # cut, two names may be one
    for source, rate, pictures in found:
        cells = [
            printable(source),
            f"{rate.percent:+.2f} %",
            f"{rate.low_db:.2f} … {rate.high_db:.2f} dB",
        ]
        if pictures.percents:
            cells.append(" … ".join(f"{percent:+.1f}" for percent in pictures.quartiles) + " %")
        table.add_row(*cells)
    Console(markup=False).print(table)
    print(f"anchor: {printable(last)}, {metric}, pchip")
    for source, _rate, pictures in found:
        for warning in warnings[source]:
            print(printable(f"mind, {source}: {warning}"))
        for name, reason in pictures.left_out:
            print(printable(f"left out, {source}, {name}: {reason}"))
