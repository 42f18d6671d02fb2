"""Where an attack gets its direction from: a question about a clip, and its answer.

Whoever answers is a `Gradient`: the bare one (`probe.Probe`), or a modifier around another. The
clean clip travels with the question: who transforms what the victim sees must transform both, or
else the attack would climb the difference that the transform itself makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from corelic.attacks.victim import Victim


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Which way is up, and how high is it here?

    victim  whose answer is asked for
    clean   (T, 3, H, W) in [0, 1]
    x       (T, 3, H, W) where
    random  all chance comes from here
    stride  of the step that will follow, in pixel units; for those who look ahead
    lots    what a victim draws for the score, where that is compared; None: what it has drawn for
            the gradient
    """

    victim: Victim
    clean: Tensor
    x: Tensor
    random: torch.Generator
    stride: float
    lots: torch.Generator | None = None

    def at(self, x: Tensor) -> Question:
        return replace(self, x=x)

    def of(self, victim: Victim) -> Question:
        return replace(self, victim=victim)

    def with_clip(self, x: Tensor, clean: Tensor) -> Question:
        return replace(self, x=x, clean=clean)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """score (T,) of the objective; gradient (T, 3, H, W) of its sum."""

    score: Tensor
    gradient: Tensor


Gradient = Callable[[Question], Answer]


def through(transform: Callable[[Tensor], Tensor], inner: Gradient, question: Question) -> Answer:
    """The answer about a transformed clip, its gradient carried back through the transform."""
    x = question.x.detach().requires_grad_()
    seen = transform(x)
    with torch.no_grad():
        clean = transform(question.clean)
    answer = inner(question.with_clip(seen.detach(), clean))
    (gradient,) = torch.autograd.grad(seen, x, answer.gradient)
    return Answer(answer.score, gradient)


def per_mean(gradient: Tensor) -> Tensor:
    """Divided by the mean of its magnitudes, frame by frame: the L1 norm, whatever the size."""
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-20)
