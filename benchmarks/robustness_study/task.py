"""A classifier behind the codec: accuracy on what is decoded, under attack and under noise."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

import corelic
from corelic.attacks.classifier import load_classifier
from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation.sweep import sweep
from corelic.attacks.evaluation.task import accuracy_behind, error_rate
from corelic.attacks.labelled import enlarged, read_labelled
from corelic.attacks.objectives import TaskLoss
from corelic.attacks.optimisers import PGD
from corelic.attacks.pixels import pictures_of
from robustness_study.study import SEED, Cell, Study, markdown

WEIGHTS = Path(corelic.__file__).parent / "attacks" / "weights"
FACTOR = 2  # 32 px become 64: one unit of the codec's padding
LEVELS = (2, 4, 8, 255)
CHANCE = 0.1


def run(study: Study, codec: str, path: Path) -> dict[str, Any]:
    labelled = read_labelled(study.data / "cifar10" / "cifar10.zip", "test")
    chosen = labelled.every(len(labelled) // study.size.cifar)
    pictures = pictures_of(enlarged(chosen.floats(), FACTOR))
    classifier, victim = load_classifier(path), study.victim(codec, study.middle_quality)
    attack = PGD(
        victim,
        objective=TaskLoss(classifier, chosen.labels),
        constraint=Linf(8 / 255),
        steps=study.size.short_steps,
        seed=SEED,
    )
    found = sweep(
        attack,
        pictures,
        LEVELS,
        judge=error_rate(victim, classifier, chosen.labels),
        tolerance=1 / len(pictures) ** 0.5,
        full_strength=1 - CHANCE,
    )
    with torch.no_grad():
        seen = classifier(enlarged(chosen.floats(), FACTOR)).argmax(dim=1)
    return {
        "pictures": len(pictures),
        "without_codec": float((seen == chosen.labels).float().mean()),
        "clean": accuracy_behind(victim, classifier, pictures, chosen.labels),
        "attempts": [asdict(attempt) for attempt in found.attempts],
        "verdict": str(found.verdict),
    }


def classifiers() -> list[Path]:
    return sorted(WEIGHTS.glob("*.safetensors"))[:2]


def name(codec: str, path: Path) -> str:
    return f"task/{codec}-{path.stem}"


def cells(study: Study) -> list[Cell]:
    return [
        Cell(name(codec, path), partial(run, study, codec, path))
        for codec in study.codecs
        for path in classifiers()
    ]


def page(study: Study) -> str:
    lines, verdicts = [], []
    for codec in study.codecs:
        for path in classifiers():
            found = study.measured(name(codec, path))
            if found is None:
                continue
            for kind, label in (("iterative", "attack"), ("noise", "noise")):
                shares = [1 - one["strength"] for one in found["attempts"] if one["kind"] == kind]
                lines.append(
                    (
                        *(f"{codec}, {path.stem}", label, str(found["pictures"])),
                        *(f"{found['without_codec']:.0%}", f"{found['clean']:.0%}"),
                        *(f"{share:.0%}" for share in shares),
                    )
                )
            verdicts.append(f"{codec}, {path.stem}: {found['verdict']}.\n")
    if not lines:
        return ""
    header = (
        *("codec, classifier", "", "pictures", "no codec", "clean"),
        *(f"{level}/255" for level in LEVELS),
    )
    text = [
        "## A classifier behind the codec\n",
        f"Accuracy on CIFAR-10 test pictures, enlarged to {32 * FACTOR} px, coded at "
        f"{study.middle_quality} and decoded (they were JPEG files before, which flatters a JPEG "
        f"control); PGD-{study.size.short_steps} on the cross-entropy. An attack that works "
        "must end at chance, 10 %, or below.\n",
        markdown(header, lines),
        *verdicts,
    ]
    return "\n".join(text)
