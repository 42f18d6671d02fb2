"""bfloat16 around the parsing path, nowhere else, and only where it is quicker; and `fast`."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from corelic.codecs import precision
from corelic.codecs.base import CodecSpec
from corelic.codecs.files import FileCodec, exact_arithmetic
from corelic.codecs.memory import Costs
from corelic.codecs.precision import has_fast_bfloat16, lower_precision
from corelic.codecs.targets import encode_to_psnr
from corelic.entropy import container
from corelic.entropy.container import ChunkType
from corelic.eval.metrics import psnr_db
from tests.allocations import peak_bytes
from tests.conformance.conftest import every_codec, file_codec
from tests.conformance.test_codecs import every_trained_codec, photo

CPU = torch.device("cpu")
CELLS = 4  # of a side


def quick(codec: FileCodec) -> FileCodec:
    return FileCodec(codec.weights, codec.device, fast=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Devices that were asked whether they are quick in bfloat16; all say yes."""
    devices: list[torch.device] = []

    def says_yes(device: torch.device) -> bool:
        devices.append(device)
        return True

    monkeypatch.setattr(precision, "has_fast_bfloat16", says_yes)
    return devices


@every_trained_codec
def test_a_file_decodes_to_within_a_level(spec: CodecSpec, asked: list[torch.device]) -> None:
    codec, picture = file_codec(spec), photo(64, 64)
    data = codec.encode(picture, 90)
    asked.clear()
    plain = codec.decode(data).pixels.astype(int)
    assert asked == []
    found = quick(codec).decode(data).pixels
    assert asked == [CPU]
    assert np.abs(found - plain).max() == 1  # 0 would be float32


@every_trained_codec
def test_a_file_lacks_its_filter_and_nothing_else(
    spec: CodecSpec, asked: list[torch.device]
) -> None:
    codec, picture = file_codec(spec), photo(128, 128)
    data = codec.encode(picture, 90)
    assert asked == [CPU, CPU]  # for the analysis, and for the synthesis that the filter is of
    content = container.read(data)
    others = tuple(chunk for chunk in content.optional if chunk.type != ChunkType.FILTER)
    assert others != content.optional
    asked.clear()
    found = quick(codec).encode(picture, 90)
    assert asked == [CPU]
    assert found == container.write(replace(content, optional=others))


@every_trained_codec
def test_analysis_in_it_is_as_good(spec: CodecSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, picture = file_codec(spec), photo(128, 128)  # one symbol of fewer shows
    found = {}
    for lower in (True, False):
        monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device, now=lower: now)
        found[lower] = quick(codec).encode(picture, 60)
    assert len(found[True]) == pytest.approx(len(found[False]), rel=0.01, abs=8)
    has, had = (
        psnr_db(picture.pixels, codec.decode(found[lower]).pixels) for lower in (True, False)
    )
    assert has == pytest.approx(had, abs=0.05)


@every_trained_codec
def test_a_search_measures_in_it(spec: CodecSpec, asked: list[torch.device]) -> None:
    codec, picture = quick(file_codec(spec)), photo(64, 64)
    plain = file_codec(spec)
    target_db = psnr_db(picture.pixels, plain.decode(codec.encode(picture, 60)).pixels)
    assert target_db is not None
    asked.clear()
    found = encode_to_psnr(plain, picture, target_db)
    assert len(asked) == found.trials + found.analyses  # each trial is decoded
    asked.clear()
    reached_db = psnr_db(picture.pixels, plain.decode(found.data).pixels)
    assert asked == []
    assert reached_db == pytest.approx(target_db, abs=0.1)  # steps of tiny are as large


@every_codec
def test_where_it_is_not_quicker_decoding_is_what_it_was(
    spec: CodecSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: False)
    codec, picture = file_codec(spec), photo(33, 65)
    data = codec.encode(picture, 60)
    np.testing.assert_array_equal(quick(codec).decode(data).pixels, codec.decode(data).pixels)


@pytest.mark.skipif(not has_fast_bfloat16(CPU), reason="float32 is taken here")
@every_trained_codec
def test_it_stays_within_the_memory_of_float32(spec: CodecSpec) -> None:
    files = file_codec(spec)
    codec, side_px = files.codec, CELLS * spec.pad_multiple_px
    side = side_px // spec.transform.stride_px
    quality = files.quality_tensor(60)
    x, y = (
        torch.rand(1, 3, side_px, side_px),
        torch.randn(1, spec.transform.latent_channels, side, side),
    )
    stages = Costs(codec).stages
    with exact_arithmetic(), lower_precision(CPU):
        needed = {
            "analysis": peak_bytes(partial(codec.analysis, x, quality)),
            "synthesis": peak_bytes(partial(codec.pixels_of, y, quality)),
        }
    for name, found in needed.items():
        assert (found + x.nbytes) / CELLS**2 <= stages[name].bytes_per_cell, name
