"""Peak memory and seconds per megapixel, at 4 and at 100 megapixels, each in a process of its own.

    scikit-image's photographs, mirrored to size ─► corelic.encode ─► file ─► corelic.decode

    python benchmarks/memory.py
    python benchmarks/memory.py --megapixels 4,25 --memory 1GB
    python benchmarks/memory.py --only decode --megapixels 100    # of the file an encode has left

Memory is the largest resident set of the whole process, as the system accounts for it when it ends:
with interpreter, libraries, weights and the picture itself. The clock starts when the codec is
loaded. With --rounds the sizes take turns, so that a drift of the machine changes all alike: kept
are the run of median seconds and the largest peak. Each run is kept as soon as it ends, beside
those of other works and sizes from earlier calls.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table

from corelic import DEFAULT_CODEC
from corelic.cli.options import byte_count
from corelic.codecs.files import open_codec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.registry import find_spec
from corelic.disk import atomic_write
from corelic.eval.machine import machine

if TYPE_CHECKING:
    from corelic.media import Picture

WORKS = "encode", "decode"
HERE = Path(__file__).parent
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
LIMIT_BYTES = 3 * 10**9
LIMIT_RATIO = 1.3  # of seconds per megapixel, the largest picture's to the smallest's


@dataclass(frozen=True, slots=True)
class Run:
    work: str
    megapixels: float
    seconds: float
    cpu_seconds: float  # of all threads: what other programs take does not count
    peak_bytes: int
    start_bytes: int  # the peak before the work: libraries, weights, and the picture to encode
    file_bytes: int

    @property
    def seconds_per_megapixel(self) -> float:
        return self.seconds / self.megapixels


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def mosaic(megapixels: float) -> "Picture":
    """Square, of four photographs side by side, mirrored over and over so that no edge is new."""
    import numpy as np
    from skimage import data

    from corelic.media import Picture

    photos = [photo()[:300, :400] for photo in (data.astronaut, data.coffee, data.chelsea)]
    photos.append(data.rocket()[:300, :400])
    block = np.vstack([np.hstack(photos[:2]), np.hstack(photos[2:])])
    block = np.vstack([block, block[::-1]])
    block = np.hstack([block, block[:, ::-1]])
    side = round((megapixels * 1e6) ** 0.5)
    pixels = np.empty((side, side, 3), np.uint8)
    for row in range(0, side, block.shape[0]):
        for column in range(0, side, block.shape[1]):
            place = pixels[row : row + block.shape[0], column : column + block.shape[1]]
            place[:] = block[: place.shape[0], : place.shape[1]]
    return Picture(pixels)


def child(work: str, megapixels: float, memory_bytes: int, threads: int, file: Path) -> Run:
    """What the process of its own does."""
    import corelic
    from corelic.allocator import keep_freed

    torch.set_num_threads(threads)
    keep_freed()  # as the program does
    picture = mosaic(megapixels if work == "encode" else 0.01)
    small = mosaic(0.01)
    corelic.decode(corelic.encode(small, device="cpu"), device="cpu")  # loads the codec
    start_bytes, start, cpu_start = peak_bytes(), perf_counter(), process_time()
    if work == "encode":
        data = corelic.encode(picture, device="cpu", memory_bytes=memory_bytes)
        seconds = perf_counter() - start
        file.write_bytes(data)
    else:
        data = file.read_bytes()
        corelic.decode(data, device="cpu", memory_bytes=memory_bytes)
        seconds = perf_counter() - start
    cpu_seconds = process_time() - cpu_start
    return Run(work, megapixels, seconds, cpu_seconds, peak_bytes(), start_bytes, len(data))


def in_a_process(work: str, megapixels: float, given: argparse.Namespace) -> Run:
    """Its peak is the parent's to ask for, so that it covers the child to its very end."""
    file = given.files / f"{megapixels:g}.clc"
    command = [sys.executable, __file__, "--memory", str(given.memory)]
    command += ["--threads", str(given.threads)]
    command += ["--child", work, str(megapixels), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * MAXRSS_UNIT
    if process.returncode:
        sys.exit(f"{work} of {megapixels:g} megapixels ended early, at {peak / 1e9:.2f} GB")
    return replace(Run(**json.loads(written)), peak_bytes=peak)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--megapixels", default="4,100", type=lambda text: [float(part) for part in text.split(",")]
    )
    parser.add_argument("--only", choices=WORKS, help="default: both, one after the other")
    parser.add_argument("--memory", type=byte_count, default=MEMORY_BYTES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="of all sizes (%(default)s)")
    parser.add_argument("--files", type=Path, default=Path("build/memory"), help="%(default)s")
    parser.add_argument("--out", type=Path, help="default: results/memory-CODEC.json, beside this")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def earlier_runs(out: Path, settings: dict[str, object]) -> dict[tuple[str, float], Run]:
    """By work and size; none where they were made with other settings."""
    if not out.is_file():
        return {}
    found = json.loads(out.read_bytes())
    if settings != {name: found.get(name) for name in settings}:
        return {}
    return {(run["work"], run["megapixels"]): Run(**run) for run in found["runs"]}


