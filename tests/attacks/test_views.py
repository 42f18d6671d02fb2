"""What transformed clips and borrowed scores must not change: labels, targets, the best clip."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from corelic.attacks.attack import Attack
from corelic.attacks.constraints import Linf
from corelic.attacks.errors import AttackError
from corelic.attacks.evaluation.damage import CleanSide, joined
from corelic.attacks.evaluation.sweep import within
from corelic.attacks.gradient import Question
from corelic.attacks.modifiers import Diverse, Modifier, Nesterov, Sampled, Scales
from corelic.attacks.objectives import Distortion, Objective, Rate, Region, Targeted, TaskLoss
from corelic.attacks.optimisers import APGD, PGD, CarliniWagner, fgsm
from corelic.attacks.pixels import clip_of
from corelic.attacks.probe import Probe
from corelic.codecs import peers
from tests.attacks.toys import linear, photos

CUBE = Linf(8 / 255)


@pytest.mark.parametrize(
    "modifier",
    [Nesterov(), Diverse(1.0), Sampled((linear(), linear()), 1)],
    ids=lambda modifier: type(modifier).__name__,
)
def test_who_keeps_the_best_clip_needs_scores_of_it(modifier: Modifier) -> None:
    parts = {"objective": Rate(), "constraint": CUBE, "modifiers": [modifier]}
    for make in (lambda: APGD(linear(), **parts), lambda: CarliniWagner(linear(), goal=1, **parts)):
        with pytest.raises(AttackError, match="use pgd"):
            make()
    PGD(linear(), **parts)


def test_labels_are_those_of_the_clip_itself() -> None:
    """A classifier of brightness, which calls every darker copy something else."""
    clean = clip_of(photos())

    def bright(x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=(1, 2, 3))
        return torch.stack([0.3 - mean, mean - 0.3], dim=1)

    probe = Probe(TaskLoss(bright), clean)
    question = Question(linear(), clean, clean + 0.01, torch.Generator(), 0.0)
    plain = probe(question).score
    dark = probe(question.with_clip((clean + 0.01) / 8, clean / 8)).score
    assert (dark > plain).all()  # wronger, for the label is still "bright"


@pytest.mark.parametrize("modifier", [Diverse(1.0), Scales()], ids=["diverse", "scales"])
@pytest.mark.parametrize("name", ["target", "region"])
def test_what_has_a_place_takes_no_views(modifier: Modifier, name: str) -> None:
    clean = clip_of(photos())
    objective: Objective = Targeted(clean[0])
    if name == "region":
        objective = Region(Distortion(), torch.ones(clean.shape[-2:], dtype=torch.bool))
    attack = PGD(linear(), objective=objective, constraint=CUBE, steps=2, modifiers=[modifier])
    with pytest.raises(AttackError, match="leave those out"):
        attack(photos())


def test_one_wide_step_is_as_wide_in_every_cube() -> None:
    attack = fgsm(linear(), objective=Rate(), constraint=CUBE)
    wider = within(attack, Linf(64 / 255))
    assert isinstance(wider, PGD) and wider.stride == pytest.approx(1.25 * 64 / 255)
    plain: Attack = PGD(linear(), objective=Rate(), constraint=CUBE)
    assert within(plain, Linf(1)) == replace(plain, constraint=Linf(1))


def test_a_row_over_several_controls_says_so() -> None:
    rows = []
    for seed in (0, 1):
        pictures = photos(seed)[:1]
        side = CleanSide(linear(), pictures, ["x"]).beside(peers.PEERS["jpeg"])
        result = PGD(linear(), objective=Rate(), constraint=CUBE, steps=1)(pictures)
        rows.append(replace(side.row(result), victim=f"JPEG at {seed}"))
    assert joined(rows).victim == "JPEG at 0 and 1 more"
    assert joined([rows[0], rows[0]]).victim == "JPEG at 0"
