"""Latent residual prediction: what a step refines, encoder, decoder and synthesis see alike."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.codecs.context.base import MEAN_UNIT, ContextModel, GaussianParameters
from corelic.codecs.files import FileCodec, exact_arithmetic
from corelic.codecs.passes import silent
from corelic.entropy import container
from corelic.errors import BadFileError
from tests import tiny
from tests.conformance.conftest import weights
from tests.conformance.test_codecs import photo
from tests.conformance.test_tiles import least_bytes

SIZE_PX = (129, 193)  # six cells


class Leaning(ContextModel):
    """Tiny's context; what it decodes depends on the second to the left, of the same step."""

    refines = True

    def __init__(self, sound: ContextModel) -> None:
        super().__init__()
        self.sound, self.steps, self.reach = sound, sound.steps, 2
        self.hyper_features = sound.hyper_features
        self.working_values = 10**5  # so that it is for the context that tiles are small

    def masks(self, shape: torch.Size) -> list[Tensor]:
        return self.sound.masks(shape)

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        return self.sound.parameters_for(step, hyper, decoded)

    def refine(self, step: int, hyper: Tensor, decoded: Tensor) -> Tensor:
        known = torch.stack(self.masks(decoded.shape)[: step + 1]).any(0)
        left = F.pad(torch.where(known, decoded, 0.0), (2, -2))
        # Not on the grid yet; and it tells a neighbour that is refined from one that is not.
        return decoded + ((left * 7).remainder(1.0) - 0.5) * 0.7


@pytest.fixture
def leaning() -> FileCodec:
    shared = weights(tiny.TINY)
    codec = copy.deepcopy(shared.codec)
    codec.context = Leaning(codec.context)
    return FileCodec(replace(shared, codec=codec), torch.device("cpu"))


@pytest.mark.usefixtures("in_float32")
def test_both_sides_see_what_was_refined(leaning: FileCodec) -> None:
    picture = photo(*SIZE_PX)
    encoded = FileCodec(leaning.weights, leaning.device, fast=True).encode(picture, 60)
    decoded = leaning.decode(encoded)  # compares the checksum of what was refined
    seen = leaning.estimate(picture, 60)
    assert np.abs(decoded.pixels.astype(int) - seen.picture.pixels).max() <= 1
    # Refinement is no part of the stream, nor counted as one.
    real_bits = 8 * len(container.read(encoded).words)
    assert abs(real_bits - seen.bits) <= 0.01 * seen.bits + 8 * 16


def test_refined_latents_are_on_their_grid_and_in_the_file(leaning: FileCodec) -> None:
    encoded = leaning.encode(photo(*SIZE_PX), 60)
    with exact_arithmetic():
        latents = leaning.parse(container.read(encoded))
        hyper = leaning.codec.hyper_synthesis(latents.hyper, torch.tensor([10]))
        found = leaning.codec.predict(latents.y_hat.double(), hyper)
    for values in (latents.y_hat, found.y_hat, found.coded):
        assert (values / MEAN_UNIT).equal((values / MEAN_UNIT).round())
    assert 0.3 < (found.y_hat - found.coded).abs().max() <= 0.36
    leaning.codec.context.refines = False
    with pytest.raises(BadFileError):
        leaning.decode(encoded)


def test_refinement_is_the_same_in_tiles_and_whole(leaning: FileCodec) -> None:
    """A tile that refined in place would show its neighbour another ŷ of the same step."""
    picture = photo(*SIZE_PX)
    whole = leaning.encode(picture, 60)
    content = container.read(whole)
    budget = least_bytes(leaning, *SIZE_PX, "decode")
    plan = leaning.passes(picture.width_px, picture.height_px, "decode", budget, silent).plan
    assert len(plan.tiles["context"]) > 1
    seen: list[tuple[int, int]] = []
    leaning.decode(whole, memory_bytes=budget, progress=lambda *state: seen.append(state))
    assert seen == [(number, len(seen)) for number in range(1, len(seen) + 1)]
    with exact_arithmetic():
        assert leaning.parse(content, memory_bytes=budget).y_hat.equal(leaning.parse(content).y_hat)
    in_tiles = leaning.encode(picture, 60, memory_bytes=least_bytes(leaning, *SIZE_PX, "encode"))
    leaning.decode(in_tiles)


def test_what_a_context_refines_learns(leaning: FileCodec) -> None:
    """The straight-through gradient reaches the refinement, and through it the picture."""
    codec = copy.deepcopy(tiny.started(tiny.TINY))
    codec.context = Leaning(codec.context)
    weight = torch.ones((), requires_grad=True)
    sound = codec.context.refine
    codec.context.refine = lambda *given: sound(*given) * weight  # type: ignore[method-assign]  # this one alone
    codec(tiny.crops(0, 1, 64), torch.tensor([60.0])).x_hat.square().sum().backward()
    assert weight.grad is not None and weight.grad.abs() > 0
