"""A filter fitted to one picture: what its encoder alone knows of the decoder's error.

    x ────────────────────────────┐
    x̂ ─ clamp ─ terms of a pixel ─┴─► sums of products ─► least squares ─► rounded, by λ ─► filter

Least squares between a picture and what its file decodes to, as Wiener filters of AV1 and the
adaptive loop filter of VVC are found (Karczewicz et al., "VVC In-Loop Filters", IEEE TCSVT 31(10),
2021, section IV), whose clipping of differences is here, too. Ours differs: each plane of an
orthonormal YCbCr is corrected from all three, the number of terms and their precision are chosen by
rate and distortion, a difference counts both with clipping and without, and numbers are rounded one
after the other, each making up for those before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corelic.codecs.wiener import (
    CHUNK_BITS,
    CLIPPED,
    CLIPPING,
    CLIPS,
    FAR,
    FIRST_FAR,
    FIRST_NEAR,
    FORMS,
    LEVEL,
    MARGIN_PX,
    NEAR,
    PLANES,
    PRECISIONS,
    UNIT_EXPONENT,
    WienerFilter,
    clip_level,
    largest,
    opponents_of,
    terms_of,
)

# Two to three times the root mean square of errors of `swift` on photographs, by λ.
CLIP_LEVEL, CLIP_LAMBDA, CLIP_SLOPE = 0.087, 0.0008, -0.283
ENOUGH_PIXELS = 2**16  # of larger pictures a share of the rows tells as much
# Of rows, always odd: synthesis makes patches of 8 or 16 rows, and each row of them shall count.
LARGEST_STEP = 7
STRIP_PIXELS = 2**16  # whose terms are made at once
OWN = len(FAR) + len(CLIPPED) + 1  # what form 3 has of a plane for itself alone, and its error
RIDGE = 1e-6  # added to the variance of each term: where a picture is flat, several are one


def clip_for(lambda_: float) -> int:
    """At which differences are best clipped, by λ: in half powers of two below 1."""
    level = CLIP_LEVEL * (lambda_ / CLIP_LAMBDA) ** CLIP_SLOPE
    return int(np.clip(round(-2 * np.log2(level)), CLIPS[0], CLIPS[-1]))


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """Numbers of a form, at each precision that is tried.

    numbers  (precisions, planes, terms)
    gains    (precisions,): by how much they lower the sum of squared errors
    """

    numbers: NDArray[np.int64]
    gains: NDArray[np.float64]


class Fit:
    """Sums over a picture from which its filter follows, added up tile by tile.

    pixels  of the whole picture: those that are sampled stand for all of them
    clip    where differences are clipped
    """

    def __init__(self, pixels: int, clip: int) -> None:
        self.clip = clip
        step = min(max(pixels // ENOUGH_PIXELS, 1), LARGEST_STEP)
        self.row_step = step - (step % 2 == 0)
        self.pixels = pixels
        self.sampled = 0  # of them, seen or not
        # Of terms of form 3, and errors: shared ones with everything, and a plane's own ones.
        self.with_shared = np.zeros((FIRST_FAR, FIRST_FAR + PLANES * OWN))
        self.among_own = np.zeros((PLANES, OWN, OWN))

    def add(self, x: Tensor, x_hat: Tensor, seen: Tensor | None = None) -> None:
        """Pixels (3, h, w) in [0, 1], and decoded (3, h + 4, w + 4), with a margin.

        seen  (h, w) bool, those that count; all unless given
        """
        _, height, width = x.shape
        strip = max(STRIP_PIXELS // width, 1) * self.row_step
        for top in range(0, height, strip):
            rows = slice(top, min(top + strip, height))
            around = x_hat[:, top : rows.stop + 2 * MARGIN_PX]
            self._add_strip(x[:, rows], around, None if seen is None else seen[rows])

    def _add_strip(self, x: Tensor, x_hat: Tensor, seen: Tensor | None) -> None:
        _, height, width = x.shape
        rows = slice(0, height, self.row_step)
        lines = {}  # (3, rows, width + 4) opponent planes: those of the rows, and around them
        for row in range(-MARGIN_PX, MARGIN_PX + 1):
            at = slice(MARGIN_PX + row, MARGIN_PX + row + height, self.row_step)
            lines[row] = opponents_of(x_hat[:, at].clamp(0, 1) - LEVEL)

        def moved(row: int, column: int) -> Tensor:
            left = MARGIN_PX + column
            return lines[row][:, :, left : left + width]

        centre = moved(0, 0)
        size = centre.shape[1:]
        values = torch.empty((FIRST_FAR + PLANES * OWN, *size), device=x.device)
        values[0] = 1
        values[1:FIRST_NEAR] = centre
        near = values[FIRST_NEAR:FIRST_FAR].view(PLANES, len(NEAR), *size)
        own = values[FIRST_FAR:].view(PLANES, OWN, *size)
        far, clipped = own[:, : len(FAR)], own[:, len(FAR) : -1]
        level = clip_level(self.clip)
        for number, (row, column) in enumerate(NEAR + FAR):
            one, other = moved(row, column) - centre, moved(-row, -column) - centre
            if number < len(NEAR):
                near[:, number] = one + other
            else:
                far[:, number - len(NEAR)] = one + other
            if number < len(CLIPPED):
                clipped[:, number] = one.clamp_(-level, level) + other.clamp_(-level, level)
        own[:, -1] = opponents_of(x[:, rows] - LEVEL) - centre
        values = values.flatten(1)
        self.sampled += values.shape[1]
        if seen is not None:
            values = values[:, seen[rows].flatten()]
        own = values[FIRST_FAR:].view(PLANES, OWN, -1)
        with_shared = (values[:FIRST_FAR] @ values.T).double()
        # The rest are small differences. Float32 may not tell a flat colour from the constant.
        levels = values[:FIRST_NEAR].double()
        with_shared[:FIRST_NEAR, :FIRST_NEAR] = levels @ levels.T
        self.with_shared += with_shared.cpu().numpy()
        self.among_own += (own @ own.mT).cpu().numpy()

    def products(self, *, grey: bool) -> NDArray[np.float64]:
        """(planes, 33, 33): of terms that form 3 corrects each by, and of its error, summed up."""
        planes = 1 if grey else PLANES
        found = np.empty((planes, FIRST_FAR + OWN, FIRST_FAR + OWN))
        beside = self.with_shared[:, FIRST_FAR:].reshape(FIRST_FAR, PLANES, OWN).swapaxes(0, 1)
        found[:, :FIRST_FAR, :FIRST_FAR] = self.with_shared[:, :FIRST_FAR]
        found[:, :FIRST_FAR, FIRST_FAR:] = beside[:planes]
        found[:, FIRST_FAR:, :FIRST_FAR] = beside[:planes].swapaxes(1, 2)
        found[:, FIRST_FAR:, FIRST_FAR:] = self.among_own[:planes]
        return found

    def best(
        self, lambda_: float, *, grey: bool, most_bytes: float = math.inf
    ) -> WienerFilter | None:
        """The filter whose bits are worth most at λ; None where none is worth any.

        lambda_     of rate in bits per pixel + λ · 255² · MSE
        most_bytes  that its chunk may have
        """
        if not (np.isfinite(self.with_shared).all() and np.isfinite(self.among_own).all()):
            return None  # what such latents decode to is an error of its own
        if self.with_shared[0, 0] == 0:
            return None  # nothing of the picture can be seen
        worth = lambda_ * 255**2 / PLANES * self.pixels / self.sampled
        least, found = 0.0, None
        products = self.products(grey=grey)
        for form in range(FORMS):
            tried = rounded(products, form)
            clip = self.clip if form == CLIPPING else 0
            for precision in PRECISIONS:
                numbers = tried.numbers[precision]
                if not numbers.any():
                    continue
                candidate = WienerFilter(form, precision, tuple(numbers.flatten().tolist()), clip)
                bits = 8 * candidate.payload_bytes + CHUNK_BITS
                cost = bits - worth * float(tried.gains[precision])
                if cost < least and bits <= 8 * most_bytes:
                    least, found = cost, candidate
        return found


def rounded(products: NDArray[np.float64], form: int) -> Rounded:
    """What a form makes of the planes' errors, from `Fit.products`."""
    planes = range(len(products))
    terms = np.array([terms_of(form, plane) for plane in planes])
    every = [terms_of(CLIPPING, plane) for plane in planes]
    among = np.stack([np.searchsorted(*pair) for pair in zip(every, terms, strict=True)])
    at = np.array(planes)[:, None]
    with_error = products[at, among, -1]
    products = products[at[:, None], among[:, :, None], among[:, None]]
    products = products + RIDGE * products[:, :1, :1] * np.eye(terms.shape[1])
    best = np.linalg.solve(products, with_error[:, :, None])[:, :, 0]
    # Lower triangular: products = factor · factorᵀ
    factor = np.linalg.cholesky(products)
    diagonal = np.einsum("pii->pi", factor)
    units = 2.0 ** (UNIT_EXPONENT[terms] - np.array(PRECISIONS)[:, None, None])
    limits = np.stack([largest(precision)[terms] for precision in PRECISIONS])
    numbers, off = np.zeros(units.shape, np.int64), np.zeros(units.shape)
    for term in reversed(range(terms.shape[1])):
        below = factor[:, term + 1 :, term] / diagonal[:, term, None]
        made_up = (off[:, :, term + 1 :] * below).sum(2)
        number = np.floor((best[:, term] - made_up) / units[:, :, term] + 0.5)
        numbers[:, :, term] = number.clip(-limits[:, :, term], limits[:, :, term])
        off[:, :, term] = numbers[:, :, term] * units[:, :, term] - best[:, term]
    weights = numbers * units
    squares = np.einsum("npi,pij,npj->n", weights, products, weights, optimize=True)
    return Rounded(numbers, 2 * (weights * with_error).sum((1, 2)) - squares)
