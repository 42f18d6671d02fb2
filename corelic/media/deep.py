"""16 bits a sample in colour or beside alpha, for which Pillow has no mode: through PyAV.

PyAV (FFmpeg) is imported where such a picture turns up, and at no other time.
"""

import struct
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import putchunk

from corelic.errors import PictureError
from corelic.media.picture import Picture, Samples

if TYPE_CHECKING:
    import av

_DECODERS = {"PNG": "png", "PPM": "ppm", "TIFF": "tiff"}  # Pillow's names to FFmpeg's
_CHANNELS = {"ya16": 2, "rgb48": 3, "rgba64": 4}
_FORMATS = {2: "ya16be", 3: "rgb48be", 4: "rgba64be"}
_PNG_SIGNATURE_BYTES = 8
_SAMPLE_BYTES = 2


def is_deep(image: Image.Image) -> bool:
    """Whether the file of an image that was not loaded yet has more than its mode can hold.

    Pillow opens 16-bit RGB as RGB and drops the lower byte; its tile list still tells.
    """
    if image.mode not in ("LA", "RGB", "RGBA"):
        return False
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(part, str) and ";16" in part for part in arguments):
            return True
        # PPM names the largest sample instead.
        if tile[0] == "ppm" and isinstance(arguments[-1], int) and arguments[-1] > 255:
            return True
    return False


def read_deep(image: Image.Image, name: str) -> Samples:
    """(H, W, 2), (H, W, 3) or (H, W, 4) uint16, as the file has them, not turned.

    `image` is what Pillow opened, and not loaded yet; PictureError if PyAV finds something else.
    """
    fp = image.fp  # type: ignore[attr-defined]  # of an ImageFile, and only those are deep
    position = fp.tell()
    fp.seek(0)
    data = fp.read()
    fp.seek(position)
    try:
        return _samples(_frame(data, _DECODERS[image.format or ""]))
    except Exception as error:  # FFmpeg's, and KeyError of what is not in the tables
        reason = f"has more than 8 bits a sample in a form that is not supported ({error})"
        raise PictureError(name, f"{reason}; convert it to a 16-bit PNG") from error


def check_deep(deep: Samples, shallow: NDArray[Any], name: str) -> None:
    """PictureError unless both decoders mean the same picture.

    deep     (H, W, C) uint16 of PyAV; with one channel more where a colour stands for transparent
    shallow  (H, W, C) uint8 of Pillow
    """
    # FFmpeg misreads the tiles of a TIFF in silence. Some readers drop the lower byte, some round.
    if deep.shape[2] == 2:
        deep = deep[:, :, [0, 0, 0, 1]]  # Pillow opens grey with alpha as RGBA
    channels = min(deep.shape[2], shallow.shape[2])
    if deep.shape[:2] == shallow.shape[:2]:
        high = (deep[:, :, :channels] >> 8).astype(np.int16)
        if np.abs(high - shallow[:, :, :channels]).max() <= 1:
            return
    reason = "has more than 8 bits a sample, and two decoders do not agree on them"
    raise PictureError(name, f"{reason}; convert it to a 16-bit PNG")


def deep_png(picture: Picture) -> bytes:
    """A PNG of 16 bits a sample, of a picture that has as many, with its metadata."""
    import av

    planes = picture.pixels if picture.alpha is None else np.dstack((picture.pixels, picture.alpha))
    height, width, channels = planes.shape
    frame = av.VideoFrame(width, height, _FORMATS[channels])
    rows = np.zeros((height, frame.planes[0].line_size), np.uint8)
    row_bytes = _SAMPLE_BYTES * channels * width
    rows[:, :row_bytes] = planes.astype(">u2").reshape(height, -1).view(np.uint8)
    frame.planes[0].update(rows.tobytes())
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, _FORMATS[channels]
    encoder.time_base = Fraction(1)
    encoder.sample_aspect_ratio = Fraction(1)
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    return _with_metadata(data, picture)


def _frame(data: bytes, decoder: str) -> "av.VideoFrame":
    import av

    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    return frames[0]


def _samples(frame: "av.VideoFrame") -> Samples:
    kind, order = frame.format.name[:-2], frame.format.name[-2:]
    channels, plane = _CHANNELS[kind], frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    row_bytes = _SAMPLE_BYTES * channels * frame.width
    stored = np.ascontiguousarray(rows[: frame.height, :row_bytes])
    stored = stored.view(">u2" if order == "be" else "<u2")
    samples: Samples = stored.reshape(frame.height, frame.width, channels).astype(np.uint16)
    return samples


def _with_metadata(png: bytes, picture: Picture) -> bytes:
    """ICC profile, EXIF and XMP as Pillow writes them, from a PNG of one pixel into this one."""
    from corelic.media.writing import png_bytes  # which calls this module for deep pictures

    one = Picture(
        picture.pixels[:1, :1].astype(np.uint8), None, picture.icc, picture.exif, picture.xmp
    )
    donor = png_bytes(one.to_image())
    chunks = [
        (kind, payload) for kind, payload in _chunks(donor) if kind in (b"iCCP", b"iTXt", b"eXIf")
    ]
    file = BytesIO()
    file.write(png[:_PNG_SIGNATURE_BYTES])
    for kind, payload in _chunks(png):
        if kind == b"pHYs":  # FFmpeg's, of a resolution that it does not know
            continue
        putchunk(file, kind, payload)
        if kind == b"IHDR":
            for given in chunks:
                putchunk(file, *given)
    return file.getvalue()


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], _PNG_SIGNATURE_BYTES
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        found.append((kind, png[at + 8 : at + 8 + length]))
        at += length + 12
    return found
