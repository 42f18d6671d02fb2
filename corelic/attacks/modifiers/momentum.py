"""MI: a memory of past gradients.

Dong et al., "Boosting Adversarial Attacks with Momentum", CVPR 2018, arXiv:1710.06081.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from corelic.attacks.gradient import Answer, Gradient, Question, per_mean
from corelic.attacks.modifiers.base import Modifier


@dataclass(frozen=True)
class Momentum(Modifier):
    """g ← decay · g + gradient / ‖gradient‖₁."""

    decay: float = 1.0

    @property
    def title(self) -> str:
        return f"momentum {self.decay:g}"

    def wrap(self, inner: Gradient) -> Gradient:
        memory: Tensor | None = None

        def gradient(question: Question) -> Answer:
            nonlocal memory
            answer = inner(question)
            found = per_mean(answer.gradient)
            memory = found if memory is None else self.decay * memory + found
            return Answer(answer.score, memory)

        return gradient
