"""The task behind the codec: a classifier that looks at what was decoded.

x' ─► victim ─► x̂' ─► classifier ─► logits ─► cross-entropy, or margin, of the true class
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.errors import AttackError
from corelic.attacks.objectives.base import Objective, Scene

Classifier = Callable[[Tensor], Tensor]  # (N, 3, H, W) in [0, 1] -> (N, classes) logits


@dataclass(frozen=True, eq=False)
class TaskLoss(Objective):
    """How wrong a classifier is about the decoded picture.

    classifier  any differentiable one, set to evaluate
    labels      (T,) int64; None: what it says of the clean reconstruction
    loss        "cross-entropy", or "margin": the best other logit minus the true one, above zero
                exactly where the classifier is fooled (Carlini & Wagner, S&P 2017, section V)
    """

    classifier: Classifier
    labels: Tensor | None = None
    loss: Literal["cross-entropy", "margin"] = "cross-entropy"

    @property
    def title(self) -> str:
        return f"task, {self.loss}"

    def __call__(self, scene: Scene) -> Tensor:
        logits = self.classifier(scene.reconstruction.x_hat)
        labels = self.labels_of(scene).to(logits.device)
        if len(labels) != len(logits):
            raise AttackError(
                "the labels", f"are {len(labels)} for {len(logits)} frames; give one each"
            )
        if self.loss == "cross-entropy":
            return F.cross_entropy(logits, labels, reduction="none")
        true = logits.gather(1, labels[:, None])[:, 0]
        others = logits.scatter(1, labels[:, None], -torch.inf)
        return others.amax(dim=1) - true

    def classes(self, scene: Scene) -> Tensor:
        return self.classifier(scene.reconstruction.x_hat).argmax(dim=1)

    def fixed(self, scene: Callable[[], Scene]) -> Objective:
        """What a classifier says of a darker or smaller clip is no label."""
        return self if self.labels is not None else replace(self, labels=self.labels_of(scene()))

    def labels_of(self, scene: Scene) -> Tensor:
        if self.labels is not None:
            return self.labels
        with torch.no_grad():
            return self.classifier(scene.reference.x_hat).argmax(dim=1)
