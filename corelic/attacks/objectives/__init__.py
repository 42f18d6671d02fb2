"""What attacks make larger; one file each."""

from corelic.attacks.objectives.base import Objective, Scene
from corelic.attacks.objectives.distortion import Distortion
from corelic.attacks.objectives.frobenius import Frobenius
from corelic.attacks.objectives.low_band import LowBandPenalty
from corelic.attacks.objectives.rate import Rate
from corelic.attacks.objectives.rate_distortion import RateDistortion
from corelic.attacks.objectives.region import Box, Region
from corelic.attacks.objectives.targeted import Targeted
from corelic.attacks.objectives.task import Classifier, TaskLoss

__all__ = [
    "Box",
    "Classifier",
    "Distortion",
    "Frobenius",
    "LowBandPenalty",
    "Objective",
    "Rate",
    "RateDistortion",
    "Region",
    "Scene",
    "Targeted",
    "TaskLoss",
]
