"""ICC profile, EXIF and XMP of a Pillow image, and which way up it is.

Their bytes are kept as they are, makers' notes and thumbnails included: of EXIF and XMP only the
orientation changes, in place, once it has been applied to the pixels.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from corelic.media import jxl
from corelic.media.picture import EXIF_PREFIX, Samples

UPRIGHT = 1
_PREFIXES = re.compile(rb"\A(?:%b)+" % re.escape(EXIF_PREFIX))
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:=["']|>))[2-8]""")
_SHORT = 3  # a field type of TIFF
_ENTRY_BYTES = 12  # of a TIFF directory

# What a TIFF file says of its picture; its other tags say where and how the pixels lie in it.
_TIFF_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """As in `Picture`."""

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None


def metadata_of(image: Image.Image) -> Metadata:
    """Of an image whose pixels have been loaded, and are being turned upright if they are not."""
    exif, icc, xmp = _exif_of(image), bytes_of(image, "icc_profile"), bytes_of(image, "xmp")
    # Both, whichever of the two was heeded: other programs may have turned it, and changed one.
    exif = exif and upright_exif(exif)
    xmp = xmp and _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    return Metadata(icc or None, exif or None, xmp or None)


def orientation_of(image: Image.Image) -> int:
    """1 to 8, from EXIF or else XMP; 1 where they make no sense, or it has been heeded."""
    if _is_turned_by_decoder(image):
        return UPRIGHT
    try:
        found = _read_exif(image).get(ExifTags.Base.Orientation, UPRIGHT)
    except Exception:  # of damaged EXIF; the pixels are none the worse for it
        return UPRIGHT
    return found if found in range(1, 9) else UPRIGHT


def _is_turned_by_decoder(image: Image.Image) -> bool:
    """JPEG XL has an orientation of its own, which EXIF repeats; a JPEG packed in one has not."""
    return image.format == jxl.FORMAT and not getattr(image, "jpeg", False)


def turn(samples: Samples, orientation: int) -> Samples:
    """(H, W) or (H, W, C), as it was taken -> upright."""
    match orientation:
        case 2:
            samples = samples[:, ::-1]
        case 3:
            samples = samples[::-1, ::-1]
        case 4:
            samples = samples[::-1]
        case 5:
            samples = samples.swapaxes(0, 1)
        case 6:
            samples = np.rot90(samples, -1)
        case 7:
            samples = samples[::-1, ::-1].swapaxes(0, 1)
        case 8:
            samples = np.rot90(samples)
    return np.ascontiguousarray(samples)


def bare_exif(exif: bytes) -> bytes:
    """From its TIFF header on; some writers put more than one prefix of JPEG files before it."""
    return _PREFIXES.sub(b"", exif)


def upright_exif(exif: bytes) -> bytes:
    """The same, but for an orientation of 1; without a change where none from 2 to 8 is found."""
    # Written anew by Pillow, it would lose thumbnails and break makers' notes.
    data = bytearray(exif)
    order = ">" if data[:2] == b"MM" else "<"
    try:
        (directory,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, directory)
        for entry in range(directory + 2, directory + 2 + _ENTRY_BYTES * count, _ENTRY_BYTES):
            tag, kind = struct.unpack_from(f"{order}HH", data, entry)
            if tag == ExifTags.Base.Orientation:
                value_format = f"{order}{'H' if kind == _SHORT else 'I'}"
                (orientation,) = struct.unpack_from(value_format, data, entry + 8)
                if orientation in range(2, 9):
                    struct.pack_into(value_format, data, entry + 8, UPRIGHT)
                break
    except struct.error:
        return exif
    return bytes(data)


def save_options(image: Image.Image, format: str) -> dict[str, object]:
    """Keywords that make Pillow's `save` write what is in `info`."""
    found = {key: image.info.get(key) for key in ("icc_profile", "exif", "xmp")}
    options: dict[str, object] = {key: value for key, value in found.items() if value}
    if format == "PNG" and (xmp := options.pop("xmp", None)):
        assert isinstance(xmp, bytes)
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
        options["pnginfo"] = text
    if format == "TIFF":
        exif = _exif_for_tiff(options.pop("exif", None))
        if xmp := options.pop("xmp", None):
            exif[ExifTags.Base.XMLPacket] = xmp
        if len(exif):
            options["exif"] = exif.tobytes()
    return options


def _exif_for_tiff(raw: object) -> Image.Exif:
    """What its own tags do not say: a camera's width and height, say, would be taken for them."""
    found = Image.Exif()
    if isinstance(raw, bytes):
        found.load(raw)
    return _kept_of(found, (*_TIFF_TAGS, ExifTags.Base.Orientation))


def bytes_of(image: Image.Image, key: str) -> bytes | None:
    """Of `info`, where a TIFF's tag of another type than it should have is a number or a tuple."""
    value = image.info.get(key)
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else None


def _read_exif(image: Image.Image) -> Image.Exif:
    raw = image.info.get("exif")
    if not isinstance(raw, bytes) or not raw.startswith(3 * EXIF_PREFIX):
        return image.getexif()
    exif = Image.Exif()  # Pillow skips two prefixes at most, and adds one to what a PNG has
    exif.load(bare_exif(raw))
    return exif


def _exif_of(image: Image.Image) -> bytes | None:
    if isinstance(raw := image.info.get("exif"), bytes):
        return bare_exif(raw)
    # Elsewhere in a TIFF, in the text of ImageMagick's PNGs, or set by a program.
    try:
        return _rewritten_exif(image)
    except Exception:  # of damaged EXIF; the pixels are none the worse for it
        return None


def _rewritten_exif(image: Image.Image) -> bytes | None:
    found = image.getexif()
    tags = _TIFF_TAGS if image.format == "TIFF" else tuple(found)
    kept = _kept_of(found, (tag for tag in tags if tag != ExifTags.Base.Orientation))
    return bare_exif(kept.tobytes()) if len(kept) else None


def _kept_of(found: Image.Exif, tags: Iterable[int]) -> Image.Exif:
    """These tags, and the directories of camera and place."""
    kept = Image.Exif()
    for tag in tags:
        if tag in found:
            kept[tag] = found[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if entries := found.get_ifd(directory):
            kept[directory] = entries
    return kept
