"""swift: the default codec. Depthwise-separable transform, four steps of context.

Ours. Ideas it builds on: depthwise-separable blocks at low resolution (DCVC-RT, arXiv:2502.20762),
quarter-wise context (DCVC-DC, arXiv:2302.14402), gains for all rates (Cui et al., CVPR 2021).
"""

from dataclasses import replace

from corelic.codecs.base import CodecSpec
from corelic.codecs.context.quarters import QuartersSpec
from corelic.codecs.registry import register
from corelic.codecs.transforms.depthwise import DepthwiseSpec

TRANSFORM = DepthwiseSpec(
    channels=192, latent_channels=320, analysis_blocks=(3, 2), synthesis_blocks=(2, 4)
)
FIRST = register(
    CodecSpec(
        name="swift",
        generation=1,
        paper="docs/swift.md",
        transform=TRANSFORM,
        context=QuartersSpec(latent_channels=320, width=224, kernel_size=5, gate_channels=224),
        hyper_channels=128,
        lambda_min=0.0008,
        lambda_max=0.3,
        pad_multiple_px=64,  # 16 for the latents, 4 more for the hyper-latents
        tiling="halo",
        weights_licence="Apache-2.0",
    )
)

# The same networks, trained further.
SECOND = register(replace(FIRST, generation=2))
THIRD = register(replace(FIRST, generation=3))
FOURTH = register(replace(FIRST, generation=4))
# One more block in the analysis, whose time is the encoder's alone.
DEEPER = replace(TRANSFORM, analysis_blocks=(4, 2))
FIFTH = register(replace(FIRST, generation=5, transform=DEEPER))
SIXTH = register(replace(FIFTH, generation=6))
SEVENTH = register(replace(FIFTH, generation=7))
# And one more at either scale.
EIGHTH = register(replace(FIFTH, generation=8, transform=replace(DEEPER, analysis_blocks=(5, 3))))
NINTH = register(replace(EIGHTH, generation=9))
