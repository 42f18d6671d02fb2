"""From a weights file back to a codec that can be trained: a start for another run.

The file holds averages without moments, transforms in float16 and the parsing path on its grid;
what that rounded away is far below what the first steps change.
"""

from __future__ import annotations

from corelic.codecs import store
from corelic.codecs.float_twin import copy_weights
from corelic.codecs.learned import LearnedImageCodec
from corelic.errors import BadWeightsError


def start_from(codec: LearnedImageCodec, name: str) -> None:
    """Copies the weights `name` (`swift`, `swift-1` or a path) into a codec in float.

    BadWeightsError where they belong to another architecture.
    """
    source = store.by_name(name).codec
    try:
        copy_weights(source, codec)
    except RuntimeError as error:
        raise BadWeightsError(name, f"is no start for a {codec.spec.name}: {error}") from error
