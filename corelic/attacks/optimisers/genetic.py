"""Genetic search: patterns of blocks that are darker or lighter.

The idea is QuScore's: uniform crossover, tournaments, and a population that a transfer attack may
seed. Ours differs: fitness is what gradients cannot see, real bytes and real decode error; genes
are signs, for a block that is left as it was wastes budget, and only a seed has such blocks; a seed
is read as such a pattern, not scaled twice; one child at a time takes the place of the worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.attack import Attack, Run
from corelic.attacks.constraints.base import signs
from corelic.attacks.pixels import clip_of
from corelic.codecs.learned import pad
from corelic.media import Picture

CROSSOVER = 0.5  # probability that a gene comes from the second parent
MUTATION = 0.01  # that it is drawn anew


@dataclass(frozen=True, eq=False)
class Genetic(Attack):
    """queries     of real files
    population  patterns that live at a time; the best one always survives
    block_px    side of the blocks
    seeds       attacked frames of another attack, one for each frame, whose pattern of signs joins
                the first population
    """

    queries: int = 2000
    population: int = 20
    block_px: int = 4
    seeds: Sequence[Picture] = ()

    @property
    def name(self) -> str:
        return f"genetic{', seeded' if self.seeds else ''}, {self.queries} queries"

    @property
    def is_black_box(self) -> bool:
        return True

    def search(self, run: Run) -> Tensor:
        clean, random = run.clean, run.random
        frames, _, height, width = clean.shape
        shape = (frames, 3, -(-height // self.block_px), -(-width // self.block_px))
        count = min(self.population, self.queries)
        genes = signs(torch.Size((count, *shape)), random).long()
        if self.seeds:
            genes[0] = self.genes_of(clip_of(self.seeds) - clean.cpu())
        fitness = torch.stack([run.ask(self.grown(run, one)) for one in genes]).cpu()
        everyone = torch.arange(frames)
        for _ in run.steps(self.queries - count):
            mother, father = (self.winners(fitness, random) for _ in range(2))
            crossed = torch.rand(shape, generator=random) < CROSSOVER
            child = torch.where(crossed, genes[father, everyone], genes[mother, everyone])
            mutated = torch.rand(shape, generator=random) < MUTATION
            child = torch.where(mutated, signs(torch.Size(shape), random).long(), child)
            score = run.ask(self.grown(run, child)).cpu()
            worst = fitness.argmin(dim=0)
            better = score > fitness[worst, everyone]
            places = worst[better], everyone[better]
            genes[places], fitness[places] = child[better], score[better]
        return self.grown(run, genes[fitness.argmax(dim=0), everyone])

    def winners(self, fitness: Tensor, random: torch.Generator) -> Tensor:
        """fitness (P, T) -> (T,) int64: the better of two, for each frame."""
        one, other = torch.randint(len(fitness), (2, fitness.shape[1]), generator=random)
        everyone = torch.arange(fitness.shape[1])
        return torch.where(fitness[one, everyone] >= fitness[other, everyone], one, other)

    def grown(self, run: Run, genes: Tensor) -> Tensor:
        """(T, 3, h, w) in {-1, 0, 1} -> the clip that they stand for."""
        *_, height, width = run.clean.shape
        wide = F.interpolate(genes.float(), scale_factor=self.block_px, mode="nearest")
        change = wide[:, :, :height, :width].to(run.clean) * run.constraint.radius
        return run.constraint.project(run.clean + change, run.clean)

    def genes_of(self, change: Tensor) -> Tensor:
        """The sign that a block has on average; 0 where that is less than half its magnitude."""
        mean = F.avg_pool2d(pad(change, self.block_px), self.block_px)
        size = F.avg_pool2d(pad(change.abs(), self.block_px), self.block_px)
        return torch.where(2 * mean.abs() >= size, mean.sign(), 0.0).long()
