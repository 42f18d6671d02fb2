"""What is attacked: a codec at one quality, with whatever stands before and behind it.

              ┌─ forward ─► Reconstruction: x̂ and bits of ALL streams, differentiable   (white box)
    picture ──┤
              └─ code ────► Coded: the bytes of the file, the decoded picture           (real thing)

Attacks with gradients climb `forward`; what they are worth is measured with `code`, always. Where
the real thing has no gradient, `forward` has another one in its place, and says which:

    LearnedVictim    float twin of the exact codec; rounding passes its gradient straight through,
                     or is replaced by uniform noise, as chosen
    ClassicalVictim  BPDA (Athalye, Carlini & Wagner, ICML 2018, arXiv:1802.00420): forward is the
                     codec itself; the picture's gradient is the identity's, the rate's that of a
                     proxy
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.draws import Draws
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.codecs.base import ImageCodec, Reconstruction
from corelic.codecs.files import FileCodec, open_codec, quality_step_of
from corelic.codecs.float_twin import float_twin
from corelic.codecs.learned import LearnedImageCodec, pad, straight_through_round
from corelic.codecs.rate import QUALITY_STEPS
from corelic.codecs.transforms.depthwise import PATCH, dct_matrix
from corelic.media import Picture

PROXY_STEP = 8 / 255  # quantisation of the rate's proxy: about that of JPEG at quality 75


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """What the real thing made of a picture.

    file_bytes  of the complete file
    picture     decoded, 8 bits
    """

    file_bytes: int
    picture: Picture


class Victim(ABC):
    """What is attacked: a codec at one quality, with whatever stands before and behind it."""

    title: str  # for people, as in "swift-1 at 50"
    # Whether two calls of `forward` may differ. If so, a reference is computed with the very random
    # numbers of what it is compared to, and averages over several calls are worth their cost.
    stochastic: bool = False

    @abstractmethod
    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        """x (N, 3, H, W) in [0, 1] -> x_hat like x, in [0, 1], and bits (N,) of all streams.

        Differentiable, with surrogate gradients where the real thing has none. All chance comes
        from `random`: two generators in one state give one result.
        """

    @abstractmethod
    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        """The real thing: complete file bytes, decoded picture. picture: 8 bits, RGB.

        draws  of a victim that draws lots; None: the picture's own. What is compared shares them.
        """


class LearnedVictim(Victim):
    """A learned codec at one quality: gradients from its float twin, bytes from itself.

    Gradients know nothing of the filter that a file has, which its encoder fits to the picture.

    quantiser  what stands for rounding in `forward`: "straight-through" rounds, with the gradient
               of the identity; "noise" adds uniform noise of the same width, to y and to z, for
               rate and picture alike (Ballé et al., ICLR 2017, arXiv:1611.01704, section 3)
    """

    def __init__(
        self,
        codec: str | Path | FileCodec,
        quality: float,
        *,
        quantiser: Literal["straight-through", "noise"] = "straight-through",
    ) -> None:
        self.codec = codec if isinstance(codec, FileCodec) else open_codec(codec, "cpu")
        self.quality = quality_step_of(quality) / QUALITY_STEPS
        self.quantiser = quantiser
        self.stochastic = quantiser == "noise"
        self.title = f"{self.codec.facts.title} at {self.quality:g}"
        self.twin = twin_of(self.codec.codec)

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        def with_noise(values: Tensor) -> Tensor:
            return values + torch.rand(values.shape, generator=random).to(values.device) - 0.5

        quality = self.codec.quality_tensor(self.quality).expand(len(x))
        quantise = with_noise if self.stochastic else straight_through_round
        found = self.twin(x.to(self.codec.device), quality, quantise)
        # Beyond black and white the decoder clamps, so there is nothing to be gained.
        parts = found.x_hat.clamp(0, 1), found.latent_bits, found.hyper_bits
        # All else of an attack is where its clip is.
        return Reconstruction(*(part.to(x.device) for part in parts))

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return coded_by(self.codec, picture, self.quality)


class ClassicalVictim(Victim):
    """A classical codec at one quality, with gradients that it does not have.

    x_hat  is what the codec decodes to; its gradient with respect to x is the identity's (BPDA)
    bits   are those of the file, all counted as latent_bits; their gradient is that of the proxy
           Σ log2(1 + |c| / step) / 2 over the 8×8 DCT coefficients c of every patch
    """

    def __init__(self, codec: ImageCodec, quality: float) -> None:
        self.codec, self.quality = codec, quality
        self.title = f"{codec.facts.title} at {quality:g}"

    def forward(self, x: Tensor, random: torch.Generator) -> Reconstruction:
        found = [self.code(picture) for picture in pictures_of(x)]
        x_hat = clip_of([coded.picture for coded in found]).to(x.device)
        bits = torch.tensor([8.0 * coded.file_bytes for coded in found], device=x.device)
        proxy = proxy_bits(x)
        return Reconstruction(
            x_hat=x + (x_hat - x).detach(),
            latent_bits=proxy + (bits - proxy).detach(),
            hyper_bits=torch.zeros_like(bits),
        )

    def code(self, picture: Picture, draws: Draws | None = None) -> Coded:
        return coded_by(self.codec, picture, self.quality)


def victim_of(codec: ImageCodec, quality: float) -> Victim:
    """Learned or classical, as the codec is."""
    return (
        LearnedVictim(codec, quality)
        if isinstance(codec, FileCodec)
        else ClassicalVictim(codec, quality)
    )


def coded_by(codec: ImageCodec, picture: Picture, quality: float) -> Coded:
    """Through a real file and back."""
    data = codec.encode(picture, quality)
    return Coded(len(data), codec.decode(data).in_8_bits())


def proxy_bits(x: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> (N,): smooth, and grows with what a block transform must code."""
    basis = dct_matrix().to(x)[:, :, None, None]
    coefficients = F.conv2d(F.pixel_unshuffle(pad(x, PATCH), PATCH), basis)
    return torch.log2(1 + coefficients.abs() / PROXY_STEP).sum(dim=(1, 2, 3)) / 2


@lru_cache(maxsize=8)  # modules are told apart by identity; ensembles share one for all qualities
def twin_of(codec: LearnedImageCodec) -> LearnedImageCodec:
    return float_twin(codec)
