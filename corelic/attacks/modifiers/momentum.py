"""MI: a memory of past gradients.

Dong et al., "Boosting Adversarial Attacks with Momentum", CVPR 2018, arXiv:1710.06081.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question, per_mean
from corelic.attacks.modifiers.base import Modifier


@dataclass(frozen=True)
class Momentum(Modifier):
    """g ← decay · g + gradient / ‖gradient‖₁."""

    keeps_scale: ClassVar = False
    decay: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.decay < math.inf:
            reason = f"has a decay of {self.decay}; give 0 or more, as in momentum=0.9"
            raise AttackError("momentum", reason)

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
