"""Files and Pillow images to Pictures.

    file ─► Pillow ─► mode ─► samples: grey or RGB, 8 or 16 bits, alpha ─► upright ─► Picture
                └ 16 bits in colour: PyAV ┘
    .clc ─► the plug-in of this package for Pillow ─► Picture

What Pillow's modes say in other words (palettes, premultiplied alpha, YCbCr) is translated; what is
lost with inks is said in a PictureWarning; what would be lost silently is refused: the sender of a
file should hear of it before its receiver does.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from corelic.disk import read_file
from corelic.errors import CorelicError, OutOfMemoryError, PictureError, PictureWarning
from corelic.media import jxl
from corelic.media.deep import check_deep, is_deep, read_deep
from corelic.media.jxl_header import jxl_header
from corelic.media.metadata import UPRIGHT, bytes_of, metadata_of, orientation_of, turn
from corelic.media.picture import Picture, Samples

_DEEPEST = 2**16 - 1
_WHITE_IS_ZERO = 0  # a photometric interpretation of TIFF, and Pillow's guess where none is given
# Formats whose first frame is the picture: after it come an MPO's preview or depth map,
# and the layers of a PSD.
_FIRST_IS_ALL = ("MPO", "PSD")
_OPENING = threading.Lock()
# How files begin whose plug-ins decode as they open; of JPEG XL, `codecs.within` knows the size.
_EAGER = (b"\0\0\1\0", b"icns", b"RIFF")
_PROFILE_BYTES = 2**26  # of a PNG's profile, unpacked
PILLOWS_LIMIT = 2**30 // 4 // 3  # where nobody has set one


@runtime_checkable
class _HoldsPicture(Protocol):
    """An image of our plug-in, which this package cannot import: codecs are above it."""

    def decode_picture(self) -> Picture | None:
        """None once its pixels have been loaded, and maybe changed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Planes:
    """Pixels and alpha as in `Picture`, but in the order of the file.

    own_colours  whether the image's ICC profile speaks of these pixels
    """

    pixels: Samples
    alpha: Samples | None = None
    own_colours: bool = True

    @classmethod
    def split(cls, samples: Samples) -> "_Planes":
        """(H, W), or (H, W, C) with 2 or 4 channels, the last of them alpha, or 1 or 3."""
        if samples.ndim == 2:
            return cls(samples)
        match samples.shape[2]:
            case 1:
                return cls(samples[:, :, 0])
            case 2:
                return cls(samples[:, :, 0], samples[:, :, 1])
            case 4:
                return cls(samples[:, :, :3], samples[:, :, 3])
        return cls(samples)


def read_picture(source: str | Path | bytes, *, name: str | None = None) -> Picture:
    """A path, or a file's bytes, in any format that Pillow reads, .clc included; else PictureError.

    BadFileError for a damaged .clc file.
    Errors call it `name`; by default its path. Warns PictureWarning of a picture in inks.
    """
    data = source if isinstance(source, bytes) else read_file(Path(source))
    name = name or ("the data" if isinstance(source, bytes) else str(source))
    if not data:
        raise PictureError(name, "is empty; get it again")
    image = open_image(data, name)
    if image is None:
        reason = "is not a picture that Pillow can read; check the file, or convert it to PNG"
        raise PictureError(name, reason)
    with image:
        return from_image(image, name)


def open_image(
    source: bytes | Path, name: str, *, max_pixels: int | None = None
) -> Image.Image | None:
    """A file or its bytes, opened but not loaded; None if Pillow knows no such format.

    max_pixels  for who looks at the size before anything is loaded: it may be beyond what Pillow
                opens, unless somebody has told Pillow how much that is. Only of a format that
                Pillow decodes as it opens, larger ones are refused here

    PictureError for a picture that it knows, and cannot open, and for an animated JPEG XL, which
    its plug-in takes for a still one; MissingPartError for JPEG XL where that is not installed.
    """
    if _begins_as(jxl.SIGNATURES, source):
        jxl.load_plugin()
        if _is_animated_jxl(source):
            raise _several_frames(name)
    eager = max_pixels is not None and _begins_as(_EAGER, source)
    try:
        with opening(max_pixels if eager or max_pixels is None else sys.maxsize):
            return Image.open(BytesIO(source) if isinstance(source, bytes) else source)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise beyond_pillow(name, error, by_us=eager) from error
    except CorelicError:  # of a .clc file, through our plug-in
        raise
    except MemoryError as error:  # of those that decode as they open
        raise PictureError(name, "needs more memory than there is") from error
    except Exception as error:
        raise _undecodable(name, error) from error


