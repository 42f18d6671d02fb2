""".clc files for Pillow: Image.open("photo.clc"), image.save("photo.clc", quality=60).

Opening reads the header, which tells size and mode, and the metadata, past the pixels; these are
decoded when somebody asks for them. Saving takes the keywords of `corelic.encode`, and those of
Pillow's other writers for metadata: icc_profile, exif, xmp, each None to leave it out.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from inspect import signature
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image, ImageFile

from corelic.entropy import container
from corelic.entropy.container import ChunkType, Colour
from corelic.errors import BadFileError, PeerError

if TYPE_CHECKING:
    from corelic.media import Picture

FORMAT, EXTENSION, MIME_TYPE = "CLC", ".clc", "image/x-clc"
EXIF_PREFIX = b"Exif\0\0"
PILLOWS_LIMIT = 2**30 // 4 // 3  # where nobody has set one
_INFO_KEYS = {ChunkType.ICC: "icc_profile", ChunkType.EXIF: "exif", ChunkType.XMP: "xmp"}


class ClcImageFile(ImageFile.ImageFile):
    format = FORMAT
    format_description = "corelic, a learned image codec"

    _decoded = False

    def _open(self) -> None:
        outline = container.outline(self._file.read(container.HEADER_MAX_BYTES))
        header = outline.header
        self._size = header.width_px, header.height_px
        self._mode = _mode(header.colour, outline.types)
        if not set(_INFO_KEYS).isdisjoint(outline.types):
            with suppress(BadFileError):  # damage beyond the header is for `load` to report
                for type, payload in container.skim(self._file, _INFO_KEYS).items():
                    prefix = EXIF_PREFIX if type == ChunkType.EXIF else b""
                    self.info[_INFO_KEYS[ChunkType(type)]] = prefix + payload

    def load(self) -> Any:
        if not self._decoded:
            import corelic

            self._file.seek(0)
            image = corelic.decode(self._file.read(), max_pixels=_max_pixels())
            self.im, self._decoded = image.im, True
            self.readonly = 0  # these pixels are nobody else's
            if self._exclusive_fp:
                self._file.close()
                self.fp = None
        return super().load()

    def __setstate__(self, state: list[Any]) -> None:
        """A pickle has the pixels, and no file."""
        super().__setstate__(state)
        self._decoded = True

    def decode_picture(self) -> Picture | None:
        """With 16 bits in colour, too; None once it is loaded, for its pixels may be others now."""
        if self._decoded:
            return None
        import corelic

        self._file.seek(0)
        return corelic.decode_picture(self._file.read(), max_pixels=_max_pixels())

    @property
    def _file(self) -> BinaryIO:
        if self.fp is None:
            raise ValueError("Operation on closed image")  # as Pillow says it
        return cast(BinaryIO, self.fp)


def register() -> None:
    """Tells Pillow; needs no more than its core."""
    Image.register_open(FORMAT, ClcImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME_TYPE)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.SIGNATURE[: container.VERSION_AT])


def _max_pixels() -> int:
    """What Pillow has opened is decoded: as much as somebody has told it, or else our limit."""
    if Image.MAX_IMAGE_PIXELS is None:
        return sys.maxsize
    told = Image.MAX_IMAGE_PIXELS != PILLOWS_LIMIT
    # Pillow refuses what is larger than twice its limit.
    return max(container.MAX_PIXELS, 2 * Image.MAX_IMAGE_PIXELS if told else 0)


def _mode(colour: Colour, types: tuple[int, ...]) -> str:
    """As `Picture.to_image` will give it."""
    alpha, deep = ChunkType.ALPHA in types, ChunkType.DEPTH in types
    if colour is Colour.RGB:
        return "RGBA" if alpha else "RGB"
    return "LA" if alpha else "I;16" if deep else "L"


def _save(image: Image.Image, file: IO[bytes], _: str | bytes) -> None:
    import corelic

    given = image.encoderinfo
    metadata = {key: given[key] for key in _INFO_KEYS.values() if key in given}
    if metadata:
        image = image.copy()
        for key, value in metadata.items():
            image.info[key] = value.tobytes() if isinstance(value, Image.Exif) else value
    codec = given.get("codec")
    if isinstance(codec, str) and corelic.native_suffix(codec) is not None:
        reason = f"it makes no .clc file; save as {corelic.native_suffix(codec)}"
        raise PeerError(codec, f"{reason} with corelic.encode")
    # As in Pillow's own writers, a keyword that is meant for others is ignored.
    keywords = [name for name in signature(corelic.encode).parameters if name != "picture"]
    file.write(corelic.encode(image, **{name: given[name] for name in keywords if name in given}))
