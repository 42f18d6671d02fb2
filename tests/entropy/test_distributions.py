import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor

from corelic.entropy import coder
from corelic.entropy.coder import FrequencyTables, Segment
from corelic.entropy.distributions import (
    LIKELIHOOD_MIN,
    LOG_SCALE_STEP,
    MAX_COUNTED,
    SCALE_MAX,
    SCALE_MIN,
    SCALES,
    TAIL_MASS,
    FactorisedPrior,
    fitted_tables,
    gaussian_bits,
    gaussian_tables,
    integer_frequencies,
    lower_bound,
    scale_of,
)

TABLES = gaussian_tables()
DEVIATIONS = [0.15, 0.25, 0.4, 0.7, 1.0, 2.5, 10.0, 40.0, 120.0]
SAMPLES = 200_000


def row_of(tables: FrequencyTables, index: int) -> np.ndarray:
    return np.split(tables.frequencies, np.cumsum(tables.size)[:-1])[index]


def index_of(deviation: float) -> float:
    return math.log(deviation / SCALE_MIN) / LOG_SCALE_STEP


def gaussians(deviation: float) -> tuple[Tensor, Tensor]:
    """Samples around zero, and the scale index of each, not a whole number."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(SAMPLES, generator=generator, dtype=torch.float64) * deviation
    return samples, torch.full_like(samples, index_of(deviation))


def prior_of_all_kinds() -> FactorisedPrior:
    """3 nodes × 4 channels, no two alike."""
    prior = FactorisedPrior(channels=4, nodes=3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        prior.shift += 5 * torch.arange(12.0).view(3, 4)
        prior.log_width += torch.linspace(0, 1, 3)[:, None]
    return prior


masses = st.lists(st.floats(0, 1) | st.floats(0, 1e-12), min_size=2, max_size=300)


@given(masses.filter(any))
@example([1.0, *[0.0] * 299])
@example([5e-324, 0.0])
def test_frequencies_are_positive_and_sum_to_24_bits(mass: list[float]) -> None:
    frequencies = integer_frequencies(np.array(mass))
    assert frequencies.dtype == np.int32
    assert frequencies.min() >= 1
    assert frequencies.sum(dtype=np.int64) == 2**24
    # Each gets its share of what is left when everyone has 1; rounding adds one at most, and what
    # it leaves over goes to the largest.
    share = np.array(mass) / sum(mass) * (2**24 - len(mass))
    others = np.arange(len(mass)) != np.argmax(frequencies)
    assert (np.abs(frequencies - 1 - share)[others] <= 1).all()
    assert abs(frequencies.max() - 1 - share[~others].item()) <= len(mass)


def test_scales_are_a_geometric_sequence() -> None:
    index = torch.arange(SCALES, dtype=torch.float64)
    scales = scale_of(index)
    assert scales[0].item() == pytest.approx(SCALE_MIN, rel=1e-12)
    assert scales[-1].item() == pytest.approx(SCALE_MAX, rel=1e-12)
    assert (scales[1:] / scales[:-1]).std() < 1e-12
    assert scale_of(torch.tensor([-5.0, SCALES + 5.0])).tolist() == pytest.approx(
        [SCALE_MIN, SCALE_MAX]
    )


@pytest.mark.parametrize("index", range(0, SCALES, 7))
def test_gaussian_tables_hold_what_scipy_says(index: int) -> None:
    scale = SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (index / (SCALES - 1))
    row, low = row_of(TABLES, index), int(TABLES.low[index])
    edge = -low
    assert len(row) == 2 * edge + 2  # symmetric, then the escape
    # The upper tail by symmetry: 1 − cdf has no digits there.
    distance = -np.abs(np.arange(low, edge + 1))
    mass = norm.cdf((distance + 0.5) / scale) - norm.cdf((distance - 0.5) / scale)
    tail = 2 * norm.sf((edge + 0.5) / scale)
    found, expected = row / 2**24, np.append(mass, tail)
    # Every entry gives up its share of the 2^-24 that each has at least, and of the escape's floor.
    tolerance = 2.0**-24 + expected * (len(row) * 2.0**-24 + TAIL_MASS / 64)
    largest, escape = np.argmax(row), len(row) - 1
    inner = ~np.isin(np.arange(len(row)), [largest, escape])
    assert (np.abs(found - expected) <= tolerance)[inner].all()
    assert abs(found[largest] - expected[largest]) <= len(row) * 2.0**-24 + tolerance[largest]
    assert found[escape] == pytest.approx(max(tail, TAIL_MASS / 64), rel=1e-3, abs=2.0**-24)


def test_tails_are_as_small_as_promised() -> None:
    escapes = TABLES.frequencies[np.cumsum(TABLES.size) - 1] / 2**24
    assert TAIL_MASS / 64 <= escapes.min() < escapes.max() <= TAIL_MASS * 1.05  # 4.0, not 4.01


@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_coding_gaussians_costs_what_the_likelihood_says(deviation: float) -> None:
    """Half a step between tables, integer frequencies, and escapes, all together."""
    samples, index = gaussians(deviation)
    symbols = (samples + 0.5).floor()
    estimate = gaussian_bits(symbols, index).sum().item()
    rows = (index + 0.5).floor().numpy().astype(np.uint8)
    segment = Segment(symbols.numpy().astype(np.int32), rows, TABLES)
    bits = 8 * len(coder.encode([segment]))
    assert estimate * 0.995 - 64 <= bits <= estimate * 1.005 + 64


def test_tables_fitted_to_nothing_are_gaussian() -> None:
    fitted = fitted_tables(np.zeros((SCALES, 2 * MAX_COUNTED + 1), dtype=np.int64))
    assert np.array_equal(fitted.low, TABLES.low)
    assert np.abs(fitted.frequencies - TABLES.frequencies).max() <= 1


@pytest.mark.parametrize("deviation", [0.4, 2.5, 40.0])
def test_fitted_tables_save_what_the_gaussian_wastes(deviation: float) -> None:
    """Laplacian symbols, coded with the tables of a Gaussian and with their own."""
    random = np.random.default_rng(0)
    row = round(index_of(deviation))
    symbols = np.round(random.laplace(0, deviation / math.sqrt(2), (2, SAMPLES))).astype(np.int32)
    counts = np.zeros((SCALES, 2 * MAX_COUNTED + 1), dtype=np.int64)
    counts[row] = np.bincount(symbols[0] + MAX_COUNTED, minlength=counts.shape[1])
    rows = np.full(SAMPLES, row, dtype=np.uint8)

    def bits(tables: FrequencyTables) -> int:
        return 8 * len(coder.encode([Segment(symbols[1], rows, tables)]))

    frequency = np.unique(symbols[1], return_counts=True)[1] / SAMPLES
    entropy = -SAMPLES * (frequency * np.log2(frequency)).sum()
    assert bits(TABLES) > 1.01 * entropy
    assert bits(fitted_tables(counts)) < 1.003 * entropy + 64


def test_the_widest_table_ends_before_counting_does() -> None:
    assert TABLES.low.min() > -MAX_COUNTED


@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_training_bits_bound_coded_bits(deviation: float) -> None:
    """Noise in place of rounding never promises less than what will be paid."""
    samples, index = gaussians(deviation)
    noise = torch.rand(SAMPLES, generator=torch.Generator().manual_seed(2)) - 0.5
    training = gaussian_bits(samples + noise, index).mean().item()
    coded = gaussian_bits((samples + 0.5).floor(), index).mean().item()
    # Equal for large deviations, but for the error of so many samples; for small ones 0.4 apart.
    assert coded * 0.995 <= training <= coded + 0.5


def test_bits_are_symmetric() -> None:
    residual = torch.linspace(0, 300, 2001)
    for index in torch.linspace(-1, SCALES, 9):
        assert gaussian_bits(residual, index).equal(gaussian_bits(-residual, index))


def test_bits_and_their_gradients_are_finite_everywhere() -> None:
    residual = torch.tensor([0.0, 0.5, 100.0, 1e4, 1e30])[:, None].requires_grad_()
    index = torch.tensor([-1e4, 0.0, 20.0, SCALES - 1.0, 1e4]).requires_grad_()
    bits = gaussian_bits(residual, index)
    assert bits.isfinite().all()
    assert (bits >= 0).all()
    assert bits.max().item() == pytest.approx(-math.log2(LIKELIHOOD_MIN), rel=1e-5)
    bits.sum().backward()
    assert residual.grad is not None and residual.grad.isfinite().all()
    assert index.grad is not None and index.grad.isfinite().all()


def test_likelihoods_of_all_whole_numbers_sum_to_one() -> None:
    whole = torch.arange(-2000, 2001, dtype=torch.float64)
    for index in (0, 20, 40, SCALES - 1):
        bits = gaussian_bits(whole - 0.3, torch.tensor(float(index), dtype=torch.float64))
        # The floor gives LIKELIHOOD_MIN to each of 4,001.
        assert (2**-bits).sum().item() == pytest.approx(1, abs=4001 * LIKELIHOOD_MIN)


@pytest.mark.parametrize(
    ("x", "gradient", "passed"),
    [
        (3.0, 1.0, 1.0),  # above the bound, everything passes
        (3.0, -1.0, -1.0),
        (2.0, 1.0, 1.0),  # on it, too
        (1.0, -1.0, -1.0),  # below, only what would raise x (descent goes against the gradient)
        (1.0, 1.0, 0.0),
    ],
)
def test_every_branch_of_the_lower_bound_gradient(x: float, gradient: float, passed: float) -> None:
    value = torch.tensor([x], requires_grad=True)
    bounded = lower_bound(value, 2.0)
    assert bounded.item() == max(x, 2.0)
    bounded.backward(torch.tensor([gradient]))
    assert value.grad is not None
    assert value.grad.item() == passed


@pytest.mark.parametrize(("index", "towards"), [(-3.0, 1), (SCALES + 3.0, -1)])
def test_a_scale_index_out_of_range_can_come_back(index: float, towards: int) -> None:
    """A loss that wants the index back inside moves it; one that wants it further out does not."""
    for sign, moves in ((-towards, True), (towards, False)):
        value = torch.tensor(index, requires_grad=True)
        (sign * scale_of(value)).backward()
        assert value.grad is not None
        assert bool(value.grad != 0) == moves


def test_the_prior_is_a_distribution() -> None:
    prior = prior_of_all_kinds()
    z = torch.linspace(-300, 400, 5001).repeat(3, 4, 1)
    cumulative = prior.cumulative(z, torch.arange(3))
    assert (cumulative.diff() >= 0).all()
    assert cumulative[..., 0].max() < 1e-6
    assert (cumulative[..., -1] - 1).abs().max() < 1e-6


def test_a_symmetric_prior_costs_as_much_on_either_side() -> None:
    """In float32, where a logistic is 1 from 17.3 on, and 1 minus that is nothing."""
    z = torch.tensor([-40.0, -25.0, -12.0, -3.0, 3.0, 12.0, 25.0, 40.0]).view(1, 1, -1, 1)
    z.requires_grad_()
    bits = FactorisedPrior(channels=1, nodes=1).bits(z, torch.tensor([0]))
    assert torch.allclose(bits, bits.flip(2), rtol=1e-5)
    assert bits[0, 0, -2] < bits[0, 0, -1] - 0.5  # not yet at the floor of likelihoods
    bits.sum().backward()
    assert z.grad is not None and torch.allclose(z.grad, -z.grad.flip(2), rtol=1e-3)
    assert ((z.grad != 0) & (z.grad.sign() == z.sign())).all()


def test_bits_of_the_prior_are_those_of_its_distribution() -> None:
    prior = prior_of_all_kinds().double()
    z = torch.linspace(-30, 90, 500, dtype=torch.float64).repeat(3, 4, 1)
    node = torch.arange(3)
    mass = prior.cumulative(z + 0.5, node) - prior.cumulative(z - 0.5, node)
    assert torch.allclose(2 ** -prior.bits(z, node), mass.clamp_min(LIKELIHOOD_MIN), rtol=1e-6)


def test_prior_tables_hold_the_prior() -> None:
    prior = prior_of_all_kinds()
    tables = prior.tables()
    assert tables.size.shape == (12,)
    exact = prior.double()
    for node in range(3):
        for channel in range(4):
            row = node * 4 + channel
            found = row_of(tables, row)[:-1] / 2**24
            z = torch.arange(len(found), dtype=torch.float64) + int(tables.low[row])
            of_all_channels = exact.bits(z.repeat(1, 4, 1), torch.tensor([node]))
            expected = 2 ** -of_all_channels[0, channel].detach().numpy()
            tolerance = 2.0**-24 * len(found) + expected * TAIL_MASS
            assert (np.abs(found - expected) <= tolerance).all()
            assert 1 - found.sum() <= TAIL_MASS


def test_prior_tables_do_not_reach_beyond_the_limit() -> None:
    prior = FactorisedPrior(channels=1, nodes=1)
    with torch.no_grad():
        prior.log_width += 10
    tables = prior.tables(limit=50)
    assert (tables.low[0], tables.size[0]) == (-50, 102)
    assert row_of(tables, 0)[-1] > 2**23  # most of it escapes


def test_coding_hyper_latents_costs_what_the_likelihood_says() -> None:
    prior = prior_of_all_kinds().requires_grad_(False)
    tables = prior.tables()
    random = np.random.default_rng(3)
    z = np.zeros((3, 4, 20_000, 1), np.float32)
    weight = prior.logits.softmax(-1).numpy()
    for node, channel in np.ndindex(3, 4):
        part = random.choice(prior.COMPONENTS, z.shape[2], p=weight[channel])
        centre = prior.centre.numpy()[channel, part]
        spread = np.exp(prior.log_spread.numpy()[channel, part])
        standard = centre + spread * random.logistic(size=z.shape[2])
        width = math.exp(prior.log_width[node, channel])
        z[node, channel, :, 0] = prior.shift[node, channel] + width * standard
    whole = np.floor(z + 0.5)
    node = torch.arange(3)
    estimate = prior.bits(torch.from_numpy(whole), node).sum().item()
    rows = np.repeat(np.arange(12), z.shape[2])
    segment = Segment(whole.flatten().astype(np.int32), rows, tables)
    bits = 8 * len(coder.encode([segment]))
    assert estimate * 0.99 - 64 <= bits <= estimate * 1.01 + 64
    noise = torch.rand(z.shape, generator=torch.Generator().manual_seed(4)) - 0.5
    training = prior.bits(torch.from_numpy(z) + noise, node).sum().item()
    assert training >= estimate * 0.995
