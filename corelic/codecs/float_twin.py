"""The same weights in float: a codec that has gradients, beside the exact one that has none.

    exact codec (float64 on its grid, floors, tables) ── weights ──► float twin (differentiable)

A published codec's parsing path is frozen to a grid, and what it floors has no gradient. Its twin
computes the same functions without the floors, so that it can be attacked, explained or trained on;
it makes no files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corelic.codecs.context.base import ContextModel
from corelic.codecs.learned import LearnedImageCodec
from corelic.entropy.grid import GridTable


def float_twin(codec: LearnedImageCodec) -> LearnedImageCodec:
    """A codec in float32 with the weights of an exact one, on its device.

    It is set to evaluate, and its weights want no gradients, which halves the cost of those with
    respect to the picture.
    """
    device = next(codec.parameters()).device
    with torch.device("meta"):  # starting weights would cost time, and draw random numbers
        twin = LearnedImageCodec(codec.spec)
    twin.to_empty(device=device)
    copy_weights(codec, twin)
    twin.eval()
    return twin.requires_grad_(False)


def float_context(codec: LearnedImageCodec) -> ContextModel:
    """The context alone, as `float_twin` has it."""
    # On "meta" they would cost nothing but the import of what torch needs for that, half a second.
    with torch.random.fork_rng(devices=[]):
        twin = codec.spec.context.build()
    twin.load_state_dict(parameters_of(codec.context, twin))
    twin.to(next(codec.parameters()).device).eval()
    return twin.requires_grad_(False)


def copy_weights(source: LearnedImageCodec, target: LearnedImageCodec) -> None:
    """Into a codec in float; RuntimeError where `source` is of another architecture."""
    target.load_state_dict(parameters_of(source, target))


def parameters_of(source: nn.Module, target: nn.Module) -> dict[str, Tensor]:
    """Those of `source` for `target`, the same in float, as its state in float32.

    RuntimeError where `target` has no place for one; it may have more.
    """
    # Lookup tables are made when a codec moves to the grid; one in float has none.
    tables = {
        f"{name}.table" for name, part in target.named_modules() if isinstance(part, GridTable)
    }
    given = source.state_dict()
    homeless = given.keys() - target.state_dict().keys()
    if homeless:
        raise RuntimeError(f"there is no place for {min(homeless)}")
    return {
        name: tensor if name in tables else given[name].float()
        for name, tensor in target.state_dict().items()
        if name in given
    }
