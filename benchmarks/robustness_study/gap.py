"""Must show 1: is the gap over noise all there is, or do stronger attacks widen it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
        f"PGD-{5 * steps}, strides of 2 radii": partial(
            PGD, steps=5 * steps, stride=2 * LEVEL / 255
        ),
        f"APGD-{steps}": partial(APGD, steps=steps),
    }


def run(study: Study, codec: str, quality: int, kind: str) -> dict[str, Any]:
    victim = study.victim(codec, quality)
    attack = kinds(study)[kind](
        victim, objective=Distortion(), constraint=Linf(LEVEL / 255), seed=SEED
    )
    starts = RESTARTS if "starts" in kind else 1
    results = [replace(attack, seed=SEED + start)(study.crops) for start in range(starts)]
    return to_json(study.side(victim).row(best(results)))


def run_control(study: Study, codec: str, quality: int) -> list[dict[str, Any]]:
    """The classical codec of the first table, attacked itself, through BPDA; last, noise on it."""
    learned = study.side(study.victim(codec, quality))
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


def name(codec: str, quality: int, kind: str) -> str:
    words = kind.lower().replace(", the better of", " of").replace(",", "").split()
    return f"gap/{codec}-{quality}-{'-'.join(words)}"


def cells(study: Study) -> list[Cell]:
    found = []
    for codec in study.codecs:
        for quality in reversed(study.size.qualities):
            asked: dict[str, Callable[[], Any]] = {
                kind: partial(run, study, codec, quality, kind) for kind in kinds(study)
            }
            asked[CONTROL] = partial(run_control, study, codec, quality)
            found += [Cell(name(codec, quality, kind), work) for kind, work in asked.items()]
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """Of one codec and quality: the rows by kind, noise and the first table's attack first."""

    rows: dict[str, Row]
    first: str

    @property
    def noise(self) -> Row:
        return self.rows["noise"]

    @property
    def widest_db(self) -> float:
        return max(gap_db(row, self.noise) for row in self.rows.values())

    @property
    def added_db(self) -> float:
        return self.widest_db - gap_db(self.rows[self.first], self.noise)

    @property
    def amplified(self) -> float:
        """Energy that comes out for what goes in, of the strongest attack."""
        strongest = max(self.rows.values(), key=lambda row: gap_db(row, self.noise))
        return energy(strongest)


def energy(row: Row) -> float:
    return float(10 ** ((row.vi_db or 0) / 10))


def in_words(codec: str, found: list[Found]) -> str:
    """What the strongest attack of each quality adds to the first table's."""
    return (
        f"- **{codec}**: {span([each.widest_db for each in found], 1)} dB, which is "
        f"{span([each.added_db for each in found], 1)} more than {found[0].first} reaches; the "
        f"codec multiplies the energy of the worst that was found by "
        f"{span([each.amplified for each in found], 2)}, and that of noise by "
        f"{span([energy(each.noise) for each in found], 2)}.\n"
    )


def span(values: list[float], digits: int) -> str:
    return f"{min(values):.{digits}f} … {max(values):.{digits}f}"


def gap_db(row: Row, noise: Row) -> float:
    return (noise.output_psnr_db or 0) - (row.output_psnr_db or 0)


def found_of(study: Study, codec: str, quality: int) -> Found | None:
    rows = rows_of(study, codec, quality, "distortion", LEVEL)
    if rows is None:
        return None
    attack, noise, *_ = rows
    first = f"PGD-{study.size.steps}"
    measured = {"noise": noise, first: attack}
    for kind in kinds(study):
        stronger = study.measured(name(codec, quality, kind))
        if stronger is not None:
            measured[kind] = from_json(stronger)
    return Found(measured, first)


def lines_of(study: Study, codec: str, quality: int, found: Found) -> list[tuple[str, ...]]:
    asked = f"{codec}, {quality}"
    lines = [_line(asked, kind, row, found.noise) for kind, row in found.rows.items()]
    attacked = study.measured(name(codec, quality, CONTROL))
    if attacked is not None:
        pgd, apgd, beside = map(from_json, attacked)
        control = f"{PEERS[study.control].facts.title} control"
        lines += [
            _line(asked, f"{control}, noise", beside, beside),
            _line(asked, f"{control}, PGD-{study.size.steps}", pgd, beside),
            _line(asked, f"{control}, APGD-{study.size.steps}", apgd, beside),
        ]
    return lines


def page(study: Study) -> str:
    lines, words = [], []
    for codec in study.codecs:
        by_quality = []
        for quality in study.size.qualities:
            found = found_of(study, codec, quality)
            if found is not None:
                lines += lines_of(study, codec, quality, found)
                by_quality.append(found)
        if by_quality:
            words.append(in_words(codec, by_quality))
    text = [
        "### Is the gap over noise all there is?\n",
        f"Distortion, ε {LEVEL}/255, the same crops. VI is what the codec does with the energy of "
        "a perturbation: below zero it removes some of it. The gap is the output PSNR of noise "
        "minus that of the attack; where both have the same PSNR in, it is the difference of their "
        "VI, and 6 dB are a ratio of 4 between the energies. Would a stronger attack widen it? "
        "More steps, a second start, wider strides, wider strides and more steps, and strides that "
        "halve (APGD). Whether gradients are masked, the verdicts of the sweeps below say. The "
        "widest gaps, over the qualities:\n",
        "".join(words),
        "The control is the classical codec of the same PSNR, attacked itself (BPDA).\n",
        markdown(
            ("codec, q", "attack", "passes", "PSNR in", "VI", "output", "gap over noise"), lines
        ),
    ]
    return "\n".join(text)


def _line(asked: str, kind: str, row: Row, noise: Row) -> tuple[str, ...]:
    return (
        *(asked, kind, str(row.passes), db(row.input_psnr_db), db(row.vi_db)),
        *(db(row.output_psnr_db), "" if row is noise else f"**{gap_db(row, noise):.2f}**"),
    )
