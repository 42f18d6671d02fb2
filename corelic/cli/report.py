"""corelic report"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from corelic.cli import options


def report(
    folder: Annotated[Path, Argument(help="What `corelic bench` wrote.")] = Path("bench"),
    output: Annotated[
        Path | None, Option("--output", "-o", help="Folder; default: report/ in the results.")
    ] = None,
    also: Annotated[
        str, Option(help="Curves to draw beside, as in kodak/dcae,kodak/mlicplusplus.")
    ] = "",
) -> None:
    """Make a page and plots of a benchmark: curves, BD-rates, times, pictures side by side.

    The page is one file that needs no network; the plots are PNG and SVG.

    \b
    Examples:
      corelic report bench
      corelic report results -o public --also kodak/dcae,kodak/cai-vtm
    """
    from corelic.eval import report

    for path in report.write(folder, output or folder / "report", also=options.listed(also)):
        print(path)
