"""Constraints hold to the last bit, whatever a search hands in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corelic.attacks.bands import high_share, low_band
from corelic.attacks.constraints import Constraint, HighBand, Linf, MeanSquare, TwoBranch
from corelic.attacks.constraints.two_budgets import TwoBudgets
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of, levels
from tests.attacks.toys import SHAPE, grey, photos

SETS: dict[str, Constraint] = {
    "linf": Linf(8 / 255),
    "linf-1": Linf(1 / 255),
    "linf-all": Linf(1.0),
    "psnr": MeanSquare.of_psnr(40),
    "norm": MeanSquare.of_norm(2.0, SHAPE[1] * SHAPE[2] * SHAPE[3]),
    "two-branch": TwoBranch(1e-4, 16 / 255),
    "two-budgets": TwoBranch(1e-4, 16 / 255).strict,
    "high": HighBand(Linf(8 / 255)),
    "high-strict": HighBand(Linf(8 / 255)).strict,
    "high-psnr": HighBand(MeanSquare.of_psnr(36), cutoff=0.1),
}
every_set = pytest.mark.parametrize("constraint", SETS.values(), ids=SETS.keys())


def holds(constraint: Constraint, attacked: np.ndarray, clean: np.ndarray) -> bool:
    """Written anew, in whole numbers and exact sums."""
    change = attacked.astype(int) - clean
    if isinstance(constraint, Linf):
        return bool(np.abs(change).max() <= round(constraint.epsilon * 255))
    if isinstance(constraint, MeanSquare):
        return int(np.square(change).sum()) <= constraint.mse * 255**2 * change.size
    if isinstance(constraint, TwoBranch | TwoBudgets):
        return holds(constraint.ball, attacked, clean) and holds(constraint.cube, attacked, clean)
    assert isinstance(constraint, HighBand)
    spectrum = np.abs(np.fft.fft2(change, axes=(-2, -1))) ** 2
    rows, columns = (np.fft.fftfreq(side) for side in change.shape[-2:])
    low = np.hypot(rows[:, None], columns) < constraint.cutoff
    share = spectrum[:, low].sum() / max(spectrum.sum(), 1e-9)
    return share <= constraint.low_share + 1e-6 and holds(constraint.inner, attacked, clean)


@every_set
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.sampled_from([0, 0.003, 0.02, 0.1, 1, 50]),
    black=st.booleans(),
)
def test_the_last_word_is_8_bits_within_the_set(
    constraint: Constraint, seed: int, size: float, black: bool
) -> None:
    random = torch.Generator().manual_seed(seed)
    clean = clip_of(photos(seed % 1000))
    if black:
        clean = (clean * 255 * (torch.rand(SHAPE, generator=random) > 0.5)).round() / 255
    wild = clean + size * torch.randn(SHAPE, generator=random)
    found = constraint(wild, clean)
    whole = levels(found)
    assert torch.equal(found, whole.float() / 255)
    for attacked, frame in zip(whole.numpy(), levels(clean).numpy(), strict=True):
        assert holds(constraint, attacked, frame)
    assert torch.equal(constraint(found, clean), found) or isinstance(constraint, HighBand)
    assert torch.equal(constraint(clean, clean), clean)


@every_set
def test_steps_stay_in_the_set_and_noise_is_at_its_edge(constraint: Constraint) -> None:
    clean, random = clip_of(photos()), torch.Generator().manual_seed(0)
    for x in (constraint.start(clean, random), constraint.noise(clean, random)):
        assert x.shape == clean.shape and x.min() >= 0 and x.max() <= 1
        change = (x - clean).abs().amax(dim=(1, 2, 3))
        assert (change > 0).all()
        if isinstance(constraint, Linf):
            assert (change <= constraint.radius + 1e-6).all()
    noise = constraint.noise(clean, random) - clean
    if isinstance(constraint, MeanSquare):
        spent = noise.square().mean(dim=(1, 2, 3))
        assert torch.allclose(spent, torch.tensor(constraint.mse), rtol=1e-3)
    if isinstance(constraint, HighBand) and isinstance(constraint.inner, MeanSquare):
        spent = noise.square().mean(dim=(1, 2, 3))
        assert torch.allclose(spent, torch.tensor(constraint.inner.mse), rtol=0.05)
    if constraint is SETS["linf"]:
        assert torch.allclose(noise.abs(), torch.tensor(8 / 255), atol=1e-6)


@pytest.mark.parametrize("level", [0, 3, 128, 252, 255])
def test_noise_has_its_whole_budget_beside_black_and_white(level: int) -> None:
    """An attack may spend its own there."""
    clean, random = clip_of(grey(level)), torch.Generator().manual_seed(0)
    for mse in (1e-4, 1e-2):
        noise = MeanSquare(mse).noise(clean, random)
        assert noise.min() >= 0 and noise.max() <= 1
        spent = (noise - clean).square().mean(dim=(1, 2, 3))
        assert torch.allclose(spent, torch.tensor(mse), rtol=0.02)


def test_a_step_is_as_long_as_it_was_asked_to_be() -> None:
    gradient = torch.randn(SHAPE)
    assert torch.equal(Linf(8 / 255).ascent(gradient, 0.01), 0.01 * gradient.sign())
    step = MeanSquare(1e-3).ascent(gradient, 0.01)
    assert torch.allclose(step.square().mean(dim=(1, 2, 3)).sqrt(), torch.tensor(0.01))
    cosine = torch.nn.functional.cosine_similarity(step.flatten(1), gradient.flatten(1))
    assert torch.allclose(cosine, torch.ones(2))


def test_projections_are_nearest_points() -> None:
    clean = torch.full(SHAPE, 0.5)
    x = clean + torch.linspace(-0.1, 0.1, clean.numel()).view(SHAPE)
    assert torch.allclose(
        Linf(8 / 255).project(x, clean), clean + (x - clean).clamp(-8 / 255, 8 / 255)
    )
    ball = MeanSquare(1e-3)
    change = ball.project(x, clean) - clean
    assert torch.allclose(change.square().mean(dim=(1, 2, 3)), torch.tensor(1e-3), rtol=1e-4)
    inside = clean + 1e-3
    assert torch.allclose(ball.project(inside, clean), inside)


def test_two_branches_pay_back_what_is_overspent() -> None:
    constraint, clean = TwoBranch(1e-4, 16 / 255), torch.full(SHAPE, 0.5)
    gradient = torch.randn(SHAPE)
    x = clean.clone()
    x[0] += 0.02  # 4e-4: over
    x[1] += 0.005  # 2.5e-5: under
    found = constraint.steer(gradient, x, clean)
    assert torch.equal(found[1], gradient[1])
    assert (found[0] < 0).all()  # back to the clean frame


@pytest.mark.parametrize("mse", [1e-4, 1e-2], ids=["the ball binds", "the cube binds"])
def test_two_branches_are_one_set_for_who_keeps_the_best(mse: float) -> None:
    constraint, clean = TwoBranch(mse, 4 / 255), torch.full(SHAPE, 0.5)
    strict, gradient = constraint.strict, torch.randn(SHAPE)
    x = strict.project(clean + gradient, clean)
    change = x - clean
    assert (change.square().mean(dim=(1, 2, 3)) <= mse * (1 + 1e-5)).all()
    assert change.abs().max() <= 4 / 255 + 1e-6
    assert strict.steer(gradient, x, clean) is gradient
    binding = constraint.ball if mse == 1e-4 else constraint.cube
    assert strict.radius == binding.radius
    assert torch.equal(strict.ascent(gradient, 0.01), binding.ascent(gradient, 0.01))


def test_bands_add_up() -> None:
    x = torch.randn(SHAPE)
    low = low_band(x, 0.2)
    assert torch.allclose(low_band(low, 0.2), low, atol=1e-5)
    energies = [part.square().sum() for part in (low, x - low)]
    assert torch.allclose(sum(energies), x.square().sum(), rtol=1e-4)
    assert high_share(torch.zeros(SHAPE)).tolist() == [0, 0]
    columns = torch.arange(SHAPE[3])
    assert high_share((-1.0) ** columns.expand(SHAPE)).tolist() == pytest.approx([1, 1])
    assert high_share(torch.ones(SHAPE)).tolist() == [0, 0]


def test_the_high_band_has_less_energy_below_its_cutoff_than_the_cube() -> None:
    clean, random = clip_of(photos()), torch.Generator().manual_seed(0)
    wild = clean + 0.1 * torch.randn(SHAPE, generator=random) + 0.05
    shares = [high_share(SETS[name](wild, clean) - clean).min() for name in ("linf", "high")]
    assert shares[0] < 0.85 < 0.9 <= shares[1]


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("inner", [Linf(8 / 255), MeanSquare.of_psnr(36)], ids=["cube", "ball"])
def test_a_frame_that_can_change_one_way_only_keeps_something(
    inner: Constraint, level: int
) -> None:
    """What only rises has low frequencies, and scaling it takes none away."""
    constraint, clean = HighBand(inner), clip_of(grey(level))
    wild = clean + 0.1 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    found = constraint(wild, clean)
    assert constraint.holds(levels(found), levels(clean)).all()
    for attacked, frame in zip(levels(found).numpy(), levels(clean).numpy(), strict=True):
        assert holds(constraint, attacked, frame)
    spent = (found - clean).square().mean(dim=(1, 2, 3)).sqrt() * 255
    assert (spent > 0.2).all()  # levels; of a cube of 8, some 0.3


def test_a_small_perturbation_that_rounding_spoils_is_shrunk_no_further_than_need_be() -> None:
    """At half its size, rounded, it has low frequencies, and at a quarter; not where it is."""
    constraint, clean = HighBand(MeanSquare((0.8 / 255) ** 2), cutoff=0.4), clip_of(grey())
    wild = clean + 0.01 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    spent = (constraint(wild, clean) - clean).square().mean(dim=(1, 2, 3)).sqrt() * 255
    assert (spent > 0.7).all()


@pytest.mark.parametrize("epsilon", [0, -0.1, 0.5 / 255, 1.1, float("nan")])
def test_a_cube_of_less_than_a_level_or_more_than_all_is_refused(epsilon: float) -> None:
    with pytest.raises(AttackError, match="give 1 / 255 to 1"):
        Linf(epsilon)


def test_a_budget_that_makes_no_sense_is_refused() -> None:
    for mse in (0, -1, 2, float("nan")):
        with pytest.raises(AttackError, match="mean squared error"):
            MeanSquare(mse)
        with pytest.raises(AttackError, match="mean squared error"):
            TwoBranch(mse, 8 / 255)
    with pytest.raises(AttackError, match="epsilon"):
        TwoBranch(1e-4, 2)


@pytest.mark.parametrize("cutoff", [-0.25, 0, 0.71, 1, float("nan")])
def test_a_band_that_no_frequency_is_in_is_refused(cutoff: float) -> None:
    with pytest.raises(AttackError, match="the high band"):
        HighBand(Linf(8 / 255), cutoff)


def test_titles_say_the_budget() -> None:
    assert Linf(8 / 255).title == "L∞ 8/255"
    assert Linf(8.9 / 255).title == "L∞ 8/255"  # nothing is between levels
    assert MeanSquare.of_psnr(40).title == "PSNR ≥ 40.00 dB"
    assert HighBand(Linf(4 / 255)).title == "L∞ 4/255, from 0.25 cycles/px"


def test_the_high_band_is_steered_by_the_set_within() -> None:
    inner = TwoBranch(1e-4, 16 / 255)
    clean = clip_of(grey(128))
    gradient, x = torch.ones_like(clean), clean + 16 / 255
    assert HighBand(inner).steer(gradient, x, clean).equal(inner.steer(gradient, x, clean))
    assert not inner.steer(gradient, x, clean).equal(gradient)
