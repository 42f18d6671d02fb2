"""JPEG, WebP, AVIF, JPEG 2000 and JPEG XL, as Pillow makes them, behind `ImageCodec`.

    Picture ─► PIL.Image ─ save ─► the format's own file ─ open ─► PIL.Image ─► Picture

Colour is coded at full resolution wherever the format allows it, for that is what PSNR over RGB
asks for; `avif-420` is what most AVIF files are, and `avif-psnr` is tuned for what is measured
here. All matrices are BT.601, full range, except that of WebP, whose format prescribes studio
range, and of JPEG XL, which codes in its own space XYB.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from typing import ClassVar, Literal

from PIL import Image, features

from corelic.codecs.base import CodecFacts, ImageCodec
from corelic.codecs.files import memory_for
from corelic.codecs.limits import check_size
from corelic.codecs.rate import QUALITY_MAX, check_quality
from corelic.entropy.container import MAX_PIXELS
from corelic.errors import (
    CorelicError,
    ForeignFileError,
    MissingPartError,
    OutOfMemoryError,
    PeerError,
    PictureError,
)
from corelic.media import Picture, jxl
from corelic.media.jxl_header import jxl_header
from corelic.media.metadata import save_options
from corelic.media.reading import beyond_pillow, opening

BT601 = "YCbCr BT.601, full range"
# libaom's bytes depend on it, and a file should not depend on who has how many cores.
AVIF_THREADS = 8
JPEG2000_DB = 20, 50  # of the target at quality 0 and 100
# From what is barely a picture to where no eye sees a difference; BD-rates depend on such limits.
SWEEP = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0)


class ClassicalCodec(ImageCodec):
    """A frozen dataclass.

    ranges    the fields that a user may set, by name
    metadata  the fields of a Picture, beside its pixels, that files of this kind hold: alpha and
              what describes them
    """

    ranges: ClassVar[dict[str, range]] = {}
    metadata: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        """The picture in a complete file; BadFileError if it is not one.

        TooManyPixelsError for a larger one, before there is anything of its size here.
        """

    def named(self, base: str, **usual: int) -> str:
        """`avif`, or `avif:speed=8` where a parameter is not the usual one."""
        given = {key: getattr(self, key) for key in usual}
        unusual = [f"{key}={value}" for key, value in given.items() if value != usual[key]]
        return ":".join([base, *unusual])


class PillowCodec(ClassicalCodec):
    """A format that Pillow, or a plug-in of it, reads and writes."""

    kind: ClassVar[str]  # Pillow's name of the format
    decodes_as_it_opens: ClassVar[bool] = False  # then Pillow must know the limit before

    def encode(self, picture: Picture, quality: float) -> bytes:
        """A complete file of the format; QualityError, or PeerError where the encoder refuses."""
        check_quality(quality)
        self.load()
        image, file = picture.to_image(), BytesIO()
        described = save_options(image, self.kind)
        try:
            image.save(file, self.kind, **self.settings(quality, picture), **described)
        except MemoryError as error:
            raise OutOfMemoryError(*image.size) from error
        except Exception as error:  # each plug-in has its own way to refuse
            reason = f"it refuses the picture ({error})"
            if described:
                reason += "; if that is about its ICC profile, EXIF or XMP, leave them out with "
                reason += "strip=True (--strip on the command line)"
            raise PeerError(self.facts.name, reason) from error
        return file.getvalue()

    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        """The picture in a file of this format, and of no other; else ForeignFileError.

        PictureError for one that is sound, and more than a picture.
        """
        self.load()
        try:
            with self._opened(data, max_pixels) as image, memory_for(*image.size):
                image.load()  # damage shows here; what is said later is about a sound file
                return Picture.from_image(image)
        except CorelicError:
            raise
        except Image.DecompressionBombError as error:
            raise beyond_pillow("the data", error, by_us=self.decodes_as_it_opens) from error
        except MemoryError as error:  # of plug-ins that decode as they open: nothing is damaged
            raise PictureError("the data", "needs more memory than there is") from error
        except Exception as error:  # on damaged data plug-ins raise even IndexError
            raise ForeignFileError(self.kind, str(error) or type(error).__name__) from error

    def _opened(self, data: bytes, max_pixels: int) -> Image.Image:
        with opening(max_pixels if self.decodes_as_it_opens else sys.maxsize):
            image = Image.open(BytesIO(data), formats=[self.kind])
        check_size(*image.size, max_pixels)
        return image

    def load(self) -> None:
        """MissingPartError where the format is not installed."""
        if self.kind not in Image.SAVE:
            Image.init()
        if self.kind not in Image.SAVE:
            raise MissingPartError(self.kind, "a Pillow that was built with it", "bench")

    @abstractmethod
    def settings(self, quality: float, picture: Picture) -> dict[str, object]:
        """What `PIL.Image.save` is told."""


@dataclass(frozen=True)
class Jpeg(PillowCodec):
    kind: ClassVar = "JPEG"
    metadata: ClassVar = ("icc", "exif", "xmp")
    sampling: Literal["444", "420"] = "444"

    @property
    def facts(self) -> CodecFacts:
        return CodecFacts(
            name="jpeg" if self.sampling == "444" else "jpeg-420",
            title=f"JPEG {_colons(self.sampling)}",
            suffix=".jpg",
            colour=f"{BT601}, {_colons(self.sampling)}",
            scale="libjpeg's quality 1 … 100, optimised Huffman tables",
            version=_versions("libjpeg_turbo"),
            qualities=SWEEP,
            in_process=True,
        )

    def settings(self, quality: float, picture: Picture) -> dict[str, object]:
        settings: dict[str, object] = {"quality": max(1, round(quality)), "optimize": True}
        if picture.colour != "grey":
            settings["subsampling"] = _colons(self.sampling)
        return settings


@dataclass(frozen=True)
class WebP(PillowCodec):
    kind: ClassVar = "WEBP"
    decodes_as_it_opens: ClassVar = True
    metadata: ClassVar = ("alpha", "icc", "exif", "xmp")
    ranges: ClassVar = {"method": range(7)}
    method: int = 6

    @property
    def facts(self) -> CodecFacts:
        return CodecFacts(
            name=self.named("webp", method=6),
            title=f"WebP, method {self.method}",
            suffix=".webp",
            colour="YCbCr BT.601, studio range, 4:2:0",
            scale="libwebp's quality 0 … 100, lossy",
            version=_versions("webp"),
            qualities=(1, 5, *SWEEP),  # at 10 it has 29 dB already
            in_process=True,
        )

    def settings(self, quality: float, picture: Picture) -> dict[str, object]:
        return {"quality": round(quality), "method": self.method}


@dataclass(frozen=True)
class Avif(PillowCodec):
    kind: ClassVar = "AVIF"
    metadata: ClassVar = ("alpha", "icc", "exif", "xmp")
    ranges: ClassVar = {"speed": range(11)}
    sampling: Literal["444", "420"] = "444"
    speed: int = 4
    for_psnr: bool = False  # else what libavif chooses, and version 1.4.2 chooses looks

    @property
    def facts(self) -> CodecFacts:
        full = self.sampling == "444"
        base = "avif-psnr" if self.for_psnr else "avif" if full else "avif-420"
        title = f"AVIF {_colons(self.sampling)}, speed {self.speed}"
        return CodecFacts(
            name=self.named(base, speed=4 if full else 6),
            title=f"{title}, tuned for PSNR" if self.for_psnr else title,
            suffix=".avif",
            colour=f"{BT601}, {_colons(self.sampling)}",
            scale="libavif's quality 0 … 100",
            version=_versions("avif"),
            qualities=SWEEP[:-1],  # at 95 it has 45 dB, 3 more than others at their last
            in_process=True,
        )

    def settings(self, quality: float, picture: Picture) -> dict[str, object]:
        sampling = "4:0:0" if picture.colour == "grey" else _colons(self.sampling)
        return {
            "quality": round(quality),
            "subsampling": sampling,
            "speed": self.speed,
            "max_threads": AVIF_THREADS,
            **({"codec": "aom", "advanced": {"tune": "psnr"}} if self.for_psnr else {}),
        }


@dataclass(frozen=True)
class Jpeg2000(PillowCodec):
    kind: ClassVar = "JPEG2000"

    @property
    def facts(self) -> CodecFacts:
        low, high = JPEG2000_DB
        return CodecFacts(
            name="jpeg2000",
            title="JPEG 2000",
            suffix=".jp2",
            colour=f"{BT601}, 4:4:4 (irreversible transform)",
            scale=f"OpenJPEG's target of {low} … {high} dB",
            version=_versions("jpg_2000"),
            qualities=SWEEP,
            in_process=True,
        )

    def settings(self, quality: float, picture: Picture) -> dict[str, object]:
        low, high = JPEG2000_DB
        return {
            "quality_mode": "dB",
            "quality_layers": [low + (high - low) * quality / QUALITY_MAX],
            "irreversible": True,
            "mct": int(picture.colour == "rgb"),
        }


@dataclass(frozen=True)
class JpegXl(PillowCodec):
    kind: ClassVar = "JXL"
    metadata: ClassVar = ("alpha", "exif", "xmp")  # its plug-in says sRGB of all that it writes
    ranges: ClassVar = {"effort": range(1, 10)}
    effort: int = 7

    @property
    def facts(self) -> CodecFacts:
        self.load()
        return CodecFacts(
            name=self.named("jxl", effort=7),
            title=f"JPEG XL, effort {self.effort}",
            suffix=".jxl",
            colour="XYB, 4:4:4",
            scale="libjxl's quality 0 … 100, lossy",
            version=f"pillow-jxl-plugin {version('pillow-jxl-plugin')}",
            qualities=SWEEP,
            in_process=True,
        )

    def load(self) -> None:
        jxl.load_plugin()

    def _opened(self, data: bytes, max_pixels: int) -> Image.Image:
        check_size(*jxl_header(data).size, max_pixels)  # before the plug-in decodes, as it opens
        return super()._opened(data, max_pixels)

    def settings(self, quality: float, picture: Picture) -> dict[str, object]:
        # At 100 libjxl turns lossless; near it, the curve goes on.
        return {"quality": min(round(quality), 99), "effort": self.effort}


def _colons(sampling: str) -> str:
    return ":".join(sampling)


def _versions(feature: str) -> str:
    return f"{feature} {features.version(feature)}, Pillow {version('pillow')}"
