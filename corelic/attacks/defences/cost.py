"""What a defence costs where nobody attacks: rate and PSNR of clean pictures, with it and without.

    pictures × victims (one codec at several qualities) ─┬─ as they are ──► curve ─┐
                                                         └─ defended ─────► curve ─┴─► BD-rate

Bytes are those of real files, PSNR that of the decoded picture against the one that came in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from corelic.attacks.victim import Victim
from corelic.eval.metrics import psnr_db
from corelic.eval.rate_distortion import BdRate, Curve, CurveError, Point, bd_rate
from corelic.media import Picture


@dataclass(frozen=True, slots=True)
class CleanCost:
    """Curves over the same pictures and qualities; points in the order of the victims.

    bd_rate  how much more rate the defended codec needs at equal PSNR; None where that cannot be
             said, and `reason` says why: most often it never reaches the PSNR of the plain one
    """

    plain: Curve
    defended: Curve
    bd_rate: BdRate | None
    reason: str | None

    @property
    def rate_ratios(self) -> tuple[float, ...]:
        """Defended over plain, quality by quality."""
        return tuple(
            after.rate_bpp / before.rate_bpp
            for before, after in zip(self.plain.points, self.defended.points, strict=True)
        )

    @property
    def psnr_losses_db(self) -> tuple[float, ...]:
        """Plain minus defended, quality by quality; 0 where both lose nothing at all."""
        pairs = (
            (_db(before), _db(after))
            for before, after in zip(self.plain.points, self.defended.points, strict=True)
        )
        # Infinity minus itself is no number.
        return tuple(0.0 if before == after else before - after for before, after in pairs)


def clean_cost(
    victims: Sequence[Victim],
    defend: Callable[[Victim], Victim],
    pictures: Sequence[Picture],
    *,
    plain: Curve | None = None,
) -> CleanCost:
    """One codec at two qualities or more, and what `defend` makes of each.

    plain  `rate_curve` of the same victims and pictures, where it has been made before
    """
    guarded = [defend(victim) for victim in victims]
    plain = rate_curve("plain", victims, pictures) if plain is None else plain
    behind = rate_curve("defended", guarded, pictures)
    try:
        return CleanCost(plain, behind, bd_rate(plain, behind), None)
    except CurveError as error:
        return CleanCost(plain, behind, None, error.reason)


def rate_curve(name: str, victims: Sequence[Victim], pictures: Sequence[Picture]) -> Curve:
    """A point for each victim: means over the pictures of bpp and PSNR, from real files."""
    points = []
    for victim in victims:
        coded = [victim.code(picture) for picture in pictures]
        rates = (
            8 * one.file_bytes / (picture.width_px * picture.height_px)
            for picture, one in zip(pictures, coded, strict=True)
        )
        psnrs = (psnr_db(a.pixels, b.picture.pixels) for a, b in zip(pictures, coded, strict=True))
        points.append(Point(fmean(rates), fmean(psnrs)))
    return Curve(name, tuple(points), description=f"{len(pictures)} clean pictures")


def _db(point: Point) -> float:
    assert point.psnr_db is not None  # rate_curve has measured it
    return point.psnr_db
