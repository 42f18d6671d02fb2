"""The depthwise transform without gradients: the same numbers, fewer passes over memory.

`depthwise.py` says what the networks are. Run layer by layer, a third of their time goes into
scaling, biases and residual sums of planes that no cache holds. Here

- a plane is a matrix of positions × channels, and is added to in place;
- biases of the residual stream are carried along as one vector, and go into those of later layers;
- scales and rate strengths go into weights;
- the four-fold expansion is made and consumed for few positions at a time.

Results differ from those of `depthwise.py` by float32's rounding. What blocks add to their stream
is of the type given; the stream itself and the outermost products are in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from corelic.codecs.transforms.depthwise import (
        DepthwiseAnalysis,
        DepthwiseSynthesis,
        EqualisedBlocks,
        GatedBlock,
        Pointwise,
    )

POSITIONS = 2048  # expanded at once, in float32; in bfloat16 twice as many


def analyse(
    network: DepthwiseAnalysis, x: Tensor, quality: Tensor, *, patch: int, dtype: torch.dtype
) -> Tensor:
    """x (3, H, W), minus the level; quality (1,) -> y (M, H/16, W/16)."""
    _, height, width = x.shape
    rows, columns = height // patch, width // patch
    patches = x.view(3, rows, patch, columns, patch).permute(1, 3, 0, 2, 4)
    fine = network.fine
    weight, bias = matrix_of(network.patches)
    weight, bias = weight / fine.scale[:, None], bias / fine.scale
    stream = product(patches.reshape(rows * columns, -1), weight, None)
    bias = blocks(fine, stream.view(rows, columns, -1), bias, quality, dtype)

    weight, offset = matrix_of(network.reduce)
    weight = weight.view(len(weight), -1, 4) * fine.scale[:, None]
    offset = offset + weight.sum(2) @ bias
    # Position by position, so that whole vectors of channels are copied: 2×2 before channels.
    quads = stream.view(rows // 2, 2, columns // 2, 2, -1).permute(0, 2, 1, 3, 4)
    quads = quads.reshape(rows * columns // 4, -1)
    coarse = network.coarse
    weight = weight.transpose(1, 2).flatten(1) / coarse.scale[:, None]
    stream = product(quads, weight, None)
    planes = stream.view(rows // 2, columns // 2, -1)
    bias = blocks(coarse, planes, offset / coarse.scale, quality, dtype)
    y = (stream + bias) * coarse.scale
    return y.view(rows // 2, columns // 2, -1).permute(2, 0, 1)


def synthesise(
    network: DepthwiseSynthesis, y: Tensor, quality: Tensor, *, patch: int, dtype: torch.dtype
) -> Tensor:
    """y (M, h, w); quality (1,) -> x (3, 16h, 16w), minus the level."""
    channels, rows, columns = y.shape
    coarse, fine = network.coarse, network.fine
    stream = y.permute(1, 2, 0).reshape(rows * columns, channels) / coarse.scale
    none = torch.zeros_like(coarse.scale)
    bias = blocks(coarse, stream.view(rows, columns, -1), none, quality, dtype)

    weight, offset = matrix_of(network.extend)
    weight = weight.view(-1, 4, channels) * coarse.scale
    offset = offset.view(-1, 4) + weight @ bias
    # As in the analysis, the other way.
    weight = (weight / fine.scale[:, None, None]).transpose(0, 1).flatten(0, 1)
    offset = (offset / fine.scale[:, None]).T.flatten()
    quads = product(stream, weight, offset).view(rows, columns, 2, 2, -1)
    stream = quads.permute(0, 2, 1, 3, 4).reshape(4 * rows * columns, -1)
    none = torch.zeros_like(fine.scale)
    bias = blocks(fine, stream.view(2 * rows, 2 * columns, -1), none, quality, dtype)

    weight, offset = matrix_of(network.patches)
    weight = weight * fine.scale
    patches = product(stream, weight, offset + weight @ bias)
    patches = patches.view(2 * rows, 2 * columns, 3, patch, patch).permute(2, 0, 3, 1, 4)
    return patches.reshape(3, 2 * rows * patch, 2 * columns * patch)


def blocks(
    network: EqualisedBlocks, stream: Tensor, bias: Tensor, quality: Tensor, dtype: torch.dtype
) -> Tensor:
    """What the blocks add to `stream` (h, w, C), in place; without scales.

    The stream lacks `bias` (C,) everywhere, and lacks what is returned afterwards.
    """
    height, width, channels = stream.shape
    flat = stream.view(-1, channels)
    for block in cast("list[GatedBlock]", network.blocks):
        weight, offset = matrix_of(block.mix)
        hidden = F.leaky_relu_(product(flat, weight, offset + weight @ bias, dtype), 0.125)
        # Seen as NCHW it is channels-last.
        planes = hidden.view(1, height, width, channels).permute(0, 3, 1, 2)
        taps = block.spread.weight.to(dtype)
        spread = F.conv2d(planes, taps, padding=1, groups=channels)
        weight, offset = matrix_of(block.join)
        flat.add_(product(spread.permute(0, 2, 3, 1).reshape(-1, channels), weight, None, dtype))
        assert block.spread.bias is not None
        bias = bias + offset + weight @ block.spread.bias

        weight, offset = matrix_of(block.expand)
        offset = offset + weight @ bias
        strength = block.strength(quality)[0]
        project, of_project = matrix_of(block.project)
        weight, project = weight.to(dtype), (project * strength[:, None]).to(dtype)
        for some in torch.split(flat, POSITIONS * flat.itemsize // dtype.itemsize):
            # Nested: under a name, what is gated would live on beside the next expansion.
            some.add_(
                product(F.glu(product(some, weight, offset, dtype), dim=1), project, None, dtype)
            )
        bias = bias + strength * of_project
    return bias


def matrix_of(layer: Pointwise) -> tuple[Tensor, Tensor]:
    """Weight (O, C) and bias (O,)."""
    return layer.weight.flatten(1), layer.bias


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """x (n, C), weight (O, C) -> (n, O) of that type."""
    bias = None if bias is None else bias.to(dtype)
    # A convolution, not a matrix product: on CPUs of several makers oneDNN is the faster library.
    planes = x.to(dtype).view(1, 1, *x.shape).permute(0, 3, 1, 2)
    kernels = weight[:, :, None, None].to(dtype)
    return F.conv2d(planes, kernels, bias).permute(0, 2, 3, 1).flatten(0, 2)
