"""What an attack makes of a codec's rate–distortion curve.

rows of one attack at several qualities ─┬─ (bytes of x,  C(x) against x)   ─► clean curve
                                         └─ (bytes of x', C(x') against x') ─► attacked curve
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from corelic.attacks.evaluation.damage import Damage, Row
from corelic.eval.rate_distortion import BdRate, Curve, Point, bd_rate


def attacked_bd_rate(rows: Sequence[Row]) -> BdRate:
    """How much more rate the codec needs for attacked pictures than for clean ones, at equal PSNR
    to what it was given.

    rows  of one attack over the same pictures, a quality each

    CurveError where the curves do not overlap: then the attack has left nothing to compare.
    """
    return bd_rate(clean_curve(rows), attacked_curve(rows))


def clean_curve(rows: Sequence[Row]) -> Curve:
    return Curve("clean", tuple(_point(row, attacked=False) for row in rows))


def attacked_curve(rows: Sequence[Row]) -> Curve:
    return Curve("attacked", tuple(_point(row, attacked=True) for row in rows))


def _point(row: Row, *, attacked: bool) -> Point:
    def rate_bpp(damage: Damage) -> float:
        size = damage.attacked_bytes if attacked else damage.clean_bytes
        return 8 * size / (damage.width_px * damage.height_px)

    psnrs = [one.attacked_psnr_db if attacked else one.clean_psnr_db for one in row.damages]
    return Point(fmean(map(rate_bpp, row.damages)), fmean(psnrs))
