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

import signal
import warnings
from collections.abc import Set
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, get_args

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


def versions(modules: Set[str]) -> list[str]:
    """Of the packages that have parts in these top-level modules."""
    if not modules:
        return []
    all_points = [point for group in get_args(Group) for point in points(group)]
    owners = {
        f"{point.dist.name} {point.dist.version}"
        for point in all_points
        if point.dist is not None and point.module.partition(".")[0] in modules
    }
    return sorted(owners)


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
    if not isinstance(found.spec, CodecSpec):
        raise unusable(point, f"its spec is no CodecSpec, but {type(found.spec).__name__}")
    if found.weights is not None and not isinstance(found.weights, Path):
        raise unusable(point, f"its weights are no Path, but {type(found.weights).__name__}")
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
        if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
            raise  # a worker's own end
        return None, str(error) or type(error).__name__


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
