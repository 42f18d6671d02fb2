"""corelic encode"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, TypedDict, Unpack

from typer import Argument, BadParameter, Option

import corelic
from corelic.cli import options
from corelic.cli.folders import run_tree
from corelic.cli.show import check_json, print_results
from corelic.codecs.limits import DEFAULT_QUALITY
from corelic.console import printable
from corelic.jobs import Job, plan, report, run
from corelic.media import jxl
from corelic.media.outline import picture_suffixes
from corelic.tree import plan_tree


@dataclass(frozen=True, slots=True)
class Encoded:
    source: str
    output: str
    codec: str
    quality: float | None  # as the file holds it; None where a classical codec met a target
    width_px: int
    height_px: int
    source_bytes: int
    file_bytes: int
    rate_bpp: float
    encode_s: float  # in a process of its own, the first one includes loading the codec

    def __str__(self) -> str:
        return printable(
            f"{self.source} → {self.output}: {self.file_bytes:,} bytes, "
            f"{self.rate_bpp:.3f} bpp, {self.encode_s:.2f} s"
        )


class EncodeOptions(TypedDict):
    """As `corelic.encode` has them."""

    codec: str
    quality: float | None
    target_bpp: float | None
    target_bytes: int | None
    target_psnr_db: float | None
    device: str
    max_pixels: int
    memory_bytes: int
    strip: bool
    fast: bool


def encode(
    sources: Annotated[
        list[Path], Argument(help="Pictures, or folders with -r; - is standard input.")
    ],
    output: options.Output = None,
    codec: options.Codec = corelic.DEFAULT_CODEC,
    quality: options.Quality = None,
    target_bpp: options.TargetBpp = None,
    target_size: options.TargetSize = None,
    target_psnr: options.TargetPsnr = None,
    device: options.Device = "auto",
    strip: Annotated[bool, Option("--strip", help="Leave out ICC profile, EXIF and XMP.")] = False,
    max_pixels: options.MaxPixels = corelic.MAX_PIXELS,
    memory: options.Memory = corelic.MEMORY_BYTES,
    fast: options.Fast = False,
    recursive: options.Recursive = False,
    processes: options.Jobs = 1,
    skip_existing: options.SkipExisting = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Encode pictures; each file holds all that decoding needs.

    photo.png becomes photo.clc beside it, unless -o says otherwise; with a classical codec it
    becomes that codec's own kind of file, such as photo.avif.

    With -r, pictures are told by their suffix, hidden ones too, and other files are left out; links
    to folders are not followed. Two pictures that would give one photo.clc give photo.png.clc and
    photo.jpg.clc. What is finished is skipped: a .clc file no older than its picture, of the same
    weights and quality, or of nearly the size or bpp that is the target, stripped or not as asked.
    So a run that was stopped goes on when started again. With a PSNR as target, an effort or a
    classical codec that cannot be told, and a file that exists is an error unless --skip-existing
    leaves it alone. --memory is for each of the --jobs.

    A learned codec takes longer for better files with :effort=1 … 6 behind its name; they decode as
    fast as any.

    \b
    Examples:
      corelic encode photo.png
      corelic encode photo.jpg -q 80 -o small.clc
      corelic encode photo.jpg --strip
      corelic encode photo.jpg --target-size 40KB
      corelic encode photo.png --codec swift:effort=4
      corelic encode photo.png --codec avif:speed=2 --target-size 40KB
      corelic encode holiday/*.jpg -o encoded/
      corelic encode -r holiday -o encoded --jobs 4
      corelic encode -r holiday -o small --codec avif --skip-existing
      corelic encode - < photo.png > photo.clc
    """

    aims = quality, target_bpp, target_size, target_psnr
    if sum(aim is not None for aim in aims) > 1:
        raise BadParameter(
            "-q, --target-bpp, --target-size and --target-psnr exclude each other; give one"
        )
    is_done = options.is_skipped(skip_existing=skip_existing, overwrite=overwrite)
    native = corelic.native_suffix(codec)
    path = None if output is None else output.path
    work = partial(
        encode_one,
        codec=codec,
        quality=quality,
        target_bpp=target_bpp,
        target_bytes=target_size,
        target_psnr_db=target_psnr,
        device=device,
        max_pixels=max_pixels,
        memory_bytes=memory,
        strip=strip,
        fast=fast,
    )
    if recursive:
        from corelic.codecs.annealing import split_effort
        from corelic.codecs.finished import is_encoded, unlike_quality, unlike_rate, unlike_size
        from corelic.codecs.targets import bytes_at, check_target_bytes

        # Beside their sources, results must not be the sources of the next run.
        beside = path is None or any(is_same(path, source) for source in sources)
        own = {native} if native is not None and beside else set()
        taken, suffix = picture_suffixes() - own, native or ".clc"
        tree = plan_tree(sources, path, taken=taken, suffix=suffix, overwrite=overwrite)
        check_codec(codec, device)
        if target_size is not None:
            check_target_bytes(target_size)
        if target_bpp is not None:
            bytes_at(target_bpp, pixels=1)
        # A file does not tell the second, nor its PSNR; other formats have parameters of their own.
        name, effort = (codec, 0) if native is not None else split_effort(codec)
        if is_done is None and target_psnr is None and native is None and not effort:
            unlike = partial(unlike_quality, DEFAULT_QUALITY if quality is None else quality)
            if target_size is not None:
                unlike = partial(unlike_size, target_size)
            elif target_bpp is not None:
                unlike = partial(unlike_rate, target_bpp)
            is_done = partial(
                is_encoded, codec=name, unlike=unlike, strip=strip, max_pixels=max_pixels
            )
        run_tree(tree, work, is_done, processes=processes, done="encoded", as_json=as_json)
        return
    makes_folder = output is not None and output.is_folder
    if path is not None and not makes_folder:
        check_suffix(path, codec, native or ".clc")
    jobs = plan(
        sources, path, suffix=native or ".clc", overwrite=overwrite, makes_folder=makes_folder
    )
    check_json(jobs, as_json=as_json)
    check_codec(codec, device)
    outcome = run(jobs, work, is_done=is_done, processes=processes)
    print_results(outcome, jobs, as_json=as_json)
    outcome.raise_failures()


