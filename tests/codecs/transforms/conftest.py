"""Every family of transforms, small, and with whatever about it is optional."""

from functools import cache

import pytest
import torch
from torch import nn

from corelic.codecs.base import TransformSpec
from corelic.codecs.transforms.depthwise import DepthwiseSpec
from corelic.codecs.transforms.lcam import LcamSpec
from corelic.codecs.transforms.residual import ResidualSpec
from corelic.codecs.transforms.swin import SwinSpec
from tests import tiny

FAMILIES: dict[str, TransformSpec] = {
    "depthwise": DepthwiseSpec(
        channels=16, latent_channels=12, analysis_blocks=(1, 1), synthesis_blocks=(1, 1)
    ),
    "residual": ResidualSpec(channels=8, latent_channels=12, blocks=2),
    "lcam": LcamSpec(
        channels=12,
        latent_channels=12,
        blocks=1,
        modules=(2, 1, 0),
        windows=(4, 2, 2),
        stretch=2,
        head_channels=2,
        shift=True,
    ),
    "lcam, long windows": LcamSpec(
        channels=12,
        latent_channels=12,
        blocks=0,
        modules=(0, 1, 1),
        windows=(8, 8, 8),
        stretch=4,
        head_channels=4,
        shift=False,
    ),
    "swin": SwinSpec(
        channels=8,
        latent_channels=12,
        dense_channels=3,
        depths=(1, 2, 2),
        heads=(2, 2, 4),
        window=4,
    ),
    "swin, odd windows": SwinSpec(
        channels=8,
        latent_channels=12,
        dense_channels=3,
        depths=(2, 1, 1),
        heads=(8, 2, 4),
        window=7,
    ),
}
every_family = pytest.mark.parametrize("family", FAMILIES)


@cache
def awake(family: str) -> tuple[nn.Module, nn.Module]:
    """Analysis and synthesis, started, with nothing at zero."""
    spec = FAMILIES[family]
    torch.manual_seed(1)
    analysis, synthesis = spec.build_analysis(), spec.build_synthesis()
    spec.start(analysis, synthesis, tiny.crops(0, 16, 128))
    for part in (analysis, synthesis):
        for parameter in part.parameters():
            if not parameter.any():
                parameter.data.normal_(
                    0, 0.2
                )  # so much that what a branch sees is not rounded away
        part.requires_grad_(False)
    return analysis, synthesis
