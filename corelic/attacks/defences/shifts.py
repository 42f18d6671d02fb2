"""Resampling by shifts: every pixel is read a fraction of a pixel beside itself.

    shifts (N, 2, H, W) ─┐
    x ───────────────────┴─ bicubic at p + shift(p) ─► x'        differentiable

The baselines of Cao et al., "IRAD: Implicit Representation-driven Image Resampling against
Adversarial Attacks", ICLR 2024, of which only abstract and reviews are known to us: shifts drawn at
random, for every picture anew or once and for all. `irad` has the learned ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.defences.base import Cleaning
from corelic.attacks.errors import AttackError

SHIFT_MAX_PX = 4.0


class ShiftResampling(Cleaning):
    """shift_px  largest shift each way, in pixels; 0 changes nothing
    drawn_anew  for each picture; else one pattern for all, which an attacker knows"""

    def __init__(self, shift_px: float = 0.5, *, drawn_anew: bool = True, seed: int = 0) -> None:
        if not 0 <= shift_px <= SHIFT_MAX_PX:
            reason = f"reach {shift_px:g} pixels; give 0 to {SHIFT_MAX_PX:g}"
            raise AttackError("the shifts", reason)
        self.shift_px, self.drawn_anew, self.seed = shift_px, drawn_anew, seed
        self.stochastic = drawn_anew
        kind = "random" if drawn_anew else "fixed"
        self.title = f"{kind} shifts of {shift_px:g} px"

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        n, _, height, width = x.shape
        if self.drawn_anew:
            unit = torch.rand((n, 2, height, width), generator=random)
        else:
            fixed = torch.Generator().manual_seed(self.seed)
            unit = torch.rand((1, 2, height, width), generator=fixed).expand(n, -1, -1, -1)
        return resampled(x, (unit.to(x) * 2 - 1) * self.shift_px)


def resampled(x: Tensor, shifts_px: Tensor) -> Tensor:
    """x (N, C, H, W) read at every pixel plus its shift (N, 2: right and down, H, W) -> like x.

    Bicubic; beyond the border its pixels are repeated; clamped to [0, 1].
    """
    *_, height, width = x.shape
    right = torch.arange(width, dtype=x.dtype, device=x.device) + shifts_px[:, 0] + 0.5
    down = torch.arange(height, dtype=x.dtype, device=x.device)[:, None] + shifts_px[:, 1] + 0.5
    grid = torch.stack([right * (2 / width) - 1, down * (2 / height) - 1], dim=-1)
    read = F.grid_sample(x, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return read.clamp(0, 1)
