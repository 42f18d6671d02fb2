"""Must show 2: the imperceptible attack against plain PGD, at equal output damage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from corelic.attacks.bands import CUTOFF
from corelic.attacks.constraints import Constraint, HighBand, Linf
from corelic.attacks.evaluation.damage import Row
from corelic.attacks.evaluation.figures import from_json, to_json
from corelic.attacks.objectives import Distortion, Frobenius, LowBandPenalty, Objective
from corelic.attacks.optimisers import PGD
from robustness_study.study import SEED, Cell, Study, db, markdown

LEVELS = (4, 8, 12)
SIDE_PX = 192  # of the crops: MS-SSIM needs 161


def parts(kind: str, level: int) -> tuple[Objective, Constraint]:
    cube = Linf(level / 255)
    if kind == "projection":
        return Frobenius(), HighBand(cube, low_share=0.25)
    if kind == "penalty":
        return LowBandPenalty(Distortion(), weight=2.0), cube
    return Distortion(), cube


KINDS = {
    "plain": "plain PGD",
    "projection": "projection on the high band (Frobenius norm)",
    "penalty": "penalty on the low band",
}


def run(study: Study, kind: str, level: int) -> dict[str, Any]:
    victim = study.victim(study.codecs[0], study.middle_quality)
    objective, constraint = parts(kind, level)
    attack = PGD(
        victim,
        objective=objective,
        constraint=constraint,
        steps=study.size.short_steps,
        seed=SEED,
    )
    crops = study.cut(study.size.crops, SIDE_PX)
    return to_json(study.side(victim, crops).row(attack(crops)))


def cells(study: Study) -> list[Cell]:
    return [
        Cell(f"imperceptible/{kind}-{level}", partial(run, study, kind, level))
        for kind in KINDS
        for level in LEVELS
    ]


def page(study: Study) -> str:
    measured: dict[str, list[Row]] = {}
    for kind in KINDS:
        found = [study.measured(f"imperceptible/{kind}-{level}") for level in LEVELS]
        measured[kind] = [from_json(row) for row in found if row is not None]
    lines = []
    for kind, rows in measured.items():
        for level, row in zip(LEVELS, rows, strict=False):
            lines.append(
                (
                    *(KINDS[kind], f"{level}/255", db(row.output_psnr_db), db(row.input_psnr_db)),
                    *(f"{_similarity(row):.4f}", f"{100 * (row.high_share or 0):.0f} %"),
                    f"{row.bytes_ratio:.2f}",
                )
            )
    text = [
        "## Imperceptible perturbations\n",
        f"{study.codecs[0]} at {study.middle_quality}, PGD-{study.size.short_steps}, "
        f"{study.size.crops} crops of {SIDE_PX} px. High "
        f"frequencies are those from {CUTOFF:g} cycles per pixel on. Both readings of "
        "arXiv:2306.01125, whose text could not be read, against plain PGD.\n",
        markdown(("attack", "ε", "output", "PSNR in", "MS-SSIM in", "high band", "bytes"), lines),
        _equal(measured),
    ]
    return "\n".join(text)


def _equal(measured: dict[str, list[Row]]) -> str:
    """PSNR of the input and high share, interpolated to one output PSNR that all reach."""
    curves = {kind: rows for kind, rows in measured.items() if len(rows) == len(LEVELS)}
    if len(curves) < len(KINDS):
        return ""
    outputs = {kind: [row.output_psnr_db or 0.0 for row in rows] for kind, rows in curves.items()}
    low = max(min(values) for values in outputs.values())
    high = min(max(values) for values in outputs.values())
    if low >= high:
        return "No damage is reached by all three, so they cannot be compared at equal damage.\n"
    aim = (low + high) / 2

    def at_aim(kind: str, values: Sequence[float]) -> float:
        order = np.argsort(outputs[kind])
        return float(np.interp(aim, np.array(outputs[kind])[order], np.array(values)[order]))

    lines = [
        (
            KINDS[kind],
            f"{at_aim(kind, [row.input_psnr_db or 0.0 for row in rows]):.2f}",
            f"{100 * at_aim(kind, [row.high_share or 0.0 for row in rows]):.0f} %",
            f"{at_aim(kind, list(map(_similarity, rows))):.4f}",
        )
        for kind, rows in curves.items()
    ]
    title = (
        f"At equal damage, an output PSNR of {aim:.2f} dB (interpolated between the ε above):\n\n"
    )
    return title + markdown(("attack", "PSNR in", "high band", "MS-SSIM in"), lines)


def _similarity(row: Row) -> float:
    """MS-SSIM of the attacked pictures to the clean ones."""
    found = row.mean(lambda damage: damage.input_ms_ssim)
    assert found is not None  # crops are large enough
    return found
