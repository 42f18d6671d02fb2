"""16 bits a sample where Pillow gives 8, as it has no mode for colour or alpha: through PyAV.

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
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from corelic.errors import OutOfMemoryError, PictureError
from corelic.media.picture import Picture, Samples

if TYPE_CHECKING:
    import av

_DECODERS = {"PNG": "png", "PPM": "ppm", "SGI": "sgi", "TIFF": "tiff"}  # Pillow's names to FFmpeg's
_CHANNELS = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}  # in the one plane that there is
_PLANES = {"gbrp16": (2, 0, 1), "gbrap16": (2, 0, 1, 3)}  # where red, green, blue and alpha are
_FORMATS = {2: "ya16be", 3: "rgb48be", 4: "rgba64be"}
_PNG_SIGNATURE_BYTES = 8
_SAMPLE_BYTES = 2


def is_deep(image: Image.Image) -> bool:
    """Whether the file of an image that was not loaded yet has more than its mode can hold.

    Pillow opens 16-bit RGB as RGB and drops the lower byte; its tile list still tells.
    """
    tiles = getattr(image, "tile", ())
    if not tiles or image.mode not in ("L", "LA", "RGB", "RGBA"):
        return False
    if isinstance(image, TiffImageFile):
        # Of planes without compression Pillow's tiles say 8 bits, whatever they have.
        return bool(max(image.tag_v2.get(BITSPERSAMPLE, (1,))) > 8)
    # Only where that is known of a format: "BGR;16" of a BMP are 16 bits a pixel.
    return image.format in _DECODERS and any(_is_deep_tile(tile) for tile in tiles)


def read_deep(image: Image.Image, name: str) -> Samples:
    """(H, W, C) uint16, C from 1 to 4, as the file has them, not turned.

    `image` is what Pillow opened, and not loaded yet; PictureError if PyAV finds something else.
    A fourth channel of which the file does not say that it is alpha is left out.
    """
    fp = image.fp  # type: ignore[attr-defined]  # of an ImageFile, and only those are deep
    position = fp.tell()
    fp.seek(0)
    data = fp.read()
    fp.seek(position)
    try:
        samples = _samples(_frame(data, _DECODERS[image.format or ""]))
    except MemoryError as error:
        raise OutOfMemoryError(*image.size) from error
    except Exception as error:  # FFmpeg's, and KeyError of what is not in the tables
        reason = f"has more than 8 bits a sample in a form that is not supported ({error})"
        raise PictureError(name, f"{reason}; convert it to a 16-bit PNG") from error
    # FFmpeg calls any fourth channel alpha.
    unknown = samples.shape[2] == 4 and not image.has_transparency_data
    return samples[:, :, :3] if unknown else samples


def check_deep(deep: Samples, shallow: NDArray[Any], name: str) -> None:
    """PictureError unless both decoders mean the same picture.

    deep     (H, W, C) uint16 of PyAV; with one channel more where a colour stands for transparent
    shallow  (H, W) or (H, W, C) uint8 of Pillow
    """
    # FFmpeg misreads the tiles of a TIFF in silence, Pillow the planes of one without compression.
    # Some readers drop the lower byte, some round.
    shallow = np.atleast_3d(shallow)
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


def _is_deep_tile(tile: Any) -> bool:
    """Of one of Pillow's tiles: decoder, extents, offset, arguments."""
    decoder, arguments = tile[0], tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    if decoder in ("ppm", "ppm_plain"):  # these name the largest sample
        return isinstance(arguments[-1], int) and arguments[-1] > 255
    return decoder == "SGI16" or any(";16" in part for part in arguments if isinstance(part, str))


def _frame(data: bytes, decoder: str) -> "av.VideoFrame":
    import av

    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    return frames[0]


def _samples(frame: "av.VideoFrame") -> Samples:
    kind, order = frame.format.name[:-2], frame.format.name[-2:]
    planes = _PLANES.get(kind, (0,))
    shape = frame.height, frame.width, 1 if kind in _PLANES else _CHANNELS[kind]
    row_bytes = _SAMPLE_BYTES * shape[1] * shape[2]
    stored = []
    for plane in (frame.planes[at] for at in planes):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        samples = np.ascontiguousarray(rows[: frame.height, :row_bytes])
        stored.append(samples.view(">u2" if order == "be" else "<u2").reshape(shape))
    return np.dstack(stored).astype(np.uint16, copy=False)


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
