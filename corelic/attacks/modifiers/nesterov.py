"""NI: momentum that looks where it is about to go.

Lin et al., "Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks", ICLR 2020,
arXiv:1908.06281, section 3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question, per_mean
from corelic.attacks.modifiers.base import Modifier


@dataclass(frozen=True)
class Nesterov(Modifier):
    """Asks at x + stride · decay · g, then g ← decay · g + gradient / ‖gradient‖₁."""

    keeps_scores: ClassVar = False
    decay: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.decay < math.inf:
            reason = f"has a decay of {self.decay}; give 0 or more, as in nesterov=0.9"
            raise AttackError("Nesterov", reason)

    @property
    def title(self) -> str:
        return f"Nesterov {self.decay:g}"

    def wrap(self, inner: Gradient) -> Gradient:
        memory = torch.zeros(())

        def gradient(question: Question) -> Answer:
            nonlocal memory
            memory = memory.to(question.x.device)
            ahead = question.x + question.stride * self.decay * memory
            answer = inner(question.at(ahead.clamp(0, 1)))
            memory = self.decay * memory + per_mean(answer.gradient)
            return Answer(answer.score, memory)

        return gradient
