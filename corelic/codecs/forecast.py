"""What rate and error a quality will give, before anything is encoded: where searches start.

    blocks of 16 × 16 ─ orthonormal YCbCr ─ DCT, without its means ─► squares c² of coefficients
    at a level θ that falls with λ:  W = mean min(c², θ)       what reverse water-filling leaves
                                     R = mean log2(1 + c²/θ)   what coding the rest might take
    log error, log rate  =  a + b · log λ + c · log W + d · log R + e · log activity

W and R are those of Cover & Thomas, "Elements of Information Theory", section 10.3.3, with each
coefficient for its own variance; the sums of logarithms are ours, fitted by benchmarks/slopes.py
to `swift` on photographs. They are off by some 0.4 dB and a tenth of the rate (docs/log.md), and
take a hundredth of the time that encoding takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corelic.media import Samples

SIDE = 16
LOOKED_AT = 256  # blocks, evenly over the picture
LEAST = 1e-9  # of what is nothing in a blank picture, too, a logarithm is taken
AXIS = np.arange(SIDE)
# Rows are cosines, the first one is constant.
DCT = np.cos(np.pi / SIDE * AXIS[:, None] * (AXIS + 0.5)).astype(np.float32)
DCT *= np.sqrt(np.where(AXIS > 0, 2, 1) / SIDE).astype(np.float32)[:, None]
YCBCR = np.array([[1, 1, 1], [-1, -1, 2], [1, -1, 0]], np.float32)
YCBCR /= np.linalg.norm(YCBCR, axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Law:
    """How something goes with λ.

    level, fall  log θ = level − fall · log λ
    weights      of one, log λ, log W, log R and the logarithm of the activity
    """

    level: float
    fall: float
    weights: tuple[float, float, float, float, float]


ERROR = Law(2.0, 0.9, (-1.434, 0.674, 1.631, -0.802, 0.237))
RATE = Law(-1.0, 1.1, (-3.307, -1.564, -1.389, 2.233, 0.027))


class Forecast:
    """Of one picture.

    activity  mean difference between neighbours, both ways together, in units of 8 bits
    """

    def __init__(self, pixels: Samples) -> None:
        blocks = _blocks_of(pixels)
        steps = (np.abs(np.diff(blocks, axis=axis)).mean() for axis in (-2, -1))
        self.activity = float(sum(steps))
        squares = np.square(DCT @ np.einsum("ck,nkyx->ncyx", YCBCR, blocks) @ DCT.T)
        squares[..., 0, 0] = 0
        self.squares = squares

    def log_error(self, log_lambda: float) -> float:
        """Of the mean squared error, in units of 8 bits."""
        return self._told_by(ERROR, log_lambda)

    def log_rate_bpp(self, log_lambda: float) -> float:
        return self._told_by(RATE, log_lambda)

    def features(self, law: Law, log_lambda: float) -> tuple[float, float, float, float, float]:
        """What the weights are of."""
        theta = math.exp(law.level - law.fall * log_lambda)
        left = float(np.minimum(self.squares, theta).mean())
        coded = float(np.log2(1 + self.squares / theta).mean())
        return 1.0, log_lambda, _log(left), _log(coded), _log(self.activity)

    def _told_by(self, law: Law, log_lambda: float) -> float:
        features = self.features(law, log_lambda)
        return sum(weight * x for weight, x in zip(law.weights, features, strict=True))


def _log(value: float) -> float:
    return math.log(max(value, LEAST))


def _blocks_of(pixels: Samples) -> NDArray[np.float32]:
    """(blocks, 3, SIDE, SIDE), in units of 8 bits; of grey, three equal planes."""
    planes = np.broadcast_to(pixels.T, (3, *pixels.T.shape)).T if pixels.ndim == 2 else pixels
    missing = [(0, max(SIDE - length, 0)) for length in planes.shape[:2]]
    if any(after for _, after in missing):
        planes = np.pad(planes, (*missing, (0, 0)), mode="edge")
    rows, columns = (length // SIDE for length in planes.shape[:2])
    stride = -(-rows * columns // LOOKED_AT)
    while math.gcd(stride, columns) > 1:  # it would always meet the same columns
        stride += 1
    numbers = range(0, rows * columns, stride)
    corners = [(SIDE * (number // columns), SIDE * (number % columns)) for number in numbers]
    blocks = np.stack([planes[row : row + SIDE, left : left + SIDE] for row, left in corners])
    units = np.iinfo(pixels.dtype).max / 255
    return np.moveaxis(blocks, 3, 1).astype(np.float32) / np.float32(units)
