"""The bare gradient: one pass forward through a victim, one back from an objective.

Question ─► modifier ─► … ─► modifier ─► Probe ─► victim, objective ─► backward ─► Answer
Answer ◄── modifier ◄── … ◄── modifier ◄──────────────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from corelic.attacks.gradient import Answer, Gradient, Question
from corelic.attacks.modifiers.base import Modifier
from corelic.attacks.objectives.base import Objective, Scene
from corelic.attacks.victim import Victim
from corelic.codecs.base import Reconstruction

SEED_RANGE = 2**62


class Probe:
    """The bare gradient of one objective: a forward and a backward pass. Counts what it does.

    passes  forward and backward passes so far, each over a whole clip
    moved   (T,) bool: whether a frame ever had a gradient other than zero
    """

    def __init__(self, objective: Objective, clean: Tensor) -> None:
        self.objective, self.clean = objective, clean
        self.passes = 0
        self.moved = torch.zeros(len(clean), dtype=torch.bool)
        self._references: dict[Victim, Reconstruction] = {}
        self._fixed: dict[Victim, Objective] = {}

    def __call__(self, question: Question) -> Answer:
        x = question.x.detach().requires_grad_()
        score = self.objective_for(question)(self.scene(question, x))
        self.passes += 1
        gradient = torch.zeros_like(x)
        if score.requires_grad:  # a constant has no graph
            (found,) = torch.autograd.grad(score.sum(), x, allow_unused=True)
            # What is not a number leads nowhere, and must not spread to the clip.
            gradient = gradient if found is None else found.nan_to_num(0.0, 0.0, 0.0)
        self.moved |= (gradient != 0).flatten(1).any(dim=1).cpu()
        if question.victim.stochastic and question.lots is not None:
            # Gradients are of new lots each time: one that is good for some draws only is none.
            return Answer(self.score(replace(question, random=question.lots)), gradient)
        return Answer(score.detach(), gradient)

    @torch.no_grad()
    def score(self, question: Question) -> Tensor:
        """(T,), without a gradient."""
        return self.objective_for(question)(self.scene(question, question.x)).detach()

    def objective_for(self, question: Question) -> Objective:
        """Of a transformed clip, what the clip itself has fixed."""
        if question.clean is self.clean:
            return self.objective
        victim = question.victim
        if victim not in self._fixed:
            own = question.with_clip(self.clean, self.clean)
            self._fixed[victim] = self.objective.fixed(partial(self.scene, own, self.clean))
        return self._fixed[victim]

    def scene(self, question: Question, x: Tensor) -> Scene:
        """Both passes; the one over the run's own clean clip once, where it is always alike."""
        victim, clean, random = question.victim, question.clean, question.random
        if victim.stochastic:
            seed = int(torch.randint(SEED_RANGE, (), generator=random))
            with torch.no_grad():
                reference = victim.forward(clean, torch.Generator().manual_seed(seed))
            random = torch.Generator().manual_seed(seed)
        elif clean is self.clean:
            if victim not in self._references:
                with torch.no_grad():
                    self._references[victim] = victim.forward(clean, random)
            reference = self._references[victim]
            if x is clean:  # what would come of it is known
                return Scene(clean, x, reference, reference)
        else:
            with torch.no_grad():
                reference = victim.forward(clean, random)
        return Scene(clean, x, reference, victim.forward(x, random))


def modified(probe: Gradient, modifiers: Sequence[Modifier]) -> Gradient:
    """Modifiers in the order in which the gradient passes them."""
    gradient = probe
    for modifier in modifiers:
        gradient = modifier.wrap(gradient)
    return gradient
