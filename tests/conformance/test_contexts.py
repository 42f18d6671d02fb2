"""What the coder relies on in any context model, and contexts that break it on purpose."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Literal

import pytest
import torch
from torch import Tensor

from corelic.codecs.base import ContextSpec
from corelic.codecs.context.base import LATENT_LIMIT, MEAN_UNIT, ContextModel, GaussianParameters
from corelic.codecs.files import exact_arithmetic
from corelic.codecs.learned import HYPER_STRIDE, LearnedImageCodec
from corelic.codecs.memory import EXACT_BYTES
from corelic.entropy import grid
from corelic.entropy.distributions import SCALES
from tests.allocations import peak_bytes
from tests.conformance.conftest import every_context, exact_context, settings_matrix
from tests.tiny import TINY

COVER_SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4), (7, 8), (12, 9)]
# Those of files: pictures are padded to whole hyper-latents.
FILE_SIZES = [(HYPER_STRIDE, HYPER_STRIDE), (2 * HYPER_STRIDE, HYPER_STRIDE)]


def latents(context: ContextModel, channels: int, size: tuple[int, int], count: int = 1) -> Tensor:
    """Random hyper features and ŷ, as they are on the grid."""
    generator = torch.Generator().manual_seed(sum(size))
    shape = (count, context.hyper_features + channels, *size)
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * 10
    return (values / MEAN_UNIT).round() * MEAN_UNIT


def assert_exact_cover(context: ContextModel, shape: torch.Size) -> None:
    masks = context.masks(shape)
    assert len(masks) == context.steps
    for mask in masks:
        assert (mask.dtype, mask.shape) == (torch.bool, shape[1:])
    assert (torch.stack(masks).sum(0) == 1).all()


def assert_causal(context: ContextModel, channels: int, size: tuple[int, int]) -> None:
    """What is not decoded yet may be anything, and the parameters stay the same bits."""
    hyper, decoded = latents(context, channels, size).split((context.hyper_features, channels), 1)
    masks = context.masks(decoded.shape)
    for step, mask in enumerate(masks):
        undecoded = torch.stack(masks[step:]).any(0)
        blank = torch.where(undecoded, 0.0, decoded)
        honest = context.parameters_for(step, hyper, blank)
        later = undecoded & ~mask
        refined = context.refine(step, hyper, torch.where(later, 0.0, decoded))
        for future in (decoded, -decoded, torch.full_like(decoded, LATENT_LIMIT)):
            spied = context.parameters_for(step, hyper, torch.where(undecoded, future, decoded))
            assert spied.mean[:, mask].equal(honest.mean[:, mask])
            assert spied.scale_index[:, mask].equal(honest.scale_index[:, mask])
            spied_on = context.refine(step, hyper, torch.where(later, future, decoded))
            assert spied_on[:, mask].equal(refined[:, mask])


class Forgetful(ContextModel):
    """Wraps a sound context; never decodes one element."""

    def __init__(self, sound: ContextModel) -> None:
        super().__init__()
        self.sound, self.steps, self.hyper_features = sound, sound.steps, sound.hyper_features

    def masks(self, shape: torch.Size) -> list[Tensor]:
        *earlier, last = self.sound.masks(shape)
        row, column = (side // 2 for side in shape[2:])
        return [mask & self.spared(mask, row, column) for mask in (*earlier, last)]

    def spared(self, mask: Tensor, row: int, column: int) -> Tensor:
        spared = torch.ones_like(mask)
        spared[0, row, column] = False
        return spared

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        return self.sound.parameters_for(step, hyper, decoded)


class Repetitive(Forgetful):
    """Decodes one element at every step."""

    def masks(self, shape: torch.Size) -> list[Tensor]:
        return [mask | ~self.spared(mask, 0, 0) for mask in self.sound.masks(shape)]


class Rewriting(Repetitive):
    """Sound parameters; refines what it decodes by what it has yet to decode."""

    refines = True

    def masks(self, shape: torch.Size) -> list[Tensor]:
        return self.sound.masks(shape)

    def refine(self, step: int, hyper: Tensor, decoded: Tensor) -> Tensor:
        return decoded + decoded.roll(1, -1).sign() * MEAN_UNIT


class Peeping(Forgetful):
    """Looks at the very element it predicts."""

    def masks(self, shape: torch.Size) -> list[Tensor]:
        return self.sound.masks(shape)

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        honest = super().parameters_for(step, hyper, decoded)
        return GaussianParameters(honest.scale_index, honest.mean + decoded * MEAN_UNIT)


class Foreseeing(Peeping):
    """Looks one position to the left, at whatever step that one is decoded, for the scale alone."""

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        honest = self.sound.parameters_for(step, hyper, decoded)
        seen = decoded.roll(1, -1).abs() * MEAN_UNIT
        return GaussianParameters(honest.scale_index + seen, honest.mean)


@every_context
@pytest.mark.parametrize("size", COVER_SIZES, ids=str)
def test_every_latent_is_decoded_exactly_once(spec: ContextSpec, size: tuple[int, int]) -> None:
    context = exact_context(spec)
    assert_exact_cover(context, torch.Size((2, spec.latent_channels, *size)))


@every_context
def test_masks_of_a_part_are_parts_of_the_masks(spec: ContextSpec) -> None:
    """So tiles need not know where they are, and the masks of a large picture take no memory."""
    context, side = spec.build(), spec.build().period
    part = context.masks(torch.Size((1, spec.latent_channels, side, side)))
    whole = context.masks(torch.Size((1, spec.latent_channels, 3 * side, 2 * side)))
    for mask, of_part in zip(whole, part, strict=True):
        assert mask.equal(of_part.repeat(1, 3, 2))


@every_context
@pytest.mark.parametrize("size", FILE_SIZES, ids=str)
def test_parameters_ignore_what_is_not_decoded_yet(
    spec: ContextSpec, size: tuple[int, int]
) -> None:
    assert_causal(exact_context(spec), spec.latent_channels, size)


@pytest.mark.parametrize("broken", [Forgetful, Repetitive])
@pytest.mark.parametrize("size", COVER_SIZES, ids=str)
def test_a_broken_cover_is_noticed(broken: type[Forgetful], size: tuple[int, int]) -> None:
    shape = torch.Size((2, TINY.context.latent_channels, *size))
    with pytest.raises(AssertionError):
        assert_exact_cover(broken(exact_context(TINY.context)), shape)


@pytest.mark.parametrize("broken", [Peeping, Foreseeing, Rewriting])
@pytest.mark.parametrize("size", FILE_SIZES, ids=str)
def test_a_context_that_sees_the_future_is_noticed(
    broken: type[Forgetful], size: tuple[int, int]
) -> None:
    with pytest.raises(AssertionError):
        assert_causal(broken(exact_context(TINY.context)), TINY.context.latent_channels, size)


@every_context
def test_what_is_decoded_is_used(spec: ContextSpec) -> None:
    """A context that ignored its neighbours would be causal, and no context: each step counts."""
    context, channels = exact_context(spec), spec.latent_channels
    values = latents(context, channels, FILE_SIZES[0])
    hyper, decoded = values.split((context.hyper_features, channels), 1)
    masks = context.masks(decoded.shape)
    for step, mask in enumerate(masks[1:], start=1):
        known = torch.where(torch.stack(masks[:step]).any(0), decoded, 0.0)
        whole = context.parameters_for(step, hyper, known)
        for forgotten in masks[:step]:
            part = context.parameters_for(step, hyper, torch.where(forgotten, 0.0, known))
            assert not part.mean[:, mask].equal(whole.mean[:, mask])


@every_context
def test_what_is_refined_is_near_what_was_coded(spec: ContextSpec) -> None:
    """At elements of its step, by less than one; and not at all, unless it says that it refines."""
    context, channels = exact_context(spec), spec.latent_channels
    tame = latents(context, channels, FILE_SIZES[0])
    changed = False
    for values in (tame, tame * 2.0**12):
        hyper, decoded = values.split((context.hyper_features, channels), 1)
        for step, mask in enumerate(context.masks(decoded.shape)):
            found = context.refine(step, hyper, decoded)
            assert ((found - decoded).abs()[:, mask] < 1).all()
            changed |= not found.equal(decoded)
    assert changed == context.refines


@every_context
def test_a_batch_is_its_pictures(spec: ContextSpec) -> None:
    context, channels = exact_context(spec), spec.latent_channels
    values = latents(context, channels, FILE_SIZES[1], count=3)
    hyper, decoded = values.split((context.hyper_features, channels), 1)
    for step, mask in enumerate(context.masks(decoded.shape)):
        batch = context.parameters_for(step, hyper, decoded)
        for position in range(len(values)):
            own = slice(position, position + 1)
            single = context.parameters_for(step, hyper[own], decoded[own])
            assert single.mean[:, mask].equal(batch.mean[own, mask])
            assert single.scale_index[:, mask].equal(batch.scale_index[own, mask])
            refined = context.refine(step, hyper[own], decoded[own])
            assert refined[:, mask].equal(context.refine(step, hyper, decoded)[own, mask])


@every_context
def test_parameters_do_not_depend_on_threads_library_or_layout(spec: ContextSpec) -> None:
    context, channels = exact_context(spec), spec.latent_channels
    values = latents(context, channels, (12, 8))
    expected, refined = list(parameters(context, values)), list(refinements(context, values))
    for layout in settings_matrix(context):
        given = values.contiguous(memory_format=layout)
        for ours, theirs in zip(parameters(context, given), expected, strict=True):
            assert ours.mean.equal(theirs.mean)
            assert ours.scale_index.equal(theirs.scale_index)
        for ours_refined, theirs_refined in zip(refinements(context, given), refined, strict=True):
            assert ours_refined.equal(theirs_refined)


def parameters(context: ContextModel, values: Tensor) -> Iterator[GaussianParameters]:
    hyper, decoded = values.tensor_split((context.hyper_features,), 1)
    for step in range(context.steps):
        yield context.parameters_for(step, hyper, decoded)


def refinements(context: ContextModel, values: Tensor) -> Iterator[Tensor]:
    hyper, decoded = values.tensor_split((context.hyper_features,), 1)
    for step in range(context.steps):
        yield context.refine(step, hyper, decoded)


@every_context
@torch.no_grad()
def test_latents_keep_their_bits_under_autocast(spec: ContextSpec) -> None:
    """As contexts begin: what may train in bfloat16 adds nothing yet, and the rest never does."""
    transform = replace(TINY.transform, latent_channels=spec.latent_channels)
    tiling: Literal["independent", "halo"] = "halo"
    if spec.build().reach is None:
        tiling = "independent"
    torch.manual_seed(0)
    codec = LearnedImageCodec(replace(TINY, transform=transform, context=spec, tiling=tiling))
    features, channels = codec.context.hyper_features, spec.latent_channels
    values = latents(codec.context, channels, FILE_SIZES[1]).float()
    hyper, y = values.split((features, channels), 1)
    expected = codec.predict(y, hyper)
    with torch.autocast("cpu", torch.bfloat16):
        found = codec.predict(y, hyper)
    for ours, theirs in (
        (found.y_hat, expected.y_hat),
        (found.coded, expected.coded),
        (found.parameters.mean, expected.parameters.mean),
        (found.parameters.scale_index, expected.parameters.scale_index),
    ):
        assert ours.dtype == torch.float32 and ours.equal(theirs)


@every_context
def test_coded_parameters_are_on_the_grid(spec: ContextSpec) -> None:
    """However wild the latents, and the weights: they come from files."""
    context = exact_context(spec)
    wild = latents(context, spec.latent_channels, FILE_SIZES[0]) * 2.0**12
    for found in parameters(context, wild):
        wilder = GaussianParameters(found.scale_index * 2.0**20, found.mean * 2.0**20).on_grid()
        assert wilder.mean.abs().max() == LATENT_LIMIT
        for coded in (found.on_grid(), wilder):
            assert coded.mean.abs().max() <= LATENT_LIMIT
            assert (coded.mean / MEAN_UNIT).equal((coded.mean / MEAN_UNIT).round())
            assert set(coded.scale_index.unique().tolist()) <= set(range(SCALES))


@every_context
def test_a_context_is_made_of_grid_layers_alone(spec: ContextSpec) -> None:
    """Any other layer would keep its float32 parameters when the context is frozen."""
    for name, parameter in exact_context(spec).named_parameters():
        assert parameter.dtype == torch.float64, name
    assert grid.check_bounds(exact_context(spec))


@every_context
def test_a_context_needs_no_more_memory_than_it_says(spec: ContextSpec) -> None:
    """Whichever step, refining or not; and a good part of it, or budgets would be wasted."""
    context, m, side = exact_context(spec), spec.latent_channels, 16
    hyper, decoded = latents(context, m, (side, side)).split((context.hyper_features, m), 1)
    found = 0
    with exact_arithmetic():
        for step in range(context.steps):
            refines = (context.refine,) if context.refines else ()
            for work in (context.parameters_for, *refines):
                found = max(found, peak_bytes(partial(work, step, hyper, decoded)))
    values = found / EXACT_BYTES / side**2
    # `Costs` adds the inputs, and positions of the elements of a few steps.
    assert 0.3 * context.working_values < values <= context.working_values + m
