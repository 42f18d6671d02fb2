"""checkerboard: residual convolutions, two passes of context.

He et al., "Checkerboard Context Model for Efficient Learned Image Compression", CVPR 2021,
arXiv:2103.15306. The paper puts its context behind other transforms; ours is the neutral one of
comparisons, in ELIC's size (arXiv:2203.10886): 192 channels, 320 latent channels. Ours differs
beyond that in what all codecs share: one model for all rates, exact parsing.
"""

from dataclasses import replace

from corelic.codecs.base import CodecSpec
from corelic.codecs.context.checkerboard import CheckerboardSpec
from corelic.codecs.registry import register
from corelic.codecs.transforms.residual import ResidualSpec

SPEC = register(
    CodecSpec(
        name="checkerboard",
        generation=1,
        paper="arXiv:2103.15306",
        transform=ResidualSpec(channels=192, latent_channels=320, blocks=3),
        context=CheckerboardSpec(latent_channels=320, context_channels=640),
        hyper_channels=192,
        lambda_min=0.0008,
        lambda_max=0.3,
        pad_multiple_px=64,  # 16 for the latents, 4 more for the hyper-latents
        tiling="halo",
        weights_licence="Apache-2.0",
    )
)

SMALL = register(
    CodecSpec(
        name="checkerboard_small",
        generation=1,
        paper="arXiv:2103.15306",
        transform=ResidualSpec(channels=64, latent_channels=256, blocks=1),
        context=CheckerboardSpec(latent_channels=256, context_channels=128),
        hyper_channels=64,
        lambda_min=0.0008,
        lambda_max=0.3,
        pad_multiple_px=64,
        tiling="halo",
        weights_licence="Apache-2.0",
    )
)

# The same networks, trained further.
SECOND_SMALL = register(replace(SMALL, generation=2))
