"""corelic info"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument

import corelic
from corelic.cli import options
from corelic.cli.show import print_json
from corelic.console import printable
from corelic.jobs import Job, inspect, run


def info(
    sources: Annotated[list[Path], Argument(help="Files to read; - is standard input.")],
    as_json: options.Json = False,
) -> None:
    """Say what files hold, without decoding them.

    \b
    Examples:
      corelic info photo.clc
      corelic info encoded/*.clc --json
    """

    def read_one(job: Job) -> tuple[str, corelic.FileInfo]:
        return job.name, corelic.info(job.read())

    outcome = run(inspect(sources), read_one)
    if as_json:
        print_json(
            [
                {"source": name, **asdict(found), "rate_bpp": found.rate_bpp}
                for name, found in outcome.results
            ]
        )
    else:
        for name, found in outcome.results:
            print(_page(name, found))
    outcome.raise_failures()


def _page(name: str, found: corelic.FileInfo) -> str:
    lines = {
        "codec": f"{found.codec}-{found.generation}, weights {found.weights_fingerprint}",
        "picture": f"{found.width_px} × {found.height_px}, {found.colour}, {found.bit_depth} bits",
        "quality": f"{found.quality:g}",
        "size": f"{found.file_bytes:,} bytes, {found.rate_bpp:.3f} bpp",
        "format": f"{found.format_version}",
        "chunks": ", ".join(f"{chunk.name} {chunk.payload_bytes:,}" for chunk in found.chunks),
    }
    return "\n".join(
        [printable(name), *(f"  {key:<8} {printable(value)}" for key, value in lines.items())]
    )
