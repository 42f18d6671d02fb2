"""Noise: what a budget does without any thought. The row beside every attack.

Random search draws it many times and keeps what the real thing suffers from most: the row beside
every attack that asks as often.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from corelic.attacks.attack import Attack, Run
from corelic.attacks.pixels import wide


@dataclass(frozen=True)
class Noise(Attack):
    """One draw from the edge of the set, whatever it does."""

    @property
    def name(self) -> str:
        return "noise"

    def search(self, run: Run) -> Tensor:
        return run.constraint.noise(run.clean, run.random)


@dataclass(frozen=True)
class RandomSearch(Attack):
    """The best of `queries` draws, frame by frame, by real files."""

    queries: int = 2000

    @property
    def name(self) -> str:
        return f"random search, {self.queries} queries"

    @property
    def is_black_box(self) -> bool:
        return True

    def search(self, run: Run) -> Tensor:
        best, top = run.clean, None
        for _ in run.steps(self.queries):
            trial = run.constraint.noise(run.clean, run.random)
            score = run.ask(trial)
            better = score > top if top is not None else score == score
            best = trial.where(wide(better), best)
            top = score if top is None else score.where(better, top)
        return best