def _several_frames(name: str) -> PictureError:
    return PictureError(name, "has several frames; extract one and encode that")


def _is_animated_jxl(source: bytes | Path) -> bool:
    with suppress(ValueError, OSError):  # opening will say what is wrong
        whole = source if isinstance(source, bytes) else source.read_bytes()
        return jxl_header(whole).animated
    return False


def _begins_as(signatures: tuple[bytes, ...], source: bytes | Path) -> bool:
    if isinstance(source, bytes):
        return source.startswith(signatures)
    with suppress(OSError), source.open("rb") as file:  # or Pillow says what is wrong with it
        return file.read(max(map(len, signatures))).startswith(signatures)
    return False


@contextmanager
def opening(max_pixels: int | None) -> Iterator[None]:
    """Around `Image.open`, one at a time, for Pillow's limits are global.

    max_pixels  what is opened, unless somebody has told Pillow; None: as Pillow has it
    """
    # So are filters of warnings: of two threads, the one that ends last would put back what it
    # found, the filter of the other.
    with _OPENING, warnings.catch_warnings():
        # Pillow's limit on untrusted data is for those who set it; ours comes with the codec.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        limit, text_bytes = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
        if max_pixels is not None and limit == PILLOWS_LIMIT:
            Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # it refuses what is larger than twice it
        # Profiles of printers have more than Pillow takes from a PNG, and writes to one.
        PngImagePlugin.MAX_TEXT_CHUNK = max(text_bytes, _PROFILE_BYTES)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = limit, text_bytes


def load_image(image: Image.Image, name: str, *, max_pixels: int | None = None) -> None:
    """Reads its pixels; PictureError if they are damaged.

    max_pixels  for who has looked at the size, which is within it: of TIFFs, Pillow looks again,
                and in ICNS are files of sizes of their own
    """
    # Others can be loaded while other threads open theirs.
    limited = max_pixels is not None and Image.MAX_IMAGE_PIXELS is not None
    beyond = isinstance(image, TiffImageFile) and image.width * image.height > PILLOWS_LIMIT
    again = limited and (beyond or image.format == "ICNS")
    try:
        with opening(sys.maxsize if beyond else max_pixels) if again else nullcontext():
            image.load()
    except Image.DecompressionBombError as error:
        raise beyond_pillow(name, error, by_us=limited) from error
    except CorelicError:  # of a .clc file, through our plug-in
        raise
    except MemoryError as error:  # of a sound picture as well: nothing says that it is damaged
        raise OutOfMemoryError(*image.size) from error
    except Exception as error:
        raise _undecodable(name, error) from error


def from_image(image: Image.Image, name: str, *, max_pixels: int | None = None) -> Picture:
    """Any image of Pillow's, turned upright; errors and warnings call it `name`.

    max_pixels  as for `load_image`
    """
    try:
        # Which looks through all of some files, and so may find them damaged.
        several = getattr(image, "is_animated", False)
        if several and image.format not in _FIRST_IS_ALL:
            raise _several_frames(name)
        if isinstance(image, _HoldsPicture) and (own := image.decode_picture()) is not None:
            # Upright whatever it says; of `info`, since that may have been changed.
            kept = metadata_of(image)
            return replace(own, icc=kept.icc, exif=kept.exif, xmp=kept.xmp)
        deep = read_deep(image, name) if is_deep(image) else None  # before anything loads it
        turns_itself = isinstance(image, TiffImageFile)  # as it is loaded
        if not turns_itself:  # before Pillow does, to look for EXIF, and forgets what was wrong
            load_image(image, name, max_pixels=max_pixels)
        orientation = orientation_of(image)  # of the file
        if deep is not None:
            deep = turn(deep, orientation)
        if turns_itself:
            load_image(image, name, max_pixels=max_pixels)
            orientation = orientation_of(image)
        if deep is None:
            planes = _planes(image, name)
        else:
            check_deep(deep, turn(np.array(image), orientation), name)
            planes, orientation = _Planes.split(deep), UPRIGHT
        metadata = metadata_of(image)
    except CorelicError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(*image.size) from error
    except Exception as error:
        raise _undecodable(name, error) from error
    pixels = turn(planes.pixels, orientation)
    alpha = None if planes.alpha is None else turn(planes.alpha, orientation)
    icc = metadata.icc if planes.own_colours else None
    return Picture(pixels, alpha, icc, metadata.exif, metadata.xmp)


