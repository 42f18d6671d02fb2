"""One plane without loss, in few bytes; and no bytes that take more than the plane."""

import lzma
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from corelic.entropy import planes
from corelic.errors import ChunkError
from tests.entropy import tiny_reader

SIZES = [(1, 1), (1, 500), (500, 1), (7, 3), (63, 65), (100, 257)]
ROWS, COLUMNS = np.mgrid[:200, :300]
DISC = 100 - np.hypot(ROWS - 100, COLUMNS - 150)


def round_trip(plane: np.ndarray) -> bytes:
    payload = planes.encode(plane)
    depth = 8 * plane.dtype.itemsize
    decoded = planes.decode(payload, plane.shape, depth, "alpha")
    assert decoded.dtype == plane.dtype
    assert np.array_equal(decoded, plane)
    return payload


planes_of_any_kind = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda dtype: arrays.arrays(
        dtype,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.one_of(
            st.integers(0, np.iinfo(dtype).max), st.sampled_from([0, np.iinfo(dtype).max])
        ),
    )
)


@given(planes_of_any_kind)
def test_any_plane_comes_back(plane: np.ndarray) -> None:
    payload = round_trip(plane)
    depth = 8 * plane.dtype.itemsize
    assert tiny_reader.plane(payload, *plane.shape, depth) == plane.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_every_size_comes_back(shape: tuple[int, int], dtype: type[np.unsignedinteger]) -> None:
    full = np.iinfo(dtype).max
    random = np.random.default_rng(1)
    noise = random.integers(0, full + 1, shape, dtype=dtype)
    round_trip(noise)
    round_trip(np.where(noise % 2, dtype(full), dtype(0)))
    round_trip(np.full(shape, noise[0, 0]))


@pytest.mark.parametrize(
    ("plane", "most_bytes"),
    [
        (np.full((2000, 3000), 255, np.uint8), 2),
        (np.full((2000, 3000), 65535, np.uint16), 3),
        (np.where(DISC > 0, 255, 0).astype(np.uint8), 450),
        (np.where(DISC > 0, 65535, 0).astype(np.uint16), 450),
        (np.clip(40 * DISC, 0, 255).astype(np.uint8), 2000),
        (257 * np.clip(40 * DISC, 0, 255).astype(np.uint16), 2000),
        ((ROWS % 256).astype(np.uint8), 100),
        ((ROWS * 300 + COLUMNS).astype(np.uint16), 350),
    ],
    ids=["opaque", "opaque 16", "disc", "disc 16", "soft disc", "soft disc 16", "ramp", "ramp 16"],
)
def test_masks_and_gradients_are_small(plane: np.ndarray, most_bytes: int) -> None:
    assert len(round_trip(plane)) <= most_bytes


def stream(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": planes.DICTIONARY_BYTES}]
    return lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


SIX = stream(bytes(range(6)))


@pytest.mark.parametrize(
    ("payload", "depth", "reason"),
    [
        (b"", 8, "empty"),
        (b"\x00", 8, "its one value has 0 bytes, not 1"),
        (b"\x00\x01\x02", 8, "its one value has 2 bytes, not 1"),
        (b"\x00\x01", 16, "its one value has 1 bytes, not 2"),
        (b"\x02\x00" + SIX, 8, "no form 2"),
        (b"\x10\x00" + stream(bytes(12)), 8, "no form 16 for 8 bits"),
        (b"\x08", 8, "it is cut"),
        (b"\x08\x04" + SIX, 8, "no predictor 4"),
        (b"\x08\x00", 8, "it holds 0 bytes instead of 6"),
        (b"\x08\x00" + SIX[:-1], 8, "does not end"),
        (b"\x08\x00" + SIX[: len(SIX) // 2], 8, "instead of 6"),
        (b"\x08\x00" + SIX + b"\x00", 8, "does not end"),
        (b"\x08\x00" + stream(bytes(5)), 8, "it holds 5 bytes instead of 6"),
        (b"\x08\x00" + stream(bytes(7)), 8, "it holds more than 6 bytes"),
        (b"\x08\x00" + stream(bytes(6)), 16, None),
        (b"\x10\x00" + SIX, 16, "it holds 6 bytes instead of 12"),
        (b"\x01\x00" + stream(bytes(3)), 8, "it holds more than 2 bytes"),
        (b"\x08\x00\x05\x00", 8, "none of LZMA2"),
        (b"\x08\x00\xfd7zXZ\x00", 8, "instead of 6"),
    ],
)
def test_what_is_no_plane_is_a_typed_error(payload: bytes, depth: int, reason: str | None) -> None:
    if reason is None:
        planes.decode(payload, (2, 3), depth, "alpha")
        return
    with pytest.raises(ChunkError, match=f"alpha makes no sense .*{reason}"):
        planes.decode(payload, (2, 3), depth, "alpha")


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x08\x00", b"\x10\x03", b"\x01\x02"]))
@example(b"\x01\x00\x00", b"\x08\x00")
def test_any_bytes_are_a_plane_or_an_error(noise: bytes, start: bytes) -> None:
    with suppress(ChunkError):
        assert planes.decode(start + noise, (2, 3), 16, "alpha").shape == (2, 3)


def test_a_bomb_does_not_go_off() -> None:
    bomb = b"\x08\x00" + stream(bytes(50_000_000))
    assert len(bomb) < 10_000
    tracemalloc.start()
    with pytest.raises(ChunkError, match="more than 6 bytes"):
        planes.decode(bomb, (2, 3), 8, "alpha")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20_000_000  # of which the dictionary is 8
