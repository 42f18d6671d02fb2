import copy
import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import constriction
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corelic.entropy import coder
from corelic.entropy.coder import Decoder, FrequencyTables, Segment, encode
from corelic.errors import BadWeightsError, PayloadError
from tests.entropy.tiny_reader import Stream, TinyTable

FORMAT_PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def tables_of(*rows: tuple[int, list[int]]) -> FrequencyTables:
    return FrequencyTables(
        frequencies=int32(*(value for _, row in rows for value in row)),
        low=int32(*(low for low, _ in rows)),
        size=int32(*(len(row) for _, row in rows)),
    )


def random_row(rng: np.random.Generator, size: int) -> list[int]:
    """Frequencies of very different orders, some of them 1."""
    weights = np.exp(rng.uniform(-12, 0, size))
    row = 1 + np.floor(weights / weights.sum() * (2**24 - size)).astype(int)
    row[rng.integers(size)] += 2**24 - row.sum()
    return row.tolist()


def tiny_tables(tables: FrequencyTables) -> list[TinyTable]:
    rows = np.split(tables.frequencies, np.cumsum(tables.size)[:-1])
    return [
        TinyTable(low, row.tolist()) for low, row in zip(tables.low.tolist(), rows, strict=True)
    ]


def decode(data: bytes, segments: list[Segment]) -> list[np.ndarray]:
    decoder = Decoder(data)
    symbols = [decoder.decode(segment.indexes, segment.tables) for segment in segments]
    decoder.finish()
    return symbols


# The example of docs/format.md.
EXAMPLE_TABLES = tables_of((-1, [2**22, 2**23, 2**21, 2**21]), (0, [2**23, 2**23]))
EXAMPLE = Segment(int32(0, -1, 5, 0, 1, -300), int32(0, 0, 1, 1, 0, 0), EXAMPLE_TABLES)
EXAMPLE_STREAM = bytes.fromhex("000054fe19051000")

extreme_symbols = st.one_of(st.integers(-8, 8), st.integers(-(2**15), 2**15))


@st.composite
def tables(draw: st.DrawFn) -> FrequencyTables:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.lists(st.integers(2, 40), min_size=1, max_size=5))
    lows = (draw(st.integers(-(2**14), 2**14 - size + 2) | st.integers(-9, 9)) for size in sizes)
    return tables_of(*((low, random_row(rng, size)) for low, size in zip(lows, sizes, strict=True)))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    own_tables = draw(tables())
    index = st.integers(0, own_tables.size.size - 1)
    pairs = draw(st.lists(st.tuples(extreme_symbols, index), max_size=30))
    dtype = draw(st.sampled_from([np.uint8, np.int32, np.int64]))
    indexes = np.array([index for _, index in pairs], dtype)
    return Segment(int32(*(symbol for symbol, _ in pairs)), indexes, own_tables)


def test_the_example_of_the_format_page() -> None:
    (dump,) = re.findall(r"```text\n(00 .*)\n```", FORMAT_PAGE)
    assert bytes.fromhex(dump) == EXAMPLE_STREAM == encode([EXAMPLE])
    assert decode(EXAMPLE_STREAM, [EXAMPLE])[0].tolist() == EXAMPLE.symbols.tolist()


@given(st.lists(segments(), max_size=4))
@settings(deadline=None)
def test_symbols_come_back(original: list[Segment]) -> None:
    for before, after in zip(original, decode(encode(original), original), strict=True):
        assert after.dtype == np.int32
        assert after.tolist() == before.symbols.tolist()


@given(st.lists(segments(), max_size=4), st.integers(1, 12))
@settings(deadline=None)
def test_chunks_are_no_part_of_the_format(original: list[Segment], chunk: int) -> None:
    """Of so few symbols, with escapes in several of them: the same bytes, read with either."""
    whole = encode(original)
    with mock.patch.object(coder, "CHUNK", chunk):
        assert encode(original) == whole
        found = decode(whole, original)
    for symbols, segment in zip(found, original, strict=True):
        assert symbols.tolist() == segment.symbols.tolist()


@given(st.lists(segments(), max_size=3))
@settings(deadline=None)
def test_a_second_decoder_finds_the_same(original: list[Segment]) -> None:
    stream = Stream(encode(original))
    for segment in original:
        found = stream.segment(segment.indexes.tolist(), tiny_tables(segment.tables))
        assert found == segment.symbols.tolist()
    stream.finish()


@given(st.binary(max_size=64), segments())
@example(b"", EXAMPLE)
@example(b"\0\0\0\0", EXAMPLE)
@settings(deadline=None)
def test_any_data_is_symbols_or_a_payload_error(noise: bytes, shape: Segment) -> None:
    for data in (noise, noise[: len(noise) // 4 * 4]):
        with suppress(PayloadError):  # any other exception fails the test
            (symbols,) = decode(data, [shape])
            # What decodes to its very end is what encoding gives: there is one stream per content.
            assert encode([Segment(symbols, shape.indexes, shape.tables)]) == data


@pytest.mark.parametrize("size", [*range(2, 40), *range(40, 1000, 97), 1000, 2**15])
def test_the_coder_uses_the_very_frequencies(size: int) -> None:
    """One symbol decoded from the state 2**24 + q leaves f + q - c, which tells f and c."""
    row = np.array(random_row(np.random.default_rng(size), size))
    own_tables = tables_of((-(2**14), row.tolist()))
    ends = row.cumsum()
    for quantiles, remainder in ((ends - row, row), (ends - 1, 2 * row - 1)):
        states = np.column_stack([2**24 + quantiles]).astype(np.uint32)
        for symbol in range(0, size, 1 + size // 1000):
            ans = constriction.stream.stack.AnsCoder(states[symbol])
            assert ans.decode(own_tables.model(0)) == symbol
            assert ans.get_compressed().tolist() == [remainder[symbol]]


def test_edges_of_a_table_and_of_the_range() -> None:
    for low in (-(2**14), -1, 0, 2**14 - 1):
        own_tables = tables_of((low, [2**22, 2**22, 2**23]))
        edges = (-(2**15), low - 2, low - 1, low, low + 1, low + 2, low + 3, 2**15)
        symbols = int32(*edges)
        segment = Segment(symbols, np.zeros(8, np.uint8), own_tables)
        assert decode(encode([segment]), [segment])[0].tolist() == list(edges)


def test_many_tables() -> None:
    """More than 256: indexes no longer fit in 8 bits."""
    rng = np.random.default_rng(0)
    own_tables = tables_of(*((-2, random_row(rng, 6)) for _ in range(300)))
    symbols = rng.integers(-9, 9, 5000).astype(np.int32)
    segment = Segment(symbols, rng.integers(0, 300, 5000), own_tables)
    data = encode([segment])
    assert np.array_equal(decode(data, [segment])[0], symbols)
    found = Stream(data).segment(segment.indexes.tolist(), tiny_tables(own_tables))
    assert found == symbols.tolist()  # with corelic alone, two wrongs would make a right


@pytest.mark.parametrize("count", [0, 1, 1000, 100_000])
def test_bytes_are_close_to_the_code_length(count: int) -> None:
    rng = np.random.default_rng(count)
    rows = [random_row(rng, size) for size in (2, 5, 30, 200)]
    own_tables = tables_of(*((0, row) for row in rows))
    indexes = rng.integers(0, 4, count)
    entries = [rng.choice(len(rows[t]), p=np.array(rows[t]) / 2**24) for t in indexes]
    in_table = np.array([e < len(rows[t]) - 1 for e, t in zip(entries, indexes, strict=True)], bool)
    symbols = np.array(entries, np.int32)[in_table]
    pairs = zip(symbols, indexes[in_table], strict=True)
    ideal_bytes = sum(24 - np.log2(rows[t][symbol]) for symbol, t in pairs) / 8
    data = encode([Segment(symbols, indexes[in_table], own_tables)])
    assert len(data) <= ideal_bytes * 1.0005 + 8


def test_an_escape_costs_its_exponential_golomb_code() -> None:
    symbols = np.full(1000, 5 + 2**12, np.int32)  # m + 2 has 12 bits after its first
    segment = Segment(symbols, np.zeros(1000, np.uint8), tables_of((3, [2**23, 2**22, 2**22])))
    assert len(encode([segment])) <= 1000 * (2 + 5 + 12) / 8 + 8


def test_no_symbols_are_no_bytes() -> None:
    empty = Segment(int32(), np.array([], np.uint8), EXAMPLE_TABLES)
    assert encode([]) == encode([empty, empty]) == b""
    assert [symbols.size for symbols in decode(b"", [empty, empty])] == [0, 0]


@pytest.mark.parametrize("data", [b"\1", b"\1\2\3", EXAMPLE_STREAM[:-1], EXAMPLE_STREAM + b"\0"])
def test_part_of_a_word_is_refused(data: bytes) -> None:
    with pytest.raises(PayloadError, match="whole number"):
        Decoder(data)


@pytest.mark.parametrize("data", [b"\0\0\0\0", EXAMPLE_STREAM + b"\0\0\0\0"])
def test_a_last_word_of_zero_is_refused(data: bytes) -> None:
    with pytest.raises(PayloadError, match="last word"):
        Decoder(data)


@pytest.mark.parametrize("extra", [b"\1\0\0\0", b"\0\0\0\0" * 3])
def test_words_left_over_are_refused(extra: bytes) -> None:
    with pytest.raises(PayloadError, match="more after"):
        decode(extra + EXAMPLE_STREAM, [EXAMPLE])  # the first word is read last


def test_symbols_left_over_are_refused() -> None:
    fewer = Segment(EXAMPLE.symbols[:3], EXAMPLE.indexes[:3], EXAMPLE_TABLES)
    with pytest.raises(PayloadError, match="more after"):
        decode(EXAMPLE_STREAM, [fewer])


def test_an_escape_beyond_the_range_is_refused() -> None:
    """Class 29 is the longest that an encoder writes: 2**15 + r above the table."""
    ans = constriction.stream.stack.AnsCoder()
    uniform = constriction.stream.model.Uniform
    for escape_bits, sound in ((1, True), (2, False)):  # table 1 ends at 0: 2**15 = -1 + m + 2
        ans.clear()
        ans.encode_reverse(int32(escape_bits), uniform(), int32(2**15))
        ans.encode_reverse(int32(29), uniform(32))
        ans.encode_reverse(int32(1), EXAMPLE_TABLES.model(1))
        decoder = Decoder(ans.get_compressed().tobytes())
        if sound:
            assert decoder.decode(int32(1), EXAMPLE_TABLES).tolist() == [2**15]
        else:
            with pytest.raises(PayloadError, match="beyond"):
                decoder.decode(int32(1), EXAMPLE_TABLES)


def test_a_panic_becomes_a_payload_error_and_an_interrupt_does_not() -> None:
    uniform = constriction.stream.model.Uniform()
    with pytest.raises(PayloadError, match="gave up"), coder._panic_as_payload_error():
        constriction.stream.stack.AnsCoder().decode(uniform, int32(1))  # needs 2 symbols: panics
    with pytest.raises(KeyboardInterrupt), coder._panic_as_payload_error():
        raise KeyboardInterrupt


@pytest.mark.parametrize("symbol", [2**15 + 1, -(2**15) - 1, -(2**31)])
def test_symbols_beyond_the_range_are_not_encoded(symbol: int) -> None:
    with pytest.raises(ValueError, match="clamp"):
        Segment(int32(symbol), int32(0), EXAMPLE_TABLES)


def test_symbols_and_indexes_belong_together() -> None:
    with pytest.raises(ValueError, match="one index for each"):
        Segment(int32(0, 1), int32(0), EXAMPLE_TABLES)
    with pytest.raises(ValueError, match="int32"):
        Segment(np.array([0]), int32(0), EXAMPLE_TABLES)


@pytest.mark.parametrize("index", [-1, 2, 256])  # 256 is 0 in 8 bits
def test_an_index_without_a_table_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="indexes span"):
        encode([Segment(int32(0), int32(index), EXAMPLE_TABLES)])
    with pytest.raises(ValueError, match="indexes span"):
        Decoder(b"").decode(int32(index), EXAMPLE_TABLES)


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("frequencies is not", {"frequencies": np.array([2**23, 2**23])}),
        ("low is not", {"low": int32(0)[None]}),
        ("size is not", {"size": np.array([2.0], np.float32)}),
        ("there are 0 tables", {"size": int32(), "low": int32(), "frequencies": int32()}),
        ("differ in length", {"low": int32(0, 0)}),
        ("fewer than 2", {"size": int32(1), "frequencies": int32(2**24)}),
        ("do not add up", {"size": int32(3)}),
        ("less than 1", {"frequencies": int32(2**24, 0)}),
        ("sum to 2", {"frequencies": int32(2**23, 2**23 + 1)}),
        ("sum to 2", {"frequencies": int32(*[2**31 - 1] * 2, 2**24 + 2), "size": int32(3)}),
        ("beyond", {"low": int32(-(2**14) - 1)}),
        ("beyond", {"low": int32(2**14 + 1)}),
        (
            "beyond",
            {
                "frequencies": int32(2**22, 2**22, 2**23),
                "low": int32(2**31 - 1),
                "size": int32(3),
            },
        ),
    ],
)
def test_unsound_tables_are_bad_weights(reason: str, changed: dict[str, Any]) -> None:
    sound = {"frequencies": int32(2**23, 2**23), "low": int32(0), "size": int32(2)}
    FrequencyTables(**sound)
    with pytest.raises(BadWeightsError, match=re.escape(reason)):
        FrequencyTables(**sound | changed)


def test_tables_do_not_follow_the_arrays_they_were_made_of() -> None:
    frequencies = int32(2**23, 2**23)
    own_tables = FrequencyTables(frequencies, int32(0), int32(2))
    frequencies[:] = 1
    assert own_tables.frequencies.tolist() == [2**23, 2**23]
    with pytest.raises(ValueError, match="read-only"):
        own_tables.frequencies[0] = 1


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda own: pickle.loads(pickle.dumps(own))])
def test_tables_in_use_can_be_copied(clone: Any) -> None:
    assert EXAMPLE_TABLES.model(0) is EXAMPLE_TABLES.model(0)  # cached, and not picklable
    copied = Segment(EXAMPLE.symbols, EXAMPLE.indexes, clone(EXAMPLE_TABLES))
    assert encode([copied]) == EXAMPLE_STREAM