def _planes(image: Image.Image, name: str) -> _Planes:
    """Grey stays grey, 16 bits stay 16, transparency of any kind is alpha."""
    match image.mode:
        case "1" | "L":
            mode = "LA" if image.has_transparency_data else "L"
        case "LA" | "La":
            mode = "LA"
        case "P" | "RGB":
            mode = "RGBA" if image.has_transparency_data else "RGB"
        case "PA" | "RGBA" | "RGBa":
            mode = "RGBA"
        case "RGBX" | "YCbCr" | "HSV":
            mode = "RGB"
        case "LAB":  # Pillow converts to sRGB, through its profile of the space
            return _Planes(np.array(image.convert("RGB")), own_colours=False)
        case "CMYK":
            return _Planes(np.array(_from_inks(image, name)), own_colours=False)
        case "I" | "I;16" | "I;16L" | "I;16B" | "I;16N":
            return _deep_grey(image, name)
        case "F":
            reason = "holds floating-point numbers, of which nobody says what is black or white"
            raise PictureError(name, f"{reason}; scale it to 16 bits, e.g. with numpy")
        case mode:
            reason = f"has pixels of the kind {mode}, which are not supported; convert it to RGB"
            raise PictureError(name, reason)
    return _Planes.split(np.array(image.convert(mode) if image.mode != mode else image))


def _deep_grey(image: Image.Image, name: str) -> _Planes:
    """Modes of 16 bits, and of 32 with nothing beyond 16 in them."""
    samples = np.array(image)
    lowest, highest = int(samples.min()), int(samples.max())
    if lowest < 0 or highest > _DEEPEST:
        reason = f"has values from {lowest} to {highest}, more than 16 bits hold"
        raise PictureError(name, f"{reason}; scale it to 0 … {_DEEPEST}, e.g. with numpy")
    samples = samples.astype(np.uint16)
    if isinstance(image, TiffImageFile) and image.mode == "I;16":
        return _Planes(_as_tags_say(samples, image))
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return _Planes(samples)
    alpha = np.where(samples == transparent, 0, _DEEPEST)
    return _Planes(samples, alpha.astype(np.uint16))


def _as_tags_say(samples: Samples, image: TiffImageFile) -> Samples:
    """Black is 0 and white 65535, to which Pillow sees only where there are 8 bits."""
    if image.tag_v2.get(BITSPERSAMPLE) == (12,) and samples.max() < 2**12:
        samples = samples << np.uint16(4) | samples >> np.uint16(8)
    if image.tag_v2.get(PHOTOMETRIC_INTERPRETATION, _WHITE_IS_ZERO) == _WHITE_IS_ZERO:
        samples = ~samples
    return samples


def _from_inks(image: Image.Image, name: str) -> Image.Image:
    """CMYK to sRGB, as its profile has it, or else as printers never see it."""
    profile = bytes_of(image, "icc_profile")
    how = "without a colour profile, so its colours are a guess"
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            found = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError) as error:
            how = f"and its colour profile cannot be used ({error}), so its colours are a guess"
        else:
            assert found is not None  # it is, for conversions in place
            _warn(f"{name} is in CMYK, converted to sRGB with its own colour profile")
            return found
    _warn(f"{name} is in CMYK, converted to RGB {how}")
    return image.convert("RGB")


def _warn(message: str) -> None:
    warnings.warn(f"{message}; the inks themselves are lost", PictureWarning, stacklevel=2)


def beyond_pillow(
    name: str, error: Image.DecompressionBombError, *, by_us: bool = False
) -> PictureError:
    """For a picture above Pillow's limit: its user's own, or what `opening` told it."""
    theirs = not by_us or Image.MAX_IMAGE_PIXELS != PILLOWS_LIMIT
    limit = "PIL.Image.MAX_IMAGE_PIXELS" if theirs else "the limit with max_pixels= (--max-pixels)"
    return PictureError(name, f"is enormous ({error}); if you trust it, raise {limit}")


def _undecodable(name: str, error: Exception) -> PictureError:
    """For any exception: on damaged data Pillow's plug-ins raise even IndexError."""
    reason = f"cannot be decoded ({str(error) or type(error).__name__}); get the file again"
    return PictureError(name, reason)
