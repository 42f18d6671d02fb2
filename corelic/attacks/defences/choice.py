"""The cheapest of several ways to code a picture: by rate and distortion against what is coded.

    ways ─► x̂ and bits of each ─► bpp + λ · 255² · MSE ─► the least, picture by picture

The encoder decides, for it has the picture; a byte in the file tells the decoder which way it was.
A choice has no gradient: an attacker gets that of the way that was chosen, which is the real one
wherever the choice does not change.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from corelic.attacks.victim import Coded
from corelic.codecs.base import Reconstruction
from corelic.codecs.rate import MSE_UNIT
from corelic.eval.metrics import mse
from corelic.media import Picture

CHOICE_BYTES = 1


def with_side_bytes(found: Reconstruction, side_bytes: int) -> Reconstruction:
    """Side information is part of the file, and counts."""
    bits = found.latent_bits + 8 * side_bytes
    return Reconstruction(found.x_hat, bits, found.hyper_bits)


def cheapest(x: Tensor, ways: Sequence[Reconstruction], lambda_: float) -> Reconstruction:
    """Of each picture in x (N, 3, H, W) the way of least cost, with its byte."""
    pixels = x.shape[-2] * x.shape[-1]
    costs = torch.stack(
        [
            way.bits / pixels + lambda_ * MSE_UNIT * (way.x_hat - x).square().mean(dim=(1, 2, 3))
            for way in ways
        ]
    ).detach()
    chosen, every = costs.argmin(dim=0), torch.arange(len(x), device=x.device)
    found = Reconstruction(
        x_hat=torch.stack([way.x_hat for way in ways])[chosen, every],
        latent_bits=torch.stack([way.latent_bits for way in ways])[chosen, every],
        hyper_bits=torch.stack([way.hyper_bits for way in ways])[chosen, every],
    )
    return with_side_bytes(found, CHOICE_BYTES)


def cheapest_coded(picture: Picture, ways: Sequence[Coded], lambda_: float) -> Coded:
    """The same from real bytes and decoded pictures."""

    def cost(way: Coded) -> float:
        rate_bpp = 8 * way.file_bytes / (picture.width_px * picture.height_px)
        return rate_bpp + lambda_ * mse(picture.pixels, way.picture.pixels)

    best = min(ways, key=cost)  # the first of equals
    return Coded(best.file_bytes + CHOICE_BYTES, best.picture)
