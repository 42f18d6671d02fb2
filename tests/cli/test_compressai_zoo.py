"""CompressAI's codecs: files, downloads that fail, damage. Weights are small and random here."""

import importlib
import runpy
import socket
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from corelic.codecs import compressai_zoo, peers
from corelic.codecs.compressai_zoo import CompressAi
from corelic.errors import (
    ForeignFileError,
    MissingPartError,
    PeerError,
    QualityError,
    TooManyPixelsError,
)
from corelic.media import Picture
from tests.cli.conftest import Program
from tests.conftest import needs

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed.py"
every_model = pytest.mark.parametrize("model", compressai_zoo.LEVELS)
MEAN = CompressAi("mbt2018-mean")


@pytest.fixture(scope="module")
def zoo() -> Iterator[Any]:
    """`compressai.zoo`, with stand-ins for what it imports and does not use."""
    needs("compressai")
    before = dict(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SPEED.parent)
        runpy.run_path(str(SPEED), run_name="speed")["stand_in"]()
        yield importlib.import_module("compressai.zoo")
    sys.modules.clear()
    sys.modules.update(before)


@pytest.fixture
def downloads(zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where weights lie once they are downloaded; nothing can be."""

    def refused(*where: object, **how: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    compressai_zoo._network.cache_clear()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def put_weights(zoo: Any, downloads: Path, codec: CompressAi, quality: float) -> Any:
    """Random ones, as if they had been downloaded; and the network that has them."""
    torch.manual_seed(0)
    architecture = zoo.image.model_architectures[codec.model]
    made = architecture(8) if codec.model.startswith("cheng") else architecture(8, 12)
    with torch.no_grad():
        for part in (weight for name, weight in made.named_parameters() if "g_a" in name):
            part.mul_(2.0)  # or all latents are zero
    made.eval().update(force=True)
    url = zoo.image.model_urls[codec.model][codec.metric][codec.level(quality)]
    torch.save(made.state_dict(), downloads / url.rsplit("/", 1)[1])
    return made


@pytest.fixture
def pixels(photo: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(photo)[:70, :130]


@every_model
def test_a_file_decodes_to_what_the_network_gives(
    zoo: Any, downloads: Path, pixels: Any, model: str
) -> None:
    codec = peers.find(f"cai-{model}")
    assert isinstance(codec, CompressAi)
    network = put_weights(zoo, downloads, codec, 0)
    decoded = codec.decode(codec.encode(Picture(pixels), 0)).pixels
    padded = np.pad(pixels, ((29, 29), (31, 31), (0, 0)))
    x = torch.from_numpy(padded).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        found = network.decompress(**network.compress(x))["x_hat"][0, :, 29:99, 31:161]
    expected = (255 * found.clamp(0, 1)).round().permute(1, 2, 0).numpy()
    assert decoded.shape == pixels.shape and np.ptp(decoded) > 0
    assert np.abs(decoded - expected).max() <= 1


def test_a_file_begins_as_that_of_their_program(zoo: Any, downloads: Path, pixels: Any) -> None:
    put_weights(zoo, downloads, MEAN, 57)
    data = MEAN.encode(Picture(pixels), 57)
    model, code, height, width, depth = struct.unpack(">BBIIB", data[:11])
    assert list(zoo.models)[model] == "mbt2018-mean"
    assert (code >> 4, (code & 15) + 1) == (0, 5)  # MSE, their quality
    assert (height, width, depth) == (70, 130, 8)
    rows, columns, count, length = struct.unpack(">4I", data[11:27])
    assert (rows, columns, count) == (2, 3, 2)
    (second,) = struct.unpack(">I", data[27 + length : 31 + length])
    assert len(data) == 31 + length + second + 4


def test_grey_and_other_metrics(zoo: Any, downloads: Path, pixels: Any) -> None:
    codec = peers.find("cai-mbt2018-mean:msssim=1")
    assert isinstance(codec, CompressAi) and codec.facts.name == "cai-mbt2018-mean:msssim=1"
    assert codec.facts.version != MEAN.facts.version
    put_weights(zoo, downloads, codec, 100)
    data = codec.encode(Picture(pixels[:, :, 0]), 100)
    assert codec.decode(data).pixels.shape == (70, 130, 3)
    with pytest.raises(ForeignFileError, match="not one of cai-mbt2018-mean"):
        MEAN.decode(data)


@every_model
def test_qualities_reach_every_network(zoo: Any, model: str) -> None:
    codec = CompressAi(model)
    known = set(zoo.image.model_urls[model]["mse"])
    assert {codec.level(quality) for quality in codec.facts.qualities} == known
    for quality in (-1, 101, float("nan")):
        with pytest.raises(QualityError):
            codec.level(quality)


def test_damage_never_reaches_their_coder(
    zoo: Any, downloads: Path, pixels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_weights(zoo, downloads, MEAN, 0)
    data = MEAN.encode(Picture(pixels), 0)
    monkeypatch.setattr(zoo.image.MeanScaleHyperprior, "decompress", None)
    for place in range(len(data)):
        with pytest.raises(ForeignFileError):
            MEAN.decode(data[:place])
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << place % 8
        with pytest.raises((ForeignFileError, TooManyPixelsError)):
            MEAN.decode(bytes(spoilt))
    with pytest.raises(ForeignFileError):
        MEAN.decode(data + b"\0")


def test_an_absurd_size_is_refused_before_there_is_anything_of_it(
    zoo: Any, downloads: Path, pixels: Any
) -> None:
    put_weights(zoo, downloads, MEAN, 0)
    data = MEAN.encode(Picture(pixels), 0)
    with pytest.raises(TooManyPixelsError, match="70"):
        MEAN.decode(data, max_pixels=9099)
    side = 2**32 - 64
    shape = struct.pack(">4I", side // 64, side // 64, 2, 0)
    forged = data[:2] + struct.pack(">IIB", side, side, 8) + shape + bytes(4)
    with pytest.raises(TooManyPixelsError):
        MEAN.decode(forged + struct.pack(">I", zlib.crc32(forged)))


def test_weights_that_cannot_be_had_are_named(zoo: Any, downloads: Path, pixels: Any) -> None:
    with pytest.raises(PeerError) as caught:
        MEAN.encode(Picture(pixels), 0)
    url = zoo.image.model_urls["mbt2018-mean"]["mse"][1]
    place = downloads / url.rsplit("/", 1)[1]
    for told in ("cai-mbt2018-mean", url, "name or service not known", str(place)):
        assert told in str(caught.value)
    place.write_bytes(b"half of it")
    with pytest.raises(PeerError, match=r"are damaged .*; delete .*e522738d\.pth\.tar"):
        MEAN.encode(Picture(pixels), 0)


def test_where_it_is_not_installed_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name, name="compressai")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingPartError, match=r"pip install 'corelic\[compressai\]'"):
        _ = MEAN.facts

    def half(name: str) -> None:
        raise ModuleNotFoundError("No module named 'requests'", name="requests")

    monkeypatch.setattr(importlib, "import_module", half)
    with pytest.raises(PeerError, match=r"cannot be imported \(No module named 'requests'"):
        _ = MEAN.facts

    def mismatched(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", mismatched)
    with pytest.raises(PeerError, match=r"cannot be imported \(operator torchvision::nms"):
        _ = MEAN.facts


def test_the_command_line_takes_it(corelic: Program, zoo: Any, downloads: Path) -> None:
    put_weights(zoo, downloads, MEAN, 0)
    codec = ("--codec", "cai-mbt2018-mean")
    ran = corelic("encode", "photo.png", *codec, "-q", "0")
    assert ran.exit_code == 0, ran.stderr
    ran = corelic("decode", "photo.cai", *codec, "-o", "back.png")
    assert ran.exit_code == 0, ran.stderr
    with Image.open("back.png") as image:
        assert image.size == (240, 176)
    ran = corelic("encode", "photo.png", *codec, "-q", "100", "-o", "better.cai")
    assert ran.exit_code == 1 and "its weights could not be had" in ran.stderr


def test_a_bench_takes_it(corelic: Program, zoo: Any, downloads: Path) -> None:
    put_weights(zoo, downloads, MEAN, 0)
    put_weights(zoo, downloads, MEAN, 100)
    ran = corelic("bench", "photo.png", "--codecs", "cai-mbt2018-mean,jpeg", "--anchor", "jpeg",
                  "--qualities", "0,100", "--sample", "0", "-o", "out")  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    assert Path("out/curves/cai-mbt2018-mean.json").exists()
