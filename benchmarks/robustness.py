"""How robust are our codecs, and what do defences buy? Attacks on Kodak crops, from real files.

    python benchmarks/robustness.py --size small
    python benchmarks/robustness.py --size quick --out /tmp/look

Every measurement is a cell, kept as JSON as soon as it is done: a run that was stopped goes on.
When all are there, or the time is up (--minutes), the page is written: docs/robustness.md.
"""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

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

from corelic.codecs import store
from corelic.codecs.api import open_image_codec
from corelic.disk import atomic_write
from corelic.errors import UnknownCodecError
from corelic.eval.machine import machine

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
    parser.add_argument("--hardened", type=Path, help="weights of the first codec, fine-tuned")
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="a section; again for more"
    )
    parser.add_argument("--minutes", type=float, help="no new cell is begun after so many")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: results/robustness-SIZE, beside this")
    parser.add_argument("--page", type=Path, help="default: docs/robustness.md, for small and full")
    return parser.parse_args()


def facts_of(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What the folder's cells are of, and `machines`; SystemExit where that is not what is asked.

    asked  whose `hardened` is None where no such weights are given: then the folder's stay
    """
    if not (folder / "run.json").exists():
        return {**asked, "machines": []}
    found = {"hardened": None, **json.loads((folder / "run.json").read_text())}
    machines = found.pop("machines")
    if asked["hardened"] is None:
        asked = {**asked, "hardened": found["hardened"]}
    elif not (folder / f"{defended.FINE_TUNED_CELL}.json").exists():
        found["hardened"] = asked["hardened"]  # of which nothing has been measured yet
    if found != asked:
        raise SystemExit(f"error: {folder} is of {found}, not of {asked}; give another --out")
    return {**asked, "machines": machines}


def lasting_name(codec: str) -> str:
    """Under which other processes find the same; SystemExit for weights of one's own."""
    facts = open_image_codec(codec, "cpu").facts
    with suppress(UnknownCodecError):
        if open_image_codec(facts.name, "cpu").facts.version == facts.version:
            return facts.name
    raise SystemExit(
        f"error: {codec} is not published; export it with a generation, into the package"
    )


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    folder = given.out or HERE / "results" / f"robustness-{given.size}"
    # A generation each: what is measured of one is not of the next.
    codecs = tuple(map(lasting_name, given.codecs.split(",")))
    hardened = store.from_file(given.hardened).fingerprint.hex() if given.hardened else None
    asked = {"size": given.size, "codecs": list(codecs), "control": given.control}
    facts = facts_of(folder, {**asked, "hardened": hardened})
    machines = facts["machines"]
    study = Study(SIZES[given.size], codecs, given.control, folder, given.hardened)
    sections = [SECTIONS[name] for name in given.only or SECTIONS]
    waiting = [
        cell
        for section in sections
        for cell in section.cells(study)
        if study.measured(cell.name) is None
    ]
    if waiting and machine() not in machines:
        machines.append(machine())
    folder.mkdir(parents=True, exist_ok=True)
    written_facts = json.dumps(facts, indent=1) + "\n"
    atomic_write(folder / "run.json", written_facts.encode(), overwrite=True)
    start = perf_counter()
    with Progress() as progress:
        bar = progress.add_task("", total=len(waiting))
        for cell in waiting:
            if given.minutes is not None and perf_counter() - start > 60 * given.minutes:
                break
            progress.update(bar, description=cell.name)
            study.measure(cell)
            progress.advance(bar)
    # Of a run elsewhere, the project's page is none.
    is_kept = given.size != "quick" and given.out is None
    page = given.page or (HERE.parent / "docs" if is_kept else folder) / "robustness.md"
    text = written(study, given.size, list(SECTIONS.values()), machines)
    atomic_write(page, text.encode(), overwrite=True)
    print(f"all figures: {folder}; page: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
