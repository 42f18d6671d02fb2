"""Pairs of analysis and synthesis transform; one file per family."""

from corelic.codecs.transforms.depthwise import DepthwiseSpec
from corelic.codecs.transforms.lcam import LcamSpec
from corelic.codecs.transforms.residual import ResidualSpec
from corelic.codecs.transforms.swin import SwinSpec

__all__ = ["DepthwiseSpec", "LcamSpec", "ResidualSpec", "SwinSpec"]
