"""Specs as JSON: how a weights file says what it is the weights of.

A transform or context spec is named after its file: `transforms/depthwise.py` holds
`DepthwiseSpec`. So the folder is the list, and a new family needs no edit here.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import types
import typing
from dataclasses import asdict, fields
from typing import Any

from corelic.codecs import context, transforms
from corelic.codecs.base import CodecSpec
from corelic.errors import BadWeightsError

PARTS = {"transform": transforms, "context": context}
SIZE_MAX = 4096  # of any number in a part's spec: a weights file must not size our allocations
COUNT_MAX = 64  # of any number in a list: blocks per stage


def to_json(spec: CodecSpec) -> str:
    """One line, keys sorted: equal specs give equal text."""
    plain = asdict(spec)
    for part in PARTS:
        module = type(getattr(spec, part)).__module__
        plain[part]["kind"] = module.rsplit(".", 1)[1]
    return json.dumps(plain, sort_keys=True)


def from_json(text: str, source: str) -> CodecSpec:
    """The spec in `text`; BadWeightsError, naming `source`, for anything else."""
    try:
        plain = json.loads(text)
        for part, folder in PARTS.items():
            plain[part] = _build(_known_class(folder, plain[part].pop("kind")), plain[part])
        spec: CodecSpec = _build(CodecSpec, plain)
        return spec
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadWeightsError(source, f"its spec cannot be read ({error})") from error


def kinds(part: str) -> dict[str, type[Any]]:
    """The spec classes of a part, `transform` or `context`, by kind."""
    folder = PARTS[part]
    names = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    found = {name: _spec_class(folder, name) for name in names}
    return {name: spec_class for name, spec_class in found.items() if spec_class is not None}


def _known_class(folder: types.ModuleType, kind: object) -> type[Any]:
    names = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    # Never import what a file names without looking it up.
    spec_class = _spec_class(folder, str(kind)) if kind in names else None
    if spec_class is None:
        raise ValueError(f"unknown kind {kind!r}")
    return spec_class


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
    # A part, built before: its class was chosen from our own folder.
    return getattr(hint, "_is_protocol", False) or type(value) is hint
