"""A decoder that shares no code with corelic's reads the golden files, and finds the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from corelic.codecs import files
from corelic.codecs.chunks import extras_of
from corelic.codecs.files import exact_arithmetic
from corelic.codecs.wiener import filter_in
from corelic.entropy import container
from corelic.entropy.coder import FrequencyTables
from tests.entropy import tiny_reader
from tests.entropy.tiny_reader import TinyTable
from tests.golden.conftest import maker_of


class SecondDecoder:
    """The plain rANS decoder, where corelic expects its own."""

    def __init__(self, words: bytes) -> None:
        self.stream = tiny_reader.Stream(words)
        self.finish = self.stream.finish

    def decode(
        self, indexes: NDArray[np.integer[Any]], tables: FrequencyTables
    ) -> NDArray[np.int32]:
        rows = np.split(tables.frequencies, np.cumsum(tables.size)[:-1])
        plain = [
            TinyTable(low, row.tolist()) for low, row in zip(tables.low.tolist(), rows, strict=True)
        ]
        found = self.stream.segment(indexes.tolist(), plain)
        return np.array(found, np.int32)


def test_both_readers_take_the_file_apart_alike(stream: Path) -> None:
    ours = container.read(stream.read_bytes())
    theirs = tiny_reader.read(stream.read_bytes())
    for field in ("codec", "generation", "fingerprint", "width_px", "height_px", "quality"):
        assert getattr(theirs, field) == getattr(ours.header, field)
    assert theirs.colour.lower() == ours.header.colour.name.lower()
    assert (theirs.symbols_crc32, theirs.words) == (ours.symbols_crc32, ours.words)
    assert theirs.version == container.VERSION
    assert theirs.optional == {chunk.type: chunk.payload for chunk in ours.optional}


def test_both_readers_find_the_same_alpha(stream: Path) -> None:
    theirs = tiny_reader.read(stream.read_bytes())
    ours = extras_of(container.read(stream.read_bytes()))
    assert ours.bit_depth == (16 if theirs.optional.get(10) == b"\x10" else 8)
    if ours.alpha is None:
        assert 2 not in theirs.optional
        return
    size = theirs.height_px, theirs.width_px
    assert ours.alpha.tolist() == tiny_reader.plane(theirs.optional[2], *size, ours.bit_depth)


def test_both_readers_find_the_same_filter(stream: Path) -> None:
    content = container.read(stream.read_bytes())
    ours = filter_in(content)
    payload = tiny_reader.read(stream.read_bytes()).optional.get(12)
    assert (ours is None) == (payload is None) == ("filter" not in stream.stem)
    if ours is not None:
        planes = 1 if content.header.colour.name == "GREY" else 3
        assert ours.weights().tolist() == tiny_reader.filter_weights(payload, planes)


def test_both_decoders_find_the_same_symbols(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, content = maker_of(stream), container.read(stream.read_bytes())
    with exact_arithmetic():
        ours = codec.parse(content)
        monkeypatch.setattr(files, "Decoder", SecondDecoder)
        theirs = codec.parse(content)
    assert ours.hyper.equal(theirs.hyper)
    assert ours.y_hat.equal(theirs.y_hat)
    assert theirs.crc32 == content.symbols_crc32
