"""VT: the gradient here, corrected by how gradients around the last place differed from its own.

Wang & He, "Enhancing the Transferability of Adversarial Attacks through Variance Tuning", CVPR
2021, arXiv:2103.15571.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question
from corelic.attacks.modifiers.base import Modifier


@dataclass(frozen=True)
class VarianceTuning(Modifier):
    """neighbours  passes more in each step
    spread      they lie within ±spread of each sample; the paper has 1.5 epsilon
    """

    neighbours: int = 5
    spread: float = 12 / 255

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            reason = f"has {self.neighbours} neighbours; give at least one, as in variance=5"
            raise AttackError("variance tuning", reason)

    @property
    def title(self) -> str:
        return f"variance tuning {self.neighbours}"

    def wrap(self, inner: Gradient) -> Gradient:
        variance = torch.zeros(())

        def gradient(question: Question) -> Answer:
            nonlocal variance
            answer = inner(question)
            total = torch.zeros_like(answer.gradient)
            for _ in range(self.neighbours):
                offset = torch.rand(question.x.shape, generator=question.random) * 2 - 1
                near = question.x + self.spread * offset.to(question.x)
                total += inner(question.at(near)).gradient
            tuned = answer.gradient + variance.to(answer.gradient)
            variance = total / self.neighbours - answer.gradient
            return Answer(answer.score, tuned)

        return gradient
