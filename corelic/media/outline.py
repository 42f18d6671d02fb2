"""What can be told of a picture before its pixels are read: by its suffix, and by its header."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile

from corelic.errors import MissingPartError, PictureError
from corelic.media import jxl
from corelic.media.metadata import bare_exif, bytes_of, upright_exif
from corelic.media.reading import open_image


@dataclass(frozen=True, slots=True)
class PictureOutline:
    """A picture as its file has it, not yet turned upright.

    has_metadata  whether it surely has a profile, EXIF or XMP that a Picture keeps; a few formats
                  have them behind the pixels, where nobody looks
    """

    width_px: int
    height_px: int
    has_metadata: bool
    exif: bytes | None  # as in a `Picture`, as far as it is known


def outline_of(path: Path, max_pixels: int) -> PictureOutline:
    """Mostly of its header alone; PictureError for what Pillow cannot open.

    max_pixels  as in `open_image`
    """
    image = open_image(path, str(path), max_pixels=max_pixels)
    if image is None:
        raise PictureError(str(path), "is not a picture that Pillow can read; check the file")
    with image:
        exif = image.info.get("exif")
        exif = upright_exif(bare_exif(exif)) if isinstance(exif, bytes) else None
        has_profile = image.mode not in ("CMYK", "LAB") and bytes_of(image, "icc_profile")
        kept = bool(exif or has_profile or bytes_of(image, "xmp"))
        return PictureOutline(image.width, image.height, kept, exif or None)


def picture_suffixes() -> frozenset[str]:
    """Of the formats that Pillow decodes, in lower case, with their dots; .clc is none of them.

    JPEG XL is one where its plug-in is installed.
    """
    with suppress(MissingPartError):
        jxl.load_plugin()
    known = Image.registered_extensions()  # which loads all plug-ins
    readable = {name for name in Image.OPEN if not _is_stub(name)} | {"MPO"}  # opened as JPEG
    return frozenset(suffix for suffix in known if known[suffix] in readable) - {".clc"}


def _is_stub(name: str) -> bool:
    """Whether Pillow only recognises this format and cannot decode it."""
    factory = Image.OPEN[name][0]
    stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    return stub or name == "MPEG"
