"""Lots that the real thing draws: a clean and an attacked picture meet the same ones."""

import math

import pytest
import torch

from corelic.attacks.defences.base import Defended, defended
from corelic.attacks.defences.geometry import RandomGeometry
from corelic.attacks.defences.shifts import ShiftResampling
from corelic.attacks.draws import Draws
from corelic.attacks.evaluation import CleanSide
from corelic.attacks.objectives import Distortion
from corelic.attacks.oracle import Oracle
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import Victim
from corelic.media import Picture
from tests.attacks.defences.conftest import Transparent
from tests.attacks.toys import photos

(PHOTO,) = photos(shape=(1, 3, 24, 32))  # levels of noise: whoever moves a pixel changes it much
VICTIMS = {
    "shifts": Defended(Transparent(), ShiftResampling(0.5)),
    "geometry": Defended(Transparent(), RandomGeometry(2.0, 15)),
    "both": defended(Transparent(), ShiftResampling(0.5), RandomGeometry(2.0, 15)),
}
every_victim = pytest.mark.parametrize("victim", VICTIMS.values(), ids=VICTIMS.keys())


def one_sample_off(by: int = 30) -> Picture:
    pixels = PHOTO.pixels.copy()
    pixels[11, 14, 1] += by  # of at most 215
    return Picture(pixels)


@every_victim
def test_what_comes_out_is_what_the_attack_put_in(victim: Victim) -> None:
    side = CleanSide(victim, [PHOTO], ["noise"])
    (found,) = side.damages([one_sample_off()])
    # A sample spreads over its neighbours. With lots of its own, all others would differ, too.
    assert found.output_psnr_db == pytest.approx(found.input_psnr_db, abs=10)
    (nothing,) = side.damages([PHOTO])
    assert math.isinf(nothing.output_psnr_db) and nothing.bytes_ratio == 1


@every_victim
def test_queries_are_scored_without_the_noise_of_a_defence(victim: Victim) -> None:
    oracle = Oracle(victim, Distortion(), clip_of([PHOTO]))
    for by in (20, 30):  # each with lots of its own, and a reference for them
        score = oracle(clip_of([one_sample_off(by)])).item()
        assert 0 < score < 10 * by**2 / PHOTO.pixels.size
    assert oracle(clip_of([PHOTO])).item() == 0
    assert oracle.queries == 3


def test_lots_are_those_of_a_picture_a_seed_and_a_place() -> None:
    draws = Draws(PHOTO)
    generators = [
        *(draws.random(0), draws.random(1), Draws(one_sample_off()).random(0)),
        *(draws.within().random(0), draws.within(1).random(0), draws.within().within().random(0)),
    ]
    found = [torch.rand((), generator=one).item() for one in generators]
    assert len(set(found)) == len(found)
    again = Draws(Picture(PHOTO.pixels.copy())).within(1).random(0)
    assert torch.rand((), generator=again).item() == found[4]
