"""The median of every sample's neighbourhood: single samples that stand out are gone.

    x ─ 3 × 3 neighbours ─ median ─► x'        gradient: to the neighbour that was chosen

Xu, Evans & Qi, "Feature Squeezing", NDSS 2018, arXiv:1704.01155.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.defences.base import Cleaning
from corelic.attacks.errors import AttackError


class Median(Cleaning):
    """side_px  of the neighbourhood, odd; 1 changes nothing"""

    def __init__(self, side_px: int = 3) -> None:
        if side_px < 1 or side_px % 2 == 0:
            raise AttackError("the median", f"has a side of {side_px} pixels; give an odd number")
        self.side_px = side_px
        self.title = f"median {side_px} × {side_px}"

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        n, channels, height, width = x.shape
        padded = F.pad(x, [self.side_px // 2] * 4, mode="replicate")
        windows = padded.unfold(2, self.side_px, 1).unfold(3, self.side_px, 1)
        return windows.reshape(n, channels, height, width, -1).median(dim=-1).values
