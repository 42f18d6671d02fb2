"""Encoders may improve, decoders may not change: old files give the pictures they always gave."""

import json
from pathlib import Path

import numpy as np
import pytest

import corelic
from corelic.codecs.files import exact_arithmetic
from corelic.entropy import container
from corelic.media import read_picture
from tests.golden import make
from tests.golden.conftest import STREAMS, maker_of, weights_of


def test_old_files_decode_to_the_same_picture(stream: Path) -> None:
    # Compares its CRC of the symbols.
    decoded = corelic.decode_picture(stream.read_bytes(), device="cpu")
    expected = read_picture(stream.with_suffix(".png"))
    assert (decoded.colour, decoded.bit_depth) == (expected.colour, expected.bit_depth)
    # Symbols are exact; synthesis is float32 and may round the other way on another machine.
    one = 1 if decoded.bit_depth == 8 else 257
    assert np.abs(decoded.pixels.astype(int) - expected.pixels).max() <= one
    assert (decoded.alpha is None) == (expected.alpha is None)
    assert decoded.alpha is None or np.array_equal(decoded.alpha, expected.alpha)
    assert (decoded.icc, decoded.exif, decoded.xmp) == (expected.icc, expected.exif, expected.xmp)


def test_old_files_decode_to_the_same_image(stream: Path) -> None:
    decoded = corelic.decode(stream.read_bytes(), device="cpu")
    expected = read_picture(stream.with_suffix(".png")).to_image()
    assert (decoded.mode, decoded.size) == (expected.mode, expected.size)
    one = 257 if decoded.mode == "I;16" else 1
    assert np.abs(np.asarray(decoded, int) - np.asarray(expected, int)).max() <= one


def test_old_files_hold_the_same_symbols(stream: Path) -> None:
    """The file's CRC is computed by the code under test; this one was written down."""
    with exact_arithmetic():
        latents = maker_of(stream).parse(container.read(stream.read_bytes()))
    expected = json.loads(stream.with_suffix(".json").read_text())
    assert {"symbols_sha256": make.symbols_sha256(latents)} == expected


def test_what_was_encoded_then_can_be_encoded_now(stream: Path) -> None:
    source = read_picture(stream.with_suffix(".png"))
    quality = container.read_header(stream.read_bytes()).quality
    codec = maker_of(stream)
    decoded = codec.decode(codec.encode(source, quality))
    assert (decoded.colour, decoded.pixels.shape) == (source.colour, source.pixels.shape)
    # What a codec gave, it gives again, but for a second quantisation.
    difference = np.abs(decoded.in_8_bits().pixels.astype(int) - source.in_8_bits().pixels)
    if source.alpha is not None:
        difference = difference[source.alpha > 0]  # the rest is not coded as it was
    assert difference.mean() < 8


def test_no_codec_that_makes_files_lacks_a_golden_stream() -> None:  # none would pass above
    headers = [container.read_header(path.read_bytes()) for path in STREAMS]
    assert {f"{header.codec}-{header.generation}" for header in headers} >= weights_of().keys()


def test_tiny_has_every_stream_that_its_maker_lists() -> None:
    stems = {path.stem for path in STREAMS if path.parent.name == "format-1"}
    assert stems >= {f"tiny-1-{name}" for name in make.TINY_STREAMS}


def test_golden_files_are_never_rewritten(capsys: pytest.CaptureFixture[str]) -> None:
    before = STREAMS[0].read_bytes()
    with pytest.raises(FileExistsError):
        make.add(STREAMS[0], b"better")
    make.main([])
    assert "bytes" not in capsys.readouterr().out
    assert STREAMS[0].read_bytes() == before
