"""Must show 4: Square, SPSA and genetic search on real files, against random search."""

from __future__ import annotations

from functools import partial
from typing import Any

from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation.figures import from_json, to_json
from corelic.attacks.objectives import Distortion, Objective, Rate
from corelic.attacks.optimisers import SPSA, Genetic, RandomSearch, Square
from robustness_study.study import SEED, Cell, Study, db, markdown

SIDE_PX = 64  # of the crops: a query codes a whole file
FAST = "webp"  # beside the control
ATTACKS = {"random": RandomSearch, "square": Square, "spsa": SPSA, "genetic": Genetic}
OBJECTIVES: dict[str, Objective] = {"distortion": Distortion(), "rate": Rate()}


def run(study: Study, codec: str, objective: str, kind: str) -> dict[str, Any]:
    crops = study.cut(max(study.size.crops // 2, 1), SIDE_PX)
    queries = study.size.queries if codec in study.codecs else study.size.fast_queries
    victim = study.victim(codec, study.middle_quality)
    attack = ATTACKS[kind](
        victim,
        objective=OBJECTIVES[objective],
        constraint=Linf(8 / 255),
        queries=queries,
        seed=SEED,
    )
    return to_json(study.side(victim, crops).row(attack(crops)))


def keys(study: Study) -> list[tuple[str, str, str]]:
    slow = study.codecs[:1] if study.size.queries else ()
    return [
        (codec, objective, kind)
        for codec in (study.control, FAST, *slow)
        for objective in OBJECTIVES
        for kind in ATTACKS
    ]


def cells(study: Study) -> list[Cell]:
    return [
        Cell("black-box/{}-{}-{}".format(*key), partial(run, study, *key)) for key in keys(study)
    ]


def page(study: Study) -> str:
    lines = []
    for codec, objective, kind in keys(study):
        found = study.measured(f"black-box/{codec}-{objective}-{kind}")
        if found is None:
            continue
        row = from_json(found)
        bold = "**" if objective == "rate" else ""
        lines.append(
            (
                *(row.victim, objective, kind, str(row.queries), str(len(row.damages))),
                db(row.output_psnr_db),
                f"{bold}{row.bytes_ratio:.3f}{bold}",
            )
        )
    text = [
        "## Black box\n",
        f"Crops of {SIDE_PX} px, L∞ 8/255; every query writes and decodes a real file. Random "
        "search keeps the best of as many draws of noise: what it lacks is what the others know. "
        "A learned codec takes a hundred times as long for a query.\n",
        markdown(("victim", "aim", "search", "queries", "crops", "output", "bytes"), lines),
    ]
    return "\n".join(text)
