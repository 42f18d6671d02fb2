"""What other packages add: transforms, contexts and named codecs, found by their entry points.

    [options.entry_points]                     in the setup.cfg of the other package
    corelic.transforms =
        klt = theirs.klt:KltSpec               a `TransformSpec`, under the name that files give it
    corelic.contexts =
        ring = theirs.ring:RingSpec            a `ContextSpec`
    corelic.codecs =
        theirs = theirs.zoo                    a module that adds specs when imported

Names of our own come first wherever a name is looked up: a file means the same everywhere. Nothing
is imported before it is asked for, so what another package breaks is not in the way of the rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from corelic.errors import PluginError, PluginWarning

Group = Literal["corelic.transforms", "corelic.contexts", "corelic.codecs"]
REPAIR = "repair or uninstall that package"


def points(group: Group) -> tuple[EntryPoint, ...]:
    """Of all packages that are installed, each thing once."""
    return tuple({(point.name, point.value): point for point in entry_points(group=group)}.values())


def find(group: Group, name: str) -> EntryPoint | None:
    """By name; PluginError where two packages mean different things by it."""
    found = [point for point in points(group) if point.name == name]
    if len(found) > 1:
        owners = " and ".join(_owner(point) for point in found)
        raise PluginError(f"{name!r} ({group})", f"{owners} both have it; uninstall one of them")
    return found[0] if found else None


def loaded(group: Group) -> Iterator[tuple[EntryPoint, Any]]:
    """All that can be had, with a PluginWarning of each that cannot."""
    for point in points(group):
        try:
            yield point, load(point)
        except PluginError as error:
            warnings.warn(str(error), PluginWarning, stacklevel=3)


def load(point: EntryPoint) -> Any:
    """What an entry point names; PluginError if it cannot be had."""
    found, reason = _outcome(point)
    if reason is not None:
        part = f"{point.name!r} ({point.group} of {_owner(point)})"
        raise PluginError(part, f"{reason}; {REPAIR}")
    return found


@cache  # a failure, too: to import it again would fail otherwise, and no better
def _outcome(point: EntryPoint) -> tuple[Any, str | None]:
    try:
        return point.load(), None
    except (Exception, SystemExit) as error:  # whatever another package's import may raise
        return None, str(error) or type(error).__name__


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
