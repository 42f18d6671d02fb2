"""Between pictures of 8 bits and tensors: what an attack may hand over is a picture, not a float.

    [Picture, …] of one size ─► clip (T, 3, H, W) in [0, 1] ─► … ─► rounded ─► [Picture, …]

A clip has T frames, and a picture is a clip of one. Every sample is k/255 in float32, of which
`levels` gives back the whole number k exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from corelic.attacks.errors import AttackError
from corelic.media import Picture

PEAK = 255


def clip_of(pictures: Sequence[Picture]) -> Tensor:
    """(T, 3, H, W) float32 in [0, 1], multiples of 1/255; grey as three equal planes.

    AttackError for pictures of several sizes, or with transparency.
    """
    sizes = {(picture.width_px, picture.height_px) for picture in pictures}
    if len(sizes) != 1:
        found = ", ".join(f"{width} × {height}" for width, height in sorted(sizes)) or "none"
        raise AttackError("the clip", f"its frames have the sizes {found}; give frames of one size")
    if any(picture.alpha is not None for picture in pictures):
        raise AttackError("the clip", "a frame has transparency; flatten it onto a background")
    frames = [picture.in_8_bits().pixels for picture in pictures]
    colour = [np.repeat(frame[:, :, None], 3, 2) if frame.ndim == 2 else frame for frame in frames]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).float().div(PEAK).contiguous()


def pictures_of(clip: Tensor) -> tuple[Picture, ...]:
    """(T, 3, H, W) in [0, 1] -> 8-bit RGB pictures, rounded to the nearest level."""
    samples = levels(clip).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
    return tuple(Picture(np.ascontiguousarray(frame)) for frame in samples)


def as_rgb(picture: Picture) -> Picture:
    """8 bits, as attacks see it; AttackError where it has transparency."""
    return pictures_of(clip_of([picture]))[0]


def levels(clip: Tensor) -> Tensor:
    """(T, 3, H, W) in [0, 1] -> int64 in 0 … 255, the nearest."""
    return (clip.detach().clamp(0, 1) * PEAK + 0.5).floor().long()


def rounded(clip: Tensor) -> Tensor:
    """To multiples of 1/255, in float: what is left of a clip in 8 bits; no gradient."""
    return levels(clip).to(clip.dtype) / PEAK


def wide(per_frame: Tensor) -> Tensor:
    """(T,) -> (T, 1, 1, 1), to go with a clip."""
    return per_frame[:, None, None, None]
