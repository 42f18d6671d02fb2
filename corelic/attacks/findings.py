"""What a grid of attacks has found: one line for each combination, over all pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corelic.attacks.evaluation.damage import Row
from corelic.jobs import Failure

NONE = "none"  # no defence
AMPLIFIED = 8  # differences, around mid-grey
PANELS = (
    *("clean", "attacked", f"difference × {AMPLIFIED}"),
    *("decoded clean", "decoded attacked", f"difference × {AMPLIFIED}"),
)

Knows = Literal["codec", "all"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is crossed with what, each as it is spelt on the command line.

    defences  beside none, which is always there
    control   classical codec, at the quality that gives the clean picture the same PSNR
    draws     of a victim that draws lots, averaged by an attacker who knows it (EOT)
    side_px   of the middle of each picture; None is the whole picture
    clean     other photographs, for defences that measure before they work
    sample    so many pictures are shown in the report
    device    of learned codecs' networks
    """

    codecs: tuple[str, ...]
    qualities: tuple[float, ...]
    attacks: tuple[str, ...]
    objectives: tuple[str, ...]
    constraints: tuple[str, ...]
    defences: tuple[str, ...] = ()
    control: str = "jpeg"
    steps: int = 40
    queries: int = 2000
    draws: int = 3
    seed: int = 0
    side_px: int | None = None
    clean: tuple[Path, ...] = ()
    sample: int = 2
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Point:
    """Of the grid, whatever the picture.

    knows  the attacker: "all", or the "codec" without its defence
    """

    codec: str
    quality: float
    defence: str
    knows: Knows
    attack: str
    objective: str
    constraint: str

    def __str__(self) -> str:
        behind = "" if self.defence == NONE else f" behind {self.defence}"
        attack = f"{self.attack}, {self.objective}, {self.constraint}"
        return f"{self.codec}{behind} at {self.quality:g}, {attack}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A point over all pictures that it could be measured on.

    rows    the attack and equal noise on the victim; where nothing defends it, both on the control
    panels  by the picture's name, of pictures that are shown: as PANELS names them, WebP, base64
    """

    point: Point
    rows: tuple[Row, ...]
    panels: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves; the folder has it all."""

    plan: Plan
    findings: tuple[Finding, ...]
    failures: tuple[Failure, ...]
