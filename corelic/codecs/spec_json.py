"""Specs as JSON: how a weights file says what it is the weights of.

A transform or context spec is named after its file: `transforms/depthwise.py` holds
`DepthwiseSpec`. So the folder is the list, and a new family needs no edit here. Those of other
packages go by the names of their entry points (`corelic.codecs.plugins`).
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import types
import typing
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

from corelic.codecs import context, plugins, transforms
from corelic.codecs.base import CodecSpec
from corelic.errors import BadWeightsError, PluginError

PARTS = {"transform": transforms, "context": context}
GROUPS: dict[str, plugins.Group] = {
    "transform": "corelic.transforms",
    "context": "corelic.contexts",
}
SIZE_MAX = 4096  # of any number in a part's spec: a weights file must not size our allocations
COUNT_MAX = 64  # of any number in a list: blocks per stage


def to_json(spec: CodecSpec) -> str:
    """One line, keys sorted: equal specs give equal text."""
    plain = asdict(spec)
    for part in PARTS:
        plain[part]["kind"] = _kind(part, type(getattr(spec, part)))
    return json.dumps(plain, sort_keys=True)


def from_json(text: str, source: str) -> CodecSpec:
    """The spec in `text`; BadWeightsError, naming `source`, for anything else."""
    try:
        plain = json.loads(text)
        for part in PARTS:
            plain[part] = _build(_known_class(part, plain[part].pop("kind")), plain[part])
        spec: CodecSpec = _build(CodecSpec, plain)
        return spec
    except (PluginError, MemoryError):
        raise
    except Exception as error:  # of JSON that lies, or of another package's class
        reason = str(error) or type(error).__name__
        raise BadWeightsError(source, f"its spec cannot be read ({reason})") from error


def kinds(part: str) -> dict[str, type[Any]]:
    """The spec classes of a part, `transform` or `context`, by kind; ours and others'."""
    found = {name: _own_class(part, name) for name in _modules(part)}
    ours = {name: spec_class for name, spec_class in found.items() if spec_class is not None}
    theirs = {}
    for point in plugins.points(GROUPS[part]):
        try:
            theirs[point.name] = plugins.load(point)
        except PluginError as error:
            plugins.warn(error)
    return {**theirs, **ours}


def _kind(part: str, spec_class: type[Any]) -> str:
    """By which a file names a class; PluginError for one that it could not name."""
    package, _, module = spec_class.__module__.rpartition(".")
    if package == PARTS[part].__name__:
        return module
    place = f"{spec_class.__module__}:{spec_class.__qualname__}"
    points = [each for each in plugins.points(GROUPS[part]) if _own_class(part, each.name) is None]
    for point in sorted(points, key=lambda point: point.value != place):  # the likeliest first
        with suppress(PluginError):
            if plugins.load(point) is spec_class:
                return point.name
    raise PluginError(place, f"files cannot name it; give it an entry point in {GROUPS[part]}")


def _known_class(part: str, kind: object) -> type[Any]:
    spec_class = _own_class(part, str(kind))
    if spec_class is None:
        point = plugins.find(GROUPS[part], str(kind))
        spec_class = None if point is None else plugins.load(point)
    if spec_class is None:
        raise ValueError(f"unknown kind {kind!r}")
    return spec_class


def _own_class(part: str, kind: str) -> type[Any] | None:
    # Never import what a file names without looking it up.
    return _spec_class(PARTS[part], kind) if kind in _modules(part) else None


def _modules(part: str) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(PARTS[part].__path__)]


def _spec_class(folder: types.ModuleType, kind: str) -> type[Any] | None:
    """None for a module that others share parts of."""
    module = importlib.import_module(f"{folder.__name__}.{kind}")
    name = "".join(word.capitalize() for word in kind.split("_")) + "Spec"
    spec_class: type[Any] | None = getattr(module, name, None)
    return spec_class


def _build(spec_class: type[Any], plain: dict[str, Any]) -> Any:
    """The dataclass with exactly these fields, numbers in range, lists as tuples."""
    hints = typing.get_type_hints(spec_class)
    names = {field.name for field in fields(spec_class)}
    if names != plain.keys():
        raise ValueError(f"fields {sorted(names ^ plain.keys())} are missing or unknown")
    values = {}
    for name, value in plain.items():
        value = tuple(value) if isinstance(value, list) else value
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} is {value!r}")
        values[name] = value
    return spec_class(**values)


def _fits(value: object, hint: Any) -> bool:
    choices = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return value in choices
    if isinstance(value, tuple):
        kinds = tuple(type(number) for number in value)
        if choices == (int, Ellipsis):  # of any length: sizes that the spec itself holds together
            ints = set(kinds) == {int} and len(value) <= COUNT_MAX
            return ints and all(0 <= number <= SIZE_MAX for number in value)
        return kinds == choices and all(0 <= number <= COUNT_MAX for number in value)
    if isinstance(value, int) and not 0 <= value <= SIZE_MAX:
        return False
    # A part, built before: its class was looked up.
    return getattr(hint, "_is_protocol", False) or type(value) is hint


def is_ours(spec: CodecSpec) -> bool:
    """Whether all parts of a codec are of this package."""
    parts = (type(getattr(spec, part)).__module__ for part in PARTS)
    packages = {folder.__name__ for folder in PARTS.values()}
    return all(module.rpartition(".")[0] in packages for module in parts)
