"""Must show 1, from files alone: attacked and coded by the command, byte for byte what the study
has.

    crop.png ─ corelic attack ─► attacked.png ─ corelic encode ─► x.clc ─► as many bytes?
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from corelic.attacks.evaluation.figures import from_json
from corelic.media import picture_bytes
from robustness_study.study import SEED, Cell, Study, markdown
from robustness_study.white_box import OBJECTIVES, rows_of

LEVEL = 8


def corelic(*arguments: object) -> None:
    """The command line, in a process of its own."""
    subprocess.run([sys.executable, "-m", "corelic", *map(str, arguments)], check=True)


def run(study: Study, codec: str, quality: int, objective: str) -> dict[str, Any]:
    """The first crop alone; `seed` and budget are those of the first table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        crop = folder / "crop.png"
        crop.write_bytes(picture_bytes(study.crops[0], crop))
        corelic(
            *("attack", crop, "--codec", codec, "-q", quality, "--objective", objective),
            *("--constraint", f"linf={LEVEL}", "--steps", study.size.steps, "--seed", SEED),
            *("--control", study.control, "-o", folder / "out"),
        )
        attacked, file = folder / "out" / "crop.png", folder / "x.clc"
        corelic("encode", attacked, "--codec", codec, "-q", quality, "-o", file)
        rows = json.loads((folder / "out" / "attack.json").read_text())
        return {"encoded_bytes": file.stat().st_size, "row": rows[0]}


def name(codec: str, quality: int, objective: str) -> str:
    return f"files/{codec}-{quality}-{objective}"


def cells(study: Study) -> list[Cell]:
    return [
        Cell(name(codec, quality, objective), partial(run, study, codec, quality, objective))
        for codec in study.codecs
        for quality in study.size.qualities
        for objective in OBJECTIVES
    ]


def page(study: Study) -> str:
    lines = []
    for codec in study.codecs:
        for quality in study.size.qualities:
            for objective in OBJECTIVES:
                found = study.measured(name(codec, quality, objective))
                rows = rows_of(study, codec, quality, objective, LEVEL)
                if found is None or rows is None:
                    continue
                (damage,) = from_json(found["row"]).damages
                table = rows[0].damages[0]
                lines.append(
                    (
                        *(f"{codec}, {quality}", objective, f"{found['encoded_bytes']:,}"),
                        *(f"{damage.attacked_bytes:,}", f"{table.attacked_bytes:,}"),
                    )
                )
    text = [
        "### From files alone\n",
        "The first crop, saved as PNG, attacked by `corelic attack`, and the PNG that it wrote "
        "coded by `corelic encode`: bytes of that file, of the command's own report, and of the "
        "table above. The first two must agree. The command computes with every core, the table "
        "with the threads named on top: sums of gradients round otherwise, and an attack that "
        "takes their signs may end elsewhere; that is how we read the rows whose last column "
        "differs.\n",
        markdown(("codec, q", "attack", "encoded", "attack.json", "table"), lines),
    ]
    return "\n".join(text)
