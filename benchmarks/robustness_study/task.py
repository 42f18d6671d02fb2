"""A classifier behind the codec: accuracy on what is decoded, under attack and under noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, get_args

import torch

from corelic.attacks.classifier import Architecture, shipped_classifier
from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation import Pipeline, sweep
from corelic.attacks.labelled import enlarged, read_labelled
from corelic.attacks.optimisers import PGD
from corelic.attacks.pixels import pictures_of
from corelic.media import Picture
from robustness_study.study import SEED, Cell, Study, markdown

ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
FACTOR = 2  # 32 px become 64: one unit of the codec's padding
LEVELS = (2, 4, 8, 255)
CHANCE = 0.1


def run(study: Study, codec: str, architecture: Architecture) -> dict[str, Any]:
    labelled = read_labelled(study.data / "cifar10" / "cifar10.zip", "test")
    chosen = labelled.every(len(labelled) // study.size.cifar)
    pictures = pictures_of(enlarged(chosen.floats(), FACTOR))
    labels = chosen.labels
    victim = study.victim(codec, study.middle_quality)
    pipelines = {one: Pipeline(victim, shipped_classifier(one)) for one in ARCHITECTURES}
    (other,) = (one for one in ARCHITECTURES if one != architecture)
    own, elsewhere = pipelines[architecture], []

    def judge(clean: Sequence[Picture], attacked: Sequence[Picture]) -> float:
        elsewhere.append(pipelines[other].share(attacked, labels).value)
        return own.error_rate(labels)(clean, attacked)

    attack = PGD(
        victim,
        objective=own.loss(labels),
        constraint=Linf(8 / 255),
        steps=study.size.short_steps,
        seed=SEED,
    )
    found = sweep(
        attack,
        pictures,
        LEVELS,
        judge=judge,
        tolerance=1 / len(pictures) ** 0.5,
        full_strength=1 - CHANCE,
    )
    with torch.no_grad():
        seen = own.classifier(enlarged(chosen.floats(), FACTOR)).argmax(dim=1)
    return {
        "pictures": len(pictures),
        "without_codec": float((seen == labels).float().mean()),
        "clean": own.share(pictures, labels).value,
        "attempts": [asdict(attempt) for attempt in found.attempts],
        "other": other,
        "other_clean": pipelines[other].share(pictures, labels).value,
        "other_accuracies": elsewhere,  # in the order of `attempts`
        "verdict": str(found.verdict),
    }


def name(codec: str, architecture: Architecture) -> str:
    return f"task/{codec}-{architecture}"


def cells(study: Study) -> list[Cell]:
    return [
        Cell(name(codec, architecture), partial(run, study, codec, architecture))
        for codec in study.codecs
        for architecture in ARCHITECTURES
    ]


def page(study: Study) -> str:
    lines, verdicts, pictures = [], [], 0
    for codec in study.codecs:
        for architecture in ARCHITECTURES:
            found = study.measured(name(codec, architecture))
            if found is None:
                continue
            pictures = found["pictures"]
            pairs = list(zip(found["attempts"], found["other_accuracies"], strict=True))
            for kind, label in (("iterative", "attack"), ("noise", "noise")):
                shares = [1 - one["strength"] for one, _ in pairs if one["kind"] == kind]
                others = [share for one, share in pairs if one["kind"] == kind]
                before = f"{found['without_codec']:.0%}", f"{found['clean']:.0%}"
                lines += [
                    (codec, architecture, label, *before, *_percents(shares)),
                    (
                        *(codec, f"{found['other']}, not asked", label, ""),
                        *(f"{found['other_clean']:.0%}", *_percents(others)),
                    ),
                ]
            verdicts.append(f"{codec}, {architecture}: {found['verdict']}.\n")
    header = (
        *("codec", "who looks", "pictures", "no codec", "clean"),
        *(f"{level}/255" for level in LEVELS),
    )
    text = [
        "## A classifier behind the codec\n",
        f"Accuracy on {pictures} CIFAR-10 test pictures, enlarged to {32 * FACTOR} px, coded at "
        f"{study.middle_quality} and decoded (they were JPEG files before, which flatters a JPEG "
        f"control); PGD-{study.size.short_steps} on the cross-entropy of the classifier named "
        "first, and the same pictures shown to the other one, which no gradient was asked of. An "
        "attack that works must end at chance, 10 %, or below. "
        f"Of {pictures} pictures, a half is sure to ± {98 / max(pictures, 1) ** 0.5:.0f} points.\n",
        markdown(header, lines),
        *verdicts,
    ]
    return "\n".join(text)


def _percents(shares: Sequence[float]) -> list[str]:
    return [f"{share:.0%}" for share in shares]
