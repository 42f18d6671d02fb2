"""What transformed clips and borrowed scores must not change: labels, targets, the best clip."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from corelic.attacks.attack import Attack
from corelic.attacks.constraints import Linf
from corelic.attacks.defences.latent_clipping import LatentClipping
from corelic.attacks.errors import AttackError
from corelic.attacks.evaluation.damage import CleanSide, joined
from corelic.attacks.evaluation.sweep import sweep, within
from corelic.attacks.gradient import Question
from corelic.attacks.modifiers import (
    Diverse,
    Ensemble,
    Modifier,
    Momentum,
    Nesterov,
    Sampled,
    Scales,
    Smooth,
    VarianceTuning,
)
from corelic.attacks.objectives import (
    Distortion,
    LowBandPenalty,
    Objective,
    Rate,
    Region,
    Targeted,
    TaskLoss,
)
from corelic.attacks.optimisers import APGD, PGD, Adam, CarliniWagner, RandomSearch, fgsm
from corelic.attacks.pixels import clip_of
from corelic.attacks.probe import Probe
from corelic.attacks.victim import victim_of
from corelic.codecs import peers, store
from corelic.codecs.files import FileCodec
from tests.attacks.toys import Linear, linear, photos
from tests.tiny import TINY_WEIGHTS

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


@pytest.mark.parametrize(
    "modifier", [Momentum(), Ensemble((linear(),))], ids=lambda modifier: type(modifier).__name__
)
def test_who_weighs_gradients_needs_their_length(modifier: Modifier) -> None:
    parts = {"objective": Rate(), "constraint": CUBE, "modifiers": [modifier]}
    with pytest.raises(AttackError, match="how steep it is; leave that out"):
        CarliniWagner(linear(), goal=1, **parts)
    APGD(linear(), **parts)


@pytest.mark.parametrize(
    "modifier",
    [
        *(Momentum(), Nesterov(), Ensemble((linear(),)), Sampled((linear(),), 1)),
        *(Diverse(1.0), Scales(2), Smooth(), VarianceTuning(1)),
    ],
    ids=lambda modifier: type(modifier).__name__,
)
def test_modifiers_say_whether_they_keep_the_scale(modifier: Modifier) -> None:
    """The rate of a codec twice as costly has a gradient twice as long."""

    def length(victim: Linear) -> float:
        clean = clip_of(photos())
        told = replace(modifier, victims=(victim,)) if hasattr(modifier, "victims") else modifier
        gradient = told.wrap(Probe(Rate(), clean))
        question = Question(victim, clean, clean, torch.Generator().manual_seed(0), 0.0)
        return gradient(question).gradient.abs().sum().item()

    plain = linear()
    ratio = length(replace(plain, rate=2 * plain.rate)) / length(plain)
    assert ratio == pytest.approx(2 if modifier.keeps_scale else 1)


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


REGION = torch.ones(photos()[0].pixels.shape[:2], dtype=torch.bool)
TARGETED = Targeted(clip_of(photos())[0])


@pytest.mark.parametrize(
    ("objective", "modifier"),
    [
        (TARGETED, Diverse(0.1)),
        (LowBandPenalty(TARGETED), Scales()),
        (Region(Distortion(), REGION), Diverse(0.1)),
        (Region(TARGETED, REGION), Scales()),
    ],
    ids=["a target moved", "a target darkened", "a region moved", "a target in it darkened"],
)
def test_what_an_objective_looks_at_stays_where_it_is(
    objective: Objective, modifier: Modifier
) -> None:
    with pytest.raises(AttackError, match="leave that out"):
        PGD(linear(), objective=objective, constraint=CUBE, modifiers=[modifier])


def test_a_region_goes_with_darker_copies() -> None:
    objective = Region(Distortion(), REGION)
    attack = PGD(linear(), objective=objective, constraint=CUBE, steps=2, modifiers=[Scales(2)])
    assert attack(photos()).passes == 4


def test_one_step_is_called_that_in_a_sweep() -> None:
    found = sweep(fgsm(linear(), objective=Rate(), constraint=CUBE), photos(), [8, 255])
    assert {attempt.kind for attempt in found.attempts} == {"one-step", "noise"}


def test_a_black_box_is_called_that_in_a_sweep() -> None:
    attack = RandomSearch(linear(), objective=Rate(), constraint=CUBE, queries=3)
    found = sweep(attack, photos(), [8, 255])
    assert {attempt.kind for attempt in found.attempts} == {"black-box", "noise"}
    assert len(found.strengths("black-box")) == 2 and found.verdict is None


def test_bounds_of_latents_go_with_no_effort() -> None:
    codec = FileCodec(store.from_file(TINY_WEIGHTS), torch.device("cpu"), effort=1)
    channels = codec.spec.transform.latent_channels
    bounds = torch.tensor([[-1.0], [1.0]]).expand(2, channels)
    with pytest.raises(AttackError, match="without"):
        LatentClipping(bounds).prepared(victim_of(codec, 50))


def test_one_wide_step_is_as_wide_in_every_cube() -> None:
    attack = fgsm(linear(), objective=Rate(), constraint=CUBE)
    wider = within(attack, Linf(64 / 255))
    assert isinstance(wider, PGD) and wider.stride == pytest.approx(1.25 * 64 / 255)
    plain: Attack = PGD(linear(), objective=Rate(), constraint=CUBE)
    assert within(plain, Linf(1)) == replace(plain, constraint=Linf(1))
    adam = Adam(linear(), objective=Rate(), constraint=CUBE, learning_rate=2 / 255)
    scaled = within(adam, Linf(64 / 255))
    assert isinstance(scaled, Adam) and scaled.learning_rate == pytest.approx(16 / 255)


def test_a_row_over_several_controls_says_so() -> None:
    rows = []
    for seed in (0, 1):
        pictures = photos(seed)[:1]
        side = CleanSide(linear(), pictures, ["x"]).beside(peers.PEERS["jpeg"])
        result = PGD(linear(), objective=Rate(), constraint=CUBE, steps=1)(pictures)
        rows.append(replace(side.row(result), victim=f"JPEG at {seed}"))
    assert joined(rows).victim == "JPEG at 0 and 1 more"
    assert joined([rows[0], rows[0]]).victim == "JPEG at 0"
