"""TI: the gradient, smoothed, stands for the mean gradient of shifted clips.

Dong et al., "Evading Defenses to Transferable Adversarial Examples by Translation-Invariant
Attacks", CVPR 2019, arXiv:1904.02884.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Gradient, Question
from corelic.attacks.modifiers.base import Modifier


@dataclass(frozen=True)
class Smooth(Modifier):
    """A Gaussian window of odd side `size_px`, whose standard deviation is a sixth of its side."""

    size_px: int = 7

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.size_px % 2 == 0:
            reason = f"has a window of {self.size_px} px; give an odd side, as in smooth=7"
            raise AttackError("smoothing", reason)

    @property
    def title(self) -> str:
        return f"smooth {self.size_px}"

    def wrap(self, inner: Gradient) -> Gradient:
        offsets = torch.arange(self.size_px) - (self.size_px - 1) / 2
        window = torch.exp(-(offsets**2) / (2 * (self.size_px / 6) ** 2))
        window = window / window.sum()

        def gradient(question: Question) -> Answer:
            answer = inner(question)
            weights = window.to(answer.gradient).expand(3, 1, -1)
            half = self.size_px // 2
            rows = F.conv2d(answer.gradient, weights[:, :, :, None], padding=(half, 0), groups=3)
            smooth = F.conv2d(rows, weights[:, :, None, :], padding=(0, half), groups=3)
            return Answer(answer.score, smooth)

        return gradient
