"""Elements of a step as strided views, and gathered by index: the same ones in the same order."""

import copy
import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from corelic.codecs.context.base import ContextModel, GaussianParameters
from corelic.codecs.elements import StepElements
from corelic.codecs.files import FileCodec
from corelic.codecs.memory import Costs
from corelic.codecs.tiling import Grid
from tests.conformance.conftest import file_codec
from tests.conformance.test_codecs import photo
from tests.tiny import TINY


class WithoutLattices(ContextModel):
    """What another context says, with masks alone."""

    def __init__(self, sound: ContextModel) -> None:
        super().__init__()
        self.sound = sound
        self.steps, self.hyper_features = sound.steps, sound.hyper_features
        self.reach, self.working_values = sound.reach, sound.working_values

    def masks(self, shape: torch.Size) -> list[Tensor]:
        return self.sound.masks(shape)

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        return self.sound.parameters_for(step, hyper, decoded)


def without_lattices() -> FileCodec:
    weights = file_codec(TINY).weights
    codec = copy.deepcopy(weights.codec)
    codec.context = WithoutLattices(codec.context)
    return FileCodec(replace(weights, codec=codec), torch.device("cpu"))


def test_masks_make_the_same_files_as_lattices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corelic.codecs.elements.SELECTED", 500)  # several parts of a step
    with_lattices, with_masks, picture = file_codec(TINY), without_lattices(), photo(130, 193)
    encoded = with_lattices.encode(picture, 60)
    assert with_masks.encode(picture, 60) == encoded
    least = Costs(with_masks.codec).least_bytes(Grid(3, 4), "encode")
    assert with_masks.encode(picture, 60, memory_bytes=least) == with_lattices.encode(
        picture, 60, memory_bytes=least
    )
    decoded = with_lattices.decode(encoded).pixels
    assert np.array_equal(with_masks.decode(encoded).pixels, decoded)


def test_selected_elements_are_those_of_the_mask_in_order() -> None:
    codec = file_codec(TINY).codec
    steps = StepElements(codec, 4, torch.device("cpu"))
    whole = torch.arange(codec.spec.context.latent_channels * 8 * 12).view(-1, 8, 12)
    masks = codec.context.masks(torch.Size((1, *whole.shape)))
    for step, mask in enumerate(masks):
        selected = steps.select(step, whole)
        assert np.array_equal(selected, whole[mask].numpy())
        added = torch.zeros_like(whole)
        steps.add(step, added, torch.from_numpy(selected))
        assert added.equal(torch.where(mask, whole, 0))


def test_indexes_go_with_their_picture() -> None:
    """At once, for a budget of memory counts on it; not when garbage is next looked for."""
    codec = without_lattices().codec
    steps = StepElements(codec, 4, torch.device("cpu"))
    indexes = steps.of_channels(0, 0, codec.spec.context.latent_channels, 8, 12)
    assert steps.of_channels(0, 0, codec.spec.context.latent_channels, 8, 12) is indexes
    left = weakref.ref(steps), weakref.ref(indexes)
    gc.disable()
    try:
        del steps, indexes
        assert [reference() for reference in left] == [None, None]
    finally:
        gc.enable()
