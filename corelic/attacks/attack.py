"""What every attack is: a search, between a clean clip and a last word about the result.

    pictures ─► clip ─► search: objective, victim, modifiers, projections ─► constraint ─► pictures
                          └ white box: gradients of `Victim.forward`           (8 bits, checked)
                          └ black box: scores of `Victim.code`, real files

    PGD(victim, objective=Distortion(), constraint=Linf(8 / 255), steps=40, modifiers=[Momentum()])

An optimiser says how to search and nothing else; what it climbs, how far it may go, and what
becomes of gradients on the way are parts that go with any of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from time import perf_counter
from typing import ClassVar, final

import torch
from torch import Tensor

from corelic.attacks.constraints.base import Constraint
from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Question
from corelic.attacks.modifiers.base import Modifier
from corelic.attacks.objectives.base import Objective
from corelic.attacks.oracle import Oracle
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.probe import Probe
from corelic.attacks.victim import Victim
from corelic.media import Picture

Progress = Callable[[int, int], None]  # steps done, steps there are

OFF_CLEAN = 1 / 255  # where a search starts that starts at the clean clip
LOT_PX = 8  # side of the noise whose lots a black box draws


def silent(done: int, total: int) -> None:
    """The progress of a run that nobody watches."""


@dataclass(frozen=True, slots=True, eq=False)
class AttackResult:
    """What an attack made of a clip; what it is worth, `evaluation` measures on real files.

    title      of the attack
    objective  what it made larger
    clean      the frames it was given, as 8-bit RGB
    pictures   attacked, 8-bit RGB, within the constraint
    start      the objective's score of each clean frame
    end        of each attacked frame, after rounding, on the same side as the attack saw it and
               under the same lots: `Victim.forward` for attacks with gradients, `Victim.code` for
               those without
    succeeded  whether a frame was moved towards the aim at all
    flat       whether a frame never had a gradient: the victim does not depend on its input, or
               hides it; false for attacks that use none
    passes     forward and backward, over the whole clip
    queries    of the real thing, each one over the whole clip
    seconds    all of it
    """

    title: str
    objective: Objective
    clean: tuple[Picture, ...]
    pictures: tuple[Picture, ...]
    start: tuple[float, ...]
    end: tuple[float, ...]
    succeeded: tuple[bool, ...]
    flat: tuple[bool, ...]
    passes: int
    queries: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Run:
    """One attack on one clip, while it lasts.

    clean     (T, 3, H, W) in [0, 1], multiples of 1/255
    random    all chance of the search
    seed      of the run
    probe     scores and gradients of the differentiable victim
    oracle    scores of the real thing
    """

    victim: Victim
    constraint: Constraint
    clean: Tensor
    random: torch.Generator
    seed: int
    probe: Probe
    oracle: Oracle
    progress: Progress

    def question(self, x: Tensor, stride: float = 0.0, *, compared: bool = False) -> Question:
        """compared: whether scores are, so that all are to be under the same lots."""
        lots = lots_of(self.seed) if compared else None
        return Question(self.victim, self.clean, x, self.random, stride, lots)

    def score(self, x: Tensor) -> Tensor:
        """(T,) of the differentiable victim, under the same lots each time."""
        return self.probe.score(replace(self.question(x), random=lots_of(self.seed)))

    def beside_clean(self) -> Tensor:
        """The clean clip, each sample up to a level off: at it a distortion has no gradient."""
        noise = torch.rand(self.clean.shape, generator=self.random).to(self.clean) * 2 - 1
        return self.clean + OFF_CLEAN * noise

    def ask(self, x: Tensor) -> Tensor:
        """(T,) scores of what would be handed over for x, from real files; one query."""
        return self.oracle(self.constraint(x, self.clean))

    def steps(self, count: int) -> Iterator[int]:
        """0 … count − 1, each told to whoever watches when it is done."""
        for step in range(count):
            yield step
            self.progress(step + 1, count)


def lots_of(seed: int) -> torch.Generator:
    """What victims draw for scores that are compared; apart from what a search draws."""
    return torch.Generator().manual_seed(seed ^ 1)


@dataclass(frozen=True)
class Attack(ABC):
    """Final ones are frozen dataclasses that say how to search."""

    victim: Victim
    _: KW_ONLY
    objective: Objective
    constraint: Constraint
    seed: int = 0

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the optimiser and what it is set to, as in "PGD-40"."""

    @property
    def title(self) -> str:
        return f"{self.name}, {self.objective.title}, {self.constraint.title}"

    @abstractmethod
    def search(self, run: Run) -> Tensor:
        """(T, 3, H, W), the best clip found."""

    @property
    def is_black_box(self) -> bool:
        """Whether it asks the real thing only, hence is scored by it."""
        return False

    def reached(self, start: Tensor, end: Tensor) -> Tensor:
        """(T,) scores each -> (T,) bool."""
        return end > start

    @final
    def __call__(self, pictures: Sequence[Picture], *, progress: Progress = silent) -> AttackResult:
        """Attacks one clip: frames of one size, or a single picture; without transparency.

        AttackError where a part does not go with the pictures.
        """
        begin = perf_counter()
        clean = clip_of(pictures)
        # Of noise: those of the clean clip are what figures are measured under, and not known.
        noise = torch.rand((len(clean), 3, LOT_PX, LOT_PX), generator=lots_of(self.seed))
        run = Run(
            victim=self.victim,
            constraint=self.constraint,
            clean=clean,
            random=torch.Generator().manual_seed(self.seed),
            seed=self.seed,
            probe=Probe(self.objective, clean),
            oracle=Oracle(self.victim, self.objective, clean, pictures_of(noise)),
            progress=progress,
        )
        attacked = self.constraint(self.search(run), clean)
        queries = run.oracle.queries
        score = run.oracle if self.is_black_box else run.score
        start, end = score(clean), score(attacked)
        flat = ~run.probe.moved if run.probe.passes else torch.zeros_like(run.probe.moved)
        return AttackResult(
            title=self.title,
            objective=self.objective,
            clean=pictures_of(clean),
            pictures=pictures_of(attacked),
            start=tuple(start.tolist()),
            end=tuple(end.tolist()),
            succeeded=tuple(self.reached(start, end).tolist()),
            flat=tuple(flat.tolist()),
            passes=run.probe.passes,
            queries=queries,
            seconds=perf_counter() - begin,
        )


@dataclass(frozen=True)
class GradientAttack(Attack):
    """Attacks that follow gradients.

    modifiers  in the order in which the gradient passes them
    """

    # Whether it compares scores of the clips that it meets; then its constraint is to be strict.
    keeps_best: ClassVar[bool] = False
    # Whether it weighs the gradient against another one, and not its direction alone.
    weighs: ClassVar[bool] = False

    modifiers: Sequence[Modifier] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """AttackError where a modifier goes with neither the search nor the objective."""
        for modifier in self.modifiers:
            if self.keeps_best and not modifier.keeps_scores:
                reason = f"keeps the clip with the best score, and behind {modifier.title} scores"
                reason += " are of another place or victim; use pgd for it"
                raise AttackError(self.name, reason)
            if self.weighs and not modifier.keeps_scale:
                reason = f"weighs the score against the distance, and behind {modifier.title} "
                reason += "gradients say nothing of how steep it is; leave that out"
                raise AttackError(self.name, reason)
            moved = sorted(modifier.moves & self.objective.fixes)
            if moved:
                reason = f"looks at {moved[0]} that {modifier.title} moves; leave that out"
                raise AttackError(self.objective.title, reason)
