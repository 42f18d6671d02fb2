"""Every codec there is, with weights: its own where they ship, random ones before that.

What a codec may do differently is declared in its spec, never listed here. Two rules keep the suite
fast: a codec of full size whose weights do not ship is tested at its small size, which has the same
kinds of parts (a test holds it to that); a context model is tested at the size `sized` gives it for
few channels, and at those of the codecs in the suite.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
import torch
from torch import nn

from corelic.codecs import spec_json, store
from corelic.codecs.base import CodecSpec, ContextSpec
from corelic.codecs.context.base import ContextModel
from corelic.codecs.files import FileCodec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.registry import list_specs
from corelic.codecs.store import Weights
from corelic.entropy import grid
from tests import tiny

LIGHT_PARAMETERS = 4 * 2**20  # some 8 MiB of weights
FEW_CHANNELS = 16


def is_light(spec: CodecSpec) -> bool:
    """Whether it is tested at its own size."""
    if store.shipped(spec) is not None:
        return True
    with torch.device("meta"):
        return LearnedImageCodec(spec).parameter_count <= LIGHT_PARAMETERS


HEAVY = tuple(spec for spec in list_specs() if not is_light(spec))
SPECS = (*(spec for spec in list_specs() if spec not in HEAVY), tiny.TINY)
CONTEXTS: dict[str, ContextSpec] = {
    **{kind: spec.sized(FEW_CHANNELS) for kind, spec in spec_json.kinds("context").items()},
    **{spec.full_name: spec.context for spec in SPECS},
}
every_codec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.full_name)
every_context = pytest.mark.parametrize("spec", CONTEXTS.values(), ids=CONTEXTS.keys())


@cache
def weights_file(spec: CodecSpec) -> bytes:
    path = tiny.TINY_WEIGHTS if spec == tiny.TINY else store.shipped(spec)
    return path.read_bytes() if path is not None else tiny.untrained(spec)


@cache
def weights(spec: CodecSpec) -> Weights:
    return store.unpack(weights_file(spec), spec.full_name)


def file_codec(spec: CodecSpec) -> FileCodec:
    return FileCodec(weights(spec), torch.device("cpu"))


def is_trained(spec: CodecSpec) -> bool:
    return spec == tiny.TINY or store.shipped(spec) is not None


@cache
def exact_context(spec: ContextSpec) -> ContextModel:
    """On the grid, with random weights: what holds for them holds for any."""
    torch.manual_seed(0)
    context = spec.build()
    tiny.rouse(context)
    shape = (1, spec.latent_channels, 8, 8)
    hyper = torch.randn(1, context.hyper_features, *shape[2:])
    grid.watch(context, True)
    for step in range(context.steps):
        decoded = torch.randn(shape) * 20
        context.parameters_for(step, hyper, decoded)
        context.refine(step, hyper, decoded)
    grid.watch(context, False)
    grid.freeze(context)
    return context


@contextmanager
def _settings(threads: int, *, onednn: bool) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.backends.mkldnn.flags(enabled=onednn):
            yield
    finally:
        torch.set_num_threads(before)


def settings_matrix(*modules: nn.Module) -> Iterator[torch.memory_format]:
    """Puts the process through every setting that must not matter; yields the layout to use."""
    formats = (torch.contiguous_format, torch.channels_last)
    try:
        for threads, onednn, layout in itertools.product((1, 2), (True, False), formats):
            for module in modules:
                module.to(memory_format=layout)
            with _settings(threads, onednn=onednn):
                yield layout
    finally:
        for module in modules:
            module.to(memory_format=torch.contiguous_format)
