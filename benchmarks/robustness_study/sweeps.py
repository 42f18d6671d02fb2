"""ε sweeps: does more budget do more, do gradients do more than noise?"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation.sweep import sweep
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import PGD
from robustness_study.study import SEED, Cell, Study, markdown

LEVELS = (1, 2, 4, 8, 16, 32, 255)


def run(study: Study, codec: str) -> dict[str, Any]:
    attack = PGD(
        study.victim(codec, study.middle_quality),
        objective=Distortion(),
        constraint=Linf(8 / 255),
        steps=study.size.short_steps,
        seed=SEED,
    )
    found = sweep(attack, study.crops, LEVELS)
    return {
        "attempts": [asdict(attempt) for attempt in found.attempts],
        "verdict": str(found.verdict),
    }


def cells(study: Study) -> list[Cell]:
    return [Cell(f"sweep/{codec}", partial(run, study, codec)) for codec in study.codecs]


def page(study: Study) -> str:
    text = [
        "## ε sweeps\n",
        f"Mean MSE between the decoded pictures (squared 8-bit steps, real files), quality "
        f"{study.middle_quality}, PGD-{study.size.short_steps} and equal noise.\n",
    ]
    for codec in study.codecs:
        found = study.measured(f"sweep/{codec}")
        if found is None:
            continue
        by_kind = {
            kind: [one["strength"] for one in found["attempts"] if one["kind"] == kind]
            for kind in ("iterative", "noise")
        }
        lines = [
            (f"{kind}", *(f"{value:.0f}" for value in by_kind[key]))
            for kind, key in (("attack", "iterative"), ("noise", "noise"))
        ]
        header = (codec, *(f"{level}/255" for level in LEVELS))
        text += [markdown(header, lines), f"Verdict: {found['verdict']}.\n"]
    return "\n".join(text)
