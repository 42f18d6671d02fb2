"""RGB to YCbCr planes and back, for codecs that take nothing else: BT.709, full range, 10 bits.

ITU-R BT.709-6 for the matrix; full range as in H.273, VideoFullRangeFlag 1. Ten bits, because at
eight the conversion alone costs what a good file would still show. Computed here, not by a scaler
library, so that every peer gets the same samples.
"""

import numpy as np
from numpy.typing import NDArray

KR, KB = 0.2126, 0.0722
BITS = 10
PEAK = 2**BITS - 1
GREY = 2 ** (BITS - 1)

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]


def to_planes(pixels: NDArray[np.uint8], *, halved_chroma: bool) -> list[Samples]:
    """(H, W, 3) RGB or (H, W) grey -> Y, Cb, Cr; chroma (H/2, W/2) means of 2 × 2 where halved."""
    rgb = np.broadcast_to(np.atleast_3d(pixels), (*pixels.shape[:2], 3)) / 255
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    chroma = [(blue - luma) / (2 - 2 * KB), (red - luma) / (2 - 2 * KR)]
    if halved_chroma:
        height, width = luma.shape
        chroma = [c.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for c in chroma]
    return [_rounded(luma * PEAK), *(_rounded(c * PEAK + GREY) for c in chroma)]


def to_rgb(planes: list[Samples]) -> NDArray[np.uint8]:
    """The inverse, rounded to (H, W, 3) uint8; halved chroma is interpolated linearly."""
    luma = planes[0] / PEAK
    blue_ness, red_ness = ((c.astype(np.float64) - GREY) / PEAK for c in planes[1:])
    if blue_ness.shape != luma.shape:
        blue_ness, red_ness = _doubled(blue_ness), _doubled(red_ness)
    red = luma + (2 - 2 * KR) * red_ness
    blue = luma + (2 - 2 * KB) * blue_ness
    green = (luma - KR * red - KB * blue) / (1 - KR - KB)
    rgb = np.stack([red, green, blue], axis=-1)
    pixels: NDArray[np.uint8] = np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _rounded(values: Floats) -> Samples:
    samples: Samples = np.rint(values.clip(0, PEAK)).astype(np.uint16)
    return samples


def _doubled(plane: Floats) -> Floats:
    """(h, w) -> (2h, 2w), linear between positions that means of 2 × 2 have; edges repeat."""
    for axis in (0, 1):
        places = np.arange(plane.shape[axis])
        before = plane.take((places - 1).clip(0), axis)
        after = plane.take((places + 1).clip(max=places[-1]), axis)
        pair = [0.75 * plane + 0.25 * beside for beside in (before, after)]
        shape = [side * (1 + (axis == place)) for place, side in enumerate(plane.shape)]
        plane = np.stack(pair, axis + 1).reshape(shape)
    return plane
