"""What attacks are worth, measured on real files."""

from corelic.attacks.evaluation.controls import equal_noise, with_controls
from corelic.attacks.evaluation.curves import attacked_bd_rate
from corelic.attacks.evaluation.damage import CleanSide, Damage, Row
from corelic.attacks.evaluation.matching import matched
from corelic.attacks.evaluation.pipeline import Pipeline
from corelic.attacks.evaluation.sweep import Sweep, sweep

__all__ = [
    "CleanSide",
    "Damage",
    "Pipeline",
    "Row",
    "Sweep",
    "attacked_bd_rate",
    "equal_noise",
    "matched",
    "sweep",
    "with_controls",
]