def main() -> int:
    given = arguments()
    if given.child:
        work, megapixels, file = given.child
        run = child(work, float(megapixels), given.memory, given.threads, Path(file))
        print(json.dumps(asdict(run)))
        return 0
    codec = find_spec(DEFAULT_CODEC)
    torch.set_num_threads(given.threads)  # as in the processes that do the work
    settings: dict[str, object] = {
        "codec": codec.full_name,
        "version": open_codec(codec.full_name, "cpu").facts.version,
        "memory_bytes": given.memory,
        "threads": given.threads,
        "machine": machine(),
    }
    out = given.out or HERE / "results" / f"memory-{codec.full_name}.json"
    given.files.mkdir(parents=True, exist_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    runs = earlier_runs(out, settings)
    rounds: dict[tuple[str, float], list[Run]] = {}
    works = WORKS if given.only is None else (given.only,)
    for _, megapixels, work in product(range(given.rounds), given.megapixels, works):
        run = in_a_process(work, megapixels, given)
        rounds.setdefault((work, megapixels), []).append(run)
        runs[work, megapixels] = typical(rounds[work, megapixels])
        line = f"{run.seconds:.1f} s, peak {run.peak_bytes / 1e9:.2f} GB"
        print(f"{work} {megapixels:g} MP: {line}", file=sys.stderr)
        kept = [asdict(runs[key]) for key in sorted(runs)]
        result = {**settings, "ratios": ratios_of(runs), "runs": kept}
        atomic_write(out, (json.dumps(result, indent=1) + "\n").encode(), overwrite=True)
    show(runs, given)
    print(f"all figures: {out}")
    sound = max(run.peak_bytes for run in runs.values()) <= LIMIT_BYTES
    return 0 if sound and max(ratios_of(runs).values()) <= LIMIT_RATIO else 1


def typical(runs: list[Run]) -> Run:
    """Of median seconds, with the largest peak of all."""
    middle = sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]
    return replace(middle, peak_bytes=max(run.peak_bytes for run in runs))


def ratios_of(runs: dict[tuple[str, float], Run]) -> dict[str, float]:
    """Of the time per megapixel, of each work's largest picture to its smallest."""
    ratios = {}
    for work in {key[0] for key in runs}:
        own = [runs[key] for key in sorted(runs) if key[0] == work]
        ratios[work] = own[-1].seconds_per_megapixel / own[0].seconds_per_megapixel
    return ratios


def show(runs: dict[tuple[str, float], Run], given: argparse.Namespace) -> None:
    title = f"{given.threads} threads, --memory {given.memory:,}"
    table = Table(
        "", "megapixels", "s per MP", "CPU s per MP", "peak", "before", "file", title=title
    )
    for key in sorted(runs):
        run = runs[key]
        table.add_row(
            run.work,
            f"{run.megapixels:g}",
            f"{run.seconds_per_megapixel:.3f}",
            f"{run.cpu_seconds / run.megapixels:.3f}",
            f"{run.peak_bytes / 1e9:.2f} GB",
            f"{run.start_bytes / 1e9:.2f} GB",
            f"{run.file_bytes:,}",
        )
    Console().print(table)
    for work, ratio in ratios_of(runs).items():
        print(f"{work}: {ratio:.2f} of the time per megapixel")


if __name__ == "__main__":
    sys.exit(main())
