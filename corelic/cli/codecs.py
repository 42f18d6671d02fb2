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
    """List the codecs there are; those that are trained can encode, and those of others.

    --json is about ours: it adds licences, weights files and how each runs in tiles.

    \b
    Examples:
      corelic codecs
      corelic codecs --json
    """
    specs = corelic.list_codecs()
    if as_json:
        print_json([{field: getattr(spec, field) for field in FIELDS} for spec in specs])
        return
    table = Table("codec", "parameters", "trained", "paper")  # all of it fits 80 columns
    for spec in specs:
        table.add_row(
            f"{spec.name}-{spec.generation}",
            f"{spec.parameters:,}",
            "no" if spec.training_steps is None else f"{spec.training_steps:,} steps",
            spec.paper,
        )
    console = Console()
    console.print(table)
    from corelic.codecs.peers import PEERS

    others = Table("codec of others", "parameters, as in avif:speed=8")
    for name, peer in PEERS.items():
        ranges = (f"{key} {each[0]} to {each[-1]}" for key, each in peer.ranges.items())
        others.add_row(name, ", ".join(ranges))
    console.print(others)
