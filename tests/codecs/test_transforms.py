"""Transforms with and without gradients: two ways through the same networks."""

import pytest
import torch
from torch import Tensor

from corelic.codecs import store
from corelic.codecs.transforms.depthwise import DepthwiseSpec
from tests.tiny import rouse

SPEC = DepthwiseSpec(
    channels=24, latent_channels=32, analysis_blocks=(2, 1), synthesis_blocks=(1, 2)
)


@pytest.mark.parametrize("size", [(16, 16), (64, 48), (160, 144)], ids=str)
def test_without_gradients_the_numbers_are_the_same(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    analysis, synthesis = SPEC.build_analysis(), SPEC.build_synthesis()
    SPEC.start(analysis, synthesis, torch.rand(2, 3, 64, 64))
    for part in (analysis, synthesis):
        rouse(part)
    x, quality = torch.rand(2, 3, *size), torch.tensor([10.0, 73.0])
    layered_y = analysis(x, quality)
    layered_x = synthesis(layered_y, quality)
    assert layered_y.requires_grad
    assert layered_x.shape == x.shape
    monkeypatch.setattr("corelic.codecs.transforms.depthwise_inference.POSITIONS", 50)
    with torch.no_grad():
        y = analysis(x, quality)
        # Float32's rounding, of sums of hundreds.
        torch.testing.assert_close(y, layered_y.detach(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            synthesis(layered_y, quality), layered_x.detach(), rtol=1e-4, atol=1e-4
        )


def test_swift_gives_the_same_latents_and_pixels() -> None:
    codec = store.by_name("swift").codec
    torch.manual_seed(1)
    x, quality = torch.rand(1, 3, 64, 128), torch.tensor([42.0])
    with torch.no_grad():
        y = codec.analysis(x, quality)
        x_hat = codec.synthesis(y, quality)
    layered_y, layered_x = codec.analysis(x, quality), codec.synthesis(y, quality)
    torch.testing.assert_close(y, layered_y.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x_hat, layered_x.detach(), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_under_autocast_only_branches_lose_precision() -> None:
    torch.manual_seed(0)
    analysis, synthesis = SPEC.build_analysis(), SPEC.build_synthesis()
    SPEC.start(analysis, synthesis, torch.rand(2, 3, 64, 64))
    x, quality = torch.rand(2, 3, 64, 48), torch.tensor([10.0, 73.0])

    def both() -> tuple[Tensor, Tensor]:
        y = analysis(x, quality)
        return y, synthesis(y, quality)

    plain = both()
    with torch.autocast("cpu", torch.bfloat16):
        found = both()
    assert all(map(torch.equal, found, plain))  # as branches add nothing yet
    for part in (analysis, synthesis):
        rouse(part)
    y, x_hat = both()
    with torch.autocast("cpu", torch.bfloat16):
        lower_y, lower_x = both()
        assert torch.is_autocast_enabled("cpu")
    assert lower_y.dtype == lower_x.dtype == torch.float32
    for lower, full in ((lower_y, y), (lower_x, x_hat)):
        assert not lower.equal(full)
        assert float((lower - full).std()) < 0.01 * float(full.std())
