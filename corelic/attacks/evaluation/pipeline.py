"""A classifier behind a codec: how often it is right, on real decoded pictures.

    pictures ─► Victim.code ─► decoded ─► classifier ─► right or wrong, each

The attack itself needs no more than a task loss on the victim; what it was worth is measured here,
on files.

    pipeline = Pipeline(victim, classifier)
    attack = PGD(victim, objective=pipeline.loss(labels), constraint=Linf(8 / 255))
    result = attack(pictures)
    print(pipeline.accuracy(result.clean, result.pictures, labels))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.draws import Draws
from corelic.attacks.errors import AttackError
from corelic.attacks.evaluation.sweep import Judge
from corelic.attacks.objectives.task import Classifier, TaskLoss
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import Victim
from corelic.media import Picture

NORMAL_95 = 1.959964  # a standard normal is within ±this in 95 of 100 cases


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `total`."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """nan of nothing."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 %, Wilson's: it stays within [0, 1], and has a width where all or none are."""
        if not self.total:
            return 0.0, 1.0
        n, p, z = self.total, self.value, NORMAL_95
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} … {high:.1%})"


@dataclass(frozen=True, slots=True)
class PipelineAccuracy:
    """What a codec and a classifier behind it make of pictures, clean and attacked.

    clean      right, of the clean ones
    robust     right, of the attacked ones: robust accuracy
    success    wrong when attacked, of those that were right when clean
    bpp_ratio  file bytes of the attacked over the clean ones, all together
    """

    clean: Share
    robust: Share
    success: Share
    bpp_ratio: float


@dataclass(frozen=True, eq=False)
class Pipeline:
    """What a user runs: pictures are coded, sent, decoded, and then looked at by a classifier."""

    victim: Victim
    classifier: Classifier

    def loss(self, labels: Tensor | None = None) -> TaskLoss:
        """What an attack on `victim` makes larger; without labels, for a change of mind."""
        return TaskLoss(self.classifier, labels)

    def accuracy(
        self, clean: Sequence[Picture], attacked: Sequence[Picture], labels: Tensor
    ) -> PipelineAccuracy:
        """Clean and attacked versions of the same pictures, in the same order; labels (N,).

        AttackError where there is not one of each for each.
        """
        if not len(clean) == len(attacked) == len(labels):
            found = f"{len(clean)} clean, {len(attacked)} attacked, {len(labels)} labels"
            raise AttackError("the pictures", f"are {found}; give one of each for each")
        before, clean_bytes = self.right(clean, labels)
        after, attacked_bytes = self.right(attacked, labels, drawn_like=clean)
        lost = [was and not still for was, still in zip(before, after, strict=True)]
        return PipelineAccuracy(
            clean=Share(sum(before), len(labels)),
            robust=Share(sum(after), len(labels)),
            success=Share(sum(lost), sum(before)),
            bpp_ratio=attacked_bytes / clean_bytes if clean else math.nan,
        )

    def error_rate(self, labels: Tensor) -> Judge:
        """For `sweep`: how often the classifier is wrong about attacked pictures."""
        return lambda clean, attacked: 1 - self.share(attacked, labels, drawn_like=clean).value

    def share(
        self,
        pictures: Sequence[Picture],
        labels: Tensor,
        *,
        drawn_like: Sequence[Picture] | None = None,
    ) -> Share:
        """How many decoded pictures get their label; `drawn_like` as in `right`."""
        return Share(sum(self.right(pictures, labels, drawn_like=drawn_like)[0]), len(labels))

    @torch.no_grad()
    def right(
        self,
        pictures: Sequence[Picture],
        labels: Tensor,
        *,
        drawn_like: Sequence[Picture] | None = None,
    ) -> tuple[list[bool], int]:
        """Whether each decoded picture gets its label, and the bytes of all files together.

        drawn_like  other versions, whose lots a victim that draws some uses; None: each its own
        """
        pairs = zip(pictures, drawn_like or pictures, strict=True)
        coded = [self.victim.code(picture, Draws(like)) for picture, like in pairs]
        found = [self.classifier(clip_of([one.picture])).argmax(dim=1)[0] for one in coded]
        right = [bool(one == wanted) for one, wanted in zip(found, labels, strict=True)]
        return right, sum(one.file_bytes for one in coded)
