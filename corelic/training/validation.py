"""What a weights file is worth: real files of held-out photographs, measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corelic.codecs.files import open_codec
from corelic.eval.metrics import psnr_db
from corelic.media import Picture
from corelic.training.data import PhotoCache

QUALITIES = (10.0, 30.0, 50.0, 70.0, 90.0)
PICTURES = 8  # held-out ones, the first by name


@dataclass(frozen=True, slots=True)
class Validated:
    """Means over the held-out pictures at one quality, from file bytes and 8-bit pixels."""

    quality: float
    rate_bpp: float
    psnr_db: float


def validate(weights: Path, cache: PhotoCache, *, device: str = "auto") -> Iterator[Validated]:
    """Encodes and decodes; yields one row per quality, lowest first."""
    codec = open_codec(weights, device)
    entries = cache.split(held_out=True)[:PICTURES]
    if not entries:
        return  # fewer than some 20 pictures: none of them is held out
    pictures = [Picture(cache.picture(entry)) for entry in entries]
    for quality in QUALITIES:
        rates, psnrs = [], []
        for picture in pictures:
            data = codec.encode(picture, quality)
            rates.append(8 * len(data) / (picture.width_px * picture.height_px))
            psnrs.append(psnr_db(picture.pixels, codec.decode(data).pixels))
        yield Validated(quality, float(np.mean(rates)), float(np.mean(psnrs)))
