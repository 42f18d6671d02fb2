"""Rows as JSON and back, so that a run that was stopped goes on, and a report can be made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corelic.attacks.evaluation.damage import Damage, Row
from corelic.disk import atomic_write

# Derived, written for whoever reads the file without this package.
MEANS = (
    *("input_psnr_db", "output_psnr_db", "source_loss_db", "psnr_loss_db", "ms_ssim_loss"),
    *("vi_db", "bytes_ratio", "linf_levels", "high_share"),
    *("score_before", "score_after", "reclassified", "infinite"),
)


def to_json(row: Row) -> dict[str, Any]:
    """For `json.dumps`; infinity is null, for JSON has no word for it."""
    means = {name: _finite(getattr(row, name)) for name in MEANS}
    damages = [
        {key: _finite(value) for key, value in asdict(damage).items()} for damage in row.damages
    ]
    return asdict(row) | {"mean": means, "damages": damages}


def from_json(content: Mapping[str, Any]) -> Row:
    """The inverse of `to_json`."""
    damages = []
    for damage in content["damages"]:
        values: dict[str, Any] = {
            key: math.inf if value is None and key.endswith("_psnr_db") else value
            for key, value in damage.items()
        }
        damages.append(Damage(**values))
    rest = {key: value for key, value in content.items() if key not in ("mean", "damages")}
    return Row(**rest, damages=tuple(damages))


def save_rows(path: Path, rows: Sequence[Row]) -> None:
    """All of the file or none of it; replaces one that is there."""
    text = json.dumps([to_json(row) for row in rows], indent=1, ensure_ascii=False)
    atomic_write(path, (text + "\n").encode(), overwrite=True)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
