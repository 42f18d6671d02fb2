"""What other packages add: transforms, contexts and named codecs, found by their entry points.

    [options.entry_points]                     in the setup.cfg of the other package
    corelic.transforms =
        klt = theirs.klt:KltSpec               a `TransformSpec`, under the name that files give it
    corelic.contexts =
        ring = theirs.ring:RingSpec            a `ContextSpec`
    corelic.codecs =
        klt-1 = theirs.zoo:KLT                 an `Added`, under the full name of its spec

Names of our own come first wherever a name is looked up: a file means the same everywhere. Nothing
is imported before it is asked for, so what another package breaks is not in the way of the rest.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from corelic.codecs.base import CodecSpec
from corelic.errors import PluginError, PluginWarning

Group = Literal["corelic.transforms", "corelic.contexts", "corelic.codecs"]
REPAIR = "repair or uninstall that package"


@dataclass(frozen=True, slots=True)
class Added:
    """A codec of another package.

    weights  the folder of its weights file, `spec.weights`; None: it has none yet
    """

    spec: CodecSpec
    weights: Path | None = None


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


def load(point: EntryPoint) -> Any:
    """What an entry point names; PluginError if it cannot be had."""
    found, reason = _outcome(point)
    if reason is not None:
        raise unusable(point, reason)
    return found


def load_codec(point: EntryPoint) -> Added:
    """Of `corelic.codecs`; PluginError if it cannot be had, or is no such thing."""
    found = load(point)
    if not isinstance(found, Added):
        raise unusable(point, f"it is no corelic.codecs.plugins.Added, but {type(found).__name__}")
    if found.spec.full_name != point.name:
        raise unusable(point, f"its spec is called {found.spec.full_name}, not {point.name}")
    return found


def unusable(point: EntryPoint, reason: str) -> PluginError:
    part = f"{point.name!r} ({point.group} of {_owner(point)})"
    return PluginError(part, f"{reason}; {REPAIR}")


def broken(codec: str, error: Exception) -> PluginError:
    """What to say of a codec whose networks raised `error` when they were built."""
    return PluginError(codec, f"{str(error) or type(error).__name__}; {REPAIR}")


def warn(error: PluginError) -> None:
    """For what goes on without it."""
    warnings.warn(str(error), PluginWarning, stacklevel=3)


@cache  # a failure, too: to import it again would fail otherwise, and no better
def _outcome(point: EntryPoint) -> tuple[Any, str | None]:
    try:
        return point.load(), None
    except (Exception, SystemExit) as error:  # whatever another package's import may raise
        return None, str(error) or type(error).__name__


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
