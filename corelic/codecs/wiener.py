"""The filter that a file brings along for its picture.

    x̂ ─ clamp ─┬──────────────────────────────────────► + ─► picture
               └─► filter, its numbers in the file ─────┘

What a file says of it, and what that makes of decoded pixels; `codecs.wiener_fit` finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from corelic.entropy.container import ChunkType, Colour, Container, label
from corelic.errors import ChunkError

MARGIN_PX = 2  # at most, that a filtered pixel sees each way
LEVEL = 0.5  # subtracted from x in [0, 1]
PLANES = 3
# What a plane is corrected by: a constant, the three planes, and of each second differences, to
# the eight pixels around, to the sixteen around these, and with both first ones of each clipped.
NEAR = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows, columns
FAR = ((0, 2), (2, 0), (2, 2), (2, -2), (1, 2), (1, -2), (2, 1), (2, -1))
CLIPPED = NEAR + FAR[:4]
FIRST_NEAR = 1 + PLANES
FIRST_FAR = FIRST_NEAR + PLANES * len(NEAR)
FIRST_CLIPPED = FIRST_FAR + PLANES * len(FAR)
TERMS = FIRST_CLIPPED + PLANES * len(CLIPPED)
# A number's unit is this power of two, less one for each step of precision.
UNIT_EXPONENT = np.array([-10] + PLANES * [-7] + (TERMS - FIRST_NEAR) * [-5])
FORMS = 4
CLIPPING = 3  # the form with clipped and with far differences
CLIPS = range(16)
PRECISIONS = range(6)
MOST_RICE = 7
CHUNK_BITS = 8 * 7  # type, length and CRC-32; the header says in one byte more that it is there
CHUNK_PIXELS = 2**17  # whose differences are made at once: in a cache, and not too many calls


def largest(precision: int) -> NDArray[np.int64]:
    """(TERMS,): numbers of so much precision, either way; no weight is beyond 1."""
    found: NDArray[np.int64] = 2 ** (precision - UNIT_EXPONENT)
    return found


# No payload has more: each number as long as it gets.
MOST_BYTES = 2 + -(-PLANES * int((2 * largest(PRECISIONS[-1]) + 1 + MOST_RICE).sum()) // 8)


def _opponents() -> NDArray[np.float64]:
    """(3, 3) orthonormal: rows Y, Cb, Cr; columns red, green, blue."""
    rows = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, 2.0], [1.0, -1.0, 0.0]])
    found: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


OPPONENTS = _opponents()


def opponents_of(x: Tensor) -> Tensor:
    """Red, green and blue (3, h, w) -> Y, Cb, Cr."""
    return torch.einsum("ac,chw->ahw", torch.from_numpy(OPPONENTS).to(x), x)


def terms_of(form: int, plane: int) -> list[int]:
    """Which of the terms a plane is corrected by.

    0 without differences, 1 its own near ones, 2 all near ones, 3 its own far and clipped ones, too
    """

    def own(first: int, each: int) -> range:
        return range(first + plane * each, first + (plane + 1) * each)

    level, near = range(FIRST_NEAR), range(FIRST_NEAR, FIRST_FAR)
    if form == 0:
        return [*level]
    if form == 1:
        return [*level, *own(FIRST_NEAR, len(NEAR))]
    if form == 2:
        return [*level, *near]
    return [*level, *near, *own(FIRST_FAR, len(FAR)), *own(FIRST_CLIPPED, len(CLIPPED))]


@dataclass(frozen=True, slots=True)
class WienerFilter:
    """What a file says of its picture's filter.

    form       how many terms there are; see `terms_of`
    precision  of all numbers, in bits beyond the least
    numbers    plane after plane, in the order of terms: of Y, then Cb and Cr, or of Y alone
    clip       differences of form 3 are clipped to 2^(−clip / 2); 0 of other forms
    """

    form: int
    precision: int
    numbers: tuple[int, ...]
    clip: int = 0

    def weights(self) -> NDArray[np.float64]:
        """(3, TERMS): corrected plane, term."""
        found = np.zeros((PLANES, TERMS))
        numbers = iter(self.numbers)
        for plane in range(self._planes):
            for term in terms_of(self.form, plane):
                found[plane, term] = next(numbers) * 2.0 ** (UNIT_EXPONENT[term] - self.precision)
        return found

    @property
    def _planes(self) -> int:
        return len(self.numbers) // len(terms_of(self.form, 0))

    @property
    def margin_px(self) -> int:
        """How far a filtered pixel sees each way."""
        return 2 if self.form == CLIPPING else 1

    def convolution(self) -> tuple[Tensor, Tensor]:
        """Weight (3, 3, n, n) and bias (3,), float32: from RGB in [0, 1] to filtered RGB.

        Without what is clipped.
        """
        weights = self.weights()
        middle = self.margin_px
        kernel = np.zeros((PLANES, PLANES, 2 * middle + 1, 2 * middle + 1))
        kernel[:, :, middle, middle] = weights[:, 1:FIRST_NEAR]
        for first, moves in ((FIRST_NEAR, NEAR), (FIRST_FAR, FAR))[:middle]:
            for number, (row, column) in enumerate(moves):
                stop = first + PLANES * len(moves)
                each = weights[:, first + number : stop : len(moves)]  # corrected plane, plane
                for sign in (1, -1):
                    kernel[:, :, middle + sign * row, middle + sign * column] += each
                kernel[:, :, middle, middle] -= 2 * each
        kernel = np.einsum("ap,abij,bq->pqij", OPPONENTS, kernel, OPPONENTS)
        bias = OPPONENTS.T @ weights[:, 0] - LEVEL * kernel.sum((1, 2, 3))
        kernel[:, :, middle, middle] += np.eye(PLANES)
        return torch.from_numpy(kernel).float(), torch.from_numpy(bias).float()

    def applied(self, x_hat: Tensor) -> Tensor:
        """Decoded pixels (3, h + 2 · margin, w + 2 · margin) -> (3, h, w), not clamped."""
        weight, bias = (part.to(x_hat.device) for part in self.convolution())
        x_hat = x_hat.clamp(0, 1)
        found = F.conv2d(x_hat.unsqueeze(0), weight, bias)[0]
        if self.form == CLIPPING:
            found += self._clipped(x_hat)
        return found

    def _clipped(self, x_hat: Tensor) -> Tensor:
        """What clipped differences add: (3, h + 4, w + 4) -> (3, h, w)."""
        weights = self.weights()[:, FIRST_CLIPPED:].reshape(PLANES, PLANES, len(CLIPPED))
        planes = opponents_of(x_hat).contiguous()
        found = torch.zeros_like(planes)
        for plane in range(self._planes):
            add_clipped(planes[plane], weights[plane, plane], clip_level(self.clip), found[plane])
        found = found[:, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
        return torch.einsum("ac,ahw->chw", torch.from_numpy(OPPONENTS).to(found), found)

    @property
    def payload_bytes(self) -> int:
        """How many `payload` has."""
        return 1 + (self.form == CLIPPING) + -(-int(self._rice_bits().min()) // 8)

    def _folded(self) -> NDArray[np.int64]:
        numbers = np.array(self.numbers, np.int64)
        return np.where(numbers >= 0, 2 * numbers, -2 * numbers - 1)

    def _rice_bits(self) -> NDArray[np.int64]:
        """What the numbers take under each Rice parameter."""
        parameters = np.arange(MOST_RICE + 1)[:, None]
        bits: NDArray[np.int64] = ((self._folded() >> parameters) + 1 + parameters).sum(1)
        return bits

    def payload(self) -> bytes:
        """As `filter_of` reads it."""
        rice = int(self._rice_bits().argmin())
        bits: list[int] = []
        for n in self._folded().tolist():
            bits += (n >> rice) * [1] + [0]
            bits += [n >> place & 1 for place in reversed(range(rice))]
        first = self.form + 4 * self.precision + 32 * rice
        second = [self.clip] if self.form == CLIPPING else []
        return bytes([first, *second]) + np.packbits(np.array(bits, np.uint8)).tobytes()


def filter_in(content: Container) -> WienerFilter | None:
    """ChunkError for a chunk that holds none."""
    payload = content.payload(ChunkType.FILTER)
    grey = content.header.colour is Colour.GREY
    return None if payload is None else filter_of(payload, grey=grey)


def filter_of(payload: bytes, *, grey: bool) -> WienerFilter:
    """ChunkError for what no filter of a picture of such colour is written as."""
    if not payload or len(payload) > MOST_BYTES:
        raise _refused(f"it has {len(payload):,} bytes, not 1 to {MOST_BYTES:,}")
    form, precision, rice = payload[0] & 3, payload[0] >> 2 & 7, payload[0] >> 5
    if precision not in PRECISIONS:
        raise _refused(f"its precision is {precision}; there are 0 to {PRECISIONS[-1]}")
    second = payload[1:2] if form == CLIPPING else b"\0"
    if not second or second[0] not in CLIPS:
        raise _refused(f"it clips at none of {CLIPS[0]} to {CLIPS[-1]}")
    offset = 2 if form == CLIPPING else 1
    bits = iter(np.unpackbits(np.frombuffer(payload, np.uint8)[offset:]).tolist())
    planes = 1 if grey else PLANES
    try:
        count = planes * len(terms_of(form, 0))
        numbers = tuple([_number(bits, rice) for _ in range(count)])
    except StopIteration:
        raise _refused("it ends within a number") from None
    left = list(bits)
    if len(left) >= 8 or any(left):
        raise _refused("it goes on after its last number")
    found = WienerFilter(form, precision, numbers, second[0])
    if np.abs(found.weights()).max() > 1:
        raise _refused("a weight in it is beyond 1")
    return found


def clip_level(clip: int) -> float:
    """Of pixels in [0, 1]."""
    return float(2.0 ** (-clip / 2))


def add_clipped(plane: Tensor, weights: NDArray[np.float64], level: float, found: Tensor) -> None:
    """To each pixel of `found`, the differences to its pixels around, clipped and weighted.

    Both planes are (h, w), contiguous; what is added within two pixels of an edge means nothing.
    """
    # Rows end to end: a move is so many pixels along, and what it takes from one row to the next
    # are edges. Operations on two dimensions took up to twice the time.
    pixels, added = plane.view(-1), found.view(-1)
    changes = torch.empty_like(pixels[:CHUNK_PIXELS])
    for start in range(0, len(pixels), CHUNK_PIXELS):
        for weight, (row, column) in zip(weights.tolist(), CLIPPED, strict=True):
            move = row * plane.shape[1] + column
            stop = min(start + CHUNK_PIXELS, len(pixels) - move)
            if weight and start < stop:
                here, there = slice(start, stop), slice(start + move, stop + move)
                change = torch.sub(pixels[there], pixels[here], out=changes[: stop - start])
                change.clamp_(-level, level)
                # What a pixel is ahead of another, that one is behind it.
                added[here].add_(change, alpha=weight)
                added[there].sub_(change, alpha=weight)


def _number(bits: Iterator[int], rice: int) -> int:
    folded = 0
    while next(bits):
        folded += 1
    for _ in range(rice):
        folded = 2 * folded + next(bits)
    return -(folded + 1) // 2 if folded % 2 else folded // 2


def _refused(why: str) -> ChunkError:
    return ChunkError(label(ChunkType.FILTER), why)
