"""CompressAI's pretrained codecs behind `ImageCodec`; weights are downloaded when first needed.

    Picture ─ padded to 64 ─► compress ─► header │ size │ shape │ strings │ CRC-32      .cai

There is a network for each of their qualities. Files begin as those of CompressAI's own example
program (`examples/codec.py` of 1.2.8), which ignores what follows. The checksum is ours: their
entropy coder reads whatever it is given, beyond its end too, so it is shown nothing damaged. A
file that somebody made to do harm passes: such files are for benchmarks, not from strangers.
"""

from __future__ import annotations

import hashlib
import importlib
import struct
import sys
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.codecs.base import CodecFacts
from corelic.codecs.classical import ClassicalCodec
from corelic.codecs.files import memory_for
from corelic.codecs.limits import check_size
from corelic.codecs.rate import QUALITY_MAX, check_quality
from corelic.disk import why
from corelic.entropy.container import MAX_PIXELS
from corelic.errors import ForeignFileError, MissingPartError, PeerError
from corelic.media import Picture

KIND = "CompressAI"
PREFIX = "cai-"  # as published curves have it
LEVELS = {  # how many qualities there are, from 1 on
    "bmshj2018-factorized": 8,
    "bmshj2018-hyperprior": 8,
    "mbt2018-mean": 8,
    "mbt2018": 8,
    "cheng2020-anchor": 6,
    "cheng2020-attn": 6,
}
WITHOUT_HYPERPRIOR = "bmshj2018-factorized"
METRICS = "mse", "ms-ssim"
UNIT_PX = 64
DEPTH = 8  # bits a sample
HEAD = struct.Struct(">BBIIBIII")  # model, metric and quality, height, width, depth, shape, strings
LENGTH = struct.Struct(">I")  # of a string; the checksum, too


