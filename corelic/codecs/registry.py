"""Named codecs: one file in `zoo/` each, unique, found with a hint when misspelt.

Those of other packages (`corelic.codecs.plugins`) come after all of ours.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from pathlib import Path

from corelic.codecs import plugins
from corelic.codecs.base import CodecSpec
from corelic.errors import PluginError, PluginWarning, UnknownCodecError

_specs: dict[str, CodecSpec] = {}
_folders: dict[str, Path] = {}  # of the weights of codecs that are not ours


def register(spec: CodecSpec, weights: Path | None = None) -> CodecSpec:
    """Adds a spec under `name-generation`; ValueError if that is taken.

    weights  the folder of its weights file, `spec.weights`, in the package of whoever adds it
    """
    if spec.full_name in _specs:
        raise ValueError(f"two codecs are named {spec.full_name}")
    _specs[spec.full_name] = spec
    if weights is not None:
        _folders[spec.full_name] = weights
    return spec


def folder_of(spec: CodecSpec) -> Path | None:
    """Where a registered codec keeps its weights; None: among ours."""
    return _folders.get(spec.full_name)


def list_own_specs() -> tuple[CodecSpec, ...]:
    """All that this process knows without asking other packages, by name and generation."""
    from corelic.codecs import zoo

    for module in pkgutil.iter_modules(zoo.__path__):
        importlib.import_module(f"{zoo.__name__}.{module.name}")
    return _sorted()


def list_specs() -> tuple[CodecSpec, ...]:
    """All named codecs, by name and generation.

    PluginWarning of packages that fail to add theirs.
    """
    taken = {spec.name for spec in list_own_specs()}
    for point in plugins.points("corelic.codecs").values():
        before = set(_specs)
        try:
            plugins.load(point)
            for name in _specs.keys() - before:
                if _specs[name].name in taken:  # `swift` must not become another's
                    del _specs[name]
                    raise PluginError(f"{name!r} ({point.group})", "that name is not to be had")
        except PluginError as error:
            warnings.warn(str(error), PluginWarning, stacklevel=2)
    return _sorted()


def _sorted() -> tuple[CodecSpec, ...]:
    return tuple(sorted(_specs.values(), key=lambda spec: (spec.name, spec.generation)))


def find_spec(name: str) -> CodecSpec:
    """`swift` is its newest generation, `swift-1` that one; UnknownCodecError otherwise."""
    for list_known in (list_own_specs, list_specs):
        specs = list_known()
        for spec in reversed(specs):
            if name in (spec.name, spec.full_name):
                return spec
    known = {spec.name for spec in specs} | {spec.full_name for spec in specs}
    raise UnknownCodecError(name, tuple(sorted(known)))
