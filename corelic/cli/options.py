"""Options that several commands share, said once."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import BadParameter, Option

from corelic.jobs import Job

LAST_SEED = 2**63 - 1  # that torch takes
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def byte_count(text: str | int) -> int:
    """40KB, 1.5MB, 2GiB or 40000; BadParameter for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMG]?I?)B?", str(text).strip().upper())
    if found is None or found[2] not in UNITS:
        raise BadParameter(f"{text!r} is no size; give bytes, or a unit as in 40KB, 1.5MB, 2GiB")
    return int(float(found[1]) * UNITS[found[2]])


@dataclass(frozen=True, slots=True)
class Place:
    """Where results go; `is_folder` where a separator at its end said so, whether it is there."""

    path: Path
    is_folder: bool


def place(text: str) -> Place:
    """A Path alone forgets how its text ended."""
    return Place(Path(text), text.endswith(tuple(filter(None, (os.sep, os.altsep)))))


def is_skipped(*, skip_existing: bool, overwrite: bool) -> Callable[[Job], bool] | None:
    """For `run` and `run_tree`; BadParameter where both are asked for."""
    if skip_existing and overwrite:
        raise BadParameter("--skip-existing and --overwrite exclude each other; give one")
    return Job.has_file if skip_existing else None


def listed(text: str) -> tuple[str, ...]:
    """Of a,b,c: each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def some_listed(option: str, text: str) -> tuple[str, ...]:
    """As `listed`; BadParameter where there is none."""
    found = listed(text)
    if not found:
        raise BadParameter(f"name at least one with --{option}")
    return found


def quality_list(text: str) -> tuple[float, ...]:
    """Of 20,50,80: in order, each once; BadParameter for what is no quality."""
    try:
        found = tuple(sorted({float(part) for part in some_listed("qualities", text)}))
    except ValueError:
        raise BadParameter(f"--qualities is {text!r}; give numbers, as in 20,50,80") from None
    if not all(0 <= quality <= 100 for quality in found):
        raise BadParameter("--qualities go from 0 to 100")
    return found


Codec = Annotated[
    str, Option(help="A name from `corelic codecs`, a weights file, or avif, webp, jpeg, jxl, ….")
]
Quality = Annotated[
    float | None,
    Option("--quality", "-q", min=0, max=100, help="0 smallest, 100 best; 50 unless given."),
]
TargetBpp = Annotated[
    float | None, Option(min=0, metavar="BPP", help="Bits of the file per pixel, at most.")
]
TargetSize = Annotated[
    int | None,
    Option(parser=byte_count, metavar="SIZE", help="Of the file, at most; as in 40KB or 1.5MB."),
]
TargetPsnr = Annotated[
    float | None, Option(min=0, metavar="DB", help="Of the decoded picture, as near as can be.")
]
Memory = Annotated[
    int,
    Option(
        parser=byte_count,
        metavar="SIZE",
        help="Budget, not counting the picture, weights and libraries; larger pictures are tiled.",
    ),
]
MaxPixels = Annotated[
    int, Option(min=1, help="Refuse larger pictures before anything is allocated.")
]
Device = Annotated[Literal["auto", "cpu", "cuda"], Option(help="Where the networks run.")]
Output = Annotated[
    Place | None,
    Option(
        "--output",
        "-o",
        parser=place,
        metavar="PATH",
        help="A file, a folder, or - for standard output; out/ makes the folder.",
    ),
]
Fast = Annotated[
    bool,
    Option("--fast", help="Encode without fitting a filter; decode in bfloat16 where quicker."),
]
Recursive = Annotated[
    bool, Option("--recursive", "-r", help="Take folders, and mirror their trees in the folder -o.")
]
Jobs = Annotated[
    int, Option("--jobs", "-j", min=1, help="Processes that share the cores, one file each.")
]
SkipExisting = Annotated[
    bool,
    Option("--skip-existing", help="Skip sources whose result exists, whatever is in it."),
]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace files that exist.")]
Json = Annotated[bool, Option("--json", help="Print the figures as JSON.")]
