"""Must show 3: saliency sampling against uniform sampling and full ensemble, at equal passes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation.controls import equal_noise
from corelic.attacks.modifiers import Ensemble, Modifier, Sampled
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import PGD
from corelic.attacks.victim import Victim
from robustness_study.study import SEED, TINY_WEIGHTS, Cell, Study, markdown

POOL_QUALITIES, HELD_QUALITY = (20, 80), 50
CLASSICAL_POOL, HELD_CODEC = ("jpeg", "webp"), "jpeg2000"
COUNT = 2  # victims a step, when they are sampled
SIDE_PX = 64  # of the crops: small and many, for the sake of the intervals
SEEDS = 1
WAYS = ("saliency", "uniform", "ensemble", "one victim")
RESAMPLES = 2000


def asked(study: Study) -> tuple[str, ...]:
    """The codecs of the pool: the last of several learned ones is held out."""
    return (*(study.codecs[:-1] or study.codecs), *CLASSICAL_POOL)


def pool(study: Study) -> tuple[Victim, ...]:
    return tuple(
        study.victim(codec, quality) for codec in asked(study) for quality in POOL_QUALITIES
    )


def held(study: Study) -> dict[str, Victim]:
    seen = asked(study)
    unseen = [codec for codec in (*study.codecs, HELD_CODEC) if codec not in seen]
    return {
        **{f"{one}, held-out quality": study.victim(one, HELD_QUALITY) for one in seen},
        **{f"{one}, held-out codec": study.victim(one, HELD_QUALITY) for one in unseen},
        "tiny, held-out codec": study.victim(str(TINY_WEIGHTS), HELD_QUALITY),
    }


def modifier(way: str, victims: tuple[Victim, ...]) -> tuple[list[Modifier], int]:
    """With the passes that a step takes."""
    if way == "ensemble":
        return [Ensemble(victims)], len(victims)
    if way == "one victim":
        return [], 1
    return [Sampled(victims, COUNT, "saliency" if way == "saliency" else "uniform")], COUNT


def run(study: Study, way: str, seed: int) -> dict[str, Any]:
    """Output PSNR of each crop on each held-out victim, below that of equal noise, in dB."""
    victims = pool(study)
    modifiers, cost = modifier(way, victims)
    attack = PGD(
        victims[0],
        objective=Distortion(),
        constraint=Linf(8 / 255),
        steps=max(study.size.passes // cost, 1),
        modifiers=modifiers,
        seed=SEED + seed,
    )
    crops = study.cut(study.size.transfer_crops, SIDE_PX)
    result, noise = attack(crops), equal_noise(attack)(crops)
    gains = {}
    for name, victim in held(study).items():
        side = study.side(victim, crops)
        pairs = zip(side.damages(result.pictures), side.damages(noise.pictures), strict=True)
        gains[name] = [two.output_psnr_db - one.output_psnr_db for one, two in pairs]
    return {"passes": result.passes, "seconds": result.seconds, "gains_db": gains}


def cells(study: Study) -> list[Cell]:
    return [
        Cell(f"transfer/{way.replace(' ', '-')}-{seed}", partial(run, study, way, seed))
        for seed in range(SEEDS)
        for way in WAYS
    ]


def page(study: Study) -> str:
    lines, header = [], ["victims of a step", "passes"]
    means: dict[str, np.ndarray] = {}
    for way in WAYS:
        found = [
            study.measured(f"transfer/{way.replace(' ', '-')}-{seed}") for seed in range(SEEDS)
        ]
        runs = [one for one in found if one is not None]
        if not runs:
            continue
        names = list(runs[0]["gains_db"])
        header = ["victims of a step", "passes", *names, "all held out"]
        gains = {name: np.concatenate([one["gains_db"][name] for one in runs]) for name in names}
        means[way] = np.mean(list(gains.values()), axis=0)
        cells = [_interval(gains[name]) for name in names]
        lines.append((way, str(runs[0]["passes"]), *cells, f"**{_interval(means[way])}**"))
    codecs = ", ".join(asked(study))
    text = [
        "## Transfer: which victims to ask\n",
        "How far below equal noise an attack (distortion, ε 8/255) presses the output PSNR of "
        "victims that it never saw, in dB, with the 95 % interval of the mean over "
        f"{study.size.transfer_crops} crops of {SIDE_PX} px (bootstrap). The pool is {codecs} at "
        f"{' and '.join(map(str, POOL_QUALITIES))}, classical codecs through BPDA; all ways spend "
        "the same number of forward and backward passes. JPEG 2000 is asked for a PSNR, not for a "
        "step: it codes whatever it is given, and what has most energy, noise, does most.\n",
        markdown(header, lines),
    ]
    if {"saliency", "uniform", "ensemble"} <= means.keys():
        for other in ("uniform", "ensemble"):
            gain = means["saliency"] - means[other]
            text.append(f"Saliency minus {other}: {_interval(gain)} dB.\n")
    return "\n".join(text)


def _interval(values: np.ndarray) -> str:
    random = np.random.default_rng(0)
    drawn = random.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{values.mean():+.2f} ({low:+.2f} … {high:+.2f})"
