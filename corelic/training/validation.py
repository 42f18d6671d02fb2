"""What a weights file is worth: real files of pictures that it was not trained on, measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from corelic.codecs.files import open_codec
from corelic.errors import PictureError
from corelic.eval.metrics import psnr_db
from corelic.eval.rate_distortion import Curve, Point
from corelic.media import Picture, read_picture
from corelic.training.data import SUFFIXES, PhotoCache

QUALITIES = (10.0, 30.0, 50.0, 70.0, 90.0)
PICTURES = 8  # held-out ones, the first by name


@dataclass(frozen=True, slots=True)
class Validated:
    """Means over pictures at one quality, from file bytes and 8-bit pixels."""

    quality: float
    rate_bpp: float
    psnr_db: float


def held_out(cache: PhotoCache) -> list[Picture]:
    """Some of the photographs that training left out; none of fewer than some 20."""
    return [Picture(cache.picture(entry)) for entry in cache.split(held_out=True)[:PICTURES]]


def pictures_in(folder: Path) -> list[Picture]:
    """A folder's, colours in 8 bits; PictureError for one that is unreadable, or where is none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise PictureError(str(folder), "there are no pictures in this folder itself")
    return [Picture(read_picture(path).in_8_bits().pixels) for path in paths]


def validate(
    weights: Path, pictures: Sequence[Picture], *, device: str = "auto"
) -> Iterator[Validated]:
    """Encodes and decodes; yields one row per quality, lowest first; none without pictures."""
    codec = open_codec(weights, device)
    for quality in QUALITIES if pictures else ():
        rates_bpp, psnrs_db = [], []
        for picture in pictures:
            data = codec.encode(picture, quality)
            rates_bpp.append(8 * len(data) / (picture.width_px * picture.height_px))
            psnrs_db.append(psnr_db(picture.pixels, codec.decode(data).pixels))
        yield Validated(quality, fmean(rates_bpp), fmean(psnrs_db))


def curve_of(rows: Sequence[Validated], name: str) -> Curve:
    """For a BD-rate."""
    return Curve(name, tuple(Point(row.rate_bpp, row.psnr_db) for row in rows))
