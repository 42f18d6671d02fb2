"""corelic decode"""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

from typer import Argument, BadParameter, Option

import corelic
from corelic.cli import options
from corelic.cli.show import print_json
from corelic.jobs import STREAM, Job, plan, printable, run
from corelic.media import image_bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    source: str
    output: str
    width_px: int
    height_px: int
    decode_s: float  # the first one includes loading the codec

    def __str__(self) -> str:
        return printable(
            f"{self.source} → {self.output}: {self.width_px} × {self.height_px}, "
            f"{self.decode_s:.2f} s"
        )


def decode(
    sources: Annotated[list[Path], Argument(help="Files to read; - is standard input.")],
    output: options.Output = None,
    codec: Annotated[
        str | None,
        Option(help="Path of weights that are not shipped, or the classical codec of the file."),
    ] = None,
    device: options.Device = "auto",
    max_pixels: Annotated[
        int, Option(min=1, help="Refuse larger pictures before anything is allocated.")
    ] = corelic.MAX_PIXELS,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Decode files to pictures; each file names its own codec.

    photo.clc becomes photo.png beside it; the suffix of -o chooses another format.

    \b
    Examples:
      corelic decode photo.clc
      corelic decode photo.clc -o photo.jpg
      corelic decode encoded/*.clc -o pictures/
      corelic decode - < photo.clc > photo.png
    """

    def decode_one(job: Job) -> Decoded:
        start = perf_counter()
        image = corelic.decode(job.read(), device=device, codec=codec, max_pixels=max_pixels)
        seconds = perf_counter() - start
        job.write(image_bytes(image, job.output))
        return Decoded(
            source=str(job.source),
            output=str(job.output),
            width_px=image.width,
            height_px=image.height,
            decode_s=seconds,
        )

    jobs = plan(sources, output, suffix=".png", overwrite=overwrite)
    if as_json and any(job.output == STREAM for job in jobs):
        raise BadParameter("standard output cannot take both the picture and --json; give -o")
    outcome = run(jobs, decode_one)
    if as_json:
        print_json([asdict(result) for result in outcome.results])
    else:
        for result in outcome.results:
            if result.output != str(STREAM):
                print(result)
    outcome.raise_failures()
