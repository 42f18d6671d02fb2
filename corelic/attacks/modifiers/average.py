"""EOT: the mean gradient of several draws of a victim that draws lots.

Athalye et al., "Synthesizing Robust Adversarial Examples", ICML 2018, arXiv:1707.07397.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question
from corelic.attacks.modifiers.base import Modifier


@dataclass(frozen=True)
class Expectation(Modifier):
    """`draws` passes in each step; AttackError for a victim that would answer all alike."""

    draws: int = 8

    def __post_init__(self) -> None:
        if self.draws < 1:
            reason = f"has {self.draws} draws; give at least one, as in eot=8"
            raise AttackError("EOT", reason)

    @property
    def title(self) -> str:
        return f"EOT {self.draws}"

    def wrap(self, inner: Gradient) -> Gradient:
        def gradient(question: Question) -> Answer:
            if not question.victim.stochastic:
                reason = f"{question.victim.title} draws no lots, so an average changes nothing"
                raise AttackError("EOT", f"{reason}; leave it out")
            answers = [inner(question) for _ in range(self.draws)]
            return Answer(
                torch.stack([answer.score for answer in answers]).mean(dim=0),
                torch.stack([answer.gradient for answer in answers]).mean(dim=0),
            )

        return gradient
