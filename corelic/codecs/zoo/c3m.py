"""c3m: long-range crossing attention, corner-to-center context.

Sui et al., "Corner-to-Center Long-range Context Model for Efficient Learned Image Compression",
arXiv:2311.18103, of which the abstract was at hand: all sizes are ours. The small one has windows
of at most 64 pixels, which divide every tile, so that its transform needs no whole picture; the
large one's reach 256.
"""

from dataclasses import replace

from corelic.codecs.base import CodecSpec
from corelic.codecs.context.corner_to_center import CornerToCenterSpec
from corelic.codecs.registry import register
from corelic.codecs.transforms.lcam import LcamSpec

SPEC = register(
    CodecSpec(
        name="c3m",
        generation=1,
        paper="arXiv:2311.18103",
        transform=LcamSpec(
            channels=192,
            latent_channels=320,
            blocks=3,
            modules=(2, 2, 4),
            windows=(8, 8, 8),
            stretch=2,
            head_channels=32,
            shift=False,
        ),
        context=CornerToCenterSpec(latent_channels=320, window=4, width=320, heads=10, layers=4),
        hyper_channels=192,
        lambda_min=0.0008,
        lambda_max=0.3,
        pad_multiple_px=64,  # 16 for the latents, 4 more for the hyper-latents and for windows
        tiling="independent",
        weights_licence="Apache-2.0",
    )
)

SMALL = register(
    CodecSpec(
        name="c3m_small",
        generation=1,
        paper="arXiv:2311.18103",
        transform=LcamSpec(
            channels=96,
            latent_channels=320,
            blocks=1,
            modules=(1, 2, 1),
            windows=(8, 4, 2),
            stretch=2,
            head_channels=16,
            shift=True,
        ),
        context=CornerToCenterSpec(latent_channels=320, window=4, width=128, heads=4, layers=2),
        hyper_channels=64,
        lambda_min=0.0008,
        lambda_max=0.3,
        pad_multiple_px=64,
        tiling="independent",
        weights_licence="Apache-2.0",
    )
)

# The same networks, trained further.
SECOND_SMALL = register(replace(SMALL, generation=2))
