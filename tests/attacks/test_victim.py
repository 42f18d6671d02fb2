"""Victims: differentiable where they are attacked, real where they are measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of, levels, pictures_of, rounded
from corelic.attacks.victim import (
    ClassicalVictim,
    LearnedVictim,
    Victim,
    proxy_bits,
    twin_of,
    victim_of,
)
from corelic.codecs.classical import Jpeg
from corelic.codecs.files import FileCodec, open_codec
from corelic.entropy import container
from corelic.media import Picture
from tests import tiny

PIXELS = data.astronaut()[40:140, 100:230]  # 130 × 100: padded, both ways
PICTURE = Picture(PIXELS)


def learned(quality: float = 60, **options) -> LearnedVictim:
    return LearnedVictim(open_codec(tiny.TINY_WEIGHTS, "cpu"), quality, **options)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_code_is_the_file_and_what_it_decodes_to() -> None:
    for victim in (learned(), ClassicalVictim(Jpeg(), 60)):
        coded = victim.code(PICTURE)
        file = victim.codec.encode(PICTURE, 60)
        assert coded.file_bytes == len(file)
        assert np.array_equal(coded.picture.pixels, victim.codec.decode(file).pixels)


def test_forward_foretells_the_real_thing() -> None:
    """But for the filter of a file, of which gradients know nothing."""
    victim = LearnedVictim(FileCodec(learned().codec.weights, torch.device("cpu"), fast=True), 60)
    x = clip_of([PICTURE])
    found, coded = victim.forward(x, generator()), victim.code(PICTURE)
    assert found.x_hat.shape == x.shape and found.x_hat.min() >= 0 and found.x_hat.max() <= 1
    file = container.read(victim.codec.encode(PICTURE, 60))
    # All streams: without the hyper-latents it would miss by more.
    assert found.bits.item() == pytest.approx(8 * len(file.words), rel=0.02, abs=64)
    assert found.hyper_bits.item() > 64
    error = (found.x_hat * 255 - clip_of([coded.picture]) * 255).abs()
    assert error.mean() < 0.8  # rounding alone makes a quarter of a level


def test_gradients_predict_what_a_step_does_to_real_files() -> None:
    victim = learned()
    x = clip_of([PICTURE]).requires_grad_()
    (gradient,) = torch.autograd.grad(victim.forward(x, generator()).bits.sum(), x)
    step = (2 / 255) * gradient.sign()
    sizes = [victim.code(pictures_of((x + sign * step).detach())[0]).file_bytes for sign in (-1, 1)]
    # Not against the clean size: a dither of one sign or the other costs bits, too.
    assert sizes[0] < sizes[1]


def test_quantisers_are_a_choice() -> None:
    x = clip_of([PICTURE])
    through, noisy = learned(), learned(quantiser="noise")
    assert not through.stochastic and noisy.stochastic
    assert torch.equal(
        through.forward(x, generator(0)).x_hat, through.forward(x, generator(1)).x_hat
    )
    one, again, other = (noisy.forward(x, generator(seed)).x_hat for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert (one - through.forward(x, generator()).x_hat).abs().mean() < 0.1


def test_victims_of_one_codec_share_its_twin() -> None:
    codec = open_codec(tiny.TINY_WEIGHTS, "cpu")
    victims = [LearnedVictim(codec, quality) for quality in (10, 90)]
    assert victims[0].twin is victims[1].twin is twin_of(codec.codec)
    assert victims[0].title == "tiny-1 at 10"


def test_frames_of_a_clip_are_coded_apart() -> None:
    clip = clip_of([PICTURE, Picture(PIXELS[:, ::-1].copy())])
    for victim in (learned(), ClassicalVictim(Jpeg(), 60)):
        both = victim.forward(clip, generator())
        each = [victim.forward(frame[None], generator()) for frame in clip]
        assert both.bits.tolist() == pytest.approx([one.bits.item() for one in each], rel=1e-3)
        assert torch.allclose(both.x_hat, torch.cat([one.x_hat for one in each]), atol=0.05)


def test_a_classical_codec_is_itself_forwards_and_the_identity_backwards() -> None:
    victim = ClassicalVictim(Jpeg(), 40)
    x = clip_of([PICTURE]).requires_grad_()
    found, coded = victim.forward(x, generator()), victim.code(PICTURE)
    assert torch.allclose(found.x_hat, clip_of([coded.picture]), atol=1e-6)
    assert found.bits.item() == pytest.approx(8 * coded.file_bytes)
    weights = torch.randn(x.shape)
    (gradient,) = torch.autograd.grad((found.x_hat * weights).sum(), x, retain_graph=True)
    assert torch.equal(gradient, weights)
    (gradient,) = torch.autograd.grad(found.bits.sum(), x)
    (proxy,) = torch.autograd.grad(proxy_bits(x).sum(), x)
    assert torch.equal(gradient, proxy)


def test_the_proxy_of_rate_rises_and_falls_with_real_files() -> None:
    victim = ClassicalVictim(Jpeg(), 40)
    x = clip_of([PICTURE]).requires_grad_()
    (gradient,) = torch.autograd.grad(victim.forward(x, generator()).bits.sum(), x)
    step = (4 / 255) * gradient.sign()
    sizes = [
        victim.code(pictures_of((x + sign * step).detach())[0]).file_bytes for sign in (-1, 0, 1)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_kind_of_codec_decides() -> None:
    kinds: dict[type[Victim], object] = {
        LearnedVictim: open_codec(tiny.TINY_WEIGHTS, "cpu"),
        ClassicalVictim: Jpeg(),
    }
    for kind, codec in kinds.items():
        assert type(victim_of(codec, 50)) is kind  # type: ignore[arg-type]  # parametrised


def test_pictures_and_clips_are_the_same_thing() -> None:
    frames = [PICTURE, Picture(PIXELS[::-1].copy())]
    clip = clip_of(frames)
    assert clip.shape == (2, 3, 100, 130)
    for frame, back in zip(frames, pictures_of(clip), strict=True):
        assert np.array_equal(frame.pixels, back.pixels)
    every = torch.arange(256) / 255
    assert levels(every.view(1, 1, 16, 16)).flatten().tolist() == list(range(256))
    assert rounded(torch.tensor([0.4999 / 255, 0.5001 / 255, 2.0, -1.0])).tolist() == [
        0,
        pytest.approx(1 / 255),
        1,
        0,
    ]


def test_grey_and_deep_pictures_are_seen_as_8_bit_colour() -> None:
    grey = Picture(PIXELS[:, :, 0])
    deep = Picture(PIXELS.astype(np.uint16) * 257)
    assert torch.equal(clip_of([grey])[0, 2], clip_of([PICTURE])[0, 0])
    assert torch.equal(clip_of([deep]), clip_of([PICTURE]))


def test_what_makes_no_clip_is_refused() -> None:
    with pytest.raises(AttackError, match="130 × 90, 130 × 100"):
        clip_of([PICTURE, Picture(PIXELS[:90])])
    with pytest.raises(AttackError, match="transparency"):
        clip_of([Picture(PIXELS, alpha=PIXELS[:, :, 0])])
    with pytest.raises(AttackError, match="none"):
        clip_of([])
