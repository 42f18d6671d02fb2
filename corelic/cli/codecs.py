"""corelic codecs"""

from rich.console import Console
from rich.table import Table

import corelic
from corelic.cli import options
from corelic.cli.show import print_json

FIELDS = (
    "name",
    "generation",
    "parameters",
    "paper",
    "weights",
    "training_steps",
    "weights_licence",
    "pad_multiple_px",
    "tiling",
)


def codecs(as_json: options.Json = False) -> None:
    """List the codecs that can encode, and what each is.

    \b
    Examples:
      corelic codecs
      corelic codecs --json
    """
    specs = corelic.list_codecs()
    if as_json:
        print_json([{field: getattr(spec, field) for field in FIELDS} for spec in specs])
        return
    table = Table("codec", "parameters", "weights", "trained", "licence", "tiling", "paper")
    for column in table.columns[:4]:
        column.no_wrap = True
    for spec in specs:
        table.add_row(
            f"{spec.name}-{spec.generation}",
            f"{spec.parameters:,}",
            spec.weights or "none",
            "" if spec.training_steps is None else f"{spec.training_steps:,} steps",
            spec.weights_licence,
            spec.tiling,
            spec.paper,
        )
    Console().print(table)
