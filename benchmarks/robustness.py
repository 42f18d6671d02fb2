"""How robust are our codecs, and what do defences buy? Attacks on Kodak crops, from real files.

    python benchmarks/robustness.py --size small
    python benchmarks/robustness.py --size quick --out /tmp/look

Every measurement is a cell, kept as JSON as soon as it is done: a run that was stopped goes on.
When all are there, or the time is up (--minutes), the page is written: docs/robustness.md.
"""

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter

import torch
from rich.progress import Progress
from robustness_study import (
    black_box,
    defended,
    files,
    gap,
    imperceptible,
    overhead,
    sweeps,
    task,
    transfer,
    white_box,
)
from robustness_study.page import written
from robustness_study.study import SIZES, Study

from corelic.eval.machine import machine
from corelic.jobs import atomic_write

HERE = Path(__file__).parent
SECTIONS = {
    "white-box": white_box,
    "gap": gap,
    "files": files,
    "sweep": sweeps,
    "black-box": black_box,
    "defences": defended,
    "imperceptible": imperceptible,
    "transfer": transfer,
    "task": task,
    "overhead": overhead,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="small", help="default: %(default)s")
    parser.add_argument("--codecs", default="swift", help="learned ones, as in swift,c3m")
    parser.add_argument("--control", default="jpeg", help="classical codec (%(default)s)")
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="a section; again for more"
    )
    parser.add_argument("--minutes", type=float, help="no new cell is begun after so many")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: results/robustness-SIZE, beside this")
    parser.add_argument("--page", type=Path, help="default: docs/robustness.md, for small and full")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    folder = given.out or HERE / "results" / f"robustness-{given.size}"
    codecs = tuple(given.codecs.split(","))
    study = Study(SIZES[given.size], codecs, given.control, folder)
    sections = [SECTIONS[name] for name in given.only or SECTIONS]
    waiting = [
        cell
        for section in sections
        for cell in section.cells(study)
        if study.measured(cell.name) is None
    ]
    start = perf_counter()
    with Progress() as progress:
        bar = progress.add_task("", total=len(waiting))
        for cell in waiting:
            if given.minutes is not None and perf_counter() - start > 60 * given.minutes:
                break
            progress.update(bar, description=cell.name)
            study.measure(cell)
            progress.advance(bar)
    facts = json.dumps({"size": given.size, "codecs": codecs, "machine": machine()}, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "run.json", (facts + "\n").encode(), overwrite=True)
    page = (
        given.page or (folder if given.size == "quick" else HERE.parent / "docs") / "robustness.md"
    )
    text = written(study, given.size, list(SECTIONS.values()))
    atomic_write(page, text.encode(), overwrite=True)
    print(f"all figures: {folder}; page: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
