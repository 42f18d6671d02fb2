"""Weights files: an exact codec as safetensors, and how one is found again.

spec (JSON)  +  parsing path: int16 weights, integer biases, grids, int16 lookup tables
             +  frequency tables: integers
             +  transforms: float16; gains: integers
fingerprint = the first 4 bytes of the file's SHA-256
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from corelic.codecs import plugins, spec_json
from corelic.codecs.base import CodecSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import GAIN_UNIT, NODES
from corelic.codecs.registry import (
    find_spec,
    folder_of,
    list_added,
    list_own_specs,
    list_specs,
)
from corelic.entropy import grid
from corelic.entropy.coder import FrequencyTables
from corelic.entropy.distributions import SCALES, gaussian_tables
from corelic.entropy.grid import GridConv2d, GridTable, Snap
from corelic.errors import (
    BadWeightsError,
    MissingWeightsError,
    PluginError,
    UnknownCodecError,
    UntrainedCodecError,
)

FORMAT = "corelic-weights-1"
MODELS_VARIABLE = "CORELIC_MODELS"
GAINS = "gains.log_gain.rows"
LOG_GAIN_MAX = 20  # of a gain's logarithm: no picture needs steps so fine or so coarse
TABLE_FIELDS = ("frequencies", "low", "size")


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a weights file holds: all that turns pictures into bytes and back."""

    codec: LearnedImageCodec
    latent_tables: FrequencyTables  # row = scale index
    hyper_tables: FrequencyTables  # row = rate node · hyper channels + channel
    fingerprint: bytes


def pack(
    codec: LearnedImageCodec, card: dict[str, Any], *, latent_tables: FrequencyTables | None = None
) -> bytes:
    """The weights file of an exact codec. `card` is kept as JSON, for people.

    latent_tables  one per scale index; by default Gaussian
    """
    if not codec.exact:
        raise ValueError("freeze the codec first: files are read with exact arithmetic")
    tensors: dict[str, Tensor] = {}
    grids: dict[str, int] = {}
    in_parsing = {name for name, _ in _parsing_layers(codec)}
    for name, layer in _parsing_layers(codec):
        if isinstance(layer, Snap):
            grids[name] = _known(layer.fraction_bits)
        elif isinstance(layer, GridTable):
            values = layer.table * 2.0**grid.TABLE_VALUE_BITS
            tensors[f"{name}.table"] = values.to(torch.int16)
        else:
            grids[f"{name}.weight"] = _known(layer.weight_bits)
            tensors[f"{name}.weight"] = (layer.weight / layer.weight_unit).to(torch.int16)
            tensors[f"{name}.bias"] = (layer.bias / layer.bias_unit).to(torch.int64)
    for name, tensor in codec.state_dict().items():
        if name.rsplit(".", 1)[0] in in_parsing:
            continue
        if name == GAINS:
            tensors[name] = (tensor.double() / GAIN_UNIT).round().to(torch.int32)
        else:
            tensors[name] = tensor if _stays_float32(name) else tensor.half()
    both = {"latent": latent_tables or gaussian_tables(), "hyper": codec.prior.tables()}
    for kind, tables in both.items():
        for field in TABLE_FIELDS:
            tensors[f"tables.{kind}.{field}"] = torch.from_numpy(getattr(tables, field).copy())
    metadata = {
        "format": FORMAT,
        "spec": spec_json.to_json(codec.spec),
        "grids": json.dumps(grids, sort_keys=True),
        "card": json.dumps(card, sort_keys=True),
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return _ordered(safetensors.torch.save(contiguous, metadata))


def _ordered(data: bytes) -> bytes:
    """The same file with its header sorted: safetensors writes metadata in random order, and
    the same weights must have one fingerprint."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def unpack(data: bytes, source: str) -> Weights:
    """The inverse of `pack`; BadWeightsError, naming `source`, for anything else."""
    tensors, metadata = _read(data, source)
    if metadata.get("format") != FORMAT:
        raise BadWeightsError(source, f"it is not a {FORMAT} file")
    spec = spec_json.from_json(metadata.get("spec", ""), source)
    try:
        # Nothing is allocated until every tensor has been found to have the size it needs.
        codec = _built(spec)
        tables = {
            kind: FrequencyTables(
                *(tensors.pop(f"tables.{kind}.{field}").numpy() for field in TABLE_FIELDS)
            )
            for kind in ("latent", "hyper")
        }
        rows = {"latent": SCALES, "hyper": NODES * spec.hyper_channels}
        if rows != {kind: table.size.size for kind, table in tables.items()}:
            raise ValueError(f"it needs {rows} frequency tables")
        _check(codec, tensors)
        _allocate(codec)
        _place(codec, tensors, dict(json.loads(metadata.get("grids", ""))))
        grid.check_bounds(codec.parsing_path)
    except PluginError:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        reason = error.reason if isinstance(error, BadWeightsError) else str(error)
        raise BadWeightsError(source, f"it does not fit its own spec ({reason})") from error
    codec.exact = True
    codec.eval().requires_grad_(False)
    return Weights(codec, tables["latent"], tables["hyper"], _fingerprint(BytesIO(data)))


def _built(spec: CodecSpec) -> LearnedImageCodec:
    """Without numbers; PluginError where another package's networks cannot be built."""
    try:
        with torch.device("meta"):
            return LearnedImageCodec(spec)
    except Exception as error:  # whatever another package's networks may raise
        if spec_json.is_ours(spec) or isinstance(error, MemoryError):
            raise
        raise plugins.broken(spec.full_name, error) from error


def read_card(data: bytes, source: str) -> dict[str, Any]:
    """What `pack` was told about training; empty where there is nothing."""
    try:
        return dict(json.loads(_read(data, source)[1].get("card", "{}")))
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, BadWeightsError):
            raise
        raise BadWeightsError(source, f"its card cannot be read ({error})") from error


