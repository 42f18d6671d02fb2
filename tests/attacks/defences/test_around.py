"""Defences that reach behind the decoder or into the codec, and how all of them compose."""

import numpy as np
import pytest
import torch
from torch import Tensor

from corelic.attacks.defences.base import Defended, defended
from corelic.attacks.defences.bit_depth import BitDepth
from corelic.attacks.defences.blur import Blur
from corelic.attacks.defences.choice import CHOICE_BYTES, cheapest
from corelic.attacks.defences.geometry import (
    SIDE_BYTES,
    Placement,
    RandomGeometry,
    placed,
    put_back,
)
from corelic.attacks.defences.latent_clipping import MARGIN, LatentClipping
from corelic.attacks.defences.self_ensemble import SelfEnsemble
from corelic.attacks.defences.shifts import ShiftResampling
from corelic.attacks.defences.two_way import TwoWay
from corelic.attacks.draws import Draws
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import Coded, LearnedVictim, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture
from tests.attacks.defences.conftest import Transparent, draws
from tests.tiny import crops

LAMBDA = 0.01


class Sided(Victim):
    """Loses the blue of what is darker on its left than on its right, and asks twice the bits."""

    title = "sided"

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        half = x.shape[-1] // 2
        bad = (x[..., :half].mean((1, 2, 3)) < x[..., -half:].mean((1, 2, 3))).float()
        keep = torch.stack([torch.ones_like(bad), torch.ones_like(bad), 1 - bad], dim=1)
        bits = 800 * (1 + bad)
        return Reconstruction(x * keep[:, :, None, None], bits, torch.zeros_like(bits))

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        found = self.forward(clip_of([picture]), torch.Generator())
        return Coded(round(found.bits.item() / 8), pictures_of(found.x_hat)[0])


def ramps() -> Tensor:
    """Two pictures: brighter to the left, and to the right."""
    ramp = torch.linspace(1, 0, 16).expand(1, 3, 12, 16)
    return ((torch.cat([ramp, ramp.flip(-1)]) * 255).round() / 255).contiguous()


# Random geometry.


def test_geometry_without_anything_to_draw_is_none(x: Tensor) -> None:
    victim = Transparent()
    found = Defended(victim, RandomGeometry(1.0, 0)).forward(x, draws())
    assert found.x_hat.equal(x)
    assert found.bits.tolist() == [800 + 8 * SIDE_BYTES] * 2


@pytest.mark.parametrize("placement", [Placement(48, 40, 7, 3), Placement(60, 53, 0, 5)], ids=str)
def test_what_is_placed_is_put_back(placement: Placement, x: Tensor) -> None:
    there = placed(x, placement)
    height, width = placement.height_px + placement.above_px, placement.width_px + placement.left_px
    assert there.shape[-2:] == (height, width)
    back = put_back(there, placement, x)
    assert back.shape == x.shape
    if placement.height_px == x.shape[-2]:
        assert back.equal(x)
    else:
        assert (back - x).square().mean() < 0.002  # bicubic up and down loses little


def test_geometry_draws_within_its_limits() -> None:
    random, found = draws(), []
    for _ in range(200):
        placement = RandomGeometry(1.5, 4).draw(100, 40, random)
        assert 100 <= placement.height_px <= 150 and 40 <= placement.width_px <= 60
        assert 0 <= placement.above_px <= 4 and 0 <= placement.left_px <= 4
        found.append(placement)
    assert max(one.height_px for one in found) > 140
    assert {one.above_px for one in found} == {0, 1, 2, 3, 4}


def test_geometry_comes_back_in_place_through_a_real_codec(tiny: LearnedVictim, x: Tensor) -> None:
    picture = pictures_of(x[:1])[0]
    victim = Defended(tiny, RandomGeometry(1.3, 9, seed=3))
    coded, plain = victim.code(picture), tiny.code(picture)
    assert coded.picture.pixels.shape == picture.pixels.shape
    error, plain_error = (
        float(np.square(one.picture.pixels.astype(float) - picture.pixels).mean())
        for one in (coded, plain)
    )
    assert error < 2 * plain_error + 40  # out of place by a pixel, it would be several times that
    assert victim.code(picture).file_bytes == coded.file_bytes  # the same draw


# The cheapest of several ways.


def way(x: Tensor, bits: float, error: float) -> Reconstruction:
    rates = torch.full((len(x),), bits)
    return Reconstruction(x + error / 255, rates, torch.zeros_like(rates))


