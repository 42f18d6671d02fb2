"""Folders: which of their files are taken, and where in a mirrored tree each result goes.

photos/a.png        out/a.clc
photos/b.jpg   ─►   out/b.jpg.clc      two would be b.clc: both keep their suffix
photos/b.png        out/b.png.clc
photos/x/c.tif      out/x/c.clc
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corelic.console import as_text
from corelic.disk import why
from corelic.errors import OutputError, PictureError
from corelic.jobs import STREAM, Failure, Job, inspect, refuse_clashes


@dataclass(frozen=True, slots=True)
class Tree:
    """What is to be done, and what of the folders is not.

    failures  folders that cannot be listed
    left_out  files whose suffix is none that is taken
    """

    jobs: tuple[Job, ...]
    failures: tuple[Failure, ...]
    left_out: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A file, and where its result goes but for the suffix."""

    source: Path
    target: Path  # in the output folder, with the name of the source

    def output(self, suffix: str, *, short: bool) -> Path:
        return self.target.with_suffix(suffix) if short else Path(f"{self.target}{suffix}")


def plan_tree(
    sources: Sequence[Path],
    output: Path | None,
    *,
    taken: Collection[str],
    suffix: str,
    overwrite: bool,
) -> Tree:
    """One job per file in the folders whose suffix is in `taken`, in order; files named are all.

    `output` is the folder that mirrors each source, made when needed; None is the source itself.
    Links to folders are not followed, hidden files are taken, macOS's `._` companions are not.
    OutputError where `output` is no folder, or two results would be one file: then nothing is done.
    """
    if output is not None and (output == STREAM or (output.exists() and not output.is_dir())):
        raise OutputError(str(output), "the results of a folder need a folder; name one with -o")
    places: list[_Place] = []
    failures: list[Failure] = []
    left_out: list[Path] = []
    for source in (job.source for job in inspect(sources)):
        if source == STREAM:
            raise PictureError("standard input", "is no folder; leave -r out")
        if not source.is_dir():
            places.append(_Place(source, (output or source.parent) / source.name))
            continue
        for file in _walk(source, output, failures):
            if _is_taken(file, taken):
                places.append(_Place(file, (output or source) / file.relative_to(source)))
            else:
                left_out.append(file)
    jobs = tuple(
        Job(place.source, path, overwrite, makes_folder=True)
        for place, path in zip(places, _outputs(places, suffix), strict=True)
    )
    refuse_clashes(jobs)
    return Tree(jobs, tuple(failures), tuple(left_out))


def _walk(top: Path, output: Path | None, failures: list[Failure]) -> Iterator[Path]:
    """All files below `top` in order, but for those in `output`; adds to `failures`."""

    def fail(error: OSError) -> None:
        name = str(error.filename)
        failures.append(Failure(name, PictureError(name, f"cannot be listed ({why(error)})")))

    mirror = None if output is None else os.path.realpath(output)
    for folder, folders, files in os.walk(top, onerror=fail):
        folders[:] = sorted(
            name for name in folders if os.path.realpath(os.path.join(folder, name)) != mirror
        )
        yield from (Path(folder, name) for name in sorted(files))


def _is_taken(file: Path, suffixes: Collection[str]) -> bool:
    """A link that leads nowhere is: it shall fail by name. A pipe is not: it would never end."""
    if file.name.startswith("._") or file.suffix.lower() not in suffixes:
        return False
    return os.path.isfile(file) or not os.path.exists(file)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Of different files: their last parts, as many as it takes, as in `a/photo.png`.

    Bytes that are no text come as `\\xff`: every file of results can hold such a name.
    """
    parts = [Path(as_text(path.absolute())).parts for path in paths]
    names = [each[-1] for each in parts]
    for length in range(2, max(map(len, parts), default=1) + 1):
        counts = Counter(names)
        if len(counts) == len(names):
            break
        names = [
            Path(*part[-length:]).as_posix() if counts[name] > 1 else name
            for name, part in zip(names, parts, strict=True)
        ]
    return names


def _outputs(places: Sequence[_Place], suffix: str) -> list[Path]:
    """photo.clc, but photo.png.clc and photo.jpg.clc where both are in one folder."""
    short = [True] * len(places)
    while True:
        paths = [place.output(suffix, short=one) for place, one in zip(places, short, strict=True)]
        # As a disk that ignores case sees them.
        keys = [str(path).casefold() for path in paths]
        counts = Counter(keys)
        shorter = [one and counts[key] == 1 for one, key in zip(short, keys, strict=True)]
        if shorter == short:
            return paths
        short = shorter  # a longer name may clash with one that was alone
