"""A grid of attacks as one HTML page: a table of means, and rows of pictures to look at.

findings ─► index.html     needs no network and no program
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from statistics import fmean

from corelic.attacks.evaluation.damage import Row, loss_db
from corelic.attacks.findings import NONE, PANELS, Finding, Outcome, Point
from corelic.console import printable
from corelic.eval.report import part

COLUMNS = (
    *("codec", "quality", "defence", "attacker knows", "attack", "aim", "budget", "pictures"),
    *("PSNR in", "output", "noise", "gap", "lost", "bytes", "noise"),
    *("control: output", "bytes", "clean: bytes", "clean: PSNR lost"),
)
LEGEND = (
    "PSNR in: attacked against clean picture. Output: PSNR between what both decode to, beside "
    "noise of the same budget; gap: noise minus attack. Lost: PSNR to the clean picture, before "
    "minus after. Bytes: file of the attacked picture over that of the clean one. Control: a "
    "classical codec of the same PSNR, given the same pictures. Clean: what the defence costs "
    "where nobody attacks. All from files and decoded 8-bit pictures; means over the pictures, but "
    "for an infinite PSNR, which is that of equal ones."
)


def page(outcome: Outcome) -> str:
    """The whole page, with its pictures inside."""
    plain = {_codec(one): one for one in outcome.findings if one.point.defence == NONE}
    body = "".join(_line(finding, plain.get(_codec(finding))) for finding in outcome.findings)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    failures = "".join(f"<li>{html.escape(printable(str(one)))}</li>" for one in outcome.failures)
    plan = outcome.plan
    about = (
        f"{plan.steps} steps of attacks with gradients, {plan.queries} queries of those without; "
        f"control {plan.control}; seed {plan.seed}."
    )
    parts = {
        "style": part("page.css"),
        "about": html.escape(about),
        "legend": html.escape(LEGEND),
        "failures": failures,
        "head": head,
        "body": body,
        "pictures": "".join(map(_pictures, outcome.findings)),
    }
    before, *marked = part("robustness.html").split("{{")
    return before + "".join(
        parts[name] + rest for name, _, rest in (each.partition("}}") for each in marked)
    )


def _codec(finding: Finding) -> tuple[str, float]:
    return finding.point.codec, finding.point.quality


def _line(finding: Finding, plain: Finding | None) -> str:
    point, (attack, noise, *control) = finding.point, finding.rows
    beside = control[0] if control else None
    gap = None
    if attack.output_psnr_db is not None and noise.output_psnr_db is not None:
        gap = noise.output_psnr_db - attack.output_psnr_db
    cells = [
        *(point.codec, f"{point.quality:g}", point.defence, _knows(point)),
        *(point.attack, point.objective, point.constraint, _count(attack)),
        *(_db(attack.input_psnr_db), _db(attack.output_psnr_db), _db(noise.output_psnr_db)),
        *(_db(gap), _db(attack.source_loss_db)),
        *(_ratio(attack.bytes_ratio), _ratio(noise.bytes_ratio)),
        *((_db(beside.output_psnr_db), _ratio(beside.bytes_ratio)) if beside else ("", "")),
        *_cost(attack, plain),
    ]
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>\n"


def _count(row: Row) -> str:
    return f"{len(row.damages)}" + (f" ({row.left_out})" if row.left_out else "")


def _knows(point: Point) -> str:
    return "codec" if point.defence == NONE or point.knows == "codec" else "codec and defence"


def _cost(row: Row, plain: Finding | None) -> Sequence[str]:
    """Of a defence on clean pictures that both were measured on."""
    if plain is None or plain.rows[0].victim == row.victim:
        return "", ""
    before = {damage.picture: damage for damage in plain.rows[0].damages}
    pairs = [(before[one.picture], one) for one in row.damages if one.picture in before]
    if not pairs:
        return "", ""
    ratio = fmean(after.clean_bytes / first.clean_bytes for first, after in pairs)
    losses = [loss_db(first.clean_psnr_db, after.clean_psnr_db) for first, after in pairs]
    found = [loss for loss in losses if loss is not None]
    return _ratio(ratio), _db(fmean(found) if found else None)


def _pictures(finding: Finding) -> str:
    shown = []
    for name, panels in finding.panels:
        figures = [
            f'<figure><img alt="{html.escape(label)}" src="data:image/webp;base64,{panel}">'
            f"<figcaption>{html.escape(label)}</figcaption></figure>"
            for label, panel in zip(PANELS, panels, strict=True)
        ]
        half = len(PANELS) // 2  # what went in, above what came out
        rows = ("".join(strip) for strip in (figures[:half], figures[half:]))
        damage = next(one for one in finding.rows[0].damages if one.picture == name)
        told = (
            f"{name}: {finding.point}, attacker knows {_knows(finding.point)}; "
            f"output {_db(damage.output_psnr_db)} dB, bytes {_ratio(damage.bytes_ratio)}"
        )
        strips = "".join(f'<div class="strip">{row}</div>' for row in rows)
        shown.append(f"<details open><summary>{html.escape(told)}</summary>{strips}</details>\n")
    return "".join(shown)


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ratio(value: float) -> str:
    return f"× {value:.3f}"
