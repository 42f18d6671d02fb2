"""Every codec there is, with weights: its own where they ship, random ones before that.

What a codec may do differently is declared in its spec, never listed here. Random weights show no
more when there are many: before its own ship, a codec is tested as a miniature, its parts as
`sized` makes them for few channels, and codecs of the same parts as one. Of generations that differ
in training alone the newest is tested; golden streams say that the others decode as ever.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Literal

import pytest
import torch
from torch import nn

from corelic.codecs import precision, spec_json, store
from corelic.codecs.base import CodecSpec, ContextSpec
from corelic.codecs.context.base import ContextModel
from corelic.codecs.files import FileCodec
from corelic.codecs.registry import list_specs
from corelic.codecs.store import Weights
from corelic.entropy import grid
from tests import tiny

FEW_CHANNELS = 16


def is_trained(spec: CodecSpec) -> bool:
    return spec == tiny.TINY or store.shipped(spec) is not None


def miniature(spec: CodecSpec) -> CodecSpec:
    """The same kinds of parts, in a codec that takes milliseconds."""
    transform = type(spec.transform).sized(FEW_CHANNELS)
    context = type(spec.context).sized(FEW_CHANNELS)
    halos = transform.analysis_halo_px, transform.synthesis_halo_px, context.build().reach
    everything = None in halos
    tiling: Literal["independent", "halo"] = "independent" if everything else "halo"
    return replace(spec, transform=transform, context=context, hyper_channels=4, tiling=tiling)


def tested() -> Iterator[CodecSpec]:
    yield tiny.TINY
    trained, untrained = {}, {}
    for spec in list_specs():  # by generation: the newest of the same networks stays
        if store.shipped(spec) is not None:
            trained[replace(spec, generation=0)] = spec
        else:
            untrained[type(spec.transform), type(spec.context)] = miniature(spec)
    yield from (*trained.values(), *untrained.values())


SPECS = tuple(tested())
CONTEXTS: dict[str, ContextSpec] = {
    **{kind: spec.sized(FEW_CHANNELS) for kind, spec in spec_json.kinds("context").items()},
    **{spec.full_name: spec.context for spec in SPECS if is_trained(spec)},
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


def unfiltered(spec: CodecSpec) -> FileCodec:
    """Whose files are without a fitted filter."""
    return FileCodec(weights(spec), torch.device("cpu"), fast=True)


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device that is not quicker in bfloat16."""
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: False)


@cache
def exact_context(spec: ContextSpec) -> ContextModel:
    """On the grid, with random weights: what holds for them holds for any."""
    torch.manual_seed(0)
    context = spec.build()
    tiny.rouse(context)
    shape = (1, spec.latent_channels, 8, 8)
    hyper = torch.randn(1, context.hyper_features, *shape[2:])
    with grid.watching(context):
        for step in range(context.steps):
            decoded = torch.randn(shape) * 20
            context.parameters_for(step, hyper, decoded)
            context.refine(step, hyper, decoded)
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
