"""Every learned codec's files hold a filter where one pays, and decode to what it gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from corelic.codecs.base import CodecSpec
from corelic.codecs.files import exact_arithmetic, to_pixels
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.memory import Costs
from corelic.codecs.passes import silent
from corelic.codecs.wiener import CHUNK_BITS, filter_of, terms_of
from corelic.entropy import container
from corelic.entropy.container import Chunk, ChunkType, Colour
from corelic.errors import ChunkError
from corelic.media import Picture
from tests import tiny
from tests.conformance.conftest import SPECS, every_codec, file_codec, unfiltered
from tests.conformance.test_codecs import every_trained_codec, photo
from tests.entropy import tiny_reader

QUALITY = 90


def squared_error(picture: Picture, other: Picture) -> float:
    return float(np.square(picture.pixels.astype(float) - other.pixels).mean())


@every_trained_codec
def test_a_filter_lowers_the_error(spec: CodecSpec) -> None:
    codec, picture = file_codec(spec), photo(192, 256)
    data, without = codec.encode(picture, QUALITY), unfiltered(spec).encode(picture, QUALITY)
    assert [len(container.read(each).optional) for each in (data, without)] == [1, 0]
    payload = container.read(data).payload(ChunkType.FILTER)
    assert payload is not None
    assert len(data) - len(without) == len(payload) + CHUNK_BITS // 8
    assert codec.encode(picture, QUALITY) == data
    after, before = (squared_error(picture, codec.decode(each)) for each in (data, without))
    assert after < 0.997 * before


@every_codec
@pytest.mark.usefixtures("in_float32")
@pytest.mark.parametrize("colour", ["rgb", "grey"])
@pytest.mark.parametrize("form", [1, 3])
def test_the_decoder_applies_it_to_the_padded_picture(
    spec: CodecSpec, colour: str, form: int
) -> None:
    """As the format page says, on what the decoder makes without it; in numbers large enough."""
    codec, picture = file_codec(spec), photo(33, 70, colour)
    content = container.read(unfiltered(spec).encode(picture, QUALITY))
    payload = written(form, planes=1 if colour == "grey" else 3)
    data = container.write(replace(content, optional=(Chunk(ChunkType.FILTER, payload),)))
    with exact_arithmetic():
        passes = codec.passes(70, 33, "decode", MEMORY_BYTES, silent)
        y_hat = codec.parse(content).y_hat
        ((_, x_hat),) = passes.pictures_of(y_hat, codec.quality_tensor(QUALITY))
    assert x_hat.shape[1] > 33 and x_hat.shape[2] > 70
    weights = tiny_reader.filter_weights(payload, 1 if colour == "grey" else 3)
    clip = tiny_reader.filter_clip(payload)
    expected = tiny_reader.filtered(x_hat.numpy().astype(float), weights, clip)
    colours = Colour.GREY if colour == "grey" else Colour.RGB
    pixels = to_pixels(torch.tensor(expected)[:, :33, :70], colours)
    assert np.abs(codec.decode(data).pixels.astype(int) - pixels).max() <= 1


@pytest.mark.usefixtures("in_float32")
@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if spec.tiling == "halo"], ids=lambda spec: spec.full_name
)
@pytest.mark.parametrize("form", [1, 3])
def test_tiles_leave_no_seam_in_what_is_filtered(spec: CodecSpec, form: int) -> None:
    """At its border a tile sees a pixel or two less beyond it than its halo: that must not show."""
    codec, picture = file_codec(spec), photo(257, 321)
    content = container.read(unfiltered(spec).encode(picture, QUALITY))
    optional = (Chunk(ChunkType.FILTER, written(form, planes=3)),)
    data = container.write(replace(content, optional=optional))
    budget = Costs(codec.codec).least_bytes(codec.grid(321, 257), "decode")
    passes = codec.passes(321, 257, "decode", budget, silent)
    assert len(passes.plan.tiles["synthesis"]) > 1
    whole, tiled = codec.decode(data), codec.decode(data, memory_bytes=budget)
    assert np.abs(whole.pixels.astype(int) - tiled.pixels).max() <= 1


def written(form: int, planes: int) -> bytes:
    """The payload of a filter that shows."""
    numbers = [(-1) ** n * (n % 7) for n in range(planes * len(terms_of(form, 0)))]
    return bytes([form + 32 * 2] + [7] * (form == 3)) + packed(numbers, 2)


def packed(numbers: list[int], rice: int) -> bytes:
    bits = ""
    for number in numbers:
        folded = 2 * number if number >= 0 else -2 * number - 1
        bits += "1" * (folded >> rice) + "0" + format(folded & (1 << rice) - 1, f"0{rice}b")
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


@every_trained_codec
def test_a_filter_that_is_none_is_a_bad_file(spec: CodecSpec) -> None:
    codec = file_codec(spec)
    content = container.read(unfiltered(spec).encode(photo(64, 64), QUALITY))
    for payload in (b"", b"\x03", bytes(99)):
        data = container.write(replace(content, optional=(Chunk(ChunkType.FILTER, payload),)))
        with pytest.raises(ChunkError, match="filter"):
            codec.decode(data)


def test_of_grey_pictures_it_has_one_plane() -> None:
    codec, picture = file_codec(tiny.TINY), photo(192, 256, "grey")
    data, without = codec.encode(picture, QUALITY), unfiltered(tiny.TINY).encode(picture, QUALITY)
    payload = container.read(data).payload(ChunkType.FILTER)
    assert payload is not None
    assert len(filter_of(payload, grey=True).numbers) in (4, 8, 16, 32)
    after, before = (squared_error(picture, codec.decode(each)) for each in (data, without))
    assert after < 0.997 * before
