"""What `corelic.encode`, `decode`, `info` and `list_codecs` do; imported at their first call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from corelic.codecs import peers, store
from corelic.codecs.base import CodecSpec, ImageCodec
from corelic.codecs.files import FileCodec, check_size, device_of, open_codec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.registry import list_specs
from corelic.entropy import container
from corelic.errors import UnknownCodecError
from corelic.media import Picture, read_picture


@dataclass(frozen=True, slots=True)
class CodecInfo:
    """A named codec, as `corelic codecs` lists it."""

    spec: CodecSpec
    parameters: int
    weights: str | None  # file name of the shipped weights

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def generation(self) -> int:
        return self.spec.generation

    @property
    def paper(self) -> str:
        return self.spec.paper

    @property
    def weights_licence(self) -> str:
        return self.spec.weights_licence

    @property
    def pad_multiple_px(self) -> int:
        return self.spec.pad_multiple_px

    @property
    def tiling(self) -> str:
        return self.spec.tiling


def encode(
    picture: str | Path | Image.Image | Picture, *, codec: str, quality: float, device: str
) -> bytes:
    if isinstance(picture, str | Path):
        picture = read_picture(picture)
    elif isinstance(picture, Image.Image):
        picture = Picture.from_image(picture)
    return open_image_codec(codec, device).encode(picture, quality)


def open_image_codec(name: str, device: str = "auto") -> ImageCodec:
    """Learned or classical, by name, or a weights file's path; UnknownCodecError names all."""
    peer = peers.find(name)
    if peer is not None:
        return peer
    try:
        return open_codec(name, device)
    except UnknownCodecError as error:
        raise UnknownCodecError(name, (*error.known, *peers.PEERS)) from None


def decode(data: bytes, *, device: str, codec: str | None, max_pixels: int) -> Image.Image:
    peer = None if codec is None else peers.find(codec)
    if peer is not None:
        return peer.decode(data).to_image()
    header = container.read_header(data)
    check_size(header.width_px, header.height_px, max_pixels)
    container.read(data)  # damage is reported before weights are looked for
    if codec is None:
        name = f"{header.codec}-{header.generation}"
        weights = store.by_fingerprint(name, header.fingerprint)
    else:
        weights = store.by_name(codec)
    return FileCodec(weights, device_of(device)).decode(data, max_pixels=max_pixels).to_image()


def list_codecs() -> tuple[CodecInfo, ...]:
    found = []
    for spec in list_specs():
        with torch.device("meta"):  # shapes alone are enough to count
            parameters = LearnedImageCodec(spec).parameter_count
        path = store.shipped(spec)
        found.append(CodecInfo(spec, parameters, None if path is None else path.name))
    return tuple(found)
