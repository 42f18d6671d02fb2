"""What every transform promises, whatever it is made of."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.codecs import spec_json
from corelic.codecs.files import exact_arithmetic
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.tiling import Grid
from corelic.codecs.transforms.depthwise import DepthwiseSpec
from corelic.codecs.transforms.lcam import LcamSpec
from corelic.codecs.transforms.pyramid import PyramidAnalysis
from corelic.codecs.transforms.residual import ResidualSpec
from corelic.codecs.transforms.swin import SwinSpec
from corelic.eval.complexity import transform_cost
from tests import tiny
from tests.allocations import peak_bytes
from tests.codecs.transforms.conftest import FAMILIES, awake, every_family

TILE_PX = 64
pyramids = pytest.mark.parametrize("family", [name for name in FAMILIES if name != "depthwise"])


def quality(*values: float) -> Tensor:
    return torch.tensor(values)


@every_family
@pytest.mark.parametrize("size_px", [(16, 16), (16, 208), (80, 48)], ids=str)
def test_any_multiple_of_the_stride_passes(family: str, size_px: tuple[int, int]) -> None:
    analysis, synthesis = awake(family)
    x = torch.rand(1, 3, *size_px)
    y = analysis(x, quality(50))
    assert y.shape == (1, 12, size_px[0] // 16, size_px[1] // 16)
    x_hat = synthesis(y, quality(50))
    assert x_hat.shape == x.shape
    assert x_hat.dtype == torch.float32
    assert x_hat.isfinite().all()


@every_family
def test_any_size_passes_through_a_codec(family: str) -> None:
    context = replace(tiny.TINY.context, latent_channels=12)
    transform = FAMILIES[family]
    tiling = "independent" if transform.analysis_halo_px is None else "halo"
    spec = replace(tiny.TINY, transform=transform, context=context, tiling=tiling)
    assert spec_json.from_json(spec_json.to_json(spec), "here") == spec
    codec = LearnedImageCodec(spec).eval()
    x = torch.rand(2, 3, 33, 70)
    with torch.no_grad():
        assert codec(x, quality(20, 80)).x_hat.shape == x.shape


@every_family
def test_a_batch_is_its_pictures(family: str) -> None:
    x, rates = torch.rand(3, 3, 48, 80), quality(0, 37, 100)
    for network, given in zip(awake(family), (x, torch.randn(3, 12, 3, 5)), strict=True):
        together = network(given, rates)
        for number in range(3):
            alone = network(given[number : number + 1], rates[number : number + 1])
            # Another size of matrix may be summed in another order.
            assert (alone[0] - together[number]).abs().max() < 1e-4 * together.abs().max()


@every_family
def test_the_rate_changes_both_networks(family: str) -> None:
    spec = FAMILIES[family]
    torch.manual_seed(1)
    for network, given in (
        (spec.build_analysis(), torch.rand(1, 3, 48, 48)),
        (spec.build_synthesis(), torch.randn(1, 12, 3, 3)),
    ):
        tiny.rouse(network)
        same = network(given, quality(10)), network(given, quality(90))
        assert same[0].equal(same[1])
        for name, parameter in network.named_parameters():
            if name.endswith("strength.rows"):
                parameter.data[8:] += 0.5
        assert not network(given, quality(10)).allclose(network(given, quality(90)))


@every_family
def test_every_parameter_learns(family: str) -> None:
    spec = FAMILIES[family]
    torch.manual_seed(3)
    analysis, synthesis = spec.build_analysis(), spec.build_synthesis()
    for network in (analysis, synthesis):
        tiny.rouse(network)
    x = tiny.crops(3, 2, 128)
    y = analysis(x, quality(20, 80))
    (synthesis(y, quality(20, 80)) - x).square().mean().backward()
    for network in (analysis, synthesis):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@every_family
def test_where_nothing_is_gradients_are_bounded(family: str) -> None:
    """Coarsely quantised latents are zero for the most part, and then queries have no direction."""
    spec = FAMILIES[family]
    torch.manual_seed(3)
    x, y = torch.rand(1, 3, 128, 128), torch.randn(1, 12, 8, 8)
    x[..., :88], y[..., :5] = 0.5, 0.0
    for network, given in ((spec.build_analysis(), x), (spec.build_synthesis(), y)):
        tiny.rouse(network)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.data.zero_()  # as they start
        network(given, quality(50)).sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None
            assert parameter.grad.abs().max() < 1e7, name  # 1e10 without a least length


@pyramids
def test_the_start_is_the_best_linear_codec(family: str) -> None:
    spec, pictures = FAMILIES[family], tiny.crops(0, 4, 128)
    analysis, synthesis = spec.build_analysis(), spec.build_synthesis()
    spec.start(analysis, synthesis, pictures)
    with torch.no_grad():
        found = synthesis(analysis(pictures, quality(50)), quality(50))
    patches = F.pixel_unshuffle(pictures - 0.5, 16).permute(0, 2, 3, 1).flatten(0, 2)
    _, sizes, axes = torch.linalg.svd(patches.double(), full_matrices=False)
    leading = axes[: spec.latent_channels]
    best = (patches.double() @ leading.T @ leading).float()
    best = best.view(4, 8, 8, 768).permute(0, 3, 1, 2)
    assert torch.allclose(found, F.pixel_shuffle(best, 16) + 0.5, atol=1e-4)
    assert isinstance(analysis, PyramidAnalysis)
    deviations = sizes[: spec.latent_channels] / len(patches) ** 0.5
    assert torch.allclose(analysis.scale, deviations.sqrt().float(), rtol=1e-3)


@every_family
def test_bfloat16_is_for_branches_alone(family: str) -> None:
    spec, x, rates = FAMILIES[family], tiny.crops(3, 2, 64), quality(20, 80)
    analysis, synthesis = spec.build_analysis(), spec.build_synthesis()  # all branches are zero
    spec.start(analysis, synthesis, tiny.crops(0, 16, 128))
    with torch.no_grad():
        y = analysis(x, rates)
        x_hat = synthesis(y, rates)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.allclose(analysis(x, rates), y, atol=1e-5)
            assert torch.allclose(synthesis(y, rates), x_hat, atol=1e-5)


def tiled(family: str) -> tuple[int, int]:
    """Halos of analysis and synthesis, in pixels."""
    spec = FAMILIES[family]
    if spec.analysis_halo_px is None or spec.synthesis_halo_px is None:
        pytest.skip("it promises no halo")
    return spec.analysis_halo_px, spec.synthesis_halo_px


@every_family
def test_tiles_with_their_halo_are_the_whole(family: str) -> None:
    halos = [-(-halo_px // TILE_PX) for halo_px in tiled(family)]
    grid = Grid(2, 3 + 2 * max(halos))
    analysis, synthesis = awake(family)
    torch.manual_seed(0)
    x = torch.rand(1, 3, grid.rows * TILE_PX, grid.columns * TILE_PX)
    y = torch.randn(1, 12, x.shape[2] // 16, x.shape[3] // 16)
    networks = (analysis, x, (64, 4)), (synthesis, y, (4, 64))
    for halo, (network, given, scales) in zip(halos, networks, strict=True):
        tiles = grid.tiles(halo, grid.least_window(halo))
        assert len(tiles) == grid.columns or len(tiles) == grid.cells
        whole = network(given, quality(60))
        for tile in tiles:
            window = network(given[(..., *tile.window(scales[0]))], quality(60))
            part, expected = (
                window[(..., *tile.crop(scales[1]))],
                whole[(..., *tile.inner(scales[1]))],
            )
            # Float32, and libraries choose the order of sums by the size: a rounding, no seam.
            assert (part - expected).abs().max() < 1e-5 * expected.abs().max()


@every_family
def test_the_halo_is_as_far_as_anything_is_seen(family: str) -> None:
    halos_px = tiled(family)
    cells = -(-max(halos_px) // TILE_PX) + 1  # one more, to see what is seen there
    side = (2 * cells + 1) * TILE_PX
    around = slice(cells * TILE_PX, (cells + 1) * TILE_PX)
    tile = slice(around.start // 16, around.stop // 16)
    analysis, synthesis = awake(family)
    torch.manual_seed(0)
    x = torch.rand(1, 3, side, side, requires_grad=True)
    analysis(x, quality(60))[:, :, tile, tile].sum().backward()
    y = torch.randn(1, 12, side // 16, side // 16, requires_grad=True)
    synthesis(y, quality(60))[:, :, around, around].sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    for halo_px, gradient, unit_px in zip(halos_px, (x.grad, y.grad), (1, 16), strict=True):
        reaches_px = []
        for axis in ((0, 1, 2), (0, 1, 3)):
            seen = gradient.abs().sum(axis).nonzero() * unit_px
            reaches_px += [around.start - int(seen.min()), int(seen.max()) + unit_px - around.stop]
        # Latents are known by the sixteen pixels; and a bound need not be reached, but nearly so.
        assert max(reaches_px) < halo_px + 16
        assert max(reaches_px) > 0.75 * halo_px - 16


@pytest.mark.parametrize(
    "spec",
    [
        *FAMILIES.values(),
        ResidualSpec(16, 320, 0),
        SwinSpec(16, 48, 1, (0, 2, 0), (2, 16, 2), 8),
        SwinSpec(16, 48, 16, (1, 1, 1), (2, 2, 2), 8),
        LcamSpec(24, 24, 0, (2, 2, 0), (8, 8, 8), 2, 1, shift=True),
        LcamSpec(24, 24, 0, (1, 0, 0), (16, 4, 4), 4, 8, shift=False),
    ],
    ids=str,
)
def test_what_a_transform_needs_is_what_it_says(
    spec: ResidualSpec | LcamSpec | SwinSpec | DepthwiseSpec,
) -> None:
    torch.manual_seed(0)
    analysis, synthesis = spec.build_analysis(), spec.build_synthesis()
    x = torch.rand(1, 3, 256, 256)
    y = torch.randn(1, spec.latent_channels, 16, 16)
    said = (spec.working_floats + 3) * 256**2 * 4
    with exact_arithmetic():
        for network, given in ((analysis, x), (synthesis, y)):
            found = x.nbytes + peak_bytes(
                lambda network=network, given=given: network(given, quality(60))
            )
            assert 0.3 * said < found <= said


@pytest.mark.parametrize(
    "build",
    [
        lambda: ResidualSpec(1, 12, 1),
        lambda: LcamSpec(12, 12, 1, (1, 1, 1), (8, 8, 8), 2, 3, shift=True),
        lambda: LcamSpec(12, 12, 1, (1, 1, 1), (8, 8, 0), 2, 2, shift=True),
        lambda: LcamSpec(12, 12, 1, (1, 1, 1), (8, 8, 8), 3, 2, shift=True),
        lambda: LcamSpec(12, 12, 1, (1, 1, 1), (8, 8, 8), 0, 2, shift=True),
        lambda: LcamSpec(12, 12, 1, (1, 1, 1), (8, 8, 64), 8, 2, shift=True),
        lambda: LcamSpec(0, 12, 1, (1, 1, 1), (8, 8, 8), 2, 2, shift=True),
        lambda: SwinSpec(8, 12, 3, (1, 1, 1), (2, 2, 3), 8),
        lambda: SwinSpec(8, 12, 3, (1, 1, 1), (2, 2, 0), 8),
        lambda: SwinSpec(8, 12, 3, (1, 1, 1), (2, 2, 2), 0),
        lambda: SwinSpec(8, 12, 3, (1, 1, 1), (2, 2, 2), 33),
        lambda: SwinSpec(8, 12, 0, (1, 1, 1), (2, 2, 2), 8),
    ],
)
def test_sizes_that_make_no_sense_are_refused(build: object) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=r"."):
        build()


def test_the_residual_transform_counts_as_by_hand() -> None:
    n, m = 8, 12
    cost = transform_cost(ResidualSpec(n, m, 2), (64, 64))
    block = n * n // 2 * 2 + 9 * (n // 2) ** 2
    strided = (3 * n / 4 + n * n / 16 + n * n / 64 + n * m / 256) * 25
    by_hand = 3 * m + strided + 2 * block * (1 / 4 + 1 / 16 + 1 / 64)
    assert cost.analysis.kmac_per_pixel == pytest.approx(by_hand / 1000)
    assert cost.synthesis.kmac_per_pixel == pytest.approx(by_hand / 1000)


def test_the_swin_transform_counts_as_by_hand() -> None:
    n, m, d, side = 8, 12, 3, 4
    cost = transform_cost(SwinSpec(n, m, d, (1, 0, 0), (2, 2, 2), side), (64, 64))
    block = n * 3 * n + n * n + 2 * 4 * n * n + 2 * side**2 * n
    bias = (2 * side - 1) ** 2 * (2 * 64 + 64 * 2) / 64**2  # once a picture
    dense = 9 * (3 * d + d * d + 2 * d * d) + 3 * d * d
    strided = 25 * d * n / 4 + 9 * (n * n / 16 + n * n / 64 + n * m / 256)
    by_hand = 3 * m + dense + strided + block / 4 + bias
    assert cost.analysis.kmac_per_pixel == pytest.approx(by_hand / 1000)


def test_an_lcam_counts_as_by_hand() -> None:
    n, side, head = 12, 4, 2
    without, within = (
        transform_cost(LcamSpec(n, 12, 0, (0, count, 0), (side,) * 3, 2, head, False), (128, 128))
        for count in (0, 1)
    )
    heads = n // 3 // head
    offsets = (2 * 4 - 1) ** 2 + 2 * (2 * 8 - 1) * (2 * 2 - 1)  # of a square, and 8 × 2 twice
    module = (3 * n * n + n * n + 2 * side**2 * n) / 64
    bias = offsets * (2 * 64 + 64 * heads) / 128**2
    more = within.analysis.kmac_per_pixel - without.analysis.kmac_per_pixel
    assert more == pytest.approx((module + bias) / 1000)
