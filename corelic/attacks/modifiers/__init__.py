"""What goes with any attack that climbs gradients; one file each."""

from corelic.attacks.modifiers.average import Expectation
from corelic.attacks.modifiers.base import Modifier
from corelic.attacks.modifiers.diverse import Diverse
from corelic.attacks.modifiers.ensemble import Ensemble
from corelic.attacks.modifiers.momentum import Momentum
from corelic.attacks.modifiers.nesterov import Nesterov
from corelic.attacks.modifiers.sampled import Sampled
from corelic.attacks.modifiers.scales import Scales
from corelic.attacks.modifiers.smooth import Smooth
from corelic.attacks.modifiers.variance import VarianceTuning

__all__ = [
    "Diverse",
    "Ensemble",
    "Expectation",
    "Modifier",
    "Momentum",
    "Nesterov",
    "Sampled",
    "Scales",
    "Smooth",
    "VarianceTuning",
]
