"""Lots that the real thing draws: a clean and an attacked picture meet the same ones."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from corelic.attacks.attack import Attack
from corelic.attacks.constraints import Linf
from corelic.attacks.defences.base import Defended, defended
from corelic.attacks.defences.geometry import RandomGeometry
from corelic.attacks.defences.shifts import ShiftResampling
from corelic.attacks.draws import Draws
from corelic.attacks.evaluation import CleanSide
from corelic.attacks.gradient import Answer, Gradient, Question
from corelic.attacks.modifiers import Modifier
from corelic.attacks.objectives import Distortion, Rate
from corelic.attacks.optimisers import APGD, PGD, SPSA, Genetic, RandomSearch, Square
from corelic.attacks.oracle import Oracle
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
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
    for by in (20, 30):
        score = oracle(clip_of([one_sample_off(by)])).item()
        assert 0 < score < 10 * by**2 / PHOTO.pixels.size
    assert oracle(clip_of([PHOTO])).item() == 0
    assert oracle.queries == 3


class Lottery(Victim):
    """A file is as large as it happens to be, and a gradient as steep."""

    title = "lottery"
    stochastic = True

    def __init__(self) -> None:
        self.drawn_like: list[Picture] = []

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        size, slope = torch.rand(2, generator=random) * 1e6
        change = x - x.detach()
        return Reconstruction(x, size + slope * change.sum(dim=(1, 2, 3)), torch.zeros(len(x)))

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        assert draws is not None
        self.drawn_like.append(draws.picture)
        return Coded(int(torch.randint(10**6, (), generator=draws.random(0))), picture)


RATE = {"objective": Rate(), "constraint": Linf(8 / 255)}
SEARCHES: dict[str, Attack] = {
    "pgd": PGD(Lottery(), steps=2, **RATE),
    "apgd": APGD(Lottery(), steps=5, **RATE),
    "random": RandomSearch(Lottery(), queries=9, **RATE),
    "square": Square(Lottery(), queries=9, **RATE),
    "spsa": SPSA(Lottery(), queries=9, pairs=1, **RATE),
    "genetic": Genetic(Lottery(), queries=9, population=4, **RATE),
}


@pytest.mark.parametrize("attack", SEARCHES.values(), ids=SEARCHES.keys())
def test_luck_is_no_success(attack: Attack) -> None:
    result = attack(photos())
    assert result.start == result.end and not any(result.succeeded)


def test_a_black_box_is_asked_under_lots_that_no_figure_is_measured_under() -> None:
    victim = Lottery()
    Square(victim, queries=9, **RATE)([PHOTO])
    first = victim.drawn_like[0]
    assert all(one is first for one in victim.drawn_like) and len(victim.drawn_like) > 9
    assert first.pixels.shape != PHOTO.pixels.shape


@dataclass(frozen=True)
class Watched(Modifier):
    """Keeps all answers."""

    answers: list[Answer] = field(default_factory=list)
    title = "watched"

    def wrap(self, inner: Gradient) -> Gradient:
        def gradient(question: Question) -> Answer:
            self.answers.append(inner(question))
            return self.answers[-1]

        return gradient


def test_scores_that_are_compared_share_their_lots_and_gradients_do_not() -> None:
    watched = Watched()
    APGD(Lottery(), steps=5, modifiers=[watched], **RATE)([PHOTO])
    assert len({answer.score.item() for answer in watched.answers}) == 1
    assert len({answer.gradient.max().item() for answer in watched.answers}) == 5


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
