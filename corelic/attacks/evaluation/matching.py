"""A classical codec set so that it does as well as another on clean pictures."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from corelic.attacks.victim import ClassicalVictim
from corelic.codecs.base import ImageCodec
from corelic.codecs.rate import QUALITY_MAX
from corelic.eval.metrics import psnr_db
from corelic.media import Picture

HALVINGS = 7  # of the quality range: to less than 1


def matched(codec: ImageCodec, pictures: Sequence[Picture], wanted_db: float) -> ClassicalVictim:
    """A classical codec at the quality whose mean PSNR on these pictures is nearest from above.

    At the end of its range where it has no such quality.
    """
    low, high = 0.0, QUALITY_MAX
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        victim = ClassicalVictim(codec, middle)
        found = [psnr_db(one.pixels, victim.code(one).picture.pixels) for one in pictures]
        if fmean(found) < wanted_db:
            low = middle
        else:
            high = middle
    return ClassicalVictim(codec, high)
