"""Must show 1, where the gap over noise is small: do stronger attacks widen it, or is it real?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from corelic.attacks.attack import Attack, AttackResult
from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation.controls import equal_noise
from corelic.attacks.evaluation.figures import from_json, to_json
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import APGD, PGD
from corelic.attacks.pixels import clip_of, pictures_of, wide
from robustness_study.study import SEED, Cell, Study, db, markdown

LEVEL = 8
RESTARTS = 2
NOISE = "noise"


def kinds(study: Study) -> dict[str, Callable[..., Attack] | None]:
    """Stronger than the first table's, each in another way; None is no attack but noise."""
    steps = study.size.steps
    return {
        NOISE: None,
        f"PGD-{study.size.short_steps}": partial(PGD, steps=study.size.short_steps),
        f"PGD-{steps}": partial(PGD, steps=steps),
        f"PGD-{steps}, {RESTARTS} starts": partial(PGD, steps=steps),
        f"PGD-{RESTARTS * steps}": partial(PGD, steps=RESTARTS * steps),
        f"APGD-{steps}": partial(APGD, steps=steps),
    }


def qualities(study: Study) -> tuple[int, ...]:
    """Those from the middle on, where the gap is small."""
    return tuple(quality for quality in study.size.qualities if quality >= study.middle_quality)


def run(study: Study, quality: int, kind: str) -> dict[str, Any]:
    victim = study.victim(study.codecs[0], quality)
    make = kinds(study)[kind] or PGD
    attack = make(victim, objective=Distortion(), constraint=Linf(LEVEL / 255), seed=SEED)
    if kind == NOISE:
        attack = equal_noise(attack)
    starts = RESTARTS if "starts" in kind else 1
    results = [replace(attack, seed=SEED + start)(study.crops) for start in range(starts)]
    return to_json(study.side(victim).row(best(results)))


def best(results: list[AttackResult]) -> AttackResult:
    """Of several starts the one with the highest score, frame by frame."""
    ends = torch.tensor([result.end for result in results])
    clips = torch.stack([clip_of(result.pictures) for result in results])
    chosen = ends.argmax(dim=0)
    picked = torch.zeros_like(clips[0])
    for number, clip in enumerate(clips):
        picked = torch.where(wide(chosen == number), clip, picked)
    return replace(
        results[0],
        pictures=pictures_of(picked),
        passes=sum(result.passes for result in results),
        seconds=sum(result.seconds for result in results),
    )


def slug(kind: str) -> str:
    return kind.replace(", ", "-").replace(" ", "-").lower()


def cells(study: Study) -> list[Cell]:
    return [
        Cell(f"gap/{quality}-{slug(kind)}", partial(run, study, quality, kind))
        for quality in qualities(study)
        for kind in kinds(study)
    ]


def page(study: Study) -> str:
    lines = []
    for quality in qualities(study):
        noise = study.measured(f"gap/{quality}-{NOISE}")
        for kind in kinds(study):
            found = study.measured(f"gap/{quality}-{slug(kind)}")
            if found is None or noise is None:
                continue
            row, plain = from_json(found), from_json(noise)
            gap = (plain.output_psnr_db or 0) - (row.output_psnr_db or 0)
            lines.append(
                (
                    *(str(quality), kind, str(row.passes), db(row.input_psnr_db), db(row.vi_db)),
                    *(db(row.output_psnr_db), f"**{gap:.2f}**"),
                )
            )
    text = [
        "### Where the gap over noise is small\n",
        f"{study.codecs[0]}, distortion, ε {LEVEL}/255, the same crops. VI is what the codec does "
        "with the energy of a perturbation: below zero it removes some of it. The better the "
        "quality, the more of plain noise comes through, so that its own output PSNR is low, and "
        "the gap can only be what VI lies above that of noise. If the gap were due to a weak "
        "attack, more steps, other steps or more starts would widen it.\n",
        markdown(
            ("quality", "attack", "passes", "PSNR in", "VI", "output", "gap over noise"), lines
        ),
    ]
    return "\n".join(text)
