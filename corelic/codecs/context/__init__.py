"""Context models; one file each, and `base` for what they have in common."""

from corelic.codecs.context.base import ContextModel, GaussianParameters, Lattice, to_gaussian
from corelic.codecs.context.channel_attention import ChannelAttentionSpec
from corelic.codecs.context.channel_slices import ChannelSlicesSpec
from corelic.codecs.context.checkerboard import CheckerboardSpec
from corelic.codecs.context.corner_to_center import CornerToCenterSpec
from corelic.codecs.context.hyperprior_only import HyperpriorOnlySpec
from corelic.codecs.context.quarters import QuartersSpec

__all__ = [
    "ChannelAttentionSpec",
    "ChannelSlicesSpec",
    "CheckerboardSpec",
    "ContextModel",
    "CornerToCenterSpec",
    "GaussianParameters",
    "HyperpriorOnlySpec",
    "Lattice",
    "QuartersSpec",
    "to_gaussian",
]
