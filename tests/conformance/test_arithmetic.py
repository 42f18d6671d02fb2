"""The parsing path of every codec, operation by operation: nothing depends on a machine."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.codecs.base import CodecSpec, ContextSpec
from corelic.codecs.context.base import LATENT_LIMIT
from corelic.codecs.rate import NODES
from corelic.entropy.grid import GridConv2d
from tests.conformance.arithmetic import ExactOperations
from tests.conformance.conftest import every_codec, every_context, exact_context, weights
from tests.conformance.test_contexts import FILE_SIZES, latents


@every_context
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_context_does_nothing_that_could_differ(spec: ContextSpec, scale: float) -> None:
    context = exact_context(spec)
    values = latents(context, spec.latent_channels, FILE_SIZES[1], count=2) * scale
    hyper, decoded = values.split((context.hyper_features, spec.latent_channels), 1)
    decoded = decoded.clamp(-LATENT_LIMIT, LATENT_LIMIT)
    with torch.no_grad(), ExactOperations() as watched:
        for step in range(context.steps):
            found = context.parameters_for(step, hyper, decoded).on_grid()
            context.refine(step, hyper, decoded)
    assert watched.sums > 0
    assert found.mean.isfinite().all()


@every_codec
def test_a_hyper_synthesis_does_nothing_that_could_differ(spec: CodecSpec) -> None:
    hyper_synthesis = weights(spec).codec.hyper_synthesis
    z_hat = torch.randint(-300, 300, (2, spec.hyper_channels, 2, 1)).double()
    with torch.no_grad(), ExactOperations() as watched:
        hyper_synthesis(z_hat, torch.tensor([0, NODES - 1]))
    assert watched.sums > 0


def off_the_grid(x: Tensor) -> Tensor:
    return (x / torch.full_like(x, 3)).sum()


def unsnapped(x: Tensor) -> Tensor:
    """Products of 16 bits by 16 bits, by 16 and by 16 once more."""
    layer = torch.full((12, 12), 2.0**15 - 1, dtype=torch.float64)
    wide: Tensor = x.flatten()[:12].expand(12, 12) * (2**20 - 1) @ layer @ layer
    return wide


INEXACT = {
    "a library's exponential": Tensor.exp,
    "a library's softmax": lambda x: x.softmax(-1),
    "a library's mean": Tensor.mean,
    "float32": lambda x: x.float().sum(),
    "a quotient by a number": lambda x: x / 3,
    "a sum of thirds": off_the_grid,
    "a sum beyond 2**53": unsnapped,
    "interpolation": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
    "a layer in float": lambda x: GridConv2d(12, 4)(x.float()),
}


@pytest.mark.parametrize("work", INEXACT.values(), ids=INEXACT.keys())
def test_what_could_differ_is_noticed(work: object) -> None:
    assert callable(work)
    x = torch.randint(-100, 100, (1, 12, 4, 4)).double() / 64
    with pytest.raises(AssertionError), torch.no_grad(), ExactOperations():
        work(x)
