"""What the functions of `corelic` do, but for `info`; imported at their first call."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import torch
from PIL import Image

from corelic.codecs import classical_targets, peers, plugins, store
from corelic.codecs.annealing import split_effort
from corelic.codecs.base import CodecSpec
from corelic.codecs.classical import ClassicalCodec
from corelic.codecs.files import FileCodec, device_of, open_codec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.limits import DEFAULT_QUALITY, check_size
from corelic.codecs.passes import Progress, silent
from corelic.codecs.rate import check_quality
from corelic.codecs.registry import list_added, list_own_specs
from corelic.codecs.targets import (
    bytes_at,
    check_target_bytes,
    check_target_psnr,
    encode_to_psnr,
    encode_to_size,
)
from corelic.codecs.within import open_within, picture_within, read_within
from corelic.disk import read_file
from corelic.entropy import container
from corelic.errors import (
    NotACorelicFileError,
    PictureError,
    PictureWarning,
    TargetError,
    UnknownCodecError,
)
from corelic.media import Picture
from corelic.media.reading import load_image

DATA = "the data"  # what errors call bytes without a name
# Of a Picture beside its pixels, as people say.
METADATA = {"alpha": "transparency", "icc": "ICC profile", "exif": "EXIF", "xmp": "XMP"}


Source = str | Path | bytes | bytearray | memoryview | Image.Image | Picture


class Limits(TypedDict):
    """What each way of encoding with a learned codec takes."""

    max_pixels: int
    memory_bytes: int
    progress: Progress


class Decoding(TypedDict):
    """As `corelic.decode` has them."""

    device: str
    codec: str | None
    max_pixels: int
    memory_bytes: int
    progress: Progress | None
    fast: bool


@dataclass(frozen=True, slots=True)
class CodecInfo:
    """A named codec, as `corelic codecs` lists it."""

    spec: CodecSpec
    parameters: int
    weights: str | None  # file name of the shipped weights
    training_steps: int | None  # that they took, as their card says

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
    picture: Source,
    *,
    codec: str,
    quality: float | None,
    target_bpp: float | None,
    target_bytes: int | None,
    target_psnr_db: float | None,
    device: str,
    max_pixels: int,
    memory_bytes: int,
    progress: Progress | None,
    strip: bool,
    fast: bool,
) -> bytes:
    given = [
        name
        for name, value in (
            ("quality", quality),
            ("target_bpp", target_bpp),
            ("target_bytes", target_bytes),
            ("target_psnr_db", target_psnr_db),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise TargetError(" and ".join(given), "they exclude each other; give one")
    if quality is not None:
        check_quality(quality)
    if target_bytes is not None:
        check_target_bytes(target_bytes)
    if target_bpp is not None:
        bytes_at(target_bpp, pixels=1)
    if target_psnr_db is not None:
        check_target_psnr(target_psnr_db)
    opened = open_image_codec(codec, device, fast=fast)  # before a picture is read in vain
    picture = _picture_of(
        picture, max_pixels=max_pixels, device=device, memory_bytes=memory_bytes, fast=fast
    )
    if strip:
        picture = picture.stripped()
    if target_bpp is not None:
        target_bytes = bytes_at(target_bpp, picture.width_px * picture.height_px)
    watched = progress or silent
    if isinstance(opened, ClassicalCodec):
        picture = _for_peer(picture, opened)
        if target_bytes is not None:
            return classical_targets.encode_to_size(opened, picture, target_bytes, progress=watched)
        if target_psnr_db is not None:
            return classical_targets.encode_to_psnr(
                opened, picture, target_psnr_db, max_pixels=max_pixels, progress=watched
            )
        return opened.encode(picture, DEFAULT_QUALITY if quality is None else quality)
    limits = Limits(max_pixels=max_pixels, memory_bytes=memory_bytes, progress=watched)
    if target_bytes is not None:
        return encode_to_size(opened, picture, target_bytes, **limits).data
    if target_psnr_db is not None:
        return encode_to_psnr(opened, picture, target_psnr_db, **limits).data
    quality = DEFAULT_QUALITY if quality is None else quality
    return opened.encode(picture, quality, **limits)


def _picture_of(
    given: Source, *, max_pixels: int, device: str, memory_bytes: int, fast: bool
) -> Picture:
    """PictureError for what is none, TooManyPixelsError for a larger one."""
    read = partial(
        read_within, max_pixels=max_pixels, device=device, memory_bytes=memory_bytes, fast=fast
    )
    match given:
        case Picture():
            check_size(given.width_px, given.height_px, max_pixels)
            return given
        case Image.Image():
            check_size(*given.size, max_pixels)
            return Picture.from_image(given)
        case str() | Path():
            return read(read_file(Path(given)), str(given))
        case bytes() | bytearray() | memoryview():
            return read(bytes(given), DATA)
    kind = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
    ours = "a path, the bytes of a file, a PIL.Image or a corelic.media.Picture"
    raise PictureError("the picture", f"is a {kind}; give {ours}")


def open_image_codec(
    name: str, device: str = "auto", *, fast: bool = False
) -> ClassicalCodec | FileCodec:
    """Learned or classical, by name, or a weights file's path; UnknownCodecError names all."""
    peer = peers.find(name)
    if peer is not None:
        return peer
    try:
        return open_codec(name, device, fast=fast)
    except UnknownCodecError as error:
        raise UnknownCodecError(error.name, (*error.known, *peers.PEERS)) from None


