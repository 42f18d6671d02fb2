import math

import pytest
import torch
from torch import Tensor

from corelic.attacks.constraints import Linf
from corelic.attacks.draws import Draws
from corelic.attacks.errors import AttackError
from corelic.attacks.evaluation.pipeline import Pipeline, Share
from corelic.attacks.optimisers import PGD
from corelic.attacks.pixels import pictures_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture


class Plain(Victim):
    """Loses nothing; its files have as many bytes as the first sample says."""

    title = "plain"

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        bits = torch.zeros(len(x))
        return Reconstruction(x, bits, bits)

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return Coded(int(picture.pixels[0, 0, 0]), picture)


def red_or_blue(x: Tensor) -> Tensor:
    """Logits of two classes: the mean of the red samples, of the blue ones."""
    return x.mean(dim=(2, 3))[:, ::2]


def flat(*colours: tuple[int, int, int]) -> tuple[Picture, ...]:
    x = torch.tensor(colours)[:, :, None, None].expand(-1, 3, 4, 4) / 255
    return pictures_of(x)


CLEAN = flat((200, 0, 90), (90, 0, 200), (90, 0, 200), (200, 0, 90))
LABELS = torch.tensor([0, 1, 0, 0])
PIPELINE = Pipeline(Plain(), red_or_blue)


def test_right_and_wrong_are_counted() -> None:
    attacked = flat((100, 0, 190), (80, 0, 200), (250, 0, 200), (210, 0, 90))
    found = PIPELINE.accuracy(CLEAN, attacked, LABELS)
    assert found.clean == Share(3, 4)
    assert found.robust == Share(3, 4)  # the third was wrong, and is right by accident
    assert found.success == Share(1, 3)
    assert found.bpp_ratio == (100 + 80 + 250 + 210) / (200 + 90 + 90 + 200)


def test_clean_and_attacked_versions_are_drawn_alike() -> None:
    drawn: list[Draws | None] = []

    class Told(Plain):
        def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
            drawn.append(draws)
            return super().code(picture, draws)

    pipeline = Pipeline(Told(), red_or_blue)
    pipeline.accuracy(CLEAN, CLEAN[::-1], LABELS)
    pipeline.error_rate(LABELS)(CLEAN, CLEAN[::-1])
    found = [draws.picture for draws in drawn if draws is not None]
    assert len(found) == 3 * len(CLEAN)
    assert all(one is other for one, other in zip(found, CLEAN * 3, strict=True))


def test_an_attack_on_the_classifier_shows_in_the_figures() -> None:
    objective = PIPELINE.loss(LABELS)
    attack = PGD(Plain(), objective=objective, constraint=Linf(60 / 255), steps=4)
    result = attack(CLEAN)
    found = PIPELINE.accuracy(CLEAN, result.pictures, LABELS)
    assert found.robust.value == 0 and found.success.value == 1
    weak = PGD(Plain(), objective=objective, constraint=Linf(10 / 255), steps=4)(CLEAN)
    found = PIPELINE.accuracy(CLEAN, weak.pictures, LABELS)
    assert found.robust == found.clean


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # R: binom::binom.wilson(c(0, 5, 9, 10), 10), to four digits; none of none is no knowledge.
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_wilsons(count: int, total: int, low: float, high: float) -> None:
    found = Share(count, total).interval
    assert math.isclose(found[0], low, abs_tol=5e-5)
    assert math.isclose(found[1], high, abs_tol=5e-5)


def test_a_share_reads_as_a_percentage() -> None:
    assert str(Share(5, 10)) == "50.0% (23.7% … 76.3%)"
    assert math.isnan(Share(0, 0).value)


def test_there_is_one_of_each_for_each() -> None:
    with pytest.raises(AttackError, match="4 clean, 3 attacked, 4 labels"):
        PIPELINE.accuracy(CLEAN, CLEAN[:3], LABELS)
