"""The classifier's side: how often it is right about what really came out of the decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from corelic.attacks.evaluation.sweep import Judge
from corelic.attacks.objectives.task import Classifier
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import Victim
from corelic.media import Picture


@torch.no_grad()
def accuracy_behind(
    victim: Victim, classifier: Classifier, pictures: Sequence[Picture], labels: Tensor
) -> float:
    """Share of `labels` (N,) that the classifier finds in the decoded pictures, from real files.

    On attacked pictures it is the robust accuracy, and one minus it the success rate.
    """
    decoded = clip_of([victim.code(picture).picture for picture in pictures])
    return float((classifier(decoded).argmax(dim=1) == labels).float().mean())


def error_rate(victim: Victim, classifier: Classifier, labels: Tensor) -> Judge:
    """For `sweep`: how often the classifier is wrong about attacked pictures."""
    return lambda clean, attacked: 1 - accuracy_behind(victim, classifier, attacked, labels)