def test_the_cheaper_way_is_kept_picture_by_picture(x: Tensor) -> None:
    pixels = x.shape[-2] * x.shape[-1]
    dear, dirty = way(x, 2.0 * pixels, 0.0), way(x, 1.0 * pixels, 10.0)
    # 1 bpp more against 100 squared steps: λ = 0.01 is where they meet.
    for lambda_, bits in ((0.009, 1.0), (0.011, 2.0)):
        found = cheapest(x, [dear, dirty], lambda_)
        expected = torch.full((2,), bits * pixels + 8 * CHOICE_BYTES)
        assert torch.allclose(found.bits, expected)
    mixed = Reconstruction(x, torch.tensor([0.5, 5.0]) * pixels, torch.zeros(2))
    found = cheapest(x, [dear, mixed], 0.01)
    assert torch.allclose(found.bits, torch.tensor([0.5, 2.0]) * pixels + 8 * CHOICE_BYTES)


def test_a_tie_goes_to_the_plain_way(x: Tensor) -> None:
    first, second = way(x, 100, 0.0), way(x, 100, 0.0)
    marked = Reconstruction(first.x_hat, first.latent_bits - 7, first.hyper_bits + 7)
    assert cheapest(x, [marked, second], LAMBDA).hyper_bits.tolist() == [7, 7]


def test_two_ways_keep_the_cheaper_in_both_lives(x: Tensor) -> None:
    for gain, plain_wins in ((+400.0, True), (-400.0, False)):
        # Of the other way, more pixels: with a positive price each, it is dearer.
        victim = Transparent(
            lambda x, gain=gain: 4000 + gain * (x.shape[-1] > 40) + 0 * x.sum((1, 2, 3))
        )
        guarded = Defended(victim, TwoWay(0.0, RandomGeometry(1.0, 15)))
        random = draws(1)
        assert RandomGeometry(1.0, 15).draw(48, 40, draws(1)).left_px > 0
        rates = guarded.forward(x, random).bits
        side_bytes = CHOICE_BYTES + (0 if plain_wins else SIDE_BYTES)
        assert rates.tolist() == [4000 + min(gain, 0) + 8 * side_bytes] * 2
        coded = guarded.code(pictures_of(x[:1])[0])
        assert coded.file_bytes == (4000 + min(gain, 0)) / 8 + side_bytes


def test_two_ways_never_cost_more_than_the_plain_one(tiny: LearnedVictim, x: Tensor) -> None:
    guarded = Defended(tiny, TwoWay(LAMBDA))
    pixels = x.shape[-2] * x.shape[-1]
    for seed in range(3):
        found, plain = guarded.forward(x, draws(seed)), tiny.forward(x, draws(seed))
        costs = [
            (one.bits - extra) / pixels
            + LAMBDA * 255**2 * (one.x_hat - x).square().mean(dim=(1, 2, 3))
            for one, extra in ((found, 8 * CHOICE_BYTES), (plain, 0))
        ]
        assert (costs[0] <= costs[1] + 1e-5).all()


def test_the_ensemble_finds_the_flip_that_codes_best() -> None:
    x = ramps()
    guarded = Defended(Sided(), SelfEnsemble(LAMBDA))
    assert Sided().forward(x, draws()).bits.tolist() == [800, 1600]
    found = guarded.forward(x, draws())
    assert found.bits.tolist() == [800 + 8 * CHOICE_BYTES] * 2
    assert found.x_hat.equal(x)  # turned back, too
    for picture in pictures_of(x):
        coded = guarded.code(picture)
        assert coded.file_bytes == 100 + CHOICE_BYTES
        assert np.array_equal(coded.picture.pixels, picture.pixels)


def test_the_choice_passes_gradients_of_the_chosen_way(tiny: LearnedVictim, x: Tensor) -> None:
    for defence in (SelfEnsemble(LAMBDA), TwoWay(LAMBDA), RandomGeometry(1.2, 8)):
        leaf = x.clone().requires_grad_()
        found = Defended(tiny, defence).forward(leaf, draws())
        (of_rate,) = torch.autograd.grad(found.bits.sum(), leaf, retain_graph=True)
        (of_picture,) = torch.autograd.grad(found.x_hat.square().sum(), leaf)
        for gradient in (of_rate, of_picture):
            assert gradient.isfinite().all()
            assert (gradient != 0).flatten(1).float().mean(1).min() > 0.5


# Latents within bounds.


