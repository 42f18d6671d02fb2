"""What other packages add: transforms, contexts and named codecs, found by their entry points.

    [options.entry_points]                     in the setup.cfg of the other package
    corelic.transforms =
        haar = theirs.haar:HaarSpec            a `TransformSpec`, under the name that files give it
    corelic.contexts =
        ring = theirs.ring:RingSpec            a `ContextSpec`
    corelic.codecs =
        theirs = theirs.zoo                    a module that registers specs when imported

Names of our own come first wherever a name is looked up: a file means the same everywhere. Nothing
is imported before it is asked for, so what another package breaks is not in the way of the rest.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from corelic.errors import PluginError

Group = Literal["corelic.transforms", "corelic.contexts", "corelic.codecs"]


def points(group: Group) -> dict[str, EntryPoint]:
    """By name, of the packages that are installed; of two by one name, the first that is found."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found


@cache
def load(point: EntryPoint) -> Any:
    """What an entry point names; PluginError if it cannot be had."""
    try:
        return point.load()
    except Exception as error:  # whatever another package's import may raise
        owner = f" of {point.dist.name}" if point.dist is not None else ""
        reason = str(error) or type(error).__name__
        raise PluginError(f"{point.name!r} ({point.group}{owner})", reason) from error
