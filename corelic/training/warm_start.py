"""From a weights file back to a codec that can be trained: a start for another run.

The file holds averages without moments, transforms in float16 and the parsing path on its grid;
what that rounded away is far below what the first steps change.
"""

from __future__ import annotations

from corelic.codecs import store
from corelic.codecs.learned import LearnedImageCodec
from corelic.entropy.grid import GridTable
from corelic.errors import BadWeightsError


def start_from(codec: LearnedImageCodec, name: str) -> None:
    """Copies the weights `name` (`swift`, `swift-1` or a path) into a codec in float.

    BadWeightsError where they belong to another architecture.
    """
    source = store.by_name(name).codec
    # Lookup tables are made when a codec moves to the grid; a trainable one has none.
    tables = {
        f"{name}.table" for name, part in codec.named_modules() if isinstance(part, GridTable)
    }
    state = {
        name: tensor if name in tables else source.state_dict()[name].float()
        for name, tensor in codec.state_dict().items()
        if name in source.state_dict()
    }
    try:
        codec.load_state_dict(state)
    except RuntimeError as error:
        raise BadWeightsError(name, f"is no start for a {codec.spec.name}: {error}") from error
