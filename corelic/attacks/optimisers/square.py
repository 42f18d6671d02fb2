"""Square: random squares, kept where the real thing suffers more.

Andriushchenko et al., "Square Attack: a Query-efficient Black-box Adversarial Attack via Random
Search", ECCV 2020, arXiv:1912.00049: vertical stripes first, then squares that shrink as queries
are spent. The schedule is the paper's, stretched to the number of queries; ours differs: scores are
of real files, any constraint may follow, and no query is spent on a square that is there already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.attack import Attack, Run
from corelic.attacks.constraints.base import signs
from corelic.attacks.pixels import levels, wide

SHRINKS = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)  # of SPAN queries; each halves the area
SPAN = 10_000
REDRAWN = 8  # times at most: where black and white stop every change, a query is lost all the same


@dataclass(frozen=True)
class Square(Attack):
    """queries  of real files
    area     share of the picture that the first squares have
    """

    queries: int = 2000
    area: float = 0.1

    @property
    def name(self) -> str:
        return f"Square, {self.queries} queries"

    @property
    def is_black_box(self) -> bool:
        return True

    def side_px(self, query: int, height: int, width: int) -> int:
        """Of the square that is tried as number `query`, counted from 0."""
        halvings = sum(query * SPAN >= shrink * self.queries for shrink in SHRINKS)
        side = round(math.sqrt(self.area / 2**halvings * height * width))
        return min(max(side, 1), height, width)

    def search(self, run: Run) -> Tensor:
        clean, random, radius = run.clean, run.random, run.constraint.radius
        frames, _, height, width = clean.shape
        stripes = signs(torch.Size((frames, 3, 1, width)), random).to(clean)
        best = run.constraint.project(clean + radius * stripes, clean)
        top = run.ask(best)
        for query in run.steps(self.queries - 1):
            side = self.side_px(query, height, width)
            trial = best.clone()
            for frame in range(frames):
                row = int(torch.randint(height - side + 1, (), generator=random))
                column = int(torch.randint(width - side + 1, (), generator=random))
                window = frame, slice(None), slice(row, row + side), slice(column, column + side)
                for _ in range(REDRAWN):
                    sign = signs(torch.Size((3, 1, 1)), random).to(clean)
                    trial[window] = clean[window] + radius * sign
                    if not levels(trial[window]).equal(levels(best[window])):
                        break
            trial = run.constraint.project(trial, clean)
            score = run.ask(trial)
            better = score > top
            best = trial.where(wide(better), best)
            top = score.where(better, top)
        return best
