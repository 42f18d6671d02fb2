"""SPSA: a gradient guessed from differences of real scores along random directions.

Spall, "Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient
Approximation", IEEE TAC 1992; as an attack, Uesato et al., ICML 2018, arXiv:1802.05666. Ours
differs: directions are constant on blocks of pixels, because a guess from a few differences in
fifty thousand dimensions is hardly one; differences are of whole levels, because files hold no
others; guesses are summed over all steps, for the noise of one is larger than what it says.

    g ← g + Σ over pairs of (score(x + c v) − score(x − c v)) · v;  x ← project(x + stride · g)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.attack import Attack, Run
from corelic.attacks.constraints.base import signs
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import wide

PROBE = 2 / 255  # c
REACH = 8.0  # all strides together, in radii: signs that turn out wrong can be left again


@dataclass(frozen=True)
class SPSA(Attack):
    """queries   of real files, two a pair, and one for each step's result
    pairs     of differences a step
    block_px  side of the blocks on which directions are constant
    """

    queries: int = 2000
    pairs: int = 12
    block_px: int = 4

    @property
    def name(self) -> str:
        return f"SPSA, {self.queries} queries"

    @property
    def is_black_box(self) -> bool:
        return True

    def search(self, run: Run) -> Tensor:
        clean, constraint = run.clean, run.constraint
        steps = self.queries // (2 * self.pairs + 1)
        if steps == 0:
            reason = f"{self.queries} queries are no step of {self.pairs} pairs"
            raise AttackError("SPSA", f"{reason}; give at least {2 * self.pairs + 1}")
        stride = min(REACH / steps, 1.0) * constraint.radius
        x = best = clean
        top: Tensor | None = None
        guess = torch.zeros_like(clean)
        for _ in run.steps(steps):
            for _ in range(self.pairs):
                direction = blocks(clean, self.block_px, run.random)
                rise = run.oracle((x + PROBE * direction).clamp(0, 1))
                rise = rise - run.oracle((x - PROBE * direction).clamp(0, 1))
                guess += wide(rise) * direction
            uphill = constraint.steer(guess, x, clean)
            x = constraint.project(x + constraint.ascent(uphill, stride), clean)
            score = run.ask(x)
            better = score > top if top is not None else score == score
            best = x.where(wide(better), best)
            top = score if top is None else score.where(better, top)
        return best


def blocks(clean: Tensor, block_px: int, random: torch.Generator) -> Tensor:
    """-1 or 1 like `clean`, constant on squares and in each colour."""
    frames, _, height, width = clean.shape
    coarse = torch.Size((frames, 3, -(-height // block_px), -(-width // block_px)))
    wide = F.interpolate(signs(coarse, random), scale_factor=block_px, mode="nearest")
    return wide[:, :, :height, :width].to(clean)