def test_clipping_clips_what_no_clean_picture_has(tiny: LearnedVictim) -> None:
    clean = [pictures_of(crops(seed, 1, 64))[0] for seed in (1, 2)]
    clipping = LatentClipping.observed(tiny, clean)
    inside = Defended(tiny, clipping).victim
    assert isinstance(inside, LearnedVictim)
    noise = pictures_of(torch.rand((1, 3, 64, 64), generator=draws()).round())[0]
    quality = tiny.codec.quality_tensor(tiny.quality)
    low, high = (bound[None, :, None, None] for bound in clipping.bounds)
    for codec, plain in ((inside.twin, tiny.twin), (inside.codec.codec, tiny.codec.codec)):
        with torch.no_grad():
            y, free = (one.analysis(clip_of([noise]), quality).float() for one in (codec, plain))
        assert ((low <= y) & (y <= high)).all()
        assert ((free < low) | (free > high)).any()
        assert y.equal(free.clamp(low, high))
    assert inside.code(noise).file_bytes < tiny.code(noise).file_bytes


def test_clipping_leaves_what_it_was_shown(tiny: LearnedVictim) -> None:
    picture = pictures_of(crops(1, 1, 64))[0]
    clipping = LatentClipping.observed(tiny, [picture])
    victim = Defended(tiny, clipping)
    coded, plain = victim.code(picture), tiny.code(picture)
    assert coded.file_bytes == plain.file_bytes
    assert np.array_equal(coded.picture.pixels, plain.picture.pixels)
    x = clip_of([picture])
    assert victim.forward(x, draws()).x_hat.equal(tiny.forward(x, draws()).x_hat)
    span = clipping.bounds[1] - clipping.bounds[0]
    quality = tiny.codec.quality_tensor(tiny.quality)
    with torch.no_grad():
        y = tiny.twin.analysis(x, quality)
    least = y.amin(dim=(0, 2, 3))
    assert torch.allclose(least - clipping.bounds[0], span * MARGIN / (1 + 2 * MARGIN), atol=1e-4)


def test_clipping_changes_no_codec_of_others(tiny: LearnedVictim, x: Tensor) -> None:
    picture = pictures_of(x[:1])[0]
    before = tiny.code(picture).file_bytes
    bounds = torch.zeros(2, tiny.twin.spec.transform.latent_channels)
    nothing = Defended(tiny, LatentClipping(bounds))
    assert nothing.code(picture).file_bytes < before
    assert tiny.code(picture).file_bytes == before


def test_clipping_says_where_it_belongs(tiny: LearnedVictim) -> None:
    clean = [pictures_of(crops(1, 1, 64))[0]]
    with pytest.raises(AttackError, match="innermost"):
        LatentClipping.observed(Transparent(), clean)
    with pytest.raises(AttackError, match=r"give \(2, 16\)"):
        Defended(tiny, LatentClipping(torch.zeros(2, 3)))
    with pytest.raises(AttackError, match="no picture"):
        LatentClipping.observed(tiny, [])


# Composition.


def test_the_first_defence_is_met_first(x: Tensor) -> None:
    victim = Transparent()
    both = defended(victim, Blur(1.0), BitDepth(2))
    found = both.forward(x, draws()).x_hat
    assert found.equal(BitDepth(2).clean(Blur(1.0).clean(x, draws()), draws()))
    assert not found.equal(Blur(1.0).clean(BitDepth(2).clean(x, draws()), draws()))
    assert both.title == "transparent behind 2 bits behind blur σ 1"
    assert defended(victim) is victim


def test_chance_anywhere_is_chance(tiny: LearnedVictim) -> None:
    assert not defended(tiny, Blur(1.0)).stochastic
    assert defended(tiny, Blur(1.0), ShiftResampling(0.5)).stochastic
    assert defended(tiny, TwoWay(LAMBDA), Blur(1.0)).stochastic


def test_everything_composes_and_repeats(tiny: LearnedVictim, x: Tensor) -> None:
    clipping = LatentClipping.observed(tiny, [pictures_of(crops(1, 1, 64))[0]])
    victim = defended(tiny, ShiftResampling(0.5), TwoWay(LAMBDA), BitDepth(6), clipping)
    leaf = x.clone().requires_grad_()
    found = victim.forward(leaf, draws(2))
    assert found.x_hat.shape == x.shape
    (gradient,) = torch.autograd.grad(found.x_hat.square().sum() + found.bits.sum(), leaf)
    assert (gradient != 0).float().mean() > 0.5
    assert victim.forward(x, draws(2)).x_hat.equal(found.x_hat)
    picture = pictures_of(x[:1])[0]
    one, again = victim.code(picture), victim.code(picture)
    assert one.file_bytes == again.file_bytes
    assert np.array_equal(one.picture.pixels, again.picture.pixels)
