"""Results on standard output, for people or, with --json, for programs."""

import json
import math
from collections.abc import Mapping, Sequence

Figures = Mapping[str, object]


def print_json(figures: Figures | Sequence[Figures]) -> None:
    """Strict JSON: an infinite PSNR is null, for JSON has no word for it."""
    if isinstance(figures, Mapping):
        print(json.dumps(_finite(figures), indent=2))
    else:
        print(json.dumps([_finite(one) for one in figures], indent=2))


def _finite(figures: Figures) -> dict[str, object]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }
