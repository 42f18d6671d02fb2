"""Symbols + table indexes <-> bytes: one rANS stream under integer frequency tables.

    segment ─► sort by table ─► table 0 ─► table 1 ─► … ─► escape classes ─► escape bits
               (stable)         in-table symbol or escape   what lies outside its table

One call per table, not per symbol, is what makes it fast; segments of many megapixels are sorted in
chunks, which bounds the memory that this takes. Segments come in decoding order, because the
tables of the second may depend on the symbols of the first; the encoder, which pushes on a stack
what the decoder pops, goes backwards. `docs/format.md` describes the stream for a decoder
written without `constriction`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import constriction  # type: ignore[import-untyped]  # compiled, ships no stubs
import numpy as np
from numpy.typing import NDArray

from corelic.errors import BadWeightsError, PayloadError

PRECISION_BITS = 24
MAX_SYMBOL = 2**15  # in magnitude
MAX_TABLE_SYMBOL = 2**14  # so that an escaped magnitude stays below 2**16
MAX_TABLES = 2**16
CHUNK = 2**20  # symbols sorted at once; no part of the format

_AnsCoder = constriction.stream.stack.AnsCoder
_Categorical = constriction.stream.model.Categorical
_Uniform = constriction.stream.model.Uniform

# Escapes are exponential-Golomb codes of order 1: a magnitude m >= 0 beyond the table's edge is
# m + 2 = 2**k + r with k >= 1 and r of k bits. (Order 1, because the coder has no 0-bit symbol.)
_ESCAPE_CLASS = _Uniform(32)  # 2 (k - 1) + (1 if above the table)
_ESCAPE_BITS = _Uniform()  # r, of 2**k values


@dataclass(frozen=True, eq=False)  # eq: arrays do not compare to one bool
class FrequencyTables:
    """T integer tables, one after the other.

    frequencies  (sum of size,) int32 >= 1; row t holds those of the symbols low[t], low[t] + 1, …,
                 low[t] + size[t] - 2, then that of the escape; each row sums to 2**24
    low          (T,) int32, the first symbol
    size         (T,) int32 >= 2, entries in the row
    """

    frequencies: NDArray[np.int32]
    low: NDArray[np.int32]
    size: NDArray[np.int32]
    _models: dict[int, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("frequencies", "low", "size"):
            array = getattr(self, name)
            self._require(array.ndim == 1 and array.dtype == np.int32, f"{name} is not (n,) int32")
            frozen = array.copy()
            frozen.flags.writeable = False  # models are cached
            object.__setattr__(self, name, frozen)
        size = self.size.astype(np.int64)
        self._require(1 <= size.size <= MAX_TABLES, f"there are {size.size} tables")
        self._require(size.shape == self.low.shape, "low and size differ in length")
        self._require(bool((size >= 2).all()), "a table has fewer than 2 entries")
        self._require(size.sum() == self.frequencies.size, "sizes do not add up to the entries")
        self._require(bool((self.frequencies >= 1).all()), "a frequency is less than 1")
        sums = np.add.reduceat(self.frequencies, size.cumsum() - size, dtype=np.int64)
        self._require(bool((sums == 2**PRECISION_BITS).all()), "a table does not sum to 2**24")
        inside = (self.low >= -MAX_TABLE_SYMBOL) & (self.low + size - 2 <= MAX_TABLE_SYMBOL)
        self._require(bool(inside.all()), "a table has symbols beyond ±2**14")

    @staticmethod
    def _require(sound: bool, reason: str) -> None:
        if not sound:
            raise BadWeightsError("frequency tables", reason)

    def __reduce__(self) -> tuple[Any, ...]:
        # Models are not picklable, and quickly made again.
        return type(self), (self.frequencies, self.low, self.size)

    def model(self, table: int) -> Any:
        """The entropy model of one table, made when first needed."""
        if table not in self._models:
            stop = int(self.size[: table + 1].sum())
            row = self.frequencies[stop - int(self.size[table]) : stop]
            # `perfect=False` gives every entry 1 and shares out the remaining 2**24 - size in
            # proportion to the floats. With f - 1 they sum to just that, so each entry gets f.
            self._models[table] = _Categorical(row - 1.0, lazy=False, perfect=False)
        return self._models[table]


@dataclass(frozen=True, eq=False)
class Segment:
    """Symbols that can be decoded together.

    symbols  (n,) int16 or int32 in [-2**15, 2**15]
    indexes  (n,) integer in [0, T), the table of each
    """

    symbols: NDArray[np.int16] | NDArray[np.int32]
    indexes: NDArray[np.integer[Any]]
    tables: FrequencyTables

    def __post_init__(self) -> None:
        sound = self.symbols.dtype in (np.int16, np.int32)
        if self.symbols.shape != self.indexes.shape or not sound:
            raise ValueError(
                f"symbols are {self.symbols.shape} {self.symbols.dtype}, indexes "
                f"{self.indexes.shape}: use int16 or int32 symbols and one index for each"
            )
        if (
            not -MAX_SYMBOL
            <= self.symbols.min(initial=0)
            <= self.symbols.max(initial=0)
            <= MAX_SYMBOL
        ):
            raise ValueError(f"a symbol is beyond ±{MAX_SYMBOL}: clamp the latents first")


def encode(segments: Sequence[Segment]) -> bytes:
    """The stream of these segments, which come in decoding order."""
    encoder = Encoder()
    for segment in reversed(segments):
        encoder.push(segment)
    return encoder.finish()


class Encoder:
    """Takes the segments one by one, the last of them first, so that none need be kept."""

    def __init__(self) -> None:
        self._coder = _AnsCoder()

    def push(self, segment: Segment) -> None:
        tables, escapes = segment.tables, []
        sorted_chunks = []
        for start in range(0, segment.indexes.size, CHUNK):
            symbols, indexes = (
                part[start : start + CHUNK] for part in (segment.symbols, segment.indexes)
            )
            order, counts = _sort_by_table(indexes, tables)
            low, escape = (np.repeat(row, counts) for row in (tables.low, tables.size - 1))
            offset = symbols[order].astype(np.int32, copy=False) - low
            # Seen as unsigned, what lies below the table is huge: one minimum finds both sides.
            coded = np.minimum(offset.view(np.uint32), escape.view(np.uint32)).view(np.int32)
            escaped = np.flatnonzero(coded == escape)
            escapes.append((indexes[order[escaped]], offset[escaped], escape[escaped]))
            sorted_chunks.append(_Sorted(coded, counts))
        if not sorted_chunks:
            return
        table, offset, escape = (np.concatenate(parts) for parts in zip(*escapes, strict=True))
        by_table = np.argsort(table, kind="stable")
        _push_escapes(self._coder, offset[by_table], escape[by_table])
        for number in np.flatnonzero(sum(chunk.counts for chunk in sorted_chunks))[::-1].tolist():
            for chunk in reversed(sorted_chunks):
                if chunk.counts[number]:
                    self._coder.encode_reverse(chunk.of_table(number), tables.model(number))

    def finish(self) -> bytes:
        words: NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype("<u4").tobytes()


class Decoder:
    """Decodes segment after segment; whatever the data, gives symbols or a `PayloadError`."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise PayloadError(f"{len(data)} bytes are not a whole number of 32-bit words")
        words = np.frombuffer(data, "<u4").astype(np.uint32)
        if words.size and words[-1] == 0:
            raise PayloadError("the last word is zero")
        with _panic_as_payload_error():
            self._coder = _AnsCoder(words)

    def decode(
        self, indexes: NDArray[np.integer[Any]], tables: FrequencyTables
    ) -> NDArray[np.int32]:
        """(n,) indexes in [0, T) -> (n,) symbols in [-2**15, 2**15], in the same order."""
        starts = range(0, indexes.size, CHUNK)
        orders, counts = [], np.zeros((len(starts), tables.size.size), np.intp)
        for number, start in enumerate(starts):
            order, counts[number] = _sort_by_table(indexes[start : start + CHUNK], tables)
            orders.append(order.astype(np.uint32))
        stops = counts.cumsum(axis=1) + np.array(starts, np.intp)[:, None]
        symbols = np.empty(indexes.size, np.int32)
        with _panic_as_payload_error():
            # First each chunk's offsets in its own place, sorted by table.
            for number in np.flatnonzero(counts.any(axis=0)).tolist():
                model = tables.model(number)
                for count, stop in zip(
                    counts[:, number].tolist(), stops[:, number].tolist(), strict=True
                ):
                    if count:
                        symbols[stop - count : stop] = self._coder.decode(model, count)
            escaped = [np.empty(0, np.uint32)]
            for start, places, row in zip(starts, orders, counts, strict=True):
                part = symbols[start : start + CHUNK]
                offset = part.copy()
                part[places] = offset + np.repeat(tables.low, row)
                outside = np.flatnonzero(offset == np.repeat(tables.size - 1, row))
                escaped.append(places[outside] + np.uint32(start))
            found = np.concatenate(escaped)
            del escaped, orders
            self._replace(symbols, found, indexes, tables)
        return symbols

    def _replace(
        self,
        symbols: NDArray[np.int32],
        escaped: NDArray[np.uint32],
        indexes: NDArray[np.integer[Any]],
        tables: FrequencyTables,
    ) -> None:
        """The escapes among `symbols`, at the places `escaped`, by what they stand for."""
        # They are coded after all tables and chunks: first all classes, then all bits. A file may
        # consist of nothing else, so little is held of each.
        escaped = escaped[np.argsort(indexes[escaped], kind="stable")]
        parts = range(0, escaped.size, CHUNK)
        classes = np.empty(escaped.size, np.uint8)
        for start in parts:
            part = classes[start : start + CHUNK]
            part[:] = self._coder.decode(_ESCAPE_CLASS, part.size)
        for start in parts:
            places = escaped[start : start + CHUNK]
            table = indexes[places]
            escape = tables.size[table] - 1
            found = _pop_offsets(self._coder, classes[start : start + CHUNK], escape)
            found += tables.low[table]
            if np.abs(found).max() > MAX_SYMBOL:
                raise PayloadError(f"a symbol is beyond ±{MAX_SYMBOL}")
            symbols[places] = found

    def finish(self) -> None:
        """Raises unless the data ends here: past its end, rANS decodes without complaint."""
        if not self._coder.is_empty():
            raise PayloadError("there is more after the last symbol")


class _Sorted(NamedTuple):
    """A chunk's values (n,), sorted by table, and how many of them each of the T tables has."""

    values: NDArray[Any]
    counts: NDArray[np.intp]

    def of_table(self, table: int) -> NDArray[Any]:
        stop = int(self.counts[: table + 1].sum())
        return self.values[stop - int(self.counts[table]) : stop]


def _sort_by_table(
    indexes: NDArray[np.integer[Any]], tables: FrequencyTables
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The order that sorts by table, and how many symbols each of the T tables has."""
    count = tables.size.size
    if indexes.size and not 0 <= indexes.min() <= indexes.max() < count:
        raise ValueError(
            f"indexes span {indexes.min()} to {indexes.max()}, tables 0 to {count - 1}"
        )
    # A stable sort of small integers is a radix sort, three times as fast on 8 bits as on 32.
    narrow = indexes.astype(np.uint8 if count <= 2**8 else np.uint16)
    return np.argsort(narrow, kind="stable"), np.bincount(narrow, minlength=count)


def _push_escapes(coder: Any, offset: NDArray[np.int32], escape: NDArray[np.int32]) -> None:
    above = offset >= 0
    magnitude = np.where(above, offset - escape, -1 - offset)
    bits = np.frexp(magnitude + 2)[1] - 1  # k = floor(log2(m + 2))
    width = np.left_shift(1, bits, dtype=np.int32)
    coder.encode_reverse(magnitude + 2 - width, _ESCAPE_BITS, width)
    coder.encode_reverse(2 * (bits - 1) + above, _ESCAPE_CLASS)


def _pop_offsets(
    coder: Any, classes: NDArray[np.uint8], escape: NDArray[np.int32]
) -> NDArray[np.int32]:
    """From the low edge of the table, for each escape in turn."""
    width = np.left_shift(1, classes.astype(np.int32) // 2 + 1, dtype=np.int32)
    magnitude = width - 2 + coder.decode(_ESCAPE_BITS, width)
    return np.where(classes % 2 == 1, escape + magnitude, -1 - magnitude)


@contextmanager
def _panic_as_payload_error() -> Iterator[None]:
    """A panic of the Rust code is a BaseException that no `except Exception` would stop."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise PayloadError(f"the coder gave up: {error}") from None
