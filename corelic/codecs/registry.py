"""Named codecs: one file in `zoo/` each, unique, found with a hint when misspelt.

Other packages add theirs (`corelic.codecs.plugins`), under names that are not ours.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint
from pathlib import Path

from corelic.codecs import plugins
from corelic.codecs.base import CodecSpec
from corelic.codecs.plugins import Added
from corelic.errors import PluginError, UnknownCodecError

_specs: dict[str, CodecSpec] = {}


def register(spec: CodecSpec) -> CodecSpec:
    """Adds a spec of ours under `name-generation`; ValueError if that is taken."""
    if spec.full_name in _specs:
        raise ValueError(f"two codecs are named {spec.full_name}")
    _specs[spec.full_name] = spec
    return spec


def list_own_specs() -> tuple[CodecSpec, ...]:
    """Those of this package, by name and generation."""
    from corelic.codecs import zoo

    for module in pkgutil.iter_modules(zoo.__path__):
        importlib.import_module(f"{zoo.__name__}.{module.name}")
    return tuple(sorted(_specs.values(), key=lambda spec: (spec.name, spec.generation)))


def list_added() -> tuple[Added, ...]:
    """Those of other packages, by name and generation; PluginWarning of what cannot be had."""
    found = []
    for point in plugins.points("corelic.codecs"):
        try:
            found.append(_added(point))
        except PluginError as error:
            plugins.warn(error)
    return tuple(sorted(found, key=lambda added: (added.spec.name, added.spec.generation)))


def _added(point: EntryPoint) -> Added:
    from corelic.codecs.peers import PEERS  # they import much, for a list of names

    family = point.name.rpartition("-")[0]
    ours = {spec.name for spec in list_own_specs()}
    if family in ours or family in PEERS:
        raise plugins.unusable(point, f"{family} is a name of corelic's own")
    plugins.find("corelic.codecs", point.name)  # for the error where there are two
    return plugins.load_codec(point)


def list_specs() -> tuple[CodecSpec, ...]:
    """All named codecs: ours, then those of others."""
    return (*list_own_specs(), *(added.spec for added in list_added()))


def find_spec(name: str) -> CodecSpec:
    """`swift` is its newest generation, `swift-1` that one; UnknownCodecError otherwise."""
    for spec in reversed(list_own_specs()):
        if name in (spec.name, spec.full_name):
            return spec
    specs = list_specs()
    for spec in reversed(specs):
        if name in (spec.name, spec.full_name):
            return spec
    known = {spec.name for spec in specs} | {spec.full_name for spec in specs}
    raise UnknownCodecError(name, tuple(sorted(known)))


def folder_of(spec: CodecSpec) -> Path | None:
    """Where a codec of another package keeps its weights; None where it has none, and for ours."""
    if spec.full_name in _specs:
        return None
    return next((added.weights for added in list_added() if added.spec == spec), None)
