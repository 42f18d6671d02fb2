"""A size or a PSNR from a classical codec: whole qualities are tried, for nothing foretells them.

    quality 50 ─ encode ─► file ─► its size, or the PSNR it decodes to ─► 25 or 75 ─► …

Both are taken to grow with quality. Where a codec has fewer steps than there are qualities, several
give the same file, so a PSNR is passed by what a step is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from corelic.codecs.classical import ClassicalCodec
from corelic.codecs.passes import Progress, silent
from corelic.codecs.rate import QUALITY_MAX
from corelic.codecs.targets import check_target_psnr
from corelic.errors import TargetError
from corelic.media import Picture

LAST = round(QUALITY_MAX)
MOST_TRIALS = (LAST + 1).bit_length()


def encode_to_size(
    codec: ClassicalCodec, picture: Picture, target_bytes: int, *, progress: Progress = silent
) -> bytes:
    """The best file of at most `target_bytes`; TargetError if even quality 0 takes more."""
    files = _Files(codec, picture, progress)
    best = files.last(lambda data: len(data) <= target_bytes)
    if best is None:
        least = min(len(data) for data in files.tried.values())
        target = f"{target_bytes:,} bytes"
        raise TargetError(target, f"the smallest file has {least:,}; ask for that, or more")
    return best


def encode_to_psnr(
    codec: ClassicalCodec,
    picture: Picture,
    target_db: float,
    *,
    max_pixels: int,
    progress: Progress = silent,
) -> bytes:
    """The file of the least quality that decodes to this PSNR or more; TargetError without one."""
    check_target_psnr(target_db)
    target = f"{target_db:g} dB"
    reached: list[float] = []

    def is_less(data: bytes) -> bool:
        reached.append(_psnr_db(picture, codec.decode(data, max_pixels=max_pixels)))
        return reached[-1] < target_db

    files = _Files(codec, picture, progress)
    files.last(is_less)
    # By halves, the next one after the last that is less has been tried, if there is one.
    enough = files.tried.get(files.found + 1)
    if enough is None:
        reason = f"this codec reaches {max(reached):.2f} dB for this picture; ask for less"
        raise TargetError(target, reason)
    return enough


class _Files:
    """Of one picture, by quality.

    found  the quality that `last` gave; −1 for none
    """

    def __init__(self, codec: ClassicalCodec, picture: Picture, progress: Progress) -> None:
        self.codec, self.picture, self.progress = codec, picture, progress
        self.tried: dict[int, bytes] = {}
        self.found = -1

    def last(self, is_before: Callable[[bytes], bool]) -> bytes | None:
        """The file of the highest quality that `is_before` is true of, by halves."""
        low, high = 0, LAST
        while low <= high:
            quality = (low + high) // 2
            data = self.codec.encode(self.picture, quality)
            self.tried[quality] = data
            self.progress(len(self.tried), MOST_TRIALS)
            if is_before(data):
                self.found, low = quality, quality + 1
            else:
                high = quality - 1
        return self.tried.get(self.found)


def _psnr_db(picture: Picture, decoded: Picture) -> float:
    """Of colour or grey that can be seen; some codecs give three equal channels back for grey."""
    one, other = (
        each.pixels if each.pixels.ndim == 3 else each.pixels[..., None]
        for each in (picture, decoded)
    )
    difference = np.subtract(one, other, dtype=np.int32)
    if picture.alpha is not None:  # others' colours hidden under it are theirs to choose
        difference = difference[picture.alpha != 0]
    error = float(np.square(difference, dtype=np.int64).mean()) if difference.size else 0.0
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
