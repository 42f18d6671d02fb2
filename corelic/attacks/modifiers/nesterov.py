"""NI: momentum that looks where it is about to go.

Lin et al., "Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks", ICLR 2020,
arXiv:1908.06281, section 3.1. Ours differs: the memory of t steps is t times as large as a step, so
that looking ahead by it would leave the set ever further behind; ours looks one stride ahead.
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
class Nesterov(Modifier):
    """Asks at x + stride · decay · g / ‖g‖₁, then g ← decay · g + gradient / ‖gradient‖₁."""

    keeps_scores: ClassVar = False
    keeps_scale: ClassVar = False
    decay: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.decay < math.inf:
            reason = f"has a decay of {self.decay}; give 0 or more, as in nesterov=0.9"
            raise AttackError("Nesterov", reason)

    @property
    def title(self) -> str:
        return f"Nesterov {self.decay:g}"

    def wrap(self, inner: Gradient) -> Gradient:
        memory: Tensor | None = None

        def gradient(question: Question) -> Answer:
            nonlocal memory
            asked = question
            if memory is not None:
                ahead = question.x + question.stride * self.decay * per_mean(memory)
                asked = question.at(ahead.clamp(0, 1))
            answer = inner(asked)
            found = per_mean(answer.gradient)
            memory = found if memory is None else self.decay * memory + found
            return Answer(answer.score, memory)

        return gradient
