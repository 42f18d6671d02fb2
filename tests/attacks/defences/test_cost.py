import math

import numpy as np
import pytest
import torch

from corelic.attacks.defences.base import Defended
from corelic.attacks.defences.blur import Blur
from corelic.attacks.defences.cost import clean_cost, rate_curve
from corelic.attacks.defences.median import Median
from corelic.attacks.defences.two_way import TwoWay
from corelic.attacks.defences.worth import lambda_of_victim
from corelic.attacks.draws import Draws
from corelic.attacks.pixels import pictures_of
from corelic.attacks.victim import Coded, LearnedVictim, Victim
from corelic.codecs.base import Reconstruction
from corelic.eval.metrics import mse, psnr_db
from corelic.media import Picture
from tests.tiny import crops

CLEAN = pictures_of(crops(2, 3, 64))


class Priced(Victim):
    """Off by `error` in every sample, for so many bytes."""

    title = "priced"

    def __init__(self, file_bytes: int, error: int) -> None:
        self.file_bytes, self.error = file_bytes, error

    def forward(self, x: torch.Tensor, random: torch.Generator) -> Reconstruction:
        raise AssertionError("costs are those of files")

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        up = picture.pixels < 128
        off = np.where(up, picture.pixels + self.error, picture.pixels - self.error)
        return Coded(self.file_bytes, Picture(off.astype(np.uint8)))


def dearer(victim: Victim) -> Victim:
    assert isinstance(victim, Priced)
    return Priced(victim.file_bytes * 5 // 4, victim.error)


LADDER = [Priced(1000 * 2**step, 16 // 2**step) for step in range(5)]


def test_points_are_bytes_and_psnr() -> None:
    curve = rate_curve("plain", LADDER, CLEAN)
    for victim, point in zip(LADDER, curve.points, strict=True):
        assert point.rate_bpp == 8 * victim.file_bytes / 64**2
        assert point.psnr_db is not None
        assert math.isclose(point.psnr_db, 20 * math.log10(255 / victim.error))


def test_a_quarter_more_bytes_is_a_quarter_of_bd_rate() -> None:
    cost = clean_cost(LADDER, dearer, CLEAN)
    assert cost.bd_rate is not None and cost.reason is None
    assert math.isclose(cost.bd_rate.percent, 25, abs_tol=1e-6)
    assert cost.rate_ratios == (1.25,) * 5
    assert cost.psnr_losses_db == (0.0,) * 5


def test_a_plain_curve_that_is_known_is_not_made_again() -> None:
    cost = clean_cost(LADDER, dearer, CLEAN, plain=rate_curve("known", LADDER, CLEAN[:1]))
    assert cost.plain.name == "known" and cost.bd_rate is not None


def test_nothing_costs_nothing() -> None:
    cost = clean_cost(LADDER, lambda victim: Defended(victim, Median(1)), CLEAN)
    assert cost.bd_rate is not None and abs(cost.bd_rate.percent) < 1e-9


def test_lossless_beside_lossless_has_lost_nothing() -> None:
    lossless = [Priced(2000, 0), Priced(4000, 0)]
    assert clean_cost(lossless, dearer, CLEAN).psnr_losses_db == (0.0, 0.0)
    spoilt = clean_cost(lossless, lambda victim: Defended(victim, Blur(4.0)), CLEAN)
    assert spoilt.psnr_losses_db == (math.inf, math.inf)


def test_what_never_reaches_the_plain_quality_has_no_bd_rate() -> None:
    good = [Priced(2000, 2), Priced(4000, 1)]
    cost = clean_cost(good, lambda victim: Defended(victim, Blur(4.0)), CLEAN)
    assert cost.bd_rate is None
    assert cost.reason is not None and "cannot be compared" in cost.reason
    assert all(loss > 1 for loss in cost.psnr_losses_db)


def test_two_ways_cost_a_byte_at_most_and_blur_does_not(tiny: LearnedVictim) -> None:
    lambda_ = lambda_of_victim(tiny, ())

    def price(victim: Victim) -> float:
        coded = [victim.code(picture) for picture in CLEAN]
        errors = [mse(a.pixels, b.picture.pixels) for a, b in zip(CLEAN, coded, strict=True)]
        rates = [8 * one.file_bytes / 64**2 for one in coded]
        return sum(rates) + lambda_ * sum(errors)

    byte = 8 * len(CLEAN) / 64**2
    assert price(Defended(tiny, TwoWay(lambda_))) <= price(tiny) + byte + 1e-9
    assert price(Defended(tiny, Blur(1.5))) > price(tiny) + 10 * byte


@pytest.mark.parametrize("victims", [LADDER[:1]], ids=["one quality"])
def test_one_quality_makes_no_curve(victims: list[Priced]) -> None:
    cost = clean_cost(victims, dearer, CLEAN)
    assert cost.bd_rate is None and cost.reason is not None and "2" in cost.reason


def test_psnr_is_against_the_picture_that_came_in(tiny: LearnedVictim) -> None:
    guarded = Defended(tiny, Blur(2.0))
    (point,) = rate_curve("blurred", [guarded], CLEAN[:1]).points
    assert point.psnr_db == psnr_db(CLEAN[0].pixels, guarded.code(CLEAN[0]).picture.pixels)