def check_codec(codec: str, device: str) -> None:
    """One error if it cannot be had, not one for each picture."""
    from corelic.codecs.api import open_image_codec  # with torch, for which help need not wait

    open_image_codec(codec, device)


def is_same(output: Path, source: Path) -> bool:
    return output.exists() and source.exists() and os.path.samefile(output, source)


def check_suffix(output: Path, codec: str, suffix: str) -> None:
    """BadParameter for a file whose name would say that it has another format."""
    if os.path.isdir(output) or output.suffix.lower() in ("", suffix):
        return
    from PIL import Image

    known = {jxl.SUFFIX: jxl.FORMAT, **Image.registered_extensions()}  # its plug-in may be absent
    other = known.get(output.suffix.lower())
    if other is not None and other != known.get(suffix):
        check_codec(codec, "cpu")  # or a misspelt name would pass for a learned codec
        raise BadParameter(
            f"{output} would say {other}, and {codec} makes {suffix} files; "
            f"name one of those, or choose another --codec"
        )


def encode_one(job: Job, **options: Unpack[EncodeOptions]) -> Encoded:
    """On its own, not in `encode`, so that a worker process can be sent it."""
    from corelic.codecs.within import read_within  # with torch, for which help need not wait

    start = perf_counter()
    source = job.read()
    picture = read_within(
        source,
        job.name,
        max_pixels=options["max_pixels"],
        device=options["device"],
        memory_bytes=options["memory_bytes"],
        fast=options["fast"],
    )
    data = corelic.encode(picture, progress=report, **options)
    seconds = perf_counter() - start
    job.write(data)
    found = corelic.info(data) if corelic.native_suffix(options["codec"]) is None else None
    return Encoded(
        source=str(job.source),
        output=str(job.output),
        codec=found.codec if found else options["codec"],
        quality=found.quality if found else quality_of(options),
        width_px=picture.width_px,
        height_px=picture.height_px,
        source_bytes=len(source),
        file_bytes=len(data),
        rate_bpp=8 * len(data) / (picture.width_px * picture.height_px),
        encode_s=seconds,
    )


def quality_of(options: EncodeOptions) -> float | None:
    """Of a classical codec, whose files do not tell it."""
    aims = options["target_bpp"], options["target_bytes"], options["target_psnr_db"]
    if aims != (None, None, None):
        return None
    return DEFAULT_QUALITY if options["quality"] is None else options["quality"]
