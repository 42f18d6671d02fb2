"""A classifier behind a codec: how often it is right, on real decoded pictures.

    clean, attacked pictures ─► Victim.code ─► decoded ─► classifier ─► right or wrong, each

The attack itself needs no more than `TaskLoss(classifier)` on the victim; what it was worth is
measured here, on files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from corelic.attacks.errors import AttackError
from corelic.attacks.objectives.task import Classifier
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


@torch.no_grad()
def pipeline_accuracy(
    victim: Victim,
    classifier: Classifier,
    clean: Sequence[Picture],
    attacked: Sequence[Picture],
    labels: Tensor,
) -> PipelineAccuracy:
    """Clean and attacked versions of the same pictures, in the same order; labels (N,).

    AttackError where there is not one of each for each.
    """
    if not len(clean) == len(attacked) == len(labels):
        found = f"{len(clean)} clean, {len(attacked)} attacked, {len(labels)} labels"
        raise AttackError("the pictures", f"are {found}; give one of each for each")
    right: dict[bool, list[bool]] = {}
    file_bytes: dict[bool, int] = {}
    for is_attacked, pictures in ((False, clean), (True, attacked)):
        coded = [victim.code(picture) for picture in pictures]
        found_labels = [classifier(clip_of([one.picture])).argmax(dim=1)[0] for one in coded]
        right[is_attacked] = [
            bool(found == wanted) for found, wanted in zip(found_labels, labels, strict=True)
        ]
        file_bytes[is_attacked] = sum(one.file_bytes for one in coded)
    lost = [before and not after for before, after in zip(right[False], right[True], strict=True)]
    return PipelineAccuracy(
        clean=Share(sum(right[False]), len(labels)),
        robust=Share(sum(right[True]), len(labels)),
        success=Share(sum(lost), sum(right[False])),
        bpp_ratio=file_bytes[True] / file_bytes[False] if clean else math.nan,
    )
