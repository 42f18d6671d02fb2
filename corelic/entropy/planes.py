"""One plane of integers, 8 or 16 bits each, to few bytes and back, without loss.

    plane ─► form: constant, 1, 8 or 16 bits ─► predictor ─► residual bytes ─► LZMA2

`docs/format.md` is normative. Made for alpha: masks, soft edges, gradients. The plane's size and
type are the caller's, never the payload's: decoding takes no more memory than they say.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corelic.errors import ChunkError

Plane = NDArray[np.unsignedinteger[Any]]

CONSTANT, ONE_BIT, EIGHT_BITS, SIXTEEN_BITS = 0, 1, 8, 16  # forms
AS_IS, LEFT, UP, BOTH = range(4)  # predictors
STEPS_BETWEEN = 257  # of 65535 from one of 255 levels to the next
DICTIONARY_BYTES = 2**23


def encode(plane: Plane) -> bytes:
    """(H, W) uint8 or uint16 -> form, then what that form takes."""
    least, largest = int(plane.min()), int(plane.max())
    full = np.iinfo(plane.dtype).max
    if least == largest:
        return bytes([CONSTANT]) + least.to_bytes(plane.dtype.itemsize, "little")
    if ((plane == 0) | (plane == full)).all():
        return _predicted(ONE_BIT, np.packbits(plane != 0, axis=1))
    if plane.dtype == np.uint8:
        return _predicted(EIGHT_BITS, plane)
    if not (plane % STEPS_BETWEEN).any():
        return _predicted(EIGHT_BITS, (plane // STEPS_BETWEEN).astype(np.uint8))
    return _predicted(SIXTEEN_BITS, plane)


def decode(payload: bytes, shape: tuple[int, int], bit_depth: int, name: str) -> Plane:
    """(H, W) in the unsigned type of `bit_depth`, 8 or 16; ChunkError speaks of `name`."""
    height, width = shape
    dtype = np.dtype(f"u{bit_depth // 8}")
    full = int(np.iinfo(dtype).max)
    if not payload:
        raise ChunkError(name, "it is empty")
    form, rest = payload[0], payload[1:]
    if form == CONSTANT:
        if len(rest) != dtype.itemsize:
            raise ChunkError(name, f"its one value has {len(rest)} bytes, not {dtype.itemsize}")
        return np.full(shape, int.from_bytes(rest, "little"), dtype)
    if form == ONE_BIT:
        packed = _unpredicted(rest, (height, -(-width // 8)), np.dtype(np.uint8), name)
        bits = np.unpackbits(packed, axis=1, count=width).astype(dtype)
        bits *= dtype.type(full)
        return bits
    if form == EIGHT_BITS:
        plane = _unpredicted(rest, shape, np.dtype(np.uint8), name).astype(dtype)
        plane *= dtype.type(full // 255)
        return plane
    if form == SIXTEEN_BITS and bit_depth == 16:
        return _unpredicted(rest, shape, dtype, name)
    raise ChunkError(name, f"there is no form {form} for {bit_depth} bits")


def _predicted(form: int, values: Plane) -> bytes:
    """The predictor whose residual a fast compressor likes best, and that residual."""
    trials = (len(zlib.compress(_bytes(_residual(values, predictor)), 1)) for predictor in range(4))
    predictor = int(np.argmin(list(trials)))
    return bytes([form, predictor]) + _compress(_bytes(_residual(values, predictor)))


def _unpredicted(payload: bytes, shape: tuple[int, int], dtype: np.dtype[Any], name: str) -> Plane:
    if not payload or payload[0] not in range(4):
        raise ChunkError(name, f"there is no predictor {payload[0]}" if payload else "it is cut")
    count = shape[0] * shape[1]
    data = _decompress(payload[1:], count * dtype.itemsize, name)
    values = np.frombuffer(data, np.uint8).astype(dtype)
    if dtype.itemsize == 2:
        values = values[:count] << 8 | values[count:]
    values = values.reshape(shape)
    predictor = payload[0]
    # Sums wrap around, as the differences did.
    if predictor in (LEFT, BOTH):
        np.add.accumulate(values, axis=1, dtype=dtype, out=values)
    if predictor in (UP, BOTH):
        np.add.accumulate(values, axis=0, dtype=dtype, out=values)
    return values


def _residual(values: Plane, predictor: int) -> Plane:
    """What is left of the difference from the neighbours; outside, all is 0."""
    residual = values.copy()
    if predictor in (LEFT, BOTH):
        residual[:, 1:] -= values[:, :-1]
    if predictor in (UP, BOTH):
        above = residual[:-1].copy()
        residual[1:] -= above
    return residual


def _bytes(values: Plane) -> bytes:
    """Row by row; of 16 bits, all high bytes before all low ones, for they differ in kind."""
    if values.dtype.itemsize == 1:
        return values.tobytes()
    return (values >> 8).astype(np.uint8).tobytes() + values.astype(np.uint8).tobytes()


def _filters() -> list[dict[str, int]]:
    import lzma  # not in every Python: without it, all but alpha works

    return [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": DICTIONARY_BYTES}]


def _compress(data: bytes) -> bytes:
    import lzma

    return lzma.compress(data, lzma.FORMAT_RAW, filters=_filters())


def _decompress(payload: bytes, size: int, name: str) -> bytes:
    """Exactly `size` bytes from exactly `payload`; never more than that is made."""
    import lzma

    stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters())
    try:
        data = stream.decompress(payload, max_length=size)
        # The end mark is read only when there is room for more.
        more = b"" if stream.eof else stream.decompress(b"", max_length=1)
    except lzma.LZMAError as error:
        raise ChunkError(name, f"its stream is none of LZMA2: {error}") from None
    if len(data) != size or more:
        found = f"more than {size:,}" if more else f"{len(data):,}"
        raise ChunkError(name, f"it holds {found} bytes instead of {size:,}")
    if not stream.eof or stream.unused_data:
        raise ChunkError(name, "its stream does not end where it must")
    return data
