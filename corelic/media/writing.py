"""Pictures to the files of classical formats, with their metadata."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from corelic.disk import atomic_write
from corelic.errors import OutOfMemoryError, OutputError
from corelic.media import jxl
from corelic.media.deep import deep_png
from corelic.media.metadata import save_options
from corelic.media.picture import Picture

_DEEP_GREY = {"PNG", "TIFF", "JPEG2000", "PPM"}  # formats for which Pillow writes mode I;16
_NO_ALPHA = {"PPM", "BMP", "DIB"}  # at any rate none that Pillow finds again
_ICON_PX = 256  # the longest side in an ICO
_LOSSY_QUALITY = 95  # formats' own defaults are made for less
# Of zlib. At Pillow's own, 6, photographs take twice the time to write, a third of what decoding
# them takes, for 3 % fewer bytes (`python benchmarks/png.py`).
_PNG_LEVEL = 4


def picture_bytes(picture: Picture, path: Path) -> bytes:
    """A whole file in the format that the suffix of `path` names; without one, in PNG.

    16 bits stay in PNG; grey without alpha keeps them in TIFF, JPEG 2000 and PGM, too. What else
    there is gets 8.
    """
    format = _format_of(path)
    if picture.bit_depth == 16:
        plain_grey = picture.colour == "grey" and picture.alpha is None
        if format == "PNG" and not plain_grey:
            return deep_png(picture)
        if not plain_grey or format not in _DEEP_GREY:
            picture = picture.in_8_bits()
    return image_bytes(picture.to_image(), path)


def image_bytes(image: Image.Image, path: Path) -> bytes:
    """A whole file, in the format that the suffix of `path` names; without one, in PNG.

    With the ICC profile, EXIF and XMP of its `info`, where the format has room for them.
    """
    format = _format_of(path)
    try:
        if format in _NO_ALPHA and image.mode in ("LA", "RGBA"):
            raise OSError("it has no alpha")  # Pillow would leave it out, and not say so
        if format == "ICNS" or (format == "ICO" and max(image.size) > _ICON_PX):
            raise OSError("it is for icons")  # Pillow would write another size, and not say so
        return _saved(image, format)
    except MemoryError as error:
        raise OutOfMemoryError(*image.size) from error
    except Exception as error:  # as when reading: each plug-in has its own way to refuse
        if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
            opaque = image.convert(image.mode[:-1])  # an alpha that says nothing is no obstacle
            return image_bytes(opaque, path)
        raise OutputError(str(path), f"{format} does not take it ({error}); try .png") from error


def png_bytes(image: Image.Image) -> bytes:
    """With the ICC profile, EXIF and XMP of its `info`."""
    return _saved(image, "PNG")


def write_image(image: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """All of the file or none of it, in the format that its suffix names."""
    atomic_write(path, image_bytes(image, path), overwrite=overwrite)


def check_suffix(path: Path) -> None:
    """OutputError where it names no format that Pillow writes."""
    _format_of(path)


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower() or ".png"
    if suffix == jxl.SUFFIX:
        jxl.load_plugin()
    name = Image.registered_extensions().get(suffix)
    if name is None or name not in Image.SAVE:
        raise OutputError(str(path), f"no picture format has the suffix {suffix}; try .png")
    if name == "CLC":  # registered by our own plug-in for those who save a picture with it
        raise OutputError(str(path), "corelic encode makes such files; try .png")
    return name


def _saved(image: Image.Image, format: str) -> bytes:
    file = BytesIO()
    options = save_options(image, format)
    if format == "PNG":
        options["compress_level"] = _PNG_LEVEL
    image.save(file, format=format, quality=_LOSSY_QUALITY, **options)
    return file.getvalue()
