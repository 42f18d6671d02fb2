"""Parts by name, and what is said of misspelt ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from corelic.attacks import spelling
from corelic.attacks.constraints import HighBand, Linf, MeanSquare, TwoBranch
from corelic.attacks.errors import AttackError
from corelic.attacks.modifiers import (
    Diverse,
    Ensemble,
    Expectation,
    Momentum,
    Nesterov,
    Sampled,
    Scales,
    Smooth,
    VarianceTuning,
)
from corelic.attacks.objectives import (
    Distortion,
    Frobenius,
    LowBandPenalty,
    Rate,
    RateDistortion,
    Targeted,
)
from corelic.attacks.optimisers import PGD, SPSA, CarliniWagner
from corelic.errors import UnknownCodecError
from tests.attacks.toys import linear


def test_objectives_by_name(tmp_path: Path) -> None:
    assert spelling.objective("distortion") == Distortion()
    assert spelling.objective("source") == Distortion("source")
    assert spelling.objective("frobenius") == Frobenius()
    assert spelling.objective("rate:low-band=3") == LowBandPenalty(Rate(), 3)
    assert spelling.objective("joint:rate=2:distortion=-1") == RateDistortion(2, -1)
    Image.new("RGB", (4, 2), (255, 0, 0)).save(tmp_path / "red.png")
    target = spelling.objective(f"targeted={tmp_path / 'red.png'}")
    assert isinstance(target, Targeted) and target.target.shape == (3, 2, 4)
    assert torch.equal(target.target[0], torch.ones(2, 4))


def test_constraints_by_name() -> None:
    assert spelling.constraint("linf=8") == Linf(8 / 255)
    assert spelling.constraint("psnr=40") == MeanSquare.of_psnr(40)
    found = spelling.constraint("two-branch:psnr=38:linf=16")
    assert found == TwoBranch(10**-3.8, 16 / 255)
    assert spelling.constraint("linf=4:high=0.2") == HighBand(Linf(4 / 255), 0.2)


def test_modifiers_by_name() -> None:
    plain = {
        "momentum": Momentum(1.0),
        "momentum=0.5": Momentum(0.5),
        "nesterov": Nesterov(1.0),
        "diverse=0.7": Diverse(0.7),
        "smooth=5": Smooth(5),
        "scales=3": Scales(3),
        "variance=2": VarianceTuning(2),
        "eot=4": Expectation(4),
    }
    for text, part in plain.items():
        assert spelling.modifier(text) == part
    ensemble = spelling.modifier("ensemble=jpeg@20+webp@80")
    assert isinstance(ensemble, Ensemble)
    titles = [victim.title for victim in ensemble.victims]
    assert titles == ["JPEG 4:4:4 at 20", "WebP, method 6 at 80"]
    sampled = spelling.modifier("sampled=jpeg@20+jpeg@80:count=1:by=uniform")
    assert isinstance(sampled, Sampled) and (sampled.count, sampled.by) == (1, "uniform")


def test_victims_are_named_as_codecs_are() -> None:
    ensemble = spelling.modifier("ensemble=webp:method=4@80+jpeg@20")
    assert isinstance(ensemble, Ensemble)
    assert [victim.title for victim in ensemble.victims] == [
        *("WebP, method 4 at 80", "JPEG 4:4:4 at 20"),
    ]
    sampled = spelling.modifier("sampled=jpeg@20+webp:method=4@80:count=1:by=uniform")
    assert isinstance(sampled, Sampled) and len(sampled.victims) == 2
    assert (sampled.count, sampled.by) == (1, "uniform")


def test_attacks_by_name() -> None:
    parts = {"objective": Rate(), "constraint": Linf(8 / 255)}
    for name in ("pgd", "ifgsm", "fgsm", "apgd", "adam", "cw:goal=3"):
        found = spelling.attack(name, linear(), **parts, modifiers=[Smooth()], steps=7, seed=2)
        assert found.seed == 2 and found.objective == Rate() and found.modifiers == (Smooth(),)
        assert found.steps == (1 if name == "fgsm" else 7)
    assert spelling.attack("cw:goal=3", linear(), **parts).goal == 3
    assert isinstance(spelling.attack("ifgsm", linear(), **parts), PGD)
    assert isinstance(spelling.attack("cw:goal=3", linear(), **parts), CarliniWagner)
    for name in ("square", "spsa", "genetic", "random"):
        assert spelling.attack(name, linear(), **parts, queries=77).queries == 77
    assert isinstance(spelling.attack("spsa", linear(), **parts), SPSA)
    assert spelling.attack("noise", linear(), **parts).name == "noise"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spelling.objective("distorsion"), "did you mean 'distortion'"),
        (lambda: spelling.objective("beauty"), "choose from distortion"),
        (lambda: spelling.objective("targeted"), "needs picture, as in targeted=PICTURE"),
        (lambda: spelling.objective("rate:weight=1"), "has no 'weight'; its parameters: low-band"),
        (lambda: spelling.constraint("linf"), "needs a number, as in linf=NUMBER"),
        (lambda: spelling.constraint("linf=eight"), "'eight' where a number belongs"),
        (lambda: spelling.constraint("linf=0"), "epsilon"),
        (lambda: spelling.constraint("two-branch:psnr=40"), "two-branch:linf=NUMBER"),
        (lambda: spelling.modifier("inertia"), "the modifier 'inertia': is not known"),
        (lambda: spelling.modifier("momentum:decay=1"), "its parameters: none"),
        (lambda: spelling.modifier("ensemble=jpeg"), "as in swift@50"),
        (lambda: spelling.modifier("sampled=jpeg@20:count=2"), "draws 2 of 1"),
        (lambda: spelling.modifier("sampled=jpeg@20:count=1:by=luck"), "saliency or uniform"),
        (lambda: spelling.modifier("smooth=4"), "a window of 4 px; give an odd side"),
        (lambda: spelling.modifier("smooth=0"), "a window of 0 px"),
        (lambda: spelling.modifier("smooth=2.5"), "2.5 where a whole number belongs"),
        (lambda: spelling.modifier("eot=0"), "0 draws; give at least one"),
        (lambda: spelling.modifier("scales=0"), "0 copies; give at least one"),
        (lambda: spelling.modifier("variance=0"), "0 neighbours; give at least one"),
        (lambda: spelling.modifier("momentum=-1"), "a decay of -1"),
        (lambda: spelling.modifier("nesterov=-1"), "a decay of -1"),
        (lambda: spelling.modifier("diverse=2"), "both lie in 0 … 1"),
    ],
)
def test_a_misspelt_part_is_one_sentence_with_a_hint(call, message: str) -> None:
    with pytest.raises(AttackError, match=message):
        call()


def test_a_search_without_gradients_takes_no_modifier() -> None:
    with pytest.raises(AttackError, match="climbs no gradient"):
        spelling.attack(
            "square",
            linear(),
            objective=Rate(),
            constraint=Linf(8 / 255),
            modifiers=[Momentum()],
        )
    with pytest.raises(AttackError, match="goal=NUMBER"):
        spelling.attack("cw", linear(), objective=Rate(), constraint=Linf(8 / 255))


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(UnknownCodecError, match="swoft"):
        spelling.victims("swoft@20")


@pytest.mark.parametrize(
    "make",
    [
        lambda: spelling.objective("rate=5"),
        lambda: spelling.constraint("two-branch=3:psnr=38:linf=16"),
        lambda: spelling.attack(
            "pgd=100", linear(), objective=Distortion(), constraint=Linf(8 / 255)
        ),
    ],
    ids=["objective", "constraint", "attack"],
)
def test_a_value_for_nothing_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(AttackError, match="takes no value"):
        make()


def test_a_psnr_that_no_picture_has_is_refused() -> None:
    with pytest.raises(AttackError, match="-4000 dB"):
        spelling.constraint("psnr=-4000")


@pytest.mark.parametrize("text", ["joint:rate=nan", "rate:low-band=inf"])
def test_numbers_are_finite(text: str) -> None:
    with pytest.raises(AttackError, match="where a number belongs"):
        spelling.objective(text)
