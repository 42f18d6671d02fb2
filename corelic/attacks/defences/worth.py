"""λ of a victim: what a squared 8-bit step is worth in bits per pixel, where it works.

learned     its spec says: what it was trained for at that quality
classical   no such number: the slope of its own curve around that quality, on clean pictures
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch

from corelic.attacks.defences.base import Defended
from corelic.attacks.errors import AttackError
from corelic.attacks.victim import ClassicalVictim, Coded, LearnedVictim, Victim, coded_by
from corelic.codecs.rate import QUALITY_MAX, lambda_of
from corelic.eval.metrics import mse
from corelic.media import Picture

STEP = 10.0  # of quality, each way


def lambda_of_victim(victim: Victim, clean: Sequence[Picture]) -> float:
    """For `TwoWay` and `SelfEnsemble`; the codec's own, whatever stands around it.

    clean  pictures, for a classical codec

    AttackError for a victim of another kind, or pictures on which rate and distortion do not fall
    against each other.
    """
    while isinstance(victim, Defended):
        victim = victim.victim
    if isinstance(victim, LearnedVictim):
        quality = torch.tensor([victim.quality])
        return float(lambda_of(victim.codec.spec, quality).item())
    if not isinstance(victim, ClassicalVictim):
        raise AttackError(victim.title, "has no λ; give one, as in TwoWay(lambda_=0.01)")
    if not clean:
        reason = "its λ is the slope of its curve on clean pictures, and it was shown none"
        raise AttackError(victim.title, f"{reason}; give some")
    ends = max(0.0, victim.quality - STEP), min(QUALITY_MAX, victim.quality + STEP)
    low, high = ([coded_by(victim.codec, picture, end) for picture in clean] for end in ends)
    rate_bpp = _mean_rate(clean, high) - _mean_rate(clean, low)
    error = _mean_error(clean, low) - _mean_error(clean, high)
    if not rate_bpp > 0 < error:
        reason = "its rate and error do not trade against each other on these pictures"
        raise AttackError(victim.title, f"{reason}; give a λ, as in TwoWay(lambda_=0.01)")
    return rate_bpp / error


def _mean_rate(pictures: Sequence[Picture], coded: Sequence[Coded]) -> float:
    rates = (
        8 * one.file_bytes / (picture.width_px * picture.height_px)
        for picture, one in zip(pictures, coded, strict=True)
    )
    return fmean(rates)


def _mean_error(pictures: Sequence[Picture], coded: Sequence[Coded]) -> float:
    errors = (mse(a.pixels, b.picture.pixels) for a, b in zip(pictures, coded, strict=True))
    return fmean(errors)
