"""How attacks search; one file each."""

from corelic.attacks.optimisers.adam import Adam
from corelic.attacks.optimisers.apgd import APGD
from corelic.attacks.optimisers.carlini_wagner import CarliniWagner
from corelic.attacks.optimisers.genetic import Genetic
from corelic.attacks.optimisers.noise import Noise, RandomSearch
from corelic.attacks.optimisers.pgd import PGD, fgsm
from corelic.attacks.optimisers.spsa import SPSA
from corelic.attacks.optimisers.square import Square

__all__ = [
    "APGD",
    "PGD",
    "SPSA",
    "Adam",
    "CarliniWagner",
    "Genetic",
    "Noise",
    "RandomSearch",
    "Square",
    "fgsm",
]
