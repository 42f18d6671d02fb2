"""From a weights file back to a codec that can be trained: a start for another run.

The file holds averages without moments, transforms in float16 and the parsing path on its grid;
what that rounded away is far below what the first steps change.

    weights ─► blocks 0 … n − 1      the same numbers
               blocks n …            as they are made: they add nothing yet
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corelic.codecs import store
from corelic.codecs.float_twin import parameters_of
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.registry import find_spec
from corelic.codecs.transforms.depthwise import GatedBlock
from corelic.errors import BadWeightsError, UnknownCodecError


def start_from(codec: LearnedImageCodec, name: str) -> None:
    """Copies the weights `name` (`swift`, `swift-1` or a path) into a fresh codec in float.

    The codec may be deeper by some blocks of a transform, and computes the same all the same.
    BadWeightsError where the weights belong to another architecture.
    """
    source, fresh = store.by_name(name).codec, dict(codec.state_dict())
    try:
        state = parameters_of(source, codec)
        state |= {key: fresh[key] for key in further_blocks(codec) if key not in state}
        codec.load_state_dict(state)
    except RuntimeError as error:
        raise BadWeightsError(name, f"is no start for a {codec.spec.name}: {error}") from error


def pinned(name: str) -> str:
    """The same weights by a name that stays theirs: `swift-6`, or an absolute path."""
    try:
        return find_spec(name).full_name
    except UnknownCodecError:
        return str(Path(name).resolve())


def further_blocks(codec: LearnedImageCodec) -> Iterator[str]:
    """What `start_from` can do without: the weights of blocks that begin as the identity."""
    for name, part in codec.named_modules():
        if isinstance(part, GatedBlock):
            yield from (f"{name}.{key}" for key in part.state_dict())
