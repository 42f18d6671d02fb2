"""What networks cost: parameters, and multiply-accumulate operations per pixel.

    spec ─► networks without numbers (fake tensors) ─► shapes of every product ─► MAC / pixel

Counted are the products of convolutions, matrix products and attention, as the literature does;
elementwise work, lookups and the entropy coder are not. The networks are those that train: the
exact ones do the same products. No arithmetic takes place, so any picture size takes the same
memory; a network that looks at values to decide what to compute cannot be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from corelic.codecs.base import CodecSpec, TransformSpec
from corelic.codecs.learned import HYPER_STRIDE, LearnedImageCodec
from corelic.codecs.rate import nearest_node

QUALITY = 50.0  # any: what is computed does not depend on it
SIZE_PX = (512, 768)  # height, width of a Kodak picture


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a network.

    parameters       trained numbers
    kmac_per_pixel   thousands of multiply-accumulate operations per pixel of the picture
    """

    parameters: int
    kmac_per_pixel: float


@dataclass(frozen=True, slots=True)
class TransformCost:
    """Of a transform, at one picture size."""

    analysis: Cost
    synthesis: Cost

    @property
    def parameters(self) -> int:
        return self.analysis.parameters + self.synthesis.parameters


@dataclass(frozen=True, slots=True)
class CodecCost:
    """Of a learned codec, at one picture size.

    parameters  all of them: those of the networks, gains and prior
    context     all its steps
    """

    parameters: int
    analysis: Cost
    hyper_analysis: Cost
    hyper_synthesis: Cost
    context: Cost
    synthesis: Cost

    @property
    def encode_kmac_per_pixel(self) -> float:
        """What a file takes; synthesis for its filter, which `fast` leaves out."""
        before = self.analysis.kmac_per_pixel + self.hyper_analysis.kmac_per_pixel
        return before + self.decode_kmac_per_pixel

    @property
    def decode_kmac_per_pixel(self) -> float:
        parts = (self.hyper_synthesis, self.context, self.synthesis)
        return sum(part.kmac_per_pixel for part in parts)


def transform_cost(spec: TransformSpec, size_px: tuple[int, int] = SIZE_PX) -> TransformCost:
    """size_px: height and width, padded up to what latents divide."""
    rows, columns = _cells(size_px, spec.stride_px)
    with FakeTensorMode():
        analysis, synthesis = spec.build_analysis(), spec.build_synthesis()
        x = torch.zeros(1, 3, rows * spec.stride_px, columns * spec.stride_px)
        y = torch.zeros(1, spec.latent_channels, rows, columns)
        quality = torch.full((1,), QUALITY)
        macs = (macs_of(lambda: analysis(x, quality)), macs_of(lambda: synthesis(y, quality)))
    pixels = x.shape[-2] * x.shape[-1]
    found = (
        Cost(parameter_count(network), mac / pixels / 1000)
        for network, mac in zip((analysis, synthesis), macs, strict=True)
    )
    return TransformCost(*found)


def codec_cost(spec: CodecSpec, size_px: tuple[int, int] = SIZE_PX) -> CodecCost:
    """size_px: height and width, padded up to what the codec pads to."""
    rows, columns = _cells(size_px, spec.pad_multiple_px)
    height_px, width_px = rows * spec.pad_multiple_px, columns * spec.pad_multiple_px
    stride_px, m = spec.transform.stride_px, spec.transform.latent_channels
    hyper_px = stride_px * HYPER_STRIDE
    with FakeTensorMode():
        codec = LearnedImageCodec(spec)
        x, quality = torch.zeros(1, 3, height_px, width_px), torch.full((1,), QUALITY)
        y = torch.zeros(1, m, height_px // stride_px, width_px // stride_px)
        z = torch.zeros(1, spec.hyper_channels, height_px // hyper_px, width_px // hyper_px)
        hyper = torch.zeros(1, codec.context.hyper_features, *y.shape[2:])
        works: tuple[tuple[nn.Module, Callable[[], object]], ...] = (
            (codec.analysis, lambda: codec.latents_of(x, quality)),
            (codec.hyper_analysis, lambda: codec.hyper_latents_of(y)),
            (codec.hyper_synthesis, lambda: codec.hyper_synthesis(z, nearest_node(quality))),
            (codec.context, lambda: codec.predict(y, hyper)),
            (codec.synthesis, lambda: codec.pixels_of(y, quality)),
        )
        macs = [macs_of(work) for _, work in works]
    found = (
        Cost(parameter_count(network), mac / (height_px * width_px) / 1000)
        for (network, _), mac in zip(works, macs, strict=True)
    )
    return CodecCost(codec.parameter_count, *found)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def macs_of(work: Callable[[], object]) -> int:
    """Multiply-accumulate operations of what `work` does, with real or with fake tensors."""
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    counter = FlopCounterMode(display=False, custom_mapping=attention)
    with torch.no_grad(), counter:
        work()
    operations: int = counter.get_total_flops()
    return operations // 2  # a multiplication and an addition are two


def _attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    """PyTorch's counter knows the kernels of GPUs, and takes that of CPUs for free."""
    *batch, queries, width = query
    keys, value_width = key[-2], value[-1]
    windows = int(torch.Size(batch).numel())
    return 2 * windows * queries * keys * (width + value_width)


def _cells(size_px: tuple[int, int], unit_px: int) -> tuple[int, int]:
    height_px, width_px = size_px
    return -(-height_px // unit_px), -(-width_px // unit_px)