def shipped(spec: CodecSpec) -> Path | None:
    """The published weights of a named codec, if this package, or the codec's own, holds them."""
    folder = folder_of(spec) or Path(str(resources.files("corelic.codecs"))) / "weights"
    path = folder / spec.weights
    return path if path.is_file() else None


def by_name(name: str) -> Weights:
    """`swift`, `swift-1` or the path of a weights file; a file cannot shadow a name.

    UntrainedCodecError for a codec whose weights do not ship.
    """
    path = Path(name)
    if path.suffix == ".safetensors":  # no codec has a dot in its name
        return from_file(path)
    try:
        spec = find_spec(name)
    except UnknownCodecError:
        if os.path.isfile(path):  # which never raises
            return from_file(path)
        raise
    found = shipped(spec)
    if found is None:
        trained = tuple(each.full_name for each in list_specs() if shipped(each) is not None)
        recipe = f"recipes/{spec.name}.yaml" if spec in list_own_specs() else "RECIPE"
        raise UntrainedCodecError(spec.full_name, recipe, trained)
    return from_file(found)


def by_fingerprint(codec: str, fingerprint: bytes) -> Weights:
    """The weights that a file names: shipped, or in a folder of CORELIC_MODELS.

    codec  full name, as `swift-7`: where to look first, since a look is a hash of megabytes
    """
    for path in _candidates(codec):
        with suppress(OSError):  # one file that cannot be read does not hide the others
            if _fingerprint_of(path) == fingerprint:
                return from_file(path)
    raise MissingWeightsError(codec, fingerprint)


def from_file(path: Path) -> Weights:
    """Loads a weights file, or returns it as loaded before if it has not changed since."""
    try:
        state = path.stat()
        return _cached(path.resolve(), state.st_mtime_ns, state.st_size)
    except OSError as error:
        reason = f"it cannot be read ({error.strerror})"
        raise BadWeightsError(str(path), reason) from error


