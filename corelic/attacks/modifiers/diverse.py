"""DI: the victim sees the clip smaller, somewhere on a border, at random.

Xie et al., "Improving Transferability of Adversarial Examples with Input Diversity", CVPR 2019,
arXiv:1803.06978. Ours differs: the border is the mean level, not black, and the clean clip goes the
same way, for a codec's reference depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question, through
from corelic.attacks.modifiers.base import Modifier

BORDER = 0.5


@dataclass(frozen=True)
class Diverse(Modifier):
    """probability  of a view; else the clip as it is
    smallest     share of each side that it may shrink to
    """

    keeps_scores: ClassVar = False
    moves: ClassVar = frozenset({"pixels"})
    probability: float = 0.5
    smallest: float = 0.9

    def __post_init__(self) -> None:
        if not (0 <= self.probability <= 1 and 0 < self.smallest <= 1):
            reason = f"has a probability of {self.probability} and a share of {self.smallest}"
            raise AttackError("diversity", f"{reason}; both lie in 0 … 1, as in diverse=0.5")

    @property
    def title(self) -> str:
        return f"diverse {self.probability:g}"

    def wrap(self, inner: Gradient) -> Gradient:
        def gradient(question: Question) -> Answer:
            random = question.random
            share, across, down, size = torch.rand(4, generator=random).tolist()
            if share >= self.probability:
                return inner(question)
            height, width = question.x.shape[-2:]
            scale = self.smallest + (1 - self.smallest) * size
            small = max(1, round(height * scale)), max(1, round(width * scale))
            left = round((width - small[1]) * across)
            top = round((height - small[0]) * down)
            borders = left, width - small[1] - left, top, height - small[0] - top

            def view(x: Tensor) -> Tensor:
                x = F.interpolate(x, small, mode="bilinear", align_corners=False)
                return F.pad(x, borders, value=BORDER)

            return through(view, inner, question)

        return gradient
