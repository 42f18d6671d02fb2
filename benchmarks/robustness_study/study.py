"""What all sections share: crops, victims, sizes, and cells that are measured once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from corelic.attacks.evaluation.damage import CleanSide
from corelic.attacks.victim import Victim, victim_of
from corelic.codecs.api import open_image_codec
from corelic.disk import atomic_write
from corelic.media import Picture, read_picture

SEED = 0
# The codec of the tests: learned, trained for seconds, fast, and no more than that.
TINY_WEIGHTS = Path(__file__).parents[2] / "tests" / "golden" / "tiny-1.safetensors"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    crops            one from the middle of each Kodak picture, spread over the set
    steps            of attacks with gradients in the first table
    short_steps      in the others
    transfer_crops   of 64 px, for confidence intervals
    passes           that each way of sampling victims may spend
    queries          of a learned codec, if any; faster ones get `fast_queries`
    cifar            pictures for the classifier
    """

    crops: int
    crop_px: int
    steps: int
    short_steps: int
    qualities: tuple[int, ...]
    transfer_crops: int
    passes: int
    queries: int | None
    fast_queries: int
    cifar: int


SIZES = {
    "quick": Size(2, 64, 4, 2, (20, 80), 2, 6, 26, 52, 8),
    "small": Size(3, 128, 40, 10, (20, 50, 80), 12, 60, 2000, 2000, 40),
    "full": Size(24, 256, 40, 40, (20, 50, 80), 24, 240, 2000, 2000, 500),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A measurement with a name; what it gives is kept as JSON."""

    name: str
    run: Callable[[], Any]


@dataclass(frozen=True)
class Study:
    """codecs    learned ones, by name
    control   the classical one beside them
    hardened  weights of the first codec, fine-tuned on stored attacks, if any
    """

    size: Size
    codecs: tuple[str, ...]
    control: str
    folder: Path  # of what was measured
    hardened: Path | None = None

    @cached_property
    def data(self) -> Path:
        found = os.environ.get("CORELIC_DATA")
        if not found:
            raise SystemExit("error: CORELIC_DATA is unset; let it name the folder of test data")
        return Path(found)

    def paths(self, count: int) -> list[Path]:
        found = sorted((self.data / "kodak").glob("*.png"))
        places = np.linspace(0, len(found) - 1, count + 2)[1:-1].round().astype(int)
        return [found[place] for place in places]

    def cut(self, count: int, side_px: int) -> list[Picture]:
        """From the middle of so many pictures."""
        return [read_picture(path).middle(side_px, side_px) for path in self.paths(count)]

    @cached_property
    def crops(self) -> list[Picture]:
        return self.cut(self.size.crops, self.size.crop_px)

    @property
    def names(self) -> list[str]:
        return [path.stem for path in self.paths(self.size.crops)]

    def victim(self, codec: str, quality: float) -> Victim:
        return victim_of(open_image_codec(codec, "cpu"), quality)

    def side(self, victim: Victim, crops: Sequence[Picture] | None = None) -> CleanSide:
        chosen = self.crops if crops is None else crops
        return CleanSide(victim, chosen, [f"crop {number}" for number in range(len(chosen))])

    @property
    def middle_quality(self) -> int:
        return self.size.qualities[len(self.size.qualities) // 2]

    def path(self, cell: str) -> Path:
        return self.folder / f"{cell}.json"

    def measured(self, cell: str) -> Any:
        """What a cell gave; None where it has not been measured."""
        path = self.path(cell)
        return json.loads(path.read_text()) if path.exists() else None

    def measure(self, cell: Cell) -> None:
        found = json.dumps(cell.run(), indent=1, ensure_ascii=False) + "\n"
        self.path(cell.name).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path(cell.name), found.encode(), overwrite=True)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def db(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
