"""Several victims at once: what fools all of them may fool the next.

Liu et al., "Delving into Transferable Adversarial Examples and Black-box Attacks", ICLR 2017,
arXiv:1611.02770. Ours differs: gradients are fused, not logits, for codecs have none; each is
divided by its L1 norm, so that the victim with the largest score does not drown the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from corelic.attacks.gradient import Answer, Gradient, per_mean
from corelic.attacks.modifiers.base import Modifier
from corelic.attacks.victim import Victim


@dataclass(frozen=True)
class Ensemble(Modifier):
    """All `victims` in every step, the attack's own only if it is among them; a pass each."""

    keeps_scale: ClassVar = False
    victims: tuple[Victim, ...]

    @property
    def title(self) -> str:
        return f"ensemble of {len(self.victims)}"

    def wrap(self, inner: Gradient) -> Gradient:
        return lambda question: fused([inner(question.of(victim)) for victim in self.victims])


def fused(answers: Sequence[Answer]) -> Answer:
    return Answer(
        torch.stack([answer.score for answer in answers]).mean(dim=0),
        torch.stack([per_mean(answer.gradient) for answer in answers]).mean(dim=0),
    )
