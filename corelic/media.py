"""Pictures, in and out.

    file, bytes or PIL.Image ─► upright ─► 8 bits, grey or RGB ─► Picture ─► PIL.Image ─► file bytes

A picture that would lose something on this way (transparency, bits, ink) is refused, not flattened:
the sender of a file should hear of it before its receiver does.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from corelic.errors import OutputError, PictureError
from corelic.jobs import atomic_write, read_file

Colour = Literal["grey", "rgb"]


@dataclass(frozen=True, slots=True, eq=False)  # eq: arrays do not compare to one bool
class Picture:
    """One still picture, upright.

    pixels  (H, W) grey or (H, W, 3) RGB, uint8 in [0, 255], H and W at least 1

    Bit depth, alpha, ICC profile and EXIF will be fields of their own; the file format has room.
    """

    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
            reason = f"has shape {shape} and type {dtype}; give (H, W) or (H, W, 3) in uint8"
            raise PictureError("the array", reason)
        if 0 in shape:
            raise PictureError("the array", f"has shape {shape}, hence no pixel; give at least one")

    @classmethod
    def from_image(cls, image: Image.Image) -> "Picture":
        """Turned as its EXIF orientation says; PictureError where something would be lost."""
        return cls(_pixels(image, "the picture"))

    @property
    def height_px(self) -> int:
        return self.pixels.shape[0]

    @property
    def width_px(self) -> int:
        return self.pixels.shape[1]

    @property
    def colour(self) -> Colour:
        return "grey" if self.pixels.ndim == 2 else "rgb"

    def to_image(self) -> Image.Image:
        """Mode L or RGB."""
        return Image.fromarray(self.pixels)


def read_picture(source: str | Path | bytes, *, name: str | None = None) -> Picture:
    """A path, or a file's bytes, in any format that Pillow reads; else PictureError.

    Errors call it `name`; by default its path.
    """
    data = source if isinstance(source, bytes) else read_file(Path(source))
    name = name or ("the data" if isinstance(source, bytes) else str(source))
    if not data:
        raise PictureError(name, "is empty; get it again")
    try:
        image = Image.open(BytesIO(data))
    except UnidentifiedImageError:
        reason = "is not a picture that Pillow can read; check the file, or convert it to PNG"
        raise PictureError(name, reason) from None
    except Image.DecompressionBombError as error:
        reason = f"is enormous ({error}); if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS"
        raise PictureError(name, reason) from error
    except Exception as error:
        raise _undecodable(name, error) from error
    with image:
        return Picture(_pixels(image, name))


def picture_suffixes() -> frozenset[str]:
    """Of the formats that Pillow decodes, in lower case, with their dots; .clc is none of them."""
    known = Image.registered_extensions()  # which loads all plug-ins
    readable = {name for name in Image.OPEN if not _is_stub(name)} | {"MPO"}  # opened as JPEG
    return frozenset(suffix for suffix in known if known[suffix] in readable) - {".clc"}


def stored_size_px(path: Path) -> tuple[int, int]:
    """Width and height as the file has them, before any turn; PictureError if it has none."""
    try:
        with Image.open(path) as image:
            return image.size
    except Exception as error:
        raise _undecodable(str(path), error) from error


def image_bytes(image: Image.Image, path: Path) -> bytes:
    """A whole file, in the format that the suffix of `path` names; without one, in PNG."""
    suffix = path.suffix.lower() or ".png"
    name = Image.registered_extensions().get(suffix)
    if name not in Image.SAVE:
        raise OutputError(str(path), f"no picture format has the suffix {suffix}; try .png")
    file = BytesIO()
    try:
        image.save(file, format=name, quality=95)  # lossy formats only; theirs are made for less
    except Exception as error:  # as when reading: each plug-in has its own way to refuse
        raise OutputError(str(path), f"{name} does not take it ({error}); try .png") from error
    return file.getvalue()


def write_image(image: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """All of the file or none of it, in the format that its suffix names."""
    atomic_write(path, image_bytes(image, path), overwrite=overwrite)


def _is_stub(name: str) -> bool:
    """Whether Pillow only recognises this format and cannot decode it."""
    factory = Image.OPEN[name][0]
    stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    return stub or name == "MPEG"


def _pixels(image: Image.Image, name: str) -> NDArray[np.uint8]:
    if getattr(image, "is_animated", False) and image.format != "MPO":
        # MPO is a phone's JPEG: what follows the picture is a preview or a depth map.
        raise PictureError(name, "has several frames; extract one and encode that")
    _refuse_deep(image, name)
    try:
        upright = ImageOps.exif_transpose(image)  # the first to read pixels: damage shows here
    except Exception as error:
        raise _undecodable(name, error) from error
    return np.array(_plain(upright, name))


def _plain(image: Image.Image, name: str) -> Image.Image:
    """The same picture as L or RGB, where that loses nothing."""
    if image.has_transparency_data:
        image = image.convert("RGBA")  # makes alpha of a transparent colour, too
        if image.getchannel("A").getextrema() != (255, 255):
            raise PictureError(
                name,
                "has transparency, which is not supported yet; "
                "flatten it first, e.g. magick in.png -background white -flatten out.png",
            )
    match image.mode:
        case "L" | "RGB":
            return image
        case "1":
            return image.convert("L")
        case "P" | "RGBA" | "RGBX":
            return image.convert("RGB")
        case "CMYK":
            raise PictureError(
                name,
                "is in CMYK, which is not supported yet; "
                "convert it first, e.g. magick in.jpg -colorspace sRGB out.png",
            )
        case "I" | "F" | "I;16" | "I;16L" | "I;16B" | "I;16N":
            raise _too_deep(name)
        case mode:
            reason = f"has pixels of the kind {mode}, which are not supported; convert it to RGB"
            raise PictureError(name, reason)


def _refuse_deep(image: Image.Image, name: str) -> None:
    """Pillow opens 16-bit RGB as RGB and drops the lower half; its tile list still tells."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        deep = any(isinstance(part, str) and ";16" in part for part in arguments)
        # PPM names the largest sample instead.
        if deep or (tile[0] == "ppm" and isinstance(arguments[-1], int) and arguments[-1] > 255):
            raise _too_deep(name)


def _too_deep(name: str) -> PictureError:
    reason = "has more than 8 bits a sample, which is not supported yet"
    return PictureError(name, f"{reason}; convert it first, e.g. magick in.png -depth 8 out.png")


def _undecodable(name: str, error: Exception) -> PictureError:
    """For any exception: on damaged data Pillow's plug-ins raise even IndexError."""
    reason = f"cannot be decoded ({str(error) or type(error).__name__}); get the file again"
    return PictureError(name, reason)
