"""Objectives are the numbers that their papers, or their docstrings, say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from corelic.attacks.bands import low_band
from corelic.attacks.errors import AttackError
from corelic.attacks.objectives import (
    Box,
    Distortion,
    Frobenius,
    LowBandPenalty,
    Objective,
    Rate,
    RateDistortion,
    Region,
    Scene,
    Targeted,
    TaskLoss,
)
from corelic.codecs.base import Reconstruction

SHAPE = (2, 3, 12, 20)


def scene(seed: int = 0) -> Scene:
    random = torch.Generator().manual_seed(seed)
    clean, attacked, x_hat, y_hat = (torch.rand(SHAPE, generator=random) for _ in range(4))
    return Scene(
        clean=clean,
        attacked=attacked,
        reference=Reconstruction(x_hat, torch.tensor([1000.0, 500.0]), torch.tensor([24.0, 12.0])),
        reconstruction=Reconstruction(
            y_hat, torch.tensor([2000.0, 600.0]), torch.tensor([48.0, 424.0])
        ),
    )


def mse(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([255**2 * ((x - y) ** 2).mean() for x, y in zip(a, b, strict=True)])


def test_distortion_is_mse_in_8_bit_steps() -> None:
    given = scene()
    found = Distortion()(given)
    assert torch.allclose(found, mse(given.reconstruction.x_hat, given.reference.x_hat))
    found = Distortion("source")(given)
    assert torch.allclose(found, mse(given.reconstruction.x_hat, given.clean))


def test_the_frobenius_norm_is_a_norm_with_a_gradient_at_zero() -> None:
    given = scene()
    change = given.reconstruction.x_hat - given.reference.x_hat
    assert torch.allclose(Frobenius()(given), 255 * torch.linalg.norm(change.flatten(1), dim=1))
    x = given.reference.x_hat.clone().requires_grad_()
    still = Scene(
        given.clean, given.clean, given.reference, Reconstruction(x, *[torch.zeros(2)] * 2)
    )
    (gradient,) = torch.autograd.grad(Frobenius()(still).sum(), x)
    assert gradient.isfinite().all()


def test_rate_counts_the_hyper_latents() -> None:
    pixels = SHAPE[2] * SHAPE[3]
    assert Rate()(scene()).tolist() == pytest.approx([2048 / pixels, 1024 / pixels])


def test_rate_and_distortion_are_logarithms_of_ratios() -> None:
    given = scene()
    error = mse(given.reconstruction.x_hat, given.clean).log()
    bits = torch.tensor([math.log(2), math.log(2)])
    assert torch.allclose(RateDistortion()(given), bits + error, atol=1e-4)
    assert torch.allclose(RateDistortion(2, -1)(given), 2 * bits - error, atol=1e-4)


def test_a_target_is_approached() -> None:
    given = scene()
    one, each = given.clean[0], given.clean
    assert torch.allclose(Targeted(one)(given), -mse(given.reconstruction.x_hat, one.expand(SHAPE)))
    assert torch.allclose(Targeted(each)(given), -mse(given.reconstruction.x_hat, each))
    with pytest.raises(AttackError, match=r"\(3, 5, 5\)"):
        Targeted(torch.zeros(3, 5, 5))(given)


class Means(nn.Module):
    """Logits are the means of the colours."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) * 10


def test_the_task_loss_is_cross_entropy_or_margin_of_what_was_decoded() -> None:
    given, labels = scene(), torch.tensor([2, 0])
    logits = Means()(given.reconstruction.x_hat)
    expected = -logits.log_softmax(1)[torch.arange(2), labels]
    assert torch.allclose(TaskLoss(Means(), labels)(given), expected)
    margin = TaskLoss(Means(), labels, "margin")(given)
    for number in range(2):
        others = [logits[number, k] for k in range(3) if k != labels[number]]
        assert margin[number] == max(others) - logits[number, labels[number]]
    assert ((margin > 0) == (logits.argmax(1) != labels)).all()


def test_without_labels_the_clean_reconstruction_has_them() -> None:
    given = scene()
    labels = Means()(given.reference.x_hat).argmax(1)
    assert torch.equal(TaskLoss(Means())(given), TaskLoss(Means(), labels)(given))
    with pytest.raises(AttackError, match="3 for 2 frames"):
        TaskLoss(Means(), torch.zeros(3, dtype=torch.long))(given)


def test_outside_a_region_nothing_counts() -> None:
    given = scene()
    region = Region.box(Distortion(), SHAPE[3], SHAPE[2], Box(4, 2, 5, 6))
    assert region.mask.sum() == 30 and region.mask[2, 4] and region.mask[7, 8]
    inside = torch.zeros(SHAPE)
    inside[:, :, 2:8, 4:9] = 1
    change = (given.reconstruction.x_hat - given.reference.x_hat) * inside
    assert torch.allclose(region(given), mse(change, torch.zeros(SHAPE)))
    assert torch.equal(Region(Rate(), region.mask)(given), Rate()(given))
    with pytest.raises(AttackError, match="region"):
        Region(Distortion(), torch.ones(3, 3, dtype=torch.bool))(given)
    for box in (Box(0, 0, 21, 1), Box(0, 8, 1, 5), Box(0, 0, 0, 4)):
        with pytest.raises(AttackError, match=r"not within 20 × 12|has no pixels"):
            Region.box(Distortion(), SHAPE[3], SHAPE[2], box)


def test_low_frequencies_cost_score() -> None:
    given = scene()
    low = low_band(given.attacked - given.clean, 0.25)
    expected = Rate()(given) - 3 * mse(low, torch.zeros(SHAPE))
    assert torch.allclose(LowBandPenalty(Rate(), 3)(given), expected)


@pytest.mark.parametrize(
    "objective",
    [
        *(Distortion(), Distortion("source"), Frobenius(), Rate(), RateDistortion()),
        *(Targeted(torch.zeros(SHAPE[1:])), TaskLoss(Means()), LowBandPenalty(Rate())),
        Region(Distortion(), torch.ones(SHAPE[2:], dtype=torch.bool)),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_every_objective_is_one_number_per_frame_with_a_gradient(objective: Objective) -> None:
    given = scene()
    x = given.attacked.clone().requires_grad_()
    seen = Reconstruction(x, x.mean(dim=(1, 2, 3)) * 100 + 1, torch.ones(2))
    found = objective(Scene(given.clean, x, given.reference, seen))
    assert found.shape == (2,) and objective.title
    (gradient,) = torch.autograd.grad(found[0], x)
    assert gradient[0].abs().sum() > 0 and gradient.isfinite().all()
    assert gradient[1].abs().sum() == 0  # frames do not mix
