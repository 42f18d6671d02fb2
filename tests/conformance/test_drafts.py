"""Drafts, which a search measures: what quantising gives, nearly, of every codec."""

import torch

from corelic.codecs.base import CodecSpec
from corelic.codecs.files import exact_arithmetic
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.search import Search
from tests.conformance.conftest import every_codec, file_codec
from tests.conformance.test_codecs import photo

STEP = 960


@every_codec
def test_a_draft_is_what_quantising_gives_but_for_rounding(spec: CodecSpec) -> None:
    search = Search(file_codec(spec), photo(150, 100), MEMORY_BYTES, silent)
    with exact_arithmetic():
        found = search.quantise(STEP)
        draft = search.draft(STEP)
        unlike = (draft - found.latents.y_hat).abs() > 0.1
        assert unlike.float().mean() < 0.03
        # Of a gain that is hardly another, what was coded is hardly another.
        near = search.draft(STEP + 1)
        assert ((near - found.latents.y_hat).abs() > 0.1).float().mean() < 0.05
    assert bool((found.symbols != 0).any())
    assert (search.trials, search.drafts) == (3, 2)


@every_codec
def test_a_float_context_leaves_random_numbers_alone(spec: CodecSpec) -> None:
    state = torch.random.get_rng_state()
    context = file_codec(spec).float_context
    assert torch.equal(torch.random.get_rng_state(), state)
    assert {weight.dtype for weight in context.parameters()} == {torch.float32}
    assert not any(weight.requires_grad for weight in context.parameters())
