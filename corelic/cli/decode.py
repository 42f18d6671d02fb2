"""corelic decode"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated

from typer import Argument, Option

import corelic
from corelic.cli import options
from corelic.cli.folders import run_tree
from corelic.cli.show import check_json, print_results
from corelic.console import printable
from corelic.jobs import Job, plan, report, run
from corelic.media import picture_bytes
from corelic.media.writing import check_suffix
from corelic.tree import plan_tree


@dataclass(frozen=True, slots=True)
class Decoded:
    source: str
    output: str
    width_px: int
    height_px: int
    source_bytes: int
    file_bytes: int
    rate_bpp: float  # of the source
    decode_s: float  # the first one includes loading the codec

    def __str__(self) -> str:
        return printable(
            f"{self.source} → {self.output}: {self.width_px} × {self.height_px}, "
            f"{self.decode_s:.2f} s"
        )


def decode(
    sources: Annotated[
        list[Path], Argument(help="Files, or folders with -r; - is standard input.")
    ],
    output: options.Output = None,
    codec: Annotated[
        str | None,
        Option(help="Path of weights that are not shipped, or the classical codec of the file."),
    ] = None,
    device: options.Device = "auto",
    max_pixels: options.MaxPixels = corelic.MAX_PIXELS,
    memory: options.Memory = corelic.MEMORY_BYTES,
    fast: options.Fast = False,
    recursive: options.Recursive = False,
    processes: options.Jobs = 1,
    skip_existing: options.SkipExisting = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Decode files to pictures; each file names its own codec.

    photo.clc becomes photo.png beside it; the suffix of -o chooses another format. Pictures in
    other formats are converted.

    With -r, .clc files are decoded to PNG, hidden ones too, and other files are left out (with
    --codec avif, say, those that are no .avif files); links to folders are not followed. What is
    finished is skipped: a picture of the right size, no older than its .clc file, or with
    --skip-existing any file. So a run that was stopped goes on when started again.

    \b
    Examples:
      corelic decode photo.clc
      corelic decode photo.clc -o photo.jpg
      corelic decode encoded/*.clc -o pictures/
      corelic decode -r encoded -o pictures --jobs 4
      corelic decode -r small -o pictures --codec avif --skip-existing
      corelic decode - < photo.clc > photo.png
    """

    is_done = options.is_skipped(skip_existing=skip_existing, overwrite=overwrite)
    path = None if output is None else output.path
    work = partial(
        decode_one,
        codec=codec,
        device=device,
        max_pixels=max_pixels,
        memory_bytes=memory,
        fast=fast,
    )
    if recursive:
        from corelic.codecs.finished import is_decoded

        native = None if codec is None else corelic.native_suffix(codec)
        taken = (native or ".clc",)
        tree = plan_tree(sources, path, taken=taken, suffix=".png", overwrite=overwrite)
        if native is None:  # whose header tells the size
            is_done = is_done or partial(is_decoded, max_pixels=max_pixels)
        run_tree(tree, work, is_done, processes=processes, done="decoded", as_json=as_json)
        return
    makes_folder = output is not None and output.is_folder
    jobs = plan(sources, path, suffix=".png", overwrite=overwrite, makes_folder=makes_folder)
    check_json(jobs, as_json=as_json)
    outcome = run(jobs, work, is_done=is_done, processes=processes)
    print_results(outcome, jobs, as_json=as_json)
    outcome.raise_failures()


def decode_one(
    job: Job, *, codec: str | None, device: str, max_pixels: int, memory_bytes: int, fast: bool
) -> Decoded:
    """On its own, not in `decode`, so that a worker process can be sent it."""
    check_suffix(job.output)  # before the work, not after it
    start = perf_counter()
    data = job.read()
    picture = corelic.decode_picture(
        data,
        device=device,
        codec=codec,
        max_pixels=max_pixels,
        memory_bytes=memory_bytes,
        progress=report,
        fast=fast,
    )
    seconds = perf_counter() - start
    file = picture_bytes(picture, job.output)
    job.write(file)
    return Decoded(
        source=str(job.source),
        output=str(job.output),
        width_px=picture.width_px,
        height_px=picture.height_px,
        source_bytes=len(data),
        file_bytes=len(file),
        rate_bpp=8 * len(data) / (picture.width_px * picture.height_px),
        decode_s=seconds,
    )