def _for_peer(picture: Picture, peer: ClassicalCodec) -> Picture:
    """8 bits of colour, by which peers are compared, and the metadata that its files hold.

    PictureWarning where that loses something.
    """
    rounded = picture.in_8_bits()
    values = {field: getattr(rounded, field) for field in METADATA}
    there = {field: value for field, value in values.items() if value is not None and len(value)}
    kept = {field: value for field, value in there.items() if field in peer.metadata}
    lost = ["bits beyond 8"] if picture.bit_depth > 8 else []
    lost += [METADATA[field] for field in there if field not in kept]
    if lost:
        message = f"{peer.facts.name} as it is used here loses {', '.join(lost)}"
        warnings.warn(message, PictureWarning, stacklevel=3)
    return Picture(rounded.pixels, **kept)


def decode(data: bytes, name: str = DATA, **how: Unpack[Decoding]) -> Image.Image:
    found = _found(data, name, **how)
    if isinstance(found, Picture):
        return found.to_image()
    load_image(found, name, max_pixels=how["max_pixels"])
    check_size(*found.size, how["max_pixels"])  # ICNS may be larger than they say
    return found


def decode_picture(data: bytes, name: str = DATA, **how: Unpack[Decoding]) -> Picture:
    found = _found(data, name, **how)
    if isinstance(found, Picture):
        return found
    return picture_within(found, name, how["max_pixels"])


def _found(data: bytes, name: str, **how: Unpack[Decoding]) -> Picture | Image.Image:
    """Decoded, or opened by Pillow and not loaded yet."""
    peer = None if how["codec"] is None else peers.find(how["codec"])
    if peer is not None:
        return peer.decode(data, max_pixels=how["max_pixels"])
    image = _classical(data, name, how["max_pixels"])
    return _decoded(data, **how) if image is None else image


def _classical(data: bytes, name: str, max_pixels: int) -> Image.Image | None:
    """A picture in a format of Pillow's, not loaded yet; None for a .clc file with a sound header.

    BadFileError for what is neither.
    """
    try:
        container.read_header(data)
    except NotACorelicFileError:
        image = open_within(data, name, max_pixels)
        if image is None:
            raise
        return image
    return None


def _decoded(
    data: bytes,
    *,
    device: str,
    codec: str | None,
    max_pixels: int,
    memory_bytes: int,
    progress: Progress | None,
    fast: bool,
) -> Picture:
    header = container.read_header(data)
    check_size(header.width_px, header.height_px, max_pixels)
    content = container.read(data)  # damage is reported before weights are looked for
    if codec is None:
        name = f"{header.codec}-{header.generation}"
        weights = store.by_fingerprint(name, header.fingerprint)
    else:
        weights = store.by_name(split_effort(codec)[0])
        if weights.fingerprint != header.fingerprint:  # the file knows better, if those are here
            name = f"{header.codec}-{header.generation}"
            weights = store.by_fingerprint(name, header.fingerprint)
    return FileCodec(weights, device_of(device), fast=fast).decode(
        content,
        max_pixels=max_pixels,
        memory_bytes=memory_bytes,
        progress=progress or silent,
    )


def list_codecs() -> tuple[CodecInfo, ...]:
    found = [_about(spec) for spec in list_own_specs()]
    for spec in (added.spec for added in list_added()):
        try:
            found.append(_about(spec))
        except Exception as error:  # whatever another package's networks may raise
            plugins.warn(plugins.broken(spec.full_name, error))
    return tuple(found)


def _about(spec: CodecSpec) -> CodecInfo:
    with torch.device("meta"):  # shapes alone are enough to count
        parameters = LearnedImageCodec(spec).parameter_count
    path = store.shipped(spec)
    card = {} if path is None else store.read_card(path.read_bytes(), path.name)
    steps = card.get("position", {}).get("step")
    return CodecInfo(spec, parameters, None if path is None else path.name, steps)
