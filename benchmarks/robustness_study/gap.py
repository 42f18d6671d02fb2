"""Must show 1: is the gap over noise all there is, or do stronger attacks widen it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from corelic.attacks.attack import Attack, AttackResult
from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation.controls import equal_noise
from corelic.attacks.evaluation.damage import Row
from corelic.attacks.evaluation.figures import from_json, to_json
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import APGD, PGD
from corelic.attacks.pixels import clip_of, pictures_of, wide
from corelic.codecs.peers import PEERS
from robustness_study.study import SEED, Cell, Study, db, markdown
from robustness_study.white_box import rows_of

LEVEL = 8
RESTARTS = 2
CONTROL = "control"


def kinds(study: Study) -> dict[str, Callable[..., Attack]]:
    """Stronger than the first table's, each in another way."""
    steps = study.size.steps
    return {
        f"PGD-{2 * steps}": partial(PGD, steps=2 * steps),
        f"PGD-{steps}, the better of {RESTARTS} starts": partial(PGD, steps=steps),
        f"PGD-{steps}, strides of 2 radii": partial(PGD, steps=steps, stride=2 * LEVEL / 255),
        f"APGD-{steps}": partial(APGD, steps=steps),
    }


def run(study: Study, quality: int, kind: str) -> dict[str, Any]:
    victim = study.victim(study.codecs[0], quality)
    attack = kinds(study)[kind](
        victim, objective=Distortion(), constraint=Linf(LEVEL / 255), seed=SEED
    )
    starts = RESTARTS if "starts" in kind else 1
    results = [replace(attack, seed=SEED + start)(study.crops) for start in range(starts)]
    return to_json(study.side(victim).row(best(results)))


def run_control(study: Study, quality: int) -> list[dict[str, Any]]:
    """The classical codec of the first table, attacked itself, through BPDA; last, noise on it."""
    learned = study.side(study.victim(study.codecs[0], quality))
    side = learned.beside(PEERS[study.control])
    attacks = [
        kind(
            side.victim,
            objective=Distortion(),
            constraint=Linf(LEVEL / 255),
            steps=study.size.steps,
            seed=SEED,
        )
        for kind in (PGD, APGD)
    ]
    return [to_json(side.row(one(study.crops))) for one in (*attacks, equal_noise(attacks[0]))]


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


def name(quality: int, kind: str) -> str:
    words = kind.lower().replace(", the better of", " of").replace(",", "").split()
    return f"gap/{quality}-{'-'.join(words)}"


def cells(study: Study) -> list[Cell]:
    descending = tuple(reversed(study.size.qualities))
    controls = [
        Cell(name(quality, CONTROL), partial(run_control, study, quality)) for quality in descending
    ]
    return controls + [
        Cell(name(quality, kind), partial(run, study, quality, kind))
        for quality in descending
        for kind in kinds(study)
    ]


def found(quality_rows: dict[int, dict[str, Row]], first: str) -> str:
    """In words: how much the strongest attack of each quality adds to the first table's."""
    added, widest, amplified, passed = [], [], [], []
    for rows in quality_rows.values():
        noise = rows["noise"]
        strongest = max(rows.values(), key=lambda row: gap_db(row, noise))
        widest.append(gap_db(strongest, noise))
        added.append(widest[-1] - gap_db(rows[first], noise))
        amplified.append(10 ** ((strongest.vi_db or 0) / 10))
        passed.append(10 ** ((noise.vi_db or 0) / 10))
    return (
        f"The strongest of them widen the gap of {first} by {span(added, 1)} dB, to "
        f"{span(widest, 1)} dB, and the sweeps below show no masked gradients: on these crops the "
        f"codec multiplies the energy of the worst that was found by {span(amplified, 2)}, and "
        f"that of noise by {span(passed, 2)}. A gap of 6 dB would take a ratio of 4 between them."
    )


def span(values: list[float], digits: int) -> str:
    return f"{min(values):.{digits}f} … {max(values):.{digits}f}"


def gap_db(row: Row, noise: Row) -> float:
    return (noise.output_psnr_db or 0) - (row.output_psnr_db or 0)


def page(study: Study) -> str:
    lines, by_quality = [], {}
    for quality in study.size.qualities:
        rows = rows_of(study, study.codecs[0], quality, "distortion", LEVEL)
        if rows is None:
            continue
        attack, noise, *_ = rows
        measured = {"noise": noise, f"PGD-{study.size.steps}": attack}
        for kind in kinds(study):
            stronger = study.measured(name(quality, kind))
            if stronger is not None:
                measured[kind] = from_json(stronger)
        by_quality[quality] = measured
        lines += [_line(quality, kind, row, noise) for kind, row in measured.items()]
        attacked = study.measured(name(quality, CONTROL))
        if attacked is not None:
            pgd, apgd, beside = map(from_json, attacked)
            control = f"{PEERS[study.control].facts.title} control"
            lines += [
                _line(quality, f"{control}, noise", beside, beside),
                _line(quality, f"{control}, PGD-{study.size.steps}", pgd, beside),
                _line(quality, f"{control}, APGD-{study.size.steps}", apgd, beside),
            ]
    text = [
        "### Is the gap over noise all there is?\n",
        f"{study.codecs[0]}, distortion, ε {LEVEL}/255, the same crops. VI is what the codec does "
        "with the energy of a perturbation: below zero it removes some of it. The gap is what VI "
        "of the attack lies above that of noise. Would a stronger attack widen it? More steps, a "
        "second start, wider strides, and strides that halve (APGD). "
        + (found(by_quality, f"PGD-{study.size.steps}") if by_quality else "")
        + " The control is the classical codec of the same PSNR, attacked itself (BPDA).\n",
        markdown(
            ("quality", "attack", "passes", "PSNR in", "VI", "output", "gap over noise"), lines
        ),
    ]
    return "\n".join(text)


def _line(quality: int, kind: str, row: Row, noise: Row) -> tuple[str, ...]:
    return (
        *(str(quality), kind, str(row.passes), db(row.input_psnr_db), db(row.vi_db)),
        *(db(row.output_psnr_db), "" if row is noise else f"**{gap_db(row, noise):.2f}**"),
    )
