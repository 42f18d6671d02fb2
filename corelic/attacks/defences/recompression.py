"""JPEG, or any other codec, before the codec: what it does not keep is gone.

    x ─ 8 bits ─ encode ─ decode ─► x'          gradient: the identity's (BPDA)

Guo et al., "Countering Adversarial Images using Input Transformations", ICLR 2018,
arXiv:1711.00117, for classifiers; a quality of 75 is theirs. Published figures of robustness were
soon found to be masked gradients (Athalye et al. 2018), hence the gradient above.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corelic.attacks.defences.base import Cleaning, straight_through
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.codecs.base import ImageCodec
from corelic.codecs.classical import Jpeg

JPEG = Jpeg("420")  # what nearly every JPEG file is


class Recompression(Cleaning):
    """Coded and decoded once more; by JPEG, unless another codec is given."""

    def __init__(self, quality: float = 75, codec: ImageCodec = JPEG) -> None:
        self.codec, self.quality = codec, quality
        self.title = f"{codec.facts.title} at {quality:g}"

    def clean(self, x: Tensor, random: torch.Generator) -> Tensor:
        files = [self.codec.encode(picture, self.quality) for picture in pictures_of(x)]
        decoded = clip_of([self.codec.decode(data) for data in files])
        return straight_through(x, decoded.to(x))
