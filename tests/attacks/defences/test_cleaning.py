"""What holds of every defence that changes the picture before the codec, and of each one alone."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.defences import mosaic
from corelic.attacks.defences.base import Cleaning, Defended
from corelic.attacks.defences.bit_depth import BitDepth
from corelic.attacks.defences.blur import Blur
from corelic.attacks.defences.irad import Irad, IradNet
from corelic.attacks.defences.median import Median
from corelic.attacks.defences.mosaic import Mosaic
from corelic.attacks.defences.purifier import Purifier, PurifierNet
from corelic.attacks.defences.recompression import Recompression
from corelic.attacks.defences.shifts import ShiftResampling, resampled
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import LearnedVictim
from corelic.codecs.classical import Jpeg
from tests.attacks.defences.conftest import Transparent, draws
from tests.tiny import rouse


def trained_purifier() -> Purifier:
    network = PurifierNet(channels=4, layers=2)
    rouse(network)
    return Purifier(network)


def trained_irad() -> Irad:
    network = IradNet(channels=4)
    rouse(network)
    return Irad(network)


ALL: list[Cleaning] = [
    Recompression(60),
    BitDepth(3),
    Blur(0.8),
    Median(3),
    Mosaic(),
    Mosaic(500.0),
    ShiftResampling(0.5),
    ShiftResampling(0.5, drawn_anew=False),
    trained_purifier(),
    trained_irad(),
]
every = pytest.mark.parametrize("defence", ALL, ids=lambda defence: defence.title)


@every
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 4), (7, 16)], ids=str)
def test_any_size_stays_as_it_is_and_so_does_the_range(
    defence: Cleaning, size: tuple[int, int]
) -> None:
    x = torch.rand((2, 3, *size), generator=draws())
    found = defence.clean(x, draws())
    assert found.shape == x.shape
    assert found.min() >= 0 and found.max() <= 1


@every
def test_it_changes_a_photograph(defence: Cleaning, x: Tensor) -> None:
    assert (defence.clean(x, draws()) - x).abs().max() > 1 / 512


@every
def test_every_sample_has_a_gradient(defence: Cleaning, x: Tensor) -> None:
    x = x.clone().requires_grad_()
    weights = torch.randn(x.shape, generator=draws())
    (gradient,) = torch.autograd.grad((defence.clean(x, draws()) * weights).sum(), x)
    assert gradient.isfinite().all()
    # A median gives a sample's gradient to the neighbour that was chosen, clamping none.
    assert (gradient != 0).float().mean() > 0.3


@every
def test_chance_comes_from_the_generator_alone(defence: Cleaning, x: Tensor) -> None:
    one, again, other = (defence.clean(x, draws(seed)) for seed in (1, 1, 2))
    assert one.equal(again)
    assert one.equal(other) != defence.stochastic


@every
def test_the_real_thing_is_the_differentiable_one_in_8_bits(defence: Cleaning, x: Tensor) -> None:
    picture = pictures_of(x[:1])[0]
    victim = Transparent()
    real = Defended(victim, defence).code(picture).picture
    if defence.stochastic:
        again = Defended(victim, defence).code(picture).picture
        assert np.array_equal(real.pixels, again.pixels)
        return
    found = Defended(victim, defence).forward(x[:1], draws()).x_hat
    assert (found - clip_of([real])).abs().max() <= 0.5001 / 255


@every
def test_the_codec_behind_it_gets_what_it_made(defence: Cleaning, x: Tensor) -> None:
    victim = Transparent()
    Defended(victim, defence).forward(x, draws(4))
    assert victim.seen[0].equal(defence.clean(x, draws(4)).detach())


def test_another_picture_has_other_draws(x: Tensor) -> None:
    flat = torch.full_like(x[:1], 0.5)
    other = flat.clone()
    other[0, 0, 0, 0] = 1.0
    defence = Mosaic(50.0)
    one, two = (
        Defended(Transparent(), defence).code(pictures_of(each)[0]).picture.pixels
        for each in (flat, other)
    )
    assert not np.array_equal(one[8:], two[8:])
    seeded = Defended(Transparent(), Mosaic(50.0, seed=1)).code(pictures_of(flat)[0]).picture
    assert not np.array_equal(one, seeded.pixels)


def test_a_defended_codec_makes_files(tiny: LearnedVictim, x: Tensor) -> None:
    picture = pictures_of(x[:1])[0]
    victim = Defended(tiny, Blur(1.0))
    found = victim.code(picture)
    assert (found.picture.height_px, found.picture.width_px) == (48, 40)
    blurred = pictures_of(Blur(1.0).clean(x[:1], draws()))[0]
    assert found.file_bytes == tiny.code(blurred).file_bytes
    assert np.array_equal(found.picture.pixels, tiny.code(blurred).picture.pixels)
    assert victim.title == "tiny-1 at 50 behind blur σ 1"
    leaf = x[:1].clone().requires_grad_()
    inside = victim.forward(leaf, draws())
    (gradient,) = torch.autograd.grad(inside.bits.sum(), leaf)
    assert (gradient[0] != 0).any()


# Identity limits: each does nothing where it has nothing to do.


def test_eight_bits_leave_8_bit_pictures_alone(x: Tensor) -> None:
    assert (BitDepth(8).clean(x, draws()) - x).abs().max() < 1e-6


def test_few_bits_have_few_levels(x: Tensor) -> None:
    ramp = torch.linspace(0, 1, 300)[None, None, None]
    levels = (BitDepth(2).clean(ramp, draws()) * 3).unique()
    assert len(levels) == 4 and (levels - levels.round()).abs().max() < 1e-6
    assert (BitDepth(2).clean(x, draws()) - x).abs().max() <= 1 / 6 + 1e-6


def test_a_narrow_blur_is_none(x: Tensor) -> None:
    assert (Blur(0.05).clean(x, draws()) - x).abs().max() < 1e-6


def test_blur_is_the_gaussian_window() -> None:
    x = torch.zeros(1, 3, 9, 9)
    x[:, :, 4, 4] = 1
    sigma = 0.8
    found = Blur(sigma).clean(x, draws())
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets**2) / (2 * sigma**2))
    window /= window.sum()
    expected = np.zeros((9, 9))
    expected[1:8, 1:8] = np.outer(window, window)
    assert np.abs(found[0, 1].numpy() - expected).max() < 1e-6


@pytest.mark.parametrize(
    "defence",
    [Blur(2.0), Median(5), Mosaic(), BitDepth(8)],
    ids=lambda defence: type(defence).__name__,  # an address would differ between processes
)
def test_flat_colour_stays(defence: Cleaning) -> None:
    x = (
        torch.tensor([0.2, 0.6, 0.8])[None, :, None, None].expand(1, 3, 10, 12).mul(255).round()
        / 255
    )
    assert (defence.clean(x, draws()) - x).abs().max() < 1e-5


def test_a_median_of_one_pixel_is_none(x: Tensor) -> None:
    assert Median(1).clean(x, draws()).equal(x)


def test_a_median_removes_a_speck_and_keeps_an_edge() -> None:
    x = torch.zeros(1, 3, 8, 8)
    x[..., 4:] = 1
    speck = x.clone()
    speck[:, :, 3, 1] = 1
    assert Median(3).clean(speck, draws()).equal(x)


def test_jpeg_is_the_file(x: Tensor) -> None:
    codec = Jpeg("420")
    expected = clip_of([codec.decode(codec.encode(pictures_of(x[:1])[0], 75))])
    found = Recompression(75).clean(x[:1], draws())
    assert (found - expected).abs().max() < 1e-6


def test_no_shift_is_no_change(x: Tensor) -> None:
    assert (ShiftResampling(0).clean(x, draws()) - x).abs().max() < 1e-5


def test_whole_shifts_read_the_neighbour() -> None:
    x = torch.rand((1, 3, 6, 7), generator=draws())
    right, down = torch.zeros(1, 2, 6, 7), torch.zeros(1, 2, 6, 7)
    right[:, 0], down[:, 1] = 1, 1
    assert (resampled(x, right)[..., :-1] - x[..., 1:]).abs().max() < 1e-5
    assert (resampled(x, down)[..., :-1, :] - x[..., 1:, :]).abs().max() < 1e-5
    assert (resampled(x, right)[..., -1] - x[..., -1]).abs().max() < 1e-5  # the edge, repeated


def test_shifts_stay_within_their_limit() -> None:
    ramp = torch.linspace(0, 1, 101)[None, None, None].expand(1, 3, 20, 101).contiguous()
    moved = ShiftResampling(0.5).clean(ramp, draws()) - ramp
    inner = moved[..., 3:-3].abs()
    assert 0.8 * 0.005 < inner.max() <= 0.5 * 0.01 + 1e-5


def test_networks_do_nothing_before_training(x: Tensor) -> None:
    assert Purifier(PurifierNet()).clean(x, draws()).equal(x)
    assert (Irad(IradNet()).clean(x, draws()) - x).abs().max() < 1e-5


def test_gamma_and_back() -> None:
    x = torch.linspace(0, 1, 256)
    assert (mosaic.from_light(mosaic.to_light(x)) - x).abs().max() < 1e-6
    assert math.isclose(mosaic.to_light(torch.tensor(0.5)).item(), 0.21404, abs_tol=1e-5)


def test_a_mosaic_keeps_what_it_measured() -> None:
    x = torch.rand((1, 3, 8, 8), generator=draws()) * 0.9 + 0.05
    found = Mosaic().clean(x, draws())
    for colour, rows, columns in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        place = (0, colour, slice(rows, None, 2), slice(columns, None, 2))
        assert (found[place] - x[place]).abs().max() < 1e-5


def test_demosaicing_finds_grey_ramps() -> None:
    # Where all three colours are one plane, gradient correction is exact.
    light = (torch.arange(12.0)[:, None] * 0.03 + torch.arange(14.0) * 0.02)[None, None]
    found = mosaic.demosaic(light)
    assert (found - light)[:, :, 2:-2, 2:-2].abs().max() < 1e-5


def test_shot_noise_has_the_variance_of_light() -> None:
    light = 0.25
    x = mosaic.from_light(torch.full((1, 3, 200, 200), light))
    noisy = mosaic.to_light(Mosaic(1000.0).clean(x, draws()))
    red = noisy[0, 0, ::2, ::2]  # as measured, nothing interpolated
    assert math.isclose(red.mean().item(), light, rel_tol=0.01)
    assert math.isclose(red.var().item(), light / 1000, rel_tol=0.05)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BitDepth(0), "1 to 8 bits"),
        (lambda: BitDepth(9), "1 to 8 bits"),
        (lambda: Blur(0), "16 pixels"),
        (lambda: Median(4), "odd"),
        (lambda: Mosaic(0), "photons"),
        (lambda: Mosaic(float("nan")), "photons"),
        (lambda: ShiftResampling(-1), "0 to 4"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(AttackError, match=said):
        make()


def test_the_gradient_of_rounding_is_the_identitys(x: Tensor) -> None:
    for defence in (BitDepth(2), Recompression(30)):
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(defence.clean(leaf, draws()).sum(), leaf)
        assert gradient.equal(torch.ones_like(x))


def test_a_blurs_gradient_is_the_blur_of_a_gradient(x: Tensor) -> None:
    leaf = x.clone().requires_grad_()
    weights = torch.zeros_like(x)
    weights[:, :, 20, 20] = 1
    (gradient,) = torch.autograd.grad((Blur(0.8).clean(leaf, draws()) * weights).sum(), leaf)
    assert (gradient - Blur(0.8).clean(weights, draws())).abs().max() < 1e-6  # it is symmetric
    assert F.mse_loss(gradient, torch.zeros_like(gradient)) > 0
