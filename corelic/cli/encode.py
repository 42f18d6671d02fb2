"""corelic encode"""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

from typer import Argument, BadParameter

import corelic
from corelic.cli import options
from corelic.cli.show import print_json
from corelic.jobs import STREAM, Job, plan, printable, report, run
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
    quality: options.Quality = None,
    target_bpp: options.TargetBpp = None,
    target_size: options.TargetSize = None,
    target_psnr: options.TargetPsnr = None,
    device: options.Device = "auto",
    memory: options.Memory = corelic.MEMORY_BYTES,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Encode pictures; each file holds all that decoding needs.

    photo.png becomes photo.clc beside it, unless -o says otherwise.

    \b
    Examples:
      corelic encode photo.png
      corelic encode photo.jpg -q 80 -o small.clc
      corelic encode photo.jpg --target-size 40KB
      corelic encode holiday/*.jpg -o encoded/
      corelic encode - < photo.png > photo.clc
    """

    aims = quality, target_bpp, target_size, target_psnr
    if sum(aim is not None for aim in aims) > 1:
        raise BadParameter(
            "-q, --target-bpp, --target-size and --target-psnr exclude each other; give one"
        )

    def encode_one(job: Job) -> Encoded:
        start = perf_counter()
        picture = read_picture(job.read(), name=job.name)
        data = corelic.encode(
            picture,
            codec=codec,
            quality=quality,
            target_bpp=target_bpp,
            target_bytes=target_size,
            target_psnr_db=target_psnr,
            device=device,
            memory_bytes=memory,
            progress=report,
        )
        seconds = perf_counter() - start
        job.write(data)
        found = corelic.info(data)
        return Encoded(
            source=str(job.source),
            output=str(job.output),
            codec=found.codec,
            quality=found.quality,
            width_px=found.width_px,
            height_px=found.height_px,
            file_bytes=found.file_bytes,
            rate_bpp=found.rate_bpp,
            encode_s=seconds,
        )

    jobs = plan(sources, output, suffix=".clc", overwrite=overwrite)
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
