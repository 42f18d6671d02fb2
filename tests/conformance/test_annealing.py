"""Latents sought for one picture: real files of every codec, never worse, decoded as any other."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

import corelic
from corelic.codecs.annealing import ITERATIONS, Annealer, Unrounded, gumbel, split_effort
from corelic.codecs.base import CodecSpec
from corelic.codecs.files import FileCodec, open_codec
from corelic.codecs.rate import lambda_of
from corelic.codecs.targets import encode_to_psnr, encode_to_size
from corelic.codecs.tiling import Area, Grid
from corelic.entropy import container
from corelic.errors import CodecOptionError, MemoryBudgetError
from corelic.eval.metrics import psnr_db
from corelic.media import Picture
from tests import tiny
from tests.conformance.conftest import every_codec, weights
from tests.conformance.test_codecs import photo

QUALITY = 60.0
SIZE_PX = (129, 193)  # six cells of 64


def codec_of(spec: CodecSpec, effort: int) -> FileCodec:
    return FileCodec(weights(spec), torch.device("cpu"), effort)


def cost(codec: FileCodec, picture: Picture, data: bytes, quality: float = QUALITY) -> float:
    """Real bits of the stream, and what real errors are worth in bits."""
    difference = codec.decode(data).pixels.astype(float) - picture.pixels
    worth = lambda_of(codec.spec, torch.tensor([quality])).item()
    bits = 8 * len(container.read(data).words)
    return bits + worth * float(np.square(difference).sum()) / 3


@every_codec
def test_an_effort_makes_no_file_worse(spec: CodecSpec) -> None:
    picture, plain = photo(*SIZE_PX), codec_of(spec, 0)
    for effort in (1, 2):
        codec = codec_of(spec, effort)
        data = codec.encode(picture, QUALITY)
        # Of random weights it may find nothing; words have four bytes, and pixels are rounded.
        before, after = (
            cost(plain, picture, each) for each in (plain.encode(picture, QUALITY), data)
        )
        assert after <= 1.002 * before + 64


def test_more_effort_is_worth_more() -> None:
    picture = photo(256, 256)
    codecs = [open_codec(name, "cpu") for name in ("swift", "swift:effort=1", "swift:effort=3")]
    costs = [cost(codec, picture, codec.encode(picture, QUALITY)) for codec in codecs]
    assert costs[1] < 0.995 * costs[0]  # 0.991, and 0.976: a smooth picture gains less than most
    assert costs[2] < 0.985 * costs[0]


def test_a_file_does_not_tell_how_it_was_found() -> None:
    picture = photo(*SIZE_PX)
    plain, tried = (codec_of(tiny.TINY, effort) for effort in (0, 2))
    data = tried.encode(picture, QUALITY)
    assert data != plain.encode(picture, QUALITY)
    assert container.read_header(data) == container.read_header(plain.encode(picture, QUALITY))
    assert np.array_equal(plain.decode(data).pixels, tried.decode(data).pixels)
    assert tried.encode(picture, QUALITY) == data


def test_windows_are_as_good_as_the_whole() -> None:
    codec, picture = codec_of(tiny.TINY, 2), photo(257, 321)
    whole = Grid(5, 6)
    least = next(bytes_ for bytes_ in range(0, 10**8, 10**5) if fits(codec.annealer, whole, bytes_))
    windows = len(codec.annealer.tiles(whole, "encode", least))
    assert windows > 4
    assert len(codec.annealer.tiles(whole, "encode", 10**9)) == 1
    seen: list[tuple[int, int]] = []
    tiled = codec.encode(
        picture, QUALITY, memory_bytes=least, progress=lambda *state: seen.append(state)
    )
    assert seen[-1][0] == seen[-1][1] > windows * ITERATIONS[2]
    plain = codec_of(tiny.TINY, 0).encode(picture, QUALITY)
    files = plain, tiled, codec.encode(picture, QUALITY)
    start, in_windows, at_once = (cost(codec, picture, data) for data in files)
    assert start - in_windows > 0.8 * (start - at_once) > 0
    with pytest.raises(MemoryBudgetError):
        codec.encode(picture, QUALITY, memory_bytes=least - 10**5)


def fits(annealer: Annealer, grid: Grid, memory_bytes: int) -> bool:
    try:
        annealer.tiles(grid, "encode", memory_bytes)
    except MemoryBudgetError:
        return False
    return True


def test_what_is_beyond_the_picture_counts_for_nothing() -> None:
    codec = codec_of(tiny.TINY, 1).annealer.codec
    annealer, quality = Annealer(codec, iterations=2), torch.tensor([60.0])
    x = torch.rand(1, 3, 128, 128)
    other = x.clone()
    other[:, :, 65:] = other[:, :, :, 70:] = 0.0
    found = []
    for padded in (x, other):
        y = codec.latents_of(x, quality)
        z = codec.hyper_latents_of(y)
        tiles = annealer.tiles(Grid(2, 2), "encode", 10**9)
        read = partial(window_of, padded)
        annealer.find(read, Unrounded(y, z), quality, tiles, (65, 70), idle)
        found.append((y, z))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], codec.latents_of(x, quality))


def window_of(padded: Tensor, area: Area) -> Tensor:
    return padded[:, :, *area]


def idle() -> None:
    """Progress that nobody watches."""


@pytest.mark.parametrize("temperature", [0.4, 0.15])
def test_rounding_is_down_or_up_by_distance(temperature: float) -> None:
    quantise = gumbel(temperature, torch.Generator().manual_seed(0))
    x = torch.tensor([-3.0, -2.9, 0.5, 1.2, 7.0]).repeat(2000, 1).requires_grad_()
    found = quantise(x)
    assert bool(((found >= x.floor()) & (found <= x.floor() + 1)).all())
    up = (found - x.floor()).round().mean(0)
    odds = [(math.atanh(share) - math.atanh(1 - share)) / temperature for share in (0.1, 0.2)]
    expected = [0, 1 / (1 + math.exp(-odds[0])), 0.5, 1 / (1 + math.exp(-odds[1])), 0]
    assert up.tolist() == pytest.approx(expected, abs=0.04)
    found.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert (x.grad >= 0).all() and x.grad[:, 2].mean() > 0.5


def test_names_say_the_effort() -> None:
    assert split_effort("swift") == ("swift", 0)
    assert split_effort("models/own.safetensors:effort=2") == ("models/own.safetensors", 2)
    assert split_effort(r"C:\runs\rate=1.safetensors")[1] == 0
    codec = open_codec("swift:effort=4", "cpu")
    assert codec.facts.name == "swift-9:effort=4"
    assert open_codec(codec.facts.name, "cpu").facts == codec.facts
    assert open_codec("swift:effort=0", "cpu").facts == open_codec("swift", "cpu").facts


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("swift:effort=7", "whole number, 0 … 6"),
        ("swift:effort=", "whole number"),
        ("swift:effort=-1", "whole number"),
        ("swift:speed=1", "no parameter 'speed'; it has effort"),
    ],
)
def test_other_options_are_refused(name: str, reason: str) -> None:
    with pytest.raises(CodecOptionError, match=reason):
        corelic.encode(photo(64, 64), codec=name)


def test_a_size_is_met_with_an_effort() -> None:
    picture, target_bytes = photo(200, 200), 3000
    found = encode_to_size(open_codec("swift:effort=2", "cpu"), picture, target_bytes)
    assert 0.96 * target_bytes <= len(found.data) <= target_bytes
    assert_sought(picture, found.data)


def test_a_psnr_is_met_with_an_effort() -> None:
    picture, codec = photo(200, 200), open_codec("swift:effort=2", "cpu")
    found = encode_to_psnr(codec, picture, 35.0)
    assert psnr_db(picture.pixels, codec.decode(found.data).pixels) == pytest.approx(35, abs=0.05)
    assert_sought(picture, found.data)


def assert_sought(picture: Picture, data: bytes) -> None:
    """That it is better than the file without an effort, of the same quality."""
    codec, quality = open_codec("swift", "cpu"), container.read_header(data).quality
    usual = codec.encode(picture, quality)
    assert cost(codec, picture, data, quality) < 0.995 * cost(codec, picture, usual, quality)


def test_a_file_of_an_effort_decodes_by_that_name() -> None:
    data = corelic.encode(photo(64, 65), codec="swift:effort=1")
    assert corelic.decode(data, codec="swift:effort=1").size == (65, 64)
    assert corelic.decode(data).size == (65, 64)
