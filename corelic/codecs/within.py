"""Pictures of any format within a limit, which is asked for before their pixels are there."""

from __future__ import annotations

from contextlib import suppress

from PIL import Image

from corelic.codecs.limits import MEMORY_BYTES, check_size
from corelic.entropy import container
from corelic.errors import NotACorelicFileError
from corelic.media import Picture, jxl, read_picture
from corelic.media.jxl_header import jxl_header
from corelic.media.reading import from_image, open_image


def read_within(
    data: bytes,
    name: str,
    *,
    max_pixels: int,
    device: str = "auto",
    memory_bytes: int = MEMORY_BYTES,
    fast: bool = False,
) -> Picture:
    """As `read_picture`; TooManyPixelsError for a larger one.

    A .clc file is decoded as `corelic.decode_picture` does with the rest.
    """
    if not data:
        return read_picture(data, name=name)  # which says what it is
    with suppress(NotACorelicFileError):
        container.read_header(data)
        from corelic.codecs import api  # with torch, for which other formats need not wait

        return api.decode_picture(
            data,
            device=device,
            codec=None,
            max_pixels=max_pixels,
            memory_bytes=memory_bytes,
            progress=None,
            fast=fast,
        )
    image = open_within(data, name, max_pixels)
    if image is None:
        return read_picture(data, name=name)  # which says why it is none
    with image:
        return picture_within(image, name, max_pixels)


def open_within(data: bytes, name: str, max_pixels: int) -> Image.Image | None:
    """As `open_image`; TooManyPixelsError for a larger one."""
    if data.startswith(jxl.SIGNATURES):  # which its plug-in decodes as it opens
        size = 0, 0
        with suppress(ValueError):  # it will say what is wrong
            size = jxl_header(data).size
        check_size(*size, max_pixels)
    image = open_image(data, name, max_pixels=max_pixels)
    if image is not None:
        check_size(*image.size, max_pixels)
    return image


def picture_within(image: Image.Image, name: str, max_pixels: int) -> Picture:
    """As `from_image`, for what `open_within` gives; ICNS may be larger than they say."""
    picture = from_image(image, name, max_pixels=max_pixels)
    check_size(picture.width_px, picture.height_px, max_pixels)
    return picture
