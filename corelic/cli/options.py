"""Options that several commands share, said once."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

Codec = Annotated[str, Option(help="A name from `corelic codecs`.")]
Quality = Annotated[float, Option("--quality", "-q", min=0, max=100, help="0 smallest, 100 best.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], Option(help="Where the networks run.")]
Output = Annotated[
    Path | None,
    Option("--output", "-o", help="A file, a folder, or - for standard output."),
]
Recursive = Annotated[
    bool, Option("--recursive", "-r", help="Take folders, and mirror their trees in the folder -o.")
]
Jobs = Annotated[
    int, Option("--jobs", "-j", min=1, help="Processes that share the cores, one file each.")
]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace files that exist.")]
Json = Annotated[bool, Option("--json", help="Print the figures as JSON.")]
