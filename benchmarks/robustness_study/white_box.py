"""Must show 1: distortion and rate, ε 4/255 and 8/255, each quality, beside equal noise and a
classical codec."""

from __future__ import annotations

from functools import partial
from typing import Any

from corelic.attacks.constraints import Linf
from corelic.attacks.evaluation.controls import with_controls
from corelic.attacks.evaluation.curves import attacked_bd_rate
from corelic.attacks.evaluation.damage import Row
from corelic.attacks.evaluation.figures import from_json, to_json
from corelic.attacks.objectives import Distortion, Objective, Rate
from corelic.attacks.optimisers import PGD
from corelic.codecs.peers import PEERS
from corelic.eval.rate_distortion import CurveError
from robustness_study.study import SEED, Cell, Study, db, markdown

OBJECTIVES: dict[str, Objective] = {"distortion": Distortion(), "rate": Rate()}
LEVELS = (4, 8)


def name(codec: str, quality: int, objective: str, level: int) -> str:
    return f"white-box/{codec}-{quality}-{objective}-{level}"


def run(study: Study, codec: str, quality: int, objective: str, level: int) -> list[dict[str, Any]]:
    victim = study.victim(codec, quality)
    attack = PGD(
        victim,
        objective=OBJECTIVES[objective],
        constraint=Linf(level / 255),
        steps=study.size.steps,
        seed=SEED,
    )
    side = study.side(victim)
    sides = [side, side.beside(PEERS[study.control])]
    return [to_json(row) for row in with_controls(attack, attack(study.crops), sides)]


def cells(study: Study) -> list[Cell]:
    return [
        Cell(name(*key), partial(run, study, *key))
        for level in reversed(LEVELS)  # the budget that the target speaks of comes first
        for codec in study.codecs
        for quality in study.size.qualities
        for objective in OBJECTIVES
        for key in [(codec, quality, objective, level)]
    ]


def rows_of(study: Study, *key: Any) -> list[Row] | None:
    found = study.measured(name(*key))
    return None if found is None else [from_json(row) for row in found]


def page(study: Study) -> str:
    text = [
        "## White box\n",
        f"PGD-{study.size.steps}. *Output* is the PSNR between what the attacked and the clean "
        "picture decode to; *lost* is what PSNR to the source loses; *bytes* is the ratio of real "
        "files, hence of bpp. Noise is ±ε on every sample: as much as the budget allows. The "
        f"control is {PEERS[study.control].facts.title} at the quality that gives the clean crops "
        "the same PSNR, on the very pictures that were made against the learned codec.\n",
    ]
    for objective in OBJECTIVES:
        lines = []
        for codec in study.codecs:
            for quality in study.size.qualities:
                for level in LEVELS:
                    rows = rows_of(study, codec, quality, objective, level)
                    if rows:
                        lines.append(_line(codec, quality, level, rows))
        header = (
            *("codec, q", "ε", "PSNR in", "VI", "output", "noise", "gap", "lost", "noise"),
            *("bytes", "noise", "control: output", "noise", "bytes"),
        )
        text += [f"### {objective.capitalize()} attack\n", markdown(header, lines)]
    text += ["### BD-rate of the attacked curve\n", _bd_rates(study)]
    return "\n".join(text)


def _line(codec: str, quality: int, level: int, rows: list[Row]) -> tuple[str, ...]:
    attack, noise, control, control_noise = rows
    gap = (noise.output_psnr_db or 0) - (attack.output_psnr_db or 0)
    return (
        *(f"{codec}, {quality}", f"{level}/255", db(attack.input_psnr_db), db(attack.vi_db)),
        *(db(attack.output_psnr_db), db(noise.output_psnr_db), f"**{gap:.2f}**"),
        *(db(attack.source_loss_db), db(noise.source_loss_db)),
        *(f"**{attack.bytes_ratio:.2f}**", f"{noise.bytes_ratio:.2f}"),
        *(db(control.output_psnr_db), db(control_noise.output_psnr_db)),
        f"{control.bytes_ratio:.2f}",
    )


def _bd_rates(study: Study) -> str:
    lines = []
    for codec in study.codecs:
        for objective in OBJECTIVES:
            for level in LEVELS:
                keys = [(codec, q, objective, level) for q in study.size.qualities]
                found = [rows_of(study, *key) for key in keys]
                if len(keys) > 1 and all(found):
                    lines.append(
                        (
                            codec,
                            objective,
                            f"{level}/255",
                            _bd_rate([rows[0] for rows in found if rows]),
                            _bd_rate([rows[1] for rows in found if rows]),
                        )
                    )
    intro = (
        "How much more rate the codec needs for attacked pictures than for clean ones, at equal "
        "PSNR to the picture it was given; noise costs rate, too, for a codec must not drop what "
        "it cannot tell from detail. Where a figure may mislead (few points, little that both "
        "curves cover, more PSNR for no more rate), points and range follow in brackets.\n\n"
    )
    return intro + markdown(("codec", "attack", "ε", "attacked", "noise"), lines)


def _bd_rate(rows: list[Row]) -> str:
    try:
        rate = attacked_bd_rate(rows)
    except CurveError:
        return "curves do not overlap"
    mark = f" ({len(rows)} points, {rate.low_db:.1f} … {rate.high_db:.1f} dB)"
    return f"{rate.percent:+.0f} %" + (mark if rate.warnings else "")
