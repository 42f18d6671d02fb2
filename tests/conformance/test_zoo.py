"""The named codecs as a whole: each can be built, trained and found."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import corelic
from corelic.codecs import spec_json, store
from corelic.codecs.base import CodecSpec
from corelic.codecs.context.channel_slices import ChannelSlicesSpec
from corelic.codecs.context.corner_to_center import CornerToCenterSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.registry import list_own_specs
from corelic.entropy.grid import Snap
from corelic.errors import BadWeightsError, UntrainedCodecError
from corelic.media import Picture
from corelic.training.recipe import load_recipe
from tests.conformance.test_contexts import assert_exact_cover
from tests.tiny import TINY

RECIPES = Path(__file__).parents[2] / "recipes"
SHIPPED_BYTES = 8 * 2**20  # the most that weights of a small codec may take
every_name = pytest.mark.parametrize("spec", list_own_specs(), ids=lambda spec: spec.full_name)
UNTRAINED = tuple(spec for spec in list_own_specs() if store.shipped(spec) is None)
SMALL = tuple(spec for spec in list_own_specs() if spec.name.endswith("_small"))
every_untrained = pytest.mark.parametrize("spec", UNTRAINED, ids=lambda spec: spec.full_name)


@every_untrained
def test_a_large_codec_can_be_built_and_described(spec: CodecSpec) -> None:
    with torch.device("meta"):
        codec = LearnedImageCodec(spec)
    assert spec_json.from_json(spec_json.to_json(spec), "this test") == spec
    assert_exact_cover(codec.context, torch.Size((1, spec.context.latent_channels, 4, 8)))


@pytest.mark.parametrize("spec", SMALL, ids=lambda spec: spec.full_name)
def test_weights_of_a_small_codec_are_small(spec: CodecSpec) -> None:
    codec = LearnedImageCodec(spec)
    for module in codec.modules():
        if isinstance(module, Snap):
            module.peak = 1.0  # any grid: it takes no room
    codec.freeze()
    assert len(store.pack(codec, {})) <= SHIPPED_BYTES


@every_name
def test_every_codec_has_a_recipe(spec: CodecSpec) -> None:
    assert load_recipe(RECIPES / f"{spec.name}.yaml").codec == spec.name


@every_untrained
def test_a_codec_without_weights_says_how_to_get_them(spec: CodecSpec) -> None:
    with pytest.raises(UntrainedCodecError) as untrained:
        corelic.encode(Picture(np.zeros((8, 8), np.uint8)), codec=spec.name)
    assert (RECIPES.parent / untrained.value.recipe).is_file()
    assert spec.full_name not in untrained.value.trained


def test_the_list_says_which_codecs_are_trained() -> None:
    for found in corelic.list_codecs():
        assert (found.weights is None) == (store.shipped(found.spec) is None)


@pytest.mark.parametrize(("window", "steps"), [(2, 3), (4, 5), (8, 7)])
def test_corner_to_center_takes_a_logarithm_of_steps(window: int, steps: int) -> None:
    context = replace(CornerToCenterSpec.sized(32), window=window).build()
    assert (context.steps, context.period) == (steps, window)
    sizes = [int(mask.sum()) for mask in context.masks(torch.Size((1, 1, window, window)))]
    # One corner, and then each step doubles what is known.
    assert sizes == [1, *(2**step for step in range(steps - 1))]


def test_a_codec_pads_to_whole_windows() -> None:
    context = replace(CornerToCenterSpec.sized(16), window=8)
    with pytest.raises(ValueError, match="periods"):
        LearnedImageCodec(replace(TINY, context=context, tiling="independent"))


@pytest.mark.parametrize(
    "groups", [[], [16, 0], [8, 4], [17, -1], [16.0], ["16"], [1] * 65, 16, [[16]]], ids=str
)
def test_hostile_groups_are_bad_weights(groups: object) -> None:
    spec = replace(TINY, context=ChannelSlicesSpec.sized(16))
    plain = json.loads(spec_json.to_json(spec))
    assert spec_json.from_json(json.dumps(plain), "this test") == spec
    plain["context"]["groups"] = groups
    with pytest.raises(BadWeightsError):
        spec_json.from_json(json.dumps(plain), "this test")
