"""What a user relies on in any codec: files that decode, everywhere, to what was meant."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data

import corelic
from corelic.codecs import passes, store
from corelic.codecs.base import CodecSpec
from corelic.codecs.files import FileCodec, exact_arithmetic
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import NODES
from corelic.entropy import container
from corelic.entropy.coder import Encoder, Segment
from corelic.errors import (
    BadFileError,
    HeaderError,
    MissingWeightsError,
    OutOfMemoryError,
    PayloadError,
    QualityError,
    SymbolMismatchError,
    TooManyPixelsError,
)
from corelic.media import Picture
from tests import tiny
from tests.conformance import elsewhere
from tests.conformance.conftest import (
    SPECS,
    every_codec,
    file_codec,
    is_trained,
    settings_matrix,
    unfiltered,
    weights,
    weights_file,
)

ROOT = Path(__file__).parents[2]
LAST_STATE_BITS = 8 * 16  # of the coder, and luck with escapes
SIZES_PX = [(1, 1), (1, 70), (70, 1), (33, 65), (100, 129)]
every_trained_codec = pytest.mark.parametrize(
    "spec", list(filter(is_trained, SPECS)), ids=lambda spec: spec.full_name
)


def photo(height_px: int, width_px: int, colour: str = "rgb") -> Picture:
    pixels = data.astronaut()[20 : 20 + height_px, 120 : 120 + width_px]
    return Picture(pixels if colour == "rgb" else pixels[:, :, 1])


@every_codec
@pytest.mark.parametrize("size", SIZES_PX, ids=str)
@pytest.mark.parametrize("colour", ["rgb", "grey"])
@pytest.mark.usefixtures("in_float32")
def test_any_picture_comes_back(spec: CodecSpec, size: tuple[int, int], colour: str) -> None:
    codec, picture = unfiltered(spec), photo(*size, colour)
    encoded = codec.encode(picture, 60)
    assert codec.encode(picture, 60) == encoded
    info = corelic.info(encoded)
    assert (info.height_px, info.width_px, info.colour) == (*size, colour)
    assert (info.codec, info.generation, info.quality) == (spec.name, spec.generation, 60)
    decoded = codec.decode(encoded)
    assert (decoded.pixels.shape, decoded.colour) == (picture.pixels.shape, colour)
    assert np.array_equal(codec.decode(encoded).pixels, decoded.pixels)
    # One symbol astray, and the decoder would not see what the encoder saw. (Float32: ±1.)
    seen = codec.estimate(picture, 60).picture
    assert np.abs(decoded.pixels.astype(int) - seen.pixels).max() <= 1


@every_codec
@pytest.mark.parametrize("quality", [0, 100])
@pytest.mark.usefixtures("in_float32")
def test_the_ends_of_the_quality_range(spec: CodecSpec, quality: float) -> None:
    codec, picture = unfiltered(spec), photo(64, 64)
    decoded = codec.decode(codec.encode(picture, quality))
    seen = codec.estimate(picture, quality).picture
    assert np.abs(decoded.pixels.astype(int) - seen.pixels).max() <= 1


@every_trained_codec
@pytest.mark.parametrize("quality", [10, 50, 90])
def test_files_are_as_large_as_the_likelihoods_say(spec: CodecSpec, quality: float) -> None:
    """Fitted tables know more than the Gaussians of training: they may do better."""
    codec, picture = unfiltered(spec), photo(192, 256)
    encoded = codec.encode(picture, quality)
    real_bits = 8 * len(container.read(encoded).words)
    estimated_bits = codec.estimate(picture, quality).bits
    assert 0.96 * estimated_bits - LAST_STATE_BITS <= real_bits
    assert real_bits <= 1.01 * estimated_bits + LAST_STATE_BITS
    assert 8 * len(encoded) - real_bits <= 8 * (43 + len(spec.name))


@every_trained_codec
def test_files_are_as_large_as_their_tables_say(
    spec: CodecSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments: list[Segment] = []

    class Noting(Encoder):
        def push(self, segment: Segment) -> None:
            segments.append(segment)
            super().push(segment)

    monkeypatch.setattr(passes, "Encoder", Noting)
    words = container.read(file_codec(spec).encode(photo(192, 256), 60)).words
    expected_bits = sum(map(bits_of, segments))
    assert abs(8 * len(words) - expected_bits) <= 0.002 * expected_bits + LAST_STATE_BITS


def bits_of(segment: Segment) -> float:
    """What the frequencies of its symbols come to; of escapes, their classes and bits too."""
    tables, table = segment.tables, segment.indexes
    starts = np.cumsum(tables.size) - tables.size
    edge = tables.size[table] - 1
    offset = segment.symbols - tables.low[table]
    escaped = (offset < 0) | (offset >= edge)
    found = tables.frequencies[starts[table] + np.where(escaped, edge, offset)]
    beyond = np.where(offset < 0, -1 - offset, offset - edge)[escaped]
    return float((24 - np.log2(found)).sum() + (5 + np.floor(np.log2(beyond + 2))).sum())


@every_trained_codec
def test_pictures_are_recognisable_and_quality_costs_bytes(spec: CodecSpec) -> None:
    codec, picture = file_codec(spec), photo(192, 256)
    sizes, errors = [], []
    for quality in (0, 25, 50, 75, 100):
        encoded = codec.encode(picture, quality)
        sizes.append(len(encoded))
        decoded = codec.decode(encoded).pixels.astype(int)
        errors.append(np.square(decoded - picture.pixels).mean())
    assert sizes == sorted(sizes)
    # Where a codec cannot do better, a filter's sample of rows may make a hundredth of a percent.
    assert all(after < 1.001 * before for before, after in itertools.pairwise(errors))
    assert errors[0] < np.square(picture.pixels - picture.pixels.mean((0, 1))).mean() / 5


@every_codec
def test_files_and_latents_do_not_depend_on_threads_library_or_layout(spec: CodecSpec) -> None:
    codec = file_codec(spec)
    y, z = elsewhere.latents_of(codec, photo(100, 129))
    expected = elsewhere.encode_latents(codec, y, z)
    y_hat = elsewhere.parse(codec, expected).y_hat
    for layout in settings_matrix(codec.codec):
        given = (part.contiguous(memory_format=layout) for part in (y, z))
        assert elsewhere.encode_latents(codec, *given) == expected
        assert elsewhere.parse(codec, expected).y_hat.equal(y_hat)


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "MKL_DYNAMIC": "FALSE"},
        {  # the oldest instructions that each library still has
            "OMP_NUM_THREADS": "1",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
            "MKL_CBWR": "COMPATIBLE",
        },
    ],
    ids=["two threads", "old instructions"],
)
def test_another_process_makes_the_same_files(environment: dict[str, str], tmp_path: Path) -> None:
    for spec in SPECS:
        folder = tmp_path / spec.full_name
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(weights_file(spec))
        y, z = elsewhere.latents_of(file_codec(spec), photo(100, 129))
        save_file({"y": y.contiguous(), "z": z.contiguous()}, folder / "latents.safetensors")
    folders = sorted(tmp_path.iterdir())
    subprocess.run(
        [sys.executable, "-m", "tests.conformance.elsewhere", *map(str, folders)],
        env={**os.environ, **environment},
        cwd=ROOT,
        check=True,
    )
    for spec in SPECS:
        folder, codec = tmp_path / spec.full_name, file_codec(spec)
        given = load_file(folder / "latents.safetensors")
        expected = elsewhere.encode_latents(codec, given["y"], given["z"])
        assert (folder / "file.clc").read_bytes() == expected
        y_hat = load_file(folder / "y_hat.safetensors")["y_hat"]
        assert y_hat.equal(elsewhere.parse(codec, expected).y_hat)


@every_codec
def test_a_batch_of_hyper_latents_is_its_pictures(spec: CodecSpec) -> None:
    codec = weights(spec).codec
    z_hat = torch.randint(-9, 9, (3, spec.hyper_channels, 2, 3)).double()
    node = torch.tensor([0, NODES // 2, NODES - 1])
    with exact_arithmetic():
        batch = codec.hyper_synthesis(z_hat, node)
        for position in range(len(node)):
            own = slice(position, position + 1)
            assert codec.hyper_synthesis(z_hat[own], node[own]).equal(batch[own])


@every_codec
def test_every_parameter_learns(spec: CodecSpec) -> None:
    torch.manual_seed(3)
    codec = LearnedImageCodec(spec).train()
    tiny.rouse(codec)  # behind a zero, there is no gradient
    x = tiny.crops(3, 2, 128)
    result = codec(x, torch.tensor([20.0, 80.0]))
    assert result.x_hat.shape == x.shape
    assert result.bits.shape == (2,)
    distortion = (result.x_hat - x).square().mean()
    (result.bits.mean() / x[0].numel() + distortion).backward()
    for name, parameter in codec.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@every_codec
@pytest.mark.parametrize("seed", range(12))
def test_another_stream_under_sound_checksums_is_a_bad_file(spec: CodecSpec, seed: int) -> None:
    """Every CRC but that of the symbols is right: what is left is the coder, and that one."""
    codec, random = file_codec(spec), np.random.default_rng(seed)
    content = container.read(codec.encode(photo(64, 70), 60))
    words = bytearray(content.words)
    match seed % 4:
        case 0:
            words[random.integers(len(words))] ^= 1 << random.integers(8)
        case 1:
            del words[random.integers(len(words)) :]
        case 2:
            place = random.integers(len(words) // 4) * 4
            words[place:place] = random.bytes(4)
        case 3:
            words[:] = random.bytes(len(words))
    with pytest.raises(BadFileError):
        codec.decode(container.write(replace(content, words=bytes(words))))


@every_codec
def test_the_words_of_another_picture_are_noticed_by_their_symbols(spec: CodecSpec) -> None:
    """They are all read, and nothing is left: only the CRC of the symbols tells."""
    codec, picture = file_codec(spec), photo(64, 70)
    content = container.read(codec.encode(picture, 60))
    mirrored = Picture(np.ascontiguousarray(picture.pixels[:, ::-1]))
    other = container.read(codec.encode(mirrored, 60))
    with pytest.raises(SymbolMismatchError):
        codec.decode(container.write(replace(content, words=other.words)))


@every_codec
@pytest.mark.parametrize(
    "changed",
    [{"width_px": 129}, {"height_px": 1}, {"height_px": 2**12}, {"quality_step": 0}],
    ids=str,
)
def test_another_header_under_sound_checksums_is_a_bad_file(
    spec: CodecSpec, changed: dict[str, int]
) -> None:
    codec = file_codec(spec)
    content = container.read(codec.encode(photo(100, 70), 90))
    forged = replace(content, header=replace(content.header, **changed))
    with pytest.raises(BadFileError):
        codec.decode(container.write(forged))


@every_codec
def test_damage_is_a_bad_file(spec: CodecSpec) -> None:
    codec, random = file_codec(spec), np.random.default_rng(5)
    encoded = codec.encode(photo(33, 65), 60)
    codec.decode(encoded)  # which is none
    for bit in random.integers(8 * len(encoded), size=50).tolist():
        damaged = bytearray(encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadFileError):
            codec.decode(bytes(damaged))
    for length in random.integers(len(encoded), size=20).tolist():
        with pytest.raises(BadFileError):
            codec.decode(encoded[:length])


@every_codec
def test_other_weights_are_named_and_found(
    spec: CodecSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = store.pack(weights(spec).codec, {"for": "this test"})  # hence nowhere else
    codec = FileCodec(store.unpack(own, "own"), torch.device("cpu"))
    encoded = codec.encode(photo(33, 65), 60)
    monkeypatch.delenv(store.MODELS_VARIABLE, raising=False)
    with pytest.raises(MissingWeightsError) as missing:
        corelic.decode(encoded)
    assert missing.value.fingerprint == codec.weights.fingerprint
    assert codec.weights.fingerprint.hex() in str(missing.value)
    with pytest.raises(MissingWeightsError):  # nor do other weights of the same codec decode it
        file_codec(spec).decode(encoded)
    (tmp_path / "any name.safetensors").write_bytes(own)
    monkeypatch.setenv(store.MODELS_VARIABLE, os.pathsep.join(["/nowhere", str(tmp_path)]))
    decoded = np.asarray(corelic.decode(encoded, device="cpu"))
    assert np.abs(decoded.astype(int) - codec.decode(encoded).pixels).max() <= 1


def tiny_codec() -> FileCodec:
    return file_codec(tiny.TINY)


def with_header(data: bytes, **changes: object) -> bytes:
    content = container.read(data)
    return container.write(replace(content, header=replace(content.header, **changes)))


def test_a_thin_picture_counts_with_its_padding() -> None:
    """1,000,000 × 1 is a megapixel, and 64 of them once it is padded."""
    codec = tiny_codec()
    data = with_header(codec.encode(photo(1, 1), 50), width_px=1_000_000)
    with pytest.raises(TooManyPixelsError, match="64,000,000"):
        codec.decode(data, max_pixels=1_000_000)


def test_what_no_reader_would_take_is_not_encoded() -> None:
    pixels = np.broadcast_to(np.uint8(7), (1, container.MAX_PIXELS // 60))
    with pytest.raises(TooManyPixelsError):
        tiny_codec().encode(Picture(pixels), 50)


@pytest.mark.parametrize("quality", [-0.1, 100.1, float("nan"), float("inf")])
def test_a_quality_that_is_none(quality: float) -> None:
    for work in (tiny_codec().encode, tiny_codec().estimate):
        with pytest.raises(QualityError):
            work(photo(8, 8), quality)


def test_a_file_that_names_another_codec_for_these_weights() -> None:
    codec = tiny_codec()
    data = codec.encode(photo(8, 8), 50)
    for changes in ({"codec": "swift"}, {"generation": 9}):
        with pytest.raises(HeaderError, match="tiny-1"):
            codec.decode(with_header(data, **changes))


def test_too_little_memory_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = tiny_codec()
    data = codec.encode(photo(8, 8), 50)

    def allocate(*_: object) -> None:
        torch.empty(2**55, dtype=torch.uint8)  # more than any machine has

    monkeypatch.setattr(codec.codec, "gained", allocate)
    monkeypatch.setattr(codec.codec, "pixels_of", allocate)
    with pytest.raises(OutOfMemoryError, match="8 × 8"):
        codec.encode(photo(8, 8), 50)
    with pytest.raises(OutOfMemoryError, match="8 × 8"):
        codec.decode(data)


def test_latents_that_overflow_synthesis_are_a_bad_file(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = tiny_codec()
    data = codec.encode(photo(8, 8), 50)
    monkeypatch.setattr(codec.codec, "pixels_of", lambda *_: torch.full((1, 3, 64, 64), np.nan))
    with pytest.raises(PayloadError):
        codec.decode(data)


def test_a_codec_elsewhere_leaves_the_shared_weights_where_they_are() -> None:
    """Weights are cached: a second device must not pull them from under the first."""
    shared = weights(tiny.TINY)
    moved = FileCodec(shared, torch.device("meta"))
    assert moved.codec is not shared.codec
    assert {parameter.device.type for parameter in shared.codec.parameters()} == {"cpu"}


def test_a_file_cannot_shadow_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("swift").write_bytes(tiny.TINY_WEIGHTS.read_bytes())
    Path("mine").write_bytes(tiny.TINY_WEIGHTS.read_bytes())
    assert store.by_name("mine").codec.spec == tiny.TINY
    assert store.by_name("swift").codec.spec.name == "swift"
