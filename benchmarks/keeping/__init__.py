"""Where the figures of a measurement are kept: never in the place of another one's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from corelic.codecs.files import FileCodec
from corelic.disk import atomic_write
from corelic.eval.results import slug

RESULTS = Path(__file__).parents[1] / "results"


def place_of(
    kind: str, codec: FileCodec, out: Path | None, *, partial: bool, variant: str = ""
) -> Path | None:
    """`out`, or results/KIND-CODEC.json; None, and said so, where others belong there.

    partial  of some pictures only, or of other settings than those that are published
    variant  of the codec, as in `-fast`
    """
    if out is not None:
        return out
    name = codec.facts.name
    if codec.spec.generation and not partial:
        return RESULTS / f"{kind}-{slug(name)}{variant}.json"
    what = "these are of a part" if partial else f"every export of your own is a {name}"
    print(f"figures are shown, not kept, for {what}: give --out FILE to keep them", file=sys.stderr)
    return None


def keep(result: dict[str, Any], out: Path | None) -> None:
    """Writes a result to its place, if it has one."""
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, (json.dumps(result, indent=1) + "\n").encode(), overwrite=True)
    print(f"all figures: {out}")
