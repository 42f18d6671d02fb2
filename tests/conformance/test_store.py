"""Weights files: what is packed comes back, and whatever else is given is refused."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from corelic.codecs import store
from corelic.codecs.base import CodecSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.entropy.grid import GridConv2d, GridTable, Snap, grid_layers
from corelic.errors import BadWeightsError, MissingWeightsError
from tests import tiny
from tests.conformance.conftest import every_codec, weights, weights_file

Tensors = dict[str, Tensor]
Metadata = dict[str, str]
Change = Callable[[Tensors, Metadata], object]
TINY_FILE = weights_file(tiny.TINY)


def taken_apart(file: bytes = TINY_FILE) -> tuple[Tensors, Metadata]:
    header = json.loads(file[8 : 8 + struct.unpack("<Q", file[:8])[0]])
    return safetensors.torch.load(file), header["__metadata__"]


def in_spec(path: str, value: object) -> Change:
    """Sets a number of the spec, as `context.width`."""

    def change(_: Tensors, metadata: Metadata) -> None:
        spec = json.loads(metadata["spec"])
        *parents, name = path.split(".")
        place = spec
        for parent in parents:
            place = place[parent]
        place[name] = value
        metadata["spec"] = json.dumps(spec)

    return change


def in_tensor(name: str, change: Callable[[Tensor], Tensor]) -> Change:
    def apply(tensors: Tensors, _: Metadata) -> None:
        tensors[name] = change(tensors[name]).contiguous()

    return apply


def in_metadata(name: str, value: str) -> Change:
    return lambda _, metadata: metadata.update({name: value})


def add_to_grids(metadata: Metadata, name: str, bits: int) -> None:
    metadata["grids"] = json.dumps({**json.loads(metadata["grids"]), name: bits})


def without_last_row(kind: str) -> Change:
    def change(tensors: Tensors, _: Metadata) -> None:
        frequencies, low, size = (f"tables.{kind}.{field}" for field in store.TABLE_FIELDS)
        tensors[frequencies] = tensors[frequencies][: -int(tensors[size][-1])].clone()
        tensors[low], tensors[size] = tensors[low][:-1].clone(), tensors[size][:-1].clone()

    return change


def with_value(value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        changed = tensor.clone()
        changed.view(-1)[-1] = value
        return changed

    return change


WEIGHT, BIAS = "context.trunk.mix.weight", "context.trunk.mix.bias"
TABLE = "context.trunk.sigmoid.table"
CHANGES: dict[str, Change] = {
    "another format": in_metadata("format", "corelic-weights-2"),
    "no format": lambda _, metadata: metadata.pop("format"),
    "no spec": lambda _, metadata: metadata.pop("spec"),
    "spec is no JSON": in_metadata("spec", "{"),
    "spec is a list": in_metadata("spec", "[]"),
    "spec is nested without end": in_metadata("spec", "[" * 100_000),
    "grids are a number": in_metadata("grids", "3"),
    "grids are a list": in_metadata("grids", "[]"),
    "grids are nested without end": in_metadata("grids", "[" * 100_000),
    "grids are missing": in_metadata("grids", "{}"),
    "grids are left over": lambda _, metadata: add_to_grids(metadata, "extra", 3),
    "a grid beyond float64": lambda _, metadata: add_to_grids(metadata, WEIGHT, 2000),
    "a grid of a hundred bits": lambda _, metadata: add_to_grids(metadata, WEIGHT, 100),
    "unknown field": in_spec("colour", 1),
    "unknown kind": in_spec("transform.kind", "base"),
    "kind is a path": in_spec("context.kind", "../transforms/depthwise"),
    "text for a number": in_spec("context.width", "12"),
    "a fraction for a number": in_spec("context.width", 12.5),
    "a million channels": in_spec("context.width", 10**6),
    "more channels than a patch has pixels": in_spec("transform.channels", 4096),
    "many blocks": in_spec("transform.analysis_blocks", [4096, 4096]),
    "three stages": in_spec("transform.analysis_blocks", [1, 1, 1]),
    "blocks in a list": in_spec("transform.analysis_blocks", [[1], 1]),
    "negative channels": in_spec("hyper_channels", -1),
    "no channels": in_spec("hyper_channels", 0),
    "no latents": in_spec("transform.latent_channels", 0),
    "other latents": in_spec("context.latent_channels", 20),
    "an even kernel": in_spec("context.kernel_size", 4),
    "no kernel": in_spec("context.kernel_size", 0),
    "no λ": in_spec("lambda_min", 0.0),
    "an unknown tiling": in_spec("tiling", "mosaic"),
    "λ is no number": in_spec("lambda_max", float("nan")),
    "padding to nothing": in_spec("pad_multiple_px", 0),
    "padding to half a hyper-latent": in_spec("pad_multiple_px", 32),
    "a name that no file can hold": in_spec("name", "Tiny Codec"),
    "a tensor too many": lambda tensors, _: tensors.update({"extra": torch.zeros(1)}),
    "a tensor too few": lambda tensors, _: tensors.pop(WEIGHT),
    "weights off the grid": in_tensor(WEIGHT, lambda x: x.float() + 0.5),
    "weights of more bits": in_tensor(WEIGHT, lambda x: x.int() * 2),
    "biases in float": in_tensor(BIAS, Tensor.double),
    "transposed weights": in_tensor(WEIGHT, lambda x: x.transpose(0, 2)),
    "biases beyond 53 bits": in_tensor(BIAS, with_value(2**62)),
    "a table in float": in_tensor(TABLE, Tensor.float),
    "a short table": in_tensor(TABLE, lambda x: x[:-1]),
    "gains in float": in_tensor(store.GAINS, Tensor.float),
    "a gain beyond reason": in_tensor(store.GAINS, with_value(21 * 2**16)),
    "a gain without an opposite": in_tensor(store.GAINS, with_value(-(2**31))),
    "a scale of nothing": in_tensor("analysis.fine.scale", with_value(0.0)),
    "NaN": in_tensor("synthesis.patches.bias", with_value(float("nan"))),
    "infinity": in_tensor("prior.shift", with_value(float("inf"))),
    "double precision": in_tensor("synthesis.patches.bias", Tensor.double),
    "complex numbers": in_tensor("synthesis.patches.bias", lambda x: x.to(torch.complex64)),
    "frequencies of 64 bits": in_tensor("tables.latent.frequencies", Tensor.long),
    "a zero frequency": in_tensor("tables.hyper.frequencies", with_value(0)),
    "a table too few for latents": without_last_row("latent"),
    "a table too few for hyper-latents": without_last_row("hyper"),
}


@every_codec
def test_a_weights_file_comes_back_bit_for_bit(spec: CodecSpec) -> None:
    file = weights_file(spec)
    weights, card = store.unpack(file, "file"), store.read_card(file, "file")
    again = store.pack(weights.codec, card, latent_tables=weights.latent_tables)
    (before, metadata), (after, metadata_again) = taken_apart(file), taken_apart(again)
    assert metadata_again == metadata  # safetensors writes it in any order: files may differ
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype, name
        assert after[name].equal(tensor), name


def test_what_is_packed_comes_back() -> None:
    """Against the codec itself: pack and unpack could agree with each other on something else."""
    codec = tiny.started(tiny.TINY)
    tiny.rouse(codec)
    found = store.unpack(tiny.finished(codec), "file").codec
    layers = zip(grid_layers(codec.parsing_path), grid_layers(found.parsing_path), strict=True)
    for (name, ours), (_, theirs) in layers:
        if isinstance(ours, Snap):
            assert ours.fraction_bits == theirs.fraction_bits, name
        elif isinstance(ours, GridTable):
            assert ours.table.equal(theirs.table), name
        else:
            assert isinstance(ours, GridConv2d)
            assert ours.weight_bits == theirs.weight_bits, name
            assert ours.weight.equal(theirs.weight), name
            assert ours.bias.equal(theirs.bias), name
    state = found.state_dict()
    for name, tensor in codec.state_dict().items():
        # Transforms are kept in 11 bits.
        torch.testing.assert_close(state[name], tensor, rtol=2**-11, atol=2**-24, msg=name)


def test_the_same_codec_has_one_fingerprint() -> None:
    """safetensors alone writes metadata in random order."""
    codec = tiny.started(tiny.TINY)
    tiny.rouse(codec)
    packed = tiny.finished(codec)
    assert {store.pack(codec, {"b": 1, "a": 2}) for _ in range(8)} == {
        store.pack(codec, {"a": 2, "b": 1})
    }
    assert store.read_card(packed, "file") == {}


def test_a_codec_that_is_not_exact_is_not_packed() -> None:
    with pytest.raises(ValueError, match="freeze"):
        store.pack(LearnedImageCodec(tiny.TINY), {})


def test_the_changer_leaves_sound_files() -> None:  # or what follows means nothing
    tensors, metadata = taken_apart()
    store.unpack(safetensors.torch.save(tensors, metadata), "file")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_hostile_file_is_bad_weights(change: Change) -> None:
    tensors, metadata = taken_apart()
    change(tensors, metadata)
    with pytest.raises(BadWeightsError) as caught:
        store.unpack(safetensors.torch.save(tensors, metadata), "file")
    assert caught.value.source == "file"  # of several that were looked at


def framed(header: bytes, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + content


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 64,
        framed(b"null"),
        framed(b"{}"),
        framed(b'{"__metadata__": null}'),
        framed(b'{"__metadata__": 3}'),
        framed(b"[" * 100_000),
        framed(b'{"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}', b"\0"),
        framed(b'{"x": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}', b"\0"),
    ],
)
def test_noise_is_bad_weights(noise: bytes) -> None:
    with pytest.raises(BadWeightsError):
        store.unpack(noise, "file")


@pytest.mark.parametrize("card", ["", "3", "[" * 100_000])
def test_a_hostile_card_is_bad_weights(card: str) -> None:
    tensors, metadata = taken_apart()
    file = safetensors.torch.save(tensors, metadata | {"card": card})
    store.unpack(file, "file")  # nothing but people reads it
    with pytest.raises(BadWeightsError):
        store.read_card(file, "file")


@given(st.integers(0, len(TINY_FILE) - 1))
@settings(deadline=None, max_examples=30)
def test_a_cut_file_is_bad_weights(length: int) -> None:
    with pytest.raises(BadWeightsError):
        store.unpack(TINY_FILE[:length], "file")


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_damaged_header_is_bad_weights_or_the_same_codec(hostile: st.DataObject) -> None:
    """What is damaged may be the card, the order of tensors, or a number that still makes sense."""
    header_bytes = struct.unpack("<Q", TINY_FILE[:8])[0]
    damaged = bytearray(TINY_FILE)
    place = hostile.draw(st.integers(0, 7 + header_bytes))
    damaged[place] = hostile.draw(st.integers(0, 255))
    try:
        found = store.unpack(bytes(damaged), "file")
    except BadWeightsError:  # any other exception fails the test
        return
    assert found.codec.parameter_count == weights(tiny.TINY).codec.parameter_count


def test_a_file_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a folder.safetensors").mkdir()
    (tmp_path / "leads nowhere.safetensors").symlink_to(tmp_path / "gone")
    (tmp_path / "text.safetensors").write_text("not weights")
    (tmp_path / "the one.safetensors").write_bytes(TINY_FILE)
    monkeypatch.setenv(store.MODELS_VARIABLE, str(tmp_path))
    fingerprint = weights(tiny.TINY).fingerprint
    assert store.by_fingerprint("tiny-1", fingerprint).fingerprint == fingerprint
    with pytest.raises(MissingWeightsError):
        store.by_fingerprint("tiny-1", b"\0\0\0\0")


def test_a_file_s_own_codec_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    swift = store.by_name("swift")
    looked_at: list[str] = []
    fingerprint_of = store._fingerprint_of

    def watched(path: Path) -> bytes:
        looked_at.append(path.name)
        return fingerprint_of(path)

    monkeypatch.setattr(store, "_fingerprint_of", watched)
    store.by_fingerprint(swift.codec.spec.full_name, swift.fingerprint)
    assert looked_at == [swift.codec.spec.weights]


@pytest.mark.parametrize("name", ["no such file.safetensors", "."])
def test_a_path_without_weights_is_bad_weights(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadWeightsError):
        store.from_file(Path(name))


def test_weights_that_changed_on_disk_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(TINY_FILE)
    before = store.from_file(path)
    assert store.from_file(path) is before
    # Another size at the same time, and the same size at another time.
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(store.pack(before.codec, {"longer": "card"}))
    os.utime(path, ns=times)
    longer = store.from_file(path)
    assert longer.fingerprint != before.fingerprint
    path.write_bytes(store.pack(before.codec, {"larger": "card"}))
    os.utime(path, ns=(times[0], times[1] + 1_000_000))
    assert store.from_file(path).fingerprint != longer.fingerprint
