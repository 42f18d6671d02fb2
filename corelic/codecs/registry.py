"""Named codecs: one file in `zoo/` each, unique, found with a hint when misspelt."""

from __future__ import annotations

import importlib
import pkgutil

from corelic.codecs.base import CodecSpec
from corelic.errors import UnknownCodecError

_specs: dict[str, CodecSpec] = {}


def register(spec: CodecSpec) -> CodecSpec:
    """Adds a spec under `name-generation`; ValueError if that is taken."""
    if spec.full_name in _specs:
        raise ValueError(f"two codecs are named {spec.full_name}")
    _specs[spec.full_name] = spec
    return spec


def list_specs() -> tuple[CodecSpec, ...]:
    """All named codecs, by name and generation."""
    from corelic.codecs import zoo

    for module in pkgutil.iter_modules(zoo.__path__):
        importlib.import_module(f"{zoo.__name__}.{module.name}")
    return tuple(sorted(_specs.values(), key=lambda spec: (spec.name, spec.generation)))


def find_spec(name: str) -> CodecSpec:
    """`swift` is its newest generation, `swift-1` that one; UnknownCodecError otherwise."""
    specs = list_specs()
    for spec in reversed(specs):
        if name in (spec.name, spec.full_name):
            return spec
    known = {spec.name for spec in specs} | {spec.full_name for spec in specs}
    raise UnknownCodecError(name, tuple(sorted(known)))
