"""How far attacks may go; one file each."""

from corelic.attacks.constraints.base import Constraint
from corelic.attacks.constraints.high_band import HighBand
from corelic.attacks.constraints.linf import Linf
from corelic.attacks.constraints.mean_square import MeanSquare
from corelic.attacks.constraints.two_branch import TwoBranch

__all__ = ["Constraint", "HighBand", "Linf", "MeanSquare", "TwoBranch"]
