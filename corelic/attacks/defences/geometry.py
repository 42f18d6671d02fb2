"""Random geometry: the picture is resized, padded, coded, and put back where it was.

    x ─ resize by s ─ pad above and left ─► victim ─► crop ─ resize by 1/s ─► x̂       differentiable

Xie et al., "Mitigating Adversarial Effects Through Randomization", ICLR 2018, arXiv:1711.01991, in
front of classifiers. A codec's picture must come back in place, so ours undoes both behind the
decoder, and a file says how: that, and the pixels that were added, are its RD cost. Sides only
grow, for what a smaller picture lacks cannot be put back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.defences.base import Defence
from corelic.attacks.defences.choice import with_side_bytes
from corelic.attacks.draws import Draws
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import Reconstruction
from corelic.media import Picture

SIDE_BYTES = 6  # both sides in 16 bits each, both margins in 8
SCALE_MAX, MARGIN_MAX_PX = 2.0, 255


@dataclass(frozen=True, slots=True)
class Placement:
    """One draw: the size that the picture gets, and the margins above and left of it."""

    height_px: int
    width_px: int
    above_px: int
    left_px: int


class RandomGeometry(Defence):
    """scale_max   sides grow by a factor from 1 to this
    margin_max_px  margins have from 0 to so many pixels

    With a factor of 1 and no margin nothing is changed but the bytes that say so.
    """

    stochastic = True

    def __init__(self, scale_max: float = 1.1, margin_max_px: int = 15, *, seed: int = 0) -> None:
        if not 1 <= scale_max <= SCALE_MAX or not 0 <= margin_max_px <= MARGIN_MAX_PX:
            reason = f"give a factor from 1 to {SCALE_MAX:g} and margins up to {MARGIN_MAX_PX} px"
            raise AttackError("the random geometry", reason)
        self.scale_max, self.margin_max_px, self.seed = scale_max, margin_max_px, seed
        self.title = f"random resize × {scale_max:g}, pad {margin_max_px} px"

    def draw(self, height_px: int, width_px: int, random: torch.Generator) -> Placement:
        scale = 1 + (self.scale_max - 1) * float(torch.rand((), generator=random))
        margins = torch.randint(self.margin_max_px + 1, (2,), generator=random).tolist()
        above_px, left_px = margins
        return Placement(round(height_px * scale), round(width_px * scale), above_px, left_px)

    def forward(self, victim: Victim, x: Tensor, random: torch.Generator) -> Reconstruction:
        placement = self.draw(x.shape[-2], x.shape[-1], random)
        found = victim.forward(placed(x, placement), random)
        x_hat = put_back(found.x_hat, placement, x)
        found = Reconstruction(x_hat, found.latent_bits, found.hyper_bits)
        return with_side_bytes(found, SIDE_BYTES)

    def code(self, victim: Victim, picture: Picture, draws: Draws) -> Coded:
        x = clip_of([picture])
        placement = self.draw(x.shape[-2], x.shape[-1], draws.random(self.seed))
        coded = victim.code(pictures_of(placed(x, placement))[0], draws.within())
        back = put_back(clip_of([coded.picture]), placement, x)
        return Coded(coded.file_bytes + SIDE_BYTES, pictures_of(back)[0])


def placed(x: Tensor, placement: Placement) -> Tensor:
    """x (N, 3, H, W) -> resized, with margins above and left; the codec adds its own elsewhere."""
    x = _resized(x, (placement.height_px, placement.width_px))
    # The edge repeated: a black border is an edge, and edges cost bits.
    return F.pad(x, (placement.left_px, 0, placement.above_px, 0), mode="replicate")


def put_back(x_hat: Tensor, placement: Placement, like: Tensor) -> Tensor:
    """The inverse, in the size of `like`."""
    inner = x_hat[:, :, placement.above_px :, placement.left_px :]
    return _resized(inner, (like.shape[-2], like.shape[-1]))


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    if x.shape[-2:] == size:
        return x
    larger = F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=True)
    return larger.clamp(0, 1)
