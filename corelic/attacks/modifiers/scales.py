"""SI: the mean gradient of darker copies, each half as bright as the last.

Lin et al., "Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks", ICLR 2020,
arXiv:1908.06281, section 3.2. Ours differs: the clean clip darkens, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question, through
from corelic.attacks.modifiers.base import Modifier


@dataclass(frozen=True)
class Scales(Modifier):
    """The clip times 1, 1/2, 1/4, …: `copies` of them, each a pass."""

    moves: ClassVar = frozenset({"levels"})
    copies: int = 5

    def __post_init__(self) -> None:
        if self.copies < 1:
            reason = f"has {self.copies} copies; give at least one, as in scales=5"
            raise AttackError("scaling", reason)

    @property
    def title(self) -> str:
        return f"{self.copies} scales"

    def wrap(self, inner: Gradient) -> Gradient:
        def gradient(question: Question) -> Answer:
            answers = [inner(question)]
            for copy in range(1, self.copies):
                darker = partial(torch.mul, torch.tensor(0.5**copy))
                answers.append(through(darker, inner, question))
            mean = torch.stack([answer.gradient for answer in answers]).mean(dim=0)
            return Answer(answers[0].score, mean)

        return gradient
