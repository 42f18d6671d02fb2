"""A still picture as arrays: what every codec takes and gives."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corelic.errors import PictureError

Colour = Literal["grey", "rgb"]
Samples = NDArray[np.unsignedinteger[Any]]  # uint8 or uint16; always the whole range of its type
STEPS_BETWEEN = 257  # of 65535 from one of 255 levels to the next

EXIF_PREFIX = b"Exif\0\0"  # of EXIF within a JPEG; Pillow's readers and writers speak it, too


@dataclass(frozen=True, slots=True, eq=False)  # eq: arrays do not compare to one bool
class Picture:
    """One still picture, upright.

    pixels  (H, W) grey or (H, W, 3) RGB, uint8 or uint16, H and W at least 1
    alpha   (H, W) in the type of the pixels, 0 is transparent; None: there is none, all is opaque
    icc     profile that says which colours the pixels are; None: sRGB, or its grey
    exif    from its TIFF header on, without the prefix of JPEG files
    xmp     packet, UTF-8
    """

    pixels: Samples
    alpha: Samples | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if (
            dtype not in (np.uint8, np.uint16)
            or len(shape) not in (2, 3)
            or shape[2:] not in ((), (3,))
        ):
            reason = (
                f"has shape {shape} and type {dtype}; give (H, W) or (H, W, 3), uint8 or uint16"
            )
            raise PictureError("the array", reason)
        if 0 in shape:
            raise PictureError("the array", f"has shape {shape}, hence no pixel; give at least one")
        if self.alpha is not None and (self.alpha.shape, self.alpha.dtype) != (shape[:2], dtype):
            found = f"has shape {self.alpha.shape} and type {self.alpha.dtype}"
            raise PictureError("the alpha", f"{found}; give {shape[:2]} and {dtype}, as the pixels")

    @classmethod
    def from_image(cls, image: Image.Image) -> "Picture":
        """Turned as its EXIF orientation says; PictureError where too much would be lost.

        16-bit colour is found only in an image whose file has not been loaded yet: loading, Pillow
        drops the lower byte.
        """
        from corelic.media.reading import from_image  # which makes Pictures

        return from_image(image, "the picture")

    @property
    def height_px(self) -> int:
        return self.pixels.shape[0]

    @property
    def width_px(self) -> int:
        return self.pixels.shape[1]

    @property
    def colour(self) -> Colour:
        return "grey" if self.pixels.ndim == 2 else "rgb"

    @property
    def bit_depth(self) -> int:
        """8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    def in_8_bits(self) -> "Picture":
        """Rounded to the nearest of 256 levels."""
        if self.bit_depth == 8:
            return self
        alpha = None if self.alpha is None else _rounded(self.alpha)
        return replace(self, pixels=_rounded(self.pixels), alpha=alpha)

    def stripped(self) -> "Picture":
        """Without ICC profile, EXIF and XMP."""
        return replace(self, icc=None, exif=None, xmp=None)

    def middle(self, height_px: int, width_px: int) -> "Picture":
        """At most so much of it, from the middle, without metadata."""
        wanted = zip(self.pixels.shape[:2], (height_px, width_px), strict=True)
        top, left = (max(0, side - most) // 2 for side, most in wanted)
        area = slice(top, top + height_px), slice(left, left + width_px)
        alpha = None if self.alpha is None else np.ascontiguousarray(self.alpha[area])
        return Picture(np.ascontiguousarray(self.pixels[area]), alpha)

    def to_image(self) -> Image.Image:
        """Mode L, LA, RGB, RGBA or I;16; `info` has icc_profile, exif and xmp, where there are any.

        8 bits where Pillow has no mode for 16: in colour, and with alpha.
        """
        if self.bit_depth == 16 and (self.alpha is not None or self.colour == "rgb"):
            return self.in_8_bits().to_image()
        planes = self.pixels if self.alpha is None else np.dstack((self.pixels, self.alpha))
        image = Image.fromarray(np.ascontiguousarray(planes))
        exif = None if self.exif is None else EXIF_PREFIX + self.exif
        for key, value in (("icc_profile", self.icc), ("exif", exif), ("xmp", self.xmp)):
            if value is not None:
                image.info[key] = value
        return image


def _rounded(samples: Samples) -> Samples:
    return ((samples.astype(np.uint32) + STEPS_BETWEEN // 2) // STEPS_BETWEEN).astype(np.uint8)
