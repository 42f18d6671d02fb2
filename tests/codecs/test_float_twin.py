"""The float twin is the exact codec, with gradients."""

from __future__ import annotations

import torch

from corelic.codecs import store
from corelic.codecs.files import FileCodec
from corelic.codecs.float_twin import float_twin
from tests import tiny


def twins() -> tuple:
    exact = store.from_file(tiny.TINY_WEIGHTS).codec
    return exact, float_twin(exact)


def test_it_computes_what_the_exact_codec_computes() -> None:
    exact, twin = twins()
    x, quality = tiny.crops(5, 2, 128), torch.tensor([30.0, 70.0])
    with torch.no_grad():
        one, other = exact(x, quality), twin(x, quality)
    assert torch.allclose(one.bits, other.bits, rtol=0.01)
    # Where a latent is close to a half, its symbol may be the next one.
    assert (one.x_hat - other.x_hat).abs().mean() < 0.5 / 255


def test_it_has_gradients_where_the_exact_codec_has_none() -> None:
    x = tiny.crops(5, 1, 64).requires_grad_()
    exact, twin = twins()
    slopes = []
    for codec in (exact, twin):
        (gradient,) = torch.autograd.grad(codec(x, torch.tensor([50.0])).bits.sum(), x)
        slopes.append(gradient)
    # Through the hyper-latents, bits change by what the grid has floored away.
    assert not torch.allclose(slopes[0], slopes[1], rtol=0.1)
    step = 0.02 * slopes[1].sign()
    with torch.no_grad():
        bits = [twin(x + sign * step, torch.tensor([50.0])).bits for sign in (-1, 1)]
    assert bits[0] < bits[1]
    assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_making_one_changes_nothing_else() -> None:
    exact = store.from_file(tiny.TINY_WEIGHTS).codec
    state = torch.get_rng_state()
    twin = float_twin(exact)
    assert torch.equal(torch.get_rng_state(), state)
    codec = FileCodec(store.from_file(tiny.TINY_WEIGHTS), torch.device("cpu"))
    assert codec.codec.exact and not twin.exact
    assert next(twin.context.parameters()).dtype == torch.float32
    assert next(exact.context.parameters()).dtype == torch.float64