def _fingerprint_of(path: Path) -> bytes:
    """Hashed once, unless the file changes: every decode asks for it."""
    state = path.stat()
    return _hashed(path.resolve(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _hashed(path: Path, modified_ns: int, size_bytes: int) -> bytes:
    with path.open("rb") as file:
        return _fingerprint(file)


def _fingerprint(file: BufferedReader | BytesIO) -> bytes:
    """Piece by piece: in a folder of models, what is no model of ours may be large."""
    return hashlib.file_digest(file, "sha256").digest()[:4]


@lru_cache(maxsize=4)
def _cached(path: Path, modified_ns: int, size_bytes: int) -> Weights:
    return unpack(path.read_bytes(), str(path))


def _candidates(codec: str) -> Iterator[Path]:
    yield from _shipped(sorted(list_own_specs(), key=lambda spec: spec.full_name != codec))
    for folder in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep):
        if folder:
            with suppress(OSError):  # one that cannot be read does not hide the others
                yield from sorted(Path(folder).glob("*.safetensors"))
    yield from _shipped(added.spec for added in list_added())


def _shipped(specs: Iterable[CodecSpec]) -> Iterator[Path]:
    for spec in specs:
        path = shipped(spec)
        if path is not None:
            yield path


def _read(data: bytes, source: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        tensors = safetensors.torch.load(data)  # the stricter reader of the same header, so first
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return tensors, header.get("__metadata__") or {}
    except (safetensors.SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise BadWeightsError(source, f"it is not a safetensors file ({error})") from error


def _parsing_layers(
    codec: LearnedImageCodec,
) -> Iterator[tuple[str, Snap | GridConv2d | GridTable]]:
    for root in ("hyper_synthesis", "context"):
        for name, layer in grid.grid_layers(codec.get_submodule(root)):
            yield f"{root}.{name}", layer


def _check(codec: LearnedImageCodec, tensors: dict[str, Tensor]) -> None:
    """Raises ValueError unless these are the tensors that `pack` makes of such a codec."""
    layers = dict(_parsing_layers(codec))
    state = codec.state_dict()
    if state.keys() != tensors.keys():
        raise ValueError(f"{min(state.keys() ^ tensors.keys())} is missing, or belongs to no layer")
    for name, place in state.items():
        shape, dtype = place.shape, torch.float32 if _stays_float32(name) else torch.float16
        layer = layers.get(name.rsplit(".", 1)[0])
        if isinstance(layer, GridTable):
            shape, dtype = layer.size, torch.int16
        elif isinstance(layer, GridConv2d):
            dtype = torch.int16 if name.endswith(".weight") else torch.int64
        elif name == GAINS:
            dtype = torch.int32
        found = tensors[name]
        if (found.shape, found.dtype) != (shape, dtype):
            raise ValueError(
                f"{name} is {tuple(found.shape)} {found.dtype}, not {tuple(shape)} {dtype}"
            )
        if found.is_floating_point() and not found.isfinite().all():
            raise ValueError(f"{name} is not finite")
        if name == GAINS and bool((found.double().abs() > LOG_GAIN_MAX / GAIN_UNIT).any()):
            raise ValueError(f"{name} exceeds ±{LOG_GAIN_MAX}")
        if name.endswith(".scale") and not bool((found > 0).all()):
            raise ValueError(f"{name} is not positive")


def _allocate(codec: LearnedImageCodec) -> None:
    """What `to_empty` does, which makes torch import a computer algebra system first."""
    for module in codec.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype)))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _place(codec: LearnedImageCodec, tensors: dict[str, Tensor], grids: dict[str, Any]) -> None:
    """Sets every tensor and grid of a codec; raises where a grid is missing or left over."""
    layers = dict(_parsing_layers(codec))
    for name, layer in layers.items():
        if isinstance(layer, Snap):
            layer.fraction_bits = _bits(grids.pop(name))
    for name, layer in layers.items():
        if isinstance(layer, GridTable):
            values = tensors[f"{name}.table"]
            layer.table = values.double() * 2.0**-grid.TABLE_VALUE_BITS
        elif isinstance(layer, GridConv2d):
            layer.weight_bits = _bits(grids.pop(f"{name}.weight"))
            layer.weight.data = tensors[f"{name}.weight"].double() * layer.weight_unit
            layer.bias.data = tensors[f"{name}.bias"].double() * layer.bias_unit
    rest = {
        name: tensor
        for name, tensor in codec.state_dict().items()
        if name.rsplit(".", 1)[0] not in layers
    }
    for name, place in rest.items():
        value = tensors[name]
        place.copy_(value.double() * GAIN_UNIT if name == GAINS else value)
    if grids:
        raise ValueError(f"the grid of {min(grids)} belongs to no layer")


def _bits(value: Any) -> int:
    if not isinstance(value, int) or not -64 <= value <= 64:
        raise ValueError(f"a grid of {value!r} bits")
    return value


def _known(bits: int | None) -> int:
    assert bits is not None  # an exact codec has every grid
    return bits


def _stays_float32(name: str) -> bool:
    # Small, and used in products with latents that reach hundreds.
    return name.startswith("prior.") or name.endswith((".scale", "strength.rows"))
