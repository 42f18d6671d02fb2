"""Named codecs: one file in `zoo/` each, unique, found with a hint when misspelt.

Other packages add theirs (`corelic.codecs.plugins`), under names that are not ours.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from dataclasses import dataclass
from pathlib import Path

from corelic.codecs import plugins
from corelic.codecs.base import CodecSpec
from corelic.errors import PluginError, PluginWarning, UnknownCodecError


@dataclass(frozen=True, slots=True)
class Added:
    """A codec of another package; `weights` is the folder of its weights file, if it has one."""

    spec: CodecSpec
    weights: Path | None


_specs: dict[str, CodecSpec] = {}
_added: dict[str, Added] = {}


def register(spec: CodecSpec) -> CodecSpec:
    """Adds a spec of ours under `name-generation`; ValueError if that is taken."""
    if spec.full_name in _specs:
        raise ValueError(f"two codecs are named {spec.full_name}")
    _specs[spec.full_name] = spec
    return spec


def add(spec: CodecSpec, weights: Path | None = None) -> CodecSpec:
    """Adds a spec of another package; ValueError if its name is taken, ours are in any generation.

    weights  the folder of its weights file, called `spec.weights`
    """
    from corelic.codecs.peers import PEERS  # they import much, for a list of names

    ours = {own.name for own in list_own_specs()}
    if spec.name in ours or spec.name in PEERS or spec.full_name in _added:
        raise ValueError(f"there is another codec by the name of {spec.full_name}")
    _added[spec.full_name] = Added(spec, None if weights is None else Path(weights))
    return spec


def folder_of(spec: CodecSpec) -> Path | None:
    """Where an added codec keeps its weights; None for ours, and where it has no folder."""
    added = _added.get(spec.full_name)
    return None if added is None else added.weights


def list_own_specs() -> tuple[CodecSpec, ...]:
    """Those of this package, by name and generation."""
    from corelic.codecs import zoo

    for module in pkgutil.iter_modules(zoo.__path__):
        importlib.import_module(f"{zoo.__name__}.{module.name}")
    return tuple(sorted(_specs.values(), key=lambda spec: (spec.name, spec.generation)))


def list_added_specs() -> tuple[CodecSpec, ...]:
    """Those of other packages, by name and generation; PluginWarning of those that fail to add."""
    for point in plugins.points("corelic.codecs"):
        before = dict(_added)
        try:
            plugins.load(point)
        except PluginError as error:
            _added.clear()  # of what it began to add, too
            _added.update(before)
            warnings.warn(str(error), PluginWarning, stacklevel=2)
    specs = (added.spec for added in _added.values())
    return tuple(sorted(specs, key=lambda spec: (spec.name, spec.generation)))


def list_specs() -> tuple[CodecSpec, ...]:
    """All named codecs: ours, then those of others."""
    return (*list_own_specs(), *list_added_specs())


def find_spec(name: str) -> CodecSpec:
    """`swift` is its newest generation, `swift-1` that one; UnknownCodecError otherwise."""
    for list_known in (list_own_specs, list_added_specs):
        for spec in reversed(list_known()):
            if name in (spec.name, spec.full_name):
                return spec
    specs = list_specs()
    known = {spec.name for spec in specs} | {spec.full_name for spec in specs}
    raise UnknownCodecError(name, tuple(sorted(known)))
