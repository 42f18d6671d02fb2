"""Fewer levels per sample: perturbations smaller than half a step vanish, unless they tip one.

    x ─ round(x · (2^bits − 1)) / (2^bits − 1) ─► x'        gradient: the identity's (BPDA)

Xu, Evans & Qi, "Feature Squeezing", NDSS 2018, arXiv:1704.01155.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corelic.attacks.defences.base import Cleaning, straight_through
from corelic.attacks.errors import AttackError


class BitDepth(Cleaning):
    """bits in 1 … 8; 8 changes no 8-bit picture."""

    def __init__(self, bits: int = 5) -> None:
        if not 1 <= bits <= 8:
            raise AttackError("the bit depth", f"is {bits}; give 1 to 8 bits per sample")
        self.bits = bits
        self.title = f"{bits} bits"

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        top = 2**self.bits - 1
        return straight_through(x, (x * top + 0.5).floor() / top)
