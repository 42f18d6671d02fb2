"""A few victims of many in each step, drawn by saliency or evenly.

Sui et al., "Transferable Learned Image Compression-Resistant Adversarial Perturbations", BMVC 2024,
arXiv:2401.03115, sample codecs and qualities by a saliency score. Only the abstract could be read.
The reading is ours: a victim's score is the running mean of ‖∇ₓ score‖₁, its gradient's L1 norm at
the clip as it is now, relative to that at its first visit; victims are drawn without replacement,
with probabilities in proportion; one not visited yet counts as the mean of those that were.
The controls are `by="uniform"` and, at more passes a step, `Ensemble`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question
from corelic.attacks.modifiers.base import Modifier
from corelic.attacks.modifiers.ensemble import fused
from corelic.attacks.victim import Victim

KEPT = 0.5  # of the running mean, at each visit
LEAST = 0.05  # of the mean score: nobody is forgotten for good


@dataclass(frozen=True)
class Sampled(Modifier):
    """`count` of `victims` in every step, a pass each."""

    keeps_scores: ClassVar = False
    keeps_scale: ClassVar = False
    victims: tuple[Victim, ...]
    count: int = 2
    by: Literal["saliency", "uniform"] = "saliency"

    def __post_init__(self) -> None:
        if not 1 <= self.count <= len(self.victims):
            reason = f"draws {self.count} of {len(self.victims)} victims"
            raise AttackError(
                "sampling", f"{reason}; draw at least one, and no more than there are"
            )

    @property
    def title(self) -> str:
        return f"{self.count} of {len(self.victims)} by {self.by}"

    def wrap(self, inner: Gradient) -> Gradient:
        first: dict[int, float] = {}
        saliency: dict[int, float] = {}

        def gradient(question: Question) -> Answer:
            seen = [value for value in saliency.values() if value > 0]
            mean = sum(seen) / len(seen) if seen else 1.0
            weights = torch.ones(len(self.victims))
            if self.by == "saliency":
                for number in range(len(self.victims)):
                    weights[number] = max(saliency.get(number, mean), LEAST * mean)
            drawn = torch.multinomial(weights, self.count, generator=question.random).tolist()
            answers = []
            for number in drawn:
                answer = inner(question.of(self.victims[number]))
                norm = answer.gradient.abs().mean().item()
                # Relative: a high quality's bits have larger gradients than a low one's, always.
                relative = norm / first.setdefault(number, norm or 1.0)
                before = saliency.get(number, relative)
                saliency[number] = KEPT * before + (1 - KEPT) * relative
                answers.append(answer)
            return fused(answers)

        return gradient
