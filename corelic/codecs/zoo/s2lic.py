"""s2lic: residual SwinV2 with a dense block at the pixels, channel attention over ten slices.

Wang et al., "S2LIC: Learned Image Compression with the SwinV2 Block, Adaptive Channel-wise and
Global-inter Attention Context". The full size is the paper's in transform, slices and latents;
hyperprior and gains are those of all codecs here, hence not the paper's.
"""

from dataclasses import replace

from corelic.codecs.base import CodecSpec
from corelic.codecs.context.channel_attention import ChannelAttentionSpec
from corelic.codecs.registry import register
from corelic.codecs.transforms.swin import SwinSpec

SPEC = register(
    CodecSpec(
        name="s2lic",
        generation=1,
        paper="github.com/wyq2021/S2LIC",
        transform=SwinSpec(
            channels=192,
            latent_channels=320,
            dense_channels=64,
            depths=(1, 2, 3),
            heads=(4, 8, 16),
            window=8,
        ),
        context=ChannelAttentionSpec(latent_channels=320, slice_channels=32, width=320),
        hyper_channels=192,
        lambda_min=0.0008,
        lambda_max=0.3,
        pad_multiple_px=64,  # 16 for the latents, 4 more for the hyper-latents
        tiling="independent",
        weights_licence="Apache-2.0",
    )
)

SMALL = register(
    CodecSpec(
        name="s2lic_small",
        generation=1,
        paper="github.com/wyq2021/S2LIC",
        transform=SwinSpec(
            channels=56,
            latent_channels=192,
            dense_channels=24,
            depths=(1, 1, 1),
            heads=(2, 4, 4),
            window=8,
        ),
        context=ChannelAttentionSpec(latent_channels=192, slice_channels=48, width=64),
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
