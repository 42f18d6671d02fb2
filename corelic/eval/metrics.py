"""How far one picture is from another, over 8-bit samples.

The numbers of the learned-compression literature: PSNR over all channels together, and MS-SSIM
over RGB as CompressAI and pytorch-msssim compute it. Both take what a decoder really gave, rounded.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from corelic.errors import PictureError

PEAK = 255
LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709-6, of R, G, B

# Wang, Simoncelli & Bovik, "Multiscale structural similarity for image quality assessment",
# Asilomar 2003: section 3.2 for the weights; window and constants are those of SSIM.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_PX, WINDOW_SIGMA_PX = 11, 1.5
K1, K2 = 0.01, 0.03
# Below this, the window does not fit into the coarsest scale.
MS_SSIM_MIN_PX = (WINDOW_PX - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1

Pixels = NDArray[np.unsignedinteger[Any]]  # uint8; anything else is refused
Plane = NDArray[np.float64]


def mse(a: Pixels, b: Pixels) -> float:
    """(H, W) or (H, W, 3) uint8 -> mean of squared differences over all samples."""
    _check(a, b)
    return float(np.square(a.astype(np.float64) - b).mean())


def luma_mse(a: Pixels, b: Pixels) -> float:
    """(H, W, 3) uint8 -> the same over luma of BT.709, unrounded; grey is its own luma."""
    _check(a, b)
    difference = a.astype(np.float64) - b
    luma = difference if difference.ndim == 2 else difference @ LUMA
    return float(np.square(luma).mean())


def mse_as_db(mean_squared_error: float) -> float:
    """On the scale of PSNR at 8 bits; inf for 0."""
    if not mean_squared_error:
        return math.inf
    return 10 * math.log10(PEAK**2 / mean_squared_error)


def psnr_db(a: Pixels, b: Pixels) -> float:
    """(H, W) or (H, W, 3) uint8 -> dB, from one MSE over all samples; inf if they are equal."""
    return mse_as_db(mse(a, b))


def ssim(a: Pixels, b: Pixels) -> float | None:
    """(H, W) or (H, W, 3) uint8 -> [-1, 1], the mean over channels; None under 11 pixels a side."""
    _check(a, b)
    if min(a.shape[:2]) < WINDOW_PX:
        return None
    planes = (np.atleast_3d(x).transpose(2, 0, 1).astype(np.float64) for x in (a, b))
    return float(np.mean([_ssim(*pair)[0] for pair in zip(*planes, strict=True)]))


def ms_ssim(a: Pixels, b: Pixels) -> float | None:
    """(H, W) or (H, W, 3) uint8 -> [0, 1], the mean over channels; 1 if they are equal.

    None for a picture with a side under 161 pixels, which has too few scales.
    """
    _check(a, b)
    if min(a.shape[:2]) < MS_SSIM_MIN_PX:
        return None
    planes = (np.atleast_3d(x).transpose(2, 0, 1) for x in (a, b))
    return float(np.mean([_plane_ms_ssim(*pair) for pair in zip(*planes, strict=True)]))


def ms_ssim_db(similarity: float) -> float:
    """On the scale that curves are drawn in: 0.9 is 10 dB, 0.99 is 20 dB; inf for 1."""
    return -10 * math.log10(1 - similarity) if similarity < 1 else math.inf


def _check(a: Pixels, b: Pixels) -> None:
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        reason = f"hold {a.dtype} and {b.dtype}; round both to uint8 first"
        raise PictureError("the pictures", reason)
    if a.shape != b.shape or a.ndim not in (2, 3):
        reason = f"have the shapes {a.shape} and {b.shape}; compare pictures of one kind and size"
        raise PictureError("the pictures", reason)


def _plane_ms_ssim(a: Pixels, b: Pixels) -> float:
    """(H, W) each. Luminance counts at the coarsest scale only, contrast and structure at all."""
    one, other = a.astype(np.float64), b.astype(np.float64)
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        similarity, contrast = _ssim(one, other)
        last = scale == len(SCALE_WEIGHTS) - 1
        # Below 0 a power is no real number; pytorch-msssim clamps here, too.
        product *= max(similarity if last else contrast, 0.0) ** weight
        one, other = _halved(one), _halved(other)
    return product


def _ssim(a: Plane, b: Plane) -> tuple[float, float]:
    """Means over the plane: SSIM, and of it the contrast and structure term alone."""
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    mean_a, mean_b = _windowed(a), _windowed(b)
    variance_a = _windowed(a * a) - mean_a**2
    variance_b = _windowed(b * b) - mean_b**2
    covariance = _windowed(a * b) - mean_a * mean_b
    contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float((luminance * contrast).mean()), float(contrast.mean())


def _windowed(plane: Plane) -> Plane:
    """Gaussian means, only where the window fits: (H, W) -> (H - 10, W - 10)."""
    margin = WINDOW_PX // 2
    window = np.exp(-(np.arange(-margin, margin + 1) ** 2) / (2 * WINDOW_SIGMA_PX**2))
    window /= window.sum()
    rows = correlate1d(plane, window, axis=0)[margin:-margin]
    means: Plane = correlate1d(rows, window, axis=1)[:, margin:-margin]
    return means


def _halved(plane: Plane) -> Plane:
    """Means of 2 × 2; at an odd side, a zero counts in, as in `avg_pool2d(padding=1)`."""
    height, width = plane.shape
    # Not cropped: pytorch-msssim pads *before* the first row and column of an odd side.
    padded = np.pad(plane, ((height % 2, 0), (width % 2, 0)))
    tall, wide = padded.shape
    means: Plane = padded.reshape(tall // 2, 2, wide // 2, 2).mean(axis=(1, 3))
    return means
