"""Attacks on codecs, and on what stands behind them; defences; what either is worth.

from corelic.attacks.constraints import Linf
from corelic.attacks.modifiers import Momentum
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import PGD
from corelic.attacks.victim import LearnedVictim

attack = PGD(
    LearnedVictim("swift", 50),
    objective=Distortion(),
    constraint=Linf(8 / 255),
    modifiers=[Momentum(0.9)],
)
result = attack([picture])
"""
