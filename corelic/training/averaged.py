"""The average of a run's weights: what is measured and exported."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from corelic.codecs.base import CodecSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.errors import BadWeightsError
from corelic.training import checkpoint


def exponential_average(average: list[Tensor], current: list[Tensor], decay: float) -> None:
    """average ← decay · average + (1 − decay) · current, in place."""
    torch._foreach_lerp_(average, current, 1 - decay)


def load_float_weights(codec: LearnedImageCodec, tensors: dict[str, Tensor]) -> None:
    """Into a codec that is not frozen; BadWeightsError if names or shapes differ."""
    try:
        codec.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadWeightsError("the checkpoint", f"does not hold a {codec.spec.name}") from error


def averaged_codec(run: Path, spec: CodecSpec) -> LearnedImageCodec:
    """The codec of a run with its averaged weights, in float, for evaluation and export."""
    saved = checkpoint.load(run)
    codec = LearnedImageCodec(spec)
    load_float_weights(codec, {**saved.model, **saved.average})
    return codec.eval()
