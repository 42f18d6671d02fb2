"""corelic encode"""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

from typer import Argument, BadParameter

import corelic
from corelic.cli import options
from corelic.cli.show import print_json
from corelic.jobs import STREAM, Job, plan, printable, run
from corelic.media import read_picture


@dataclass(frozen=True, slots=True)
class Encoded:
    source: str
    output: str
    codec: str
    quality: float  # as the file holds it
    width_px: int
    height_px: int
    file_bytes: int
    rate_bpp: float
    encode_s: float  # the first one includes loading the codec

    def __str__(self) -> str:
        return printable(
            f"{self.source} → {self.output}: {self.file_bytes:,} bytes, "
            f"{self.rate_bpp:.3f} bpp, {self.encode_s:.2f} s"
        )


def encode(
    sources: Annotated[list[Path], Argument(help="Pictures to read; - is standard input.")],
    output: options.Output = None,
    codec: options.Codec = corelic.DEFAULT_CODEC,
    quality: options.Quality = 50,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Encode pictures; each file holds all that decoding needs.

    photo.png becomes photo.clc beside it, unless -o says otherwise; with a classical codec it
    becomes that codec's own kind of file, such as photo.avif.

    \b
    Examples:
      corelic encode photo.png
      corelic encode photo.jpg -q 80 -o small.clc
      corelic encode photo.png --codec avif:speed=2
      corelic encode holiday/*.jpg -o encoded/
      corelic encode - < photo.png > photo.clc
    """

    def encode_one(job: Job) -> Encoded:
        start = perf_counter()
        picture = read_picture(job.read(), name=job.name)
        data = corelic.encode(picture, codec=codec, quality=quality, device=device)
        seconds = perf_counter() - start
        job.write(data)
        found = corelic.info(data) if native is None else None
        return Encoded(
            source=str(job.source),
            output=str(job.output),
            codec=found.codec if found else codec,
            quality=found.quality if found else quality,
            width_px=picture.width_px,
            height_px=picture.height_px,
            file_bytes=len(data),
            rate_bpp=8 * len(data) / (picture.width_px * picture.height_px),
            encode_s=seconds,
        )

    native = corelic.native_suffix(codec)
    jobs = plan(sources, output, suffix=native or ".clc", overwrite=overwrite)
    if as_json and any(job.output == STREAM for job in jobs):
        raise BadParameter("standard output cannot take both the file and --json; give -o a file")
    outcome = run(jobs, encode_one)
    if as_json:
        print_json([asdict(result) for result in outcome.results])
    else:
        for result in outcome.results:
            if result.output != str(STREAM):
                print(result)
    outcome.raise_failures()
