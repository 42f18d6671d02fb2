"""From what single pictures measure to one curve per codec; the average is said, never implied.

picture  every picture counts the same: mean of bpp, mean of PSNR (the literature's habit)
pixel    every pixel counts the same: all bits over all pixels, PSNR of the overall MSE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from corelic.eval.metrics import mse_as_db
from corelic.eval.rate_distortion import Curve, Point
from corelic.eval.tasks import Measured

Average = Literal["picture", "pixel"]


def curve(
    name: str, description: str, rows: Mapping[str, Mapping[float, Measured]], average: Average
) -> Curve:
    """From `rows` by picture, then quality; all pictures have the same qualities."""
    qualities = sorted({quality for of_picture in rows.values() for quality in of_picture})
    return Curve(
        name=name,
        description=description,
        points=tuple(
            point([of_picture[quality] for of_picture in rows.values()], average)
            for quality in qualities
        ),
        pictures=tuple(
            Curve(picture, tuple(point([of[quality]], average) for quality in qualities))
            for picture, of in rows.items()
        ),
    )


def point(rows: Sequence[Measured], average: Average) -> Point:
    """One setting over some pictures; SSIMs only where every picture has them."""
    weights = [row.pixels if average == "pixel" else 1 for row in rows]

    def distance_db(errors: Sequence[float]) -> float:
        if average == "pixel":
            return mse_as_db(fmean(errors, weights))
        return fmean(map(mse_as_db, errors))

    def similarity(found: Sequence[float | None]) -> float | None:
        known = [each for each in found if each is not None]
        return fmean(known, weights) if len(known) == len(rows) else None

    return Point(
        rate_bpp=fmean([row.rate_bpp for row in rows], weights),
        psnr_db=distance_db([row.mse for row in rows]),
        ms_ssim=similarity([row.ms_ssim for row in rows]),
        psnr_y_db=distance_db([row.luma_mse for row in rows]),
        ssim=similarity([row.ssim for row in rows]),
    )
