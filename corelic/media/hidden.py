"""Colours that nobody sees: those under an alpha of 0.

Whatever a program left there, black as a rule, makes an edge all around what is visible, and edges
cost bits. Here the visible colours go on, ever more smoothly, into what is hidden.

    blocks of 8 × 8 ─► mean of what is visible ─► holes from coarser means ─► bilinear ─► pixels
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corelic.media.picture import Picture, Samples

BLOCK_PX = 8

Means = NDArray[np.floating[Any]]


def smooth_hidden(picture: Picture) -> Picture:
    """The same picture to look at; pixels of alpha 0 in colours that cost few bits."""
    if picture.alpha is None or picture.alpha.all():
        return picture
    visible = picture.alpha != 0
    pixels = picture.pixels.copy()
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels  # a view
    weights = _block_sums(visible)
    for channel in range(planes.shape[2]):
        plane = planes[:, :, channel]
        plane[~visible] = _continued(plane, visible, weights)[~visible]
    return replace(picture, pixels=pixels)


def _continued(plane: Samples, visible: NDArray[np.bool_], weights: Means) -> Samples:
    """(H, W): the means of blocks, as smooth as can be, over all of the plane."""
    height, width = plane.shape
    sums = _block_sums(np.where(visible, plane, 0))
    means = Image.fromarray(_without_holes(sums, weights).astype(np.float32))
    # Of the last, incomplete blocks, only as much as there is.
    box = (0, 0, width / BLOCK_PX, height / BLOCK_PX)
    smooth = means.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return (np.asarray(smooth) + 0.5).astype(plane.dtype)


def _block_sums(plane: NDArray[Any]) -> Means:
    """(H, W) -> (H / 8, W / 8), rounded up."""
    rows, columns = (np.arange(0, side, BLOCK_PX) for side in plane.shape)
    bands = np.add.reduceat(plane, rows, axis=0, dtype=np.float64)
    return np.asarray(np.add.reduceat(bands, columns, axis=1), np.float64)


def _without_holes(sums: Means, weights: Means) -> Means:
    """sums / weights, and where weights are 0 the same of 2 × 2, of 4 × 4, …"""
    holes = weights == 0
    means: Means = sums / np.where(holes, 1, weights)
    if not holes.any() or sums.size == 1:
        return means
    rows, columns = sums.shape
    # Each block counts once, however much of it is visible: a mean of colours, not of pixels.
    coarse = _without_holes(_halved(means), _halved(np.where(holes, 0.0, 1.0)))
    found = Image.fromarray(coarse.astype(np.float32)).resize(
        (columns, rows), Image.Resampling.BILINEAR, box=(0, 0, columns / 2, rows / 2)
    )
    filled: Means = np.where(holes, np.asarray(found), means)
    return filled


def _halved(blocks: Means) -> Means:
    """Sums of 2 × 2."""
    rows, columns = blocks.shape
    padded: Means = np.pad(blocks, ((0, rows % 2), (0, columns % 2)))
    sums: Means = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).sum((1, 3))
    return sums
