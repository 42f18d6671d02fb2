"""Options that several commands share, said once."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

Codec = Annotated[
    str, Option(help="A name from `corelic codecs`, a weights file, or avif, webp, jpeg, jxl, ….")
]
Quality = Annotated[float, Option("--quality", "-q", min=0, max=100, help="0 smallest, 100 best.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], Option(help="Where the networks run.")]
Output = Annotated[
    Path | None,
    Option("--output", "-o", help="A file, a folder, or - for standard output."),
]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace files that exist.")]
Json = Annotated[bool, Option("--json", help="Print the figures as JSON.")]