@dataclass(frozen=True)
class CompressAi(ClassicalCodec):
    """A model of CompressAI's zoo, in all its qualities.

    msssim  1 for the weights that were trained for MS-SSIM, 0 for those trained for MSE
    """

    ranges: ClassVar = {"msssim": range(len(METRICS))}
    model: str
    msssim: int = 0

    @property
    def metric(self) -> str:
        return METRICS[self.msssim]

    @property
    def name(self) -> str:
        return self.named(PREFIX + self.model, msssim=0)

    @property
    def facts(self) -> CodecFacts:
        urls = zoo().image.model_urls[self.model][self.metric]
        weights = hashlib.sha256(" ".join(urls.values()).encode()).hexdigest()[:8]
        levels = LEVELS[self.model]
        return CodecFacts(
            name=self.name,
            title=f"{self.model}, {self.metric.upper()} (CompressAI)",
            suffix=".cai",
            colour="RGB",
            scale=f"CompressAI's quality 1 … {levels}, a network each",
            version=f"CompressAI {version('compressai')}, weights {weights}",
            qualities=tuple(round(QUALITY_MAX * at / (levels - 1), 2) for at in range(levels)),
            in_process=True,
        )

    def level(self, quality: float) -> int:
        """0 … 100 -> theirs, from 1 on; QualityError for any other."""
        check_quality(quality)
        return 1 + round((LEVELS[self.model] - 1) * quality / QUALITY_MAX)

    def network(self, level: int) -> Any:
        """PeerError where its weights cannot be had."""
        url = zoo().image.model_urls[self.model][self.metric][level]
        return _network(self.name, self.model, url)

    def encode(self, picture: Picture, quality: float) -> bytes:
        """A complete file; QualityError, or PeerError where there are no weights."""
        level = self.level(quality)
        height, width = picture.pixels.shape[:2]
        with memory_for(width, height), torch.no_grad():
            pixels = np.atleast_3d(picture.pixels)
            x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].expand(-1, 3, -1, -1)
            left, right, top, bottom = _margins(height, width)
            padded = F.pad(x.float().div(255), (left, right, top, bottom))
            coded = self.network(level).compress(padded)
        strings = [string for [string] in coded["strings"]]
        code = self.msssim << 4 | level - 1
        shape = tuple(coded["shape"])
        head = HEAD.pack(_number(self.model), code, height, width, DEPTH, *shape, len(strings))
        body = b"".join(LENGTH.pack(len(string)) + string for string in strings)
        return head + body + LENGTH.pack(zlib.crc32(head + body))

    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        """The picture in a complete file of this model, whatever its quality."""
        try:
            level, height, width, shape = self._header(data)
            check_size(width, height, max_pixels)
            strings = _strings(data)
        except struct.error as error:
            raise ForeignFileError(KIND, "its end is missing") from error
        with memory_for(width, height), torch.no_grad():
            found: Tensor = self.network(level).decompress(strings, shape)["x_hat"]
            left, _, top, _ = _margins(height, width)
            inside = found[0, :, top : top + height, left : left + width]
            samples = inside.clamp(0, 1).mul(255).add(0.5).byte()
        return Picture(samples.permute(1, 2, 0).contiguous().numpy())

    def _header(self, data: bytes) -> tuple[int, int, int, tuple[int, int]]:
        """Level, height, width, shape; all of it is checked but for how large the picture is."""
        number, code, height, width, depth, *shape, count = HEAD.unpack_from(data)
        metric, level = code >> 4, 1 + (code & 15)
        if number != _number(self.model) or metric != self.msssim:
            raise ForeignFileError(KIND, f"it is not one of {self.name}")
        step = UNIT_PX // 4 if self.model == WITHOUT_HYPERPRIOR else UNIT_PX
        expected = [-(-side // UNIT_PX) * UNIT_PX // step for side in (height, width)]
        whole = min(height, width) > 0 and shape == expected and level <= LEVELS[self.model]
        if not whole or depth != DEPTH or count != (1 if self.model == WITHOUT_HYPERPRIOR else 2):
            raise ForeignFileError(KIND, "its header contradicts itself")
        return level, height, width, (shape[0], shape[1])


@lru_cache(maxsize=8)  # a sweep over a folder takes all qualities in turn
def _network(name: str, model: str, url: str) -> Any:
    weights = zoo().load_state_dict(_weights(name, url))
    made = zoo().image.model_architectures[model].from_state_dict(weights)
    made.eval().update()
    return made


def _weights(name: str, url: str) -> Mapping[str, Any]:
    """Downloaded, unless they are here; PeerError where they cannot be had, or are damaged."""
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(url).path).name)
    progress = sys.stderr is not None and sys.stderr.isatty()
    try:
        found: Mapping[str, Any] = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=progress, check_hash=True, weights_only=True
        )
    except OSError as error:
        reason = f"its weights could not be had from {url} ({why(error)})"
        remedy = f"where there is no network, put that file at {file}"
        raise PeerError(name, f"{reason}; {remedy}") from error
    except MemoryError:
        raise
    except Exception as error:  # torch raises even KeyError on damaged bytes; nothing else is in it
        reason = f"its weights are damaged ({error}); delete {file}, and they come again"
        raise PeerError(name, reason) from error
    return found


def zoo() -> Any:
    """The module `compressai.zoo`; MissingPartError where it is not installed."""
    try:
        with warnings.catch_warnings():
            # Of a change of its own, which it announces to whoever imports it.
            warnings.simplefilter("ignore", FutureWarning)
            return importlib.import_module("compressai.zoo")
    except (ImportError, RuntimeError) as error:
        if isinstance(error, ImportError) and error.name == "compressai":
            raise MissingPartError("a codec of CompressAI", "compressai", "compressai") from error
        # What it imports is missing, or torchvision is of another build than torch.
        raise PeerError(
            KIND, f"it is installed, and cannot be imported ({error}); see its documentation"
        ) from error


def _number(model: str) -> int:
    """As the first byte of a file has it."""
    return list(zoo().models).index(model)


def _strings(data: bytes) -> list[list[bytes]]:
    """As `decompress` takes them; ForeignFileError unless the checksum holds."""
    *_, count = HEAD.unpack_from(data)
    place, strings = HEAD.size, []
    for _ in range(count):
        (length,) = LENGTH.unpack_from(data, place)
        place += LENGTH.size
        strings.append([data[place : place + length]])
        place += length
    (checksum,) = LENGTH.unpack_from(data, place)
    if len(data) != place + LENGTH.size or zlib.crc32(data[:place]) != checksum:
        raise ForeignFileError(KIND, "its checksum does not match")
    return strings


def _margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Left, right, top and bottom, of zeros, as its example program has them."""
    down, across = -height % UNIT_PX, -width % UNIT_PX
    return across // 2, across - across // 2, down // 2, down - down // 2


PEERS = {PREFIX + model: CompressAi(model) for model in LEVELS}
