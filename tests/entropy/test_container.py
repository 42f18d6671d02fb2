import dataclasses
import itertools
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corelic.entropy import container
from corelic.entropy.container import Chunk, ChunkType, Colour, Container, Header
from corelic.errors import (
    BadFileError,
    ChecksumError,
    ChunkError,
    HeaderError,
    NotACorelicFileError,
    PayloadError,
    TrailingDataError,
    TransferDamageError,
    TruncatedFileError,
    UnknownChunkError,
    UnsupportedVersionError,
)
from tests.entropy import tiny_reader

FORMAT_PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
EXAMPLE = Container(
    Header("swift", 1, b"\x1a\x2b\x3c\x4d", 768, 512, Colour.RGB, 800),
    symbols_crc32=0x4D521131,
    words=bytes.fromhex("000054fe19051000"),
    optional=(Chunk(4, b"ICC"),),
)
FILE = container.write(EXAMPLE)
HEADER_END = 8 + 1 + 19 + 4
PLAIN = bytes.fromhex("05 7377696674 01 1a2b3c4d 8006 8004 01 a006 02")  # header, latents only

headers = st.builds(
    Header,
    codec=st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True),
    generation=st.integers(0, 2**63 - 1),
    fingerprint=st.binary(min_size=4, max_size=4),
    width_px=st.integers(1, 2**24),
    height_px=st.integers(1, 2**24),
    colour=st.sampled_from(Colour),
    quality_step=st.integers(0, 1600),
)
optional_chunks = st.dictionaries(st.integers(0, 31), st.binary(max_size=200), max_size=4).map(
    lambda chunks: tuple(Chunk(2 * half, chunks[half]) for half in sorted(chunks))
)
containers = st.builds(
    Container,
    header=headers,
    symbols_crc32=st.integers(0, 2**32 - 1),
    words=st.binary(max_size=300),
    optional=optional_chunks,
)


def crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")


def forged(fields: bytes = PLAIN, *chunks: bytes) -> bytes:
    """A file with sound checksums around whatever it is given; short chunks, short fields."""
    chunks = chunks or (b"\x01\x04abcd",)
    parts = [container.SIGNATURE + bytes([len(fields)]) + fields, *chunks]
    return b"".join(part + crc32(part) for part in parts) + crc32(b"".join(parts))


def test_the_forger_forges_sound_files() -> None:  # or the tests of single rules mean nothing
    assert container.read(forged()).header == EXAMPLE.header


def test_the_example_of_the_format_page() -> None:
    (dump,) = re.findall(r"```text\n(89 .*?)```", FORMAT_PAGE, re.DOTALL)
    golden = bytes.fromhex("".join(line.partition("  ")[0] for line in dump.splitlines()))
    assert golden == FILE
    assert container.read(golden) == EXAMPLE


def test_the_format_page_lists_the_header_fields() -> None:
    table = FORMAT_PAGE.partition("### Header fields")[2].partition("### Chunks")[0]
    documented = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert documented == [field.name for field in container.HEADER_FIELDS]


@given(containers)
@settings(deadline=None)
def test_a_container_comes_back(original: Container) -> None:
    data = container.write(original)
    assert container.read(data) == original
    assert container.read_header(data) == original.header


@given(containers)
@settings(deadline=None)
def test_the_tiny_reader_reads_the_same(original: Container) -> None:
    header = original.header
    assert tiny_reader.read(container.write(original)) == tiny_reader.TinyFile(
        version=container.VERSION,
        codec=header.codec,
        generation=header.generation,
        fingerprint=header.fingerprint,
        width_px=header.width_px,
        height_px=header.height_px,
        colour="RGB" if header.colour is Colour.RGB else "grey",
        quality=header.quality,
        symbols_crc32=original.symbols_crc32,
        words=original.words,
        optional={chunk.type: chunk.payload for chunk in original.optional},
    )


@pytest.mark.parametrize("bpp", [0.05, 2, 24])
def test_overhead_of_a_plain_picture(bpp: float) -> None:
    words = bytes(int(768 * 512 * bpp / 8))
    assert len(container.write(Container(EXAMPLE.header, 2**32 - 1, words))) - len(words) <= 48


@given(containers, st.data())
@settings(deadline=None)
def test_one_flipped_bit_is_a_bad_file(original: Container, data: st.DataObject) -> None:
    damaged = bytearray(container.write(original))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadFileError):
        container.read(bytes(damaged))


@given(st.binary(max_size=200))
@example(b"")  # crashed another coder's process
@settings(deadline=None)
def test_any_bytes_are_a_file_or_a_bad_file(noise: bytes) -> None:
    for data in (noise, container.SIGNATURE + noise):
        with suppress(BadFileError):  # any other exception fails the test
            container.read(data)


@given(st.binary(max_size=80), st.lists(st.binary(max_size=20), min_size=1, max_size=3))
@example(PLAIN, [b"\x01\x03abc"])
@settings(deadline=None)
def test_any_bytes_under_sound_checksums_are_a_file_or_a_bad_file(
    fields: bytes, chunks: list[bytes]
) -> None:
    for beginning in (fields, PLAIN[: len(fields)] + fields, PLAIN):
        with suppress(BadFileError):
            container.read(forged(beginning, *chunks))


@pytest.mark.parametrize("length", range(len(FILE)))
def test_a_beginning_is_truncated(length: int) -> None:
    with pytest.raises(TruncatedFileError) as caught:
        container.read(FILE[:length])
    assert caught.value.found_bytes == length < caught.value.needed_bytes <= len(FILE)


@given(containers, st.binary(min_size=1, max_size=20))
@settings(deadline=None)
def test_nothing_may_follow_the_end(original: Container, extra: bytes) -> None:
    with pytest.raises(TrailingDataError) as caught:
        container.read(container.write(original) + extra)
    assert caught.value.extra_bytes == len(extra)


@pytest.mark.parametrize(
    ("damaged", "hint"),
    [
        (FILE.replace(b"\r\n", b"\n"), "line ends"),
        (FILE.replace(b"\n", b"\r\n"), "line ends"),
        (re.sub(rb"(?<!\r)\n", b"\r\n", FILE), "line ends"),
        (FILE.replace(b"\n", b"\r"), "line ends"),
        (FILE.replace(b"\r", b"\n"), "line ends"),
        (FILE.replace(b"\r", b""), "line ends"),
        (bytes(byte & 0x7F for byte in FILE), "high bit"),
        (FILE.decode("latin-1").encode(), "UTF-8"),
        (FILE.decode(errors="replace").encode(), "UTF-8"),
    ],
)
def test_a_transfer_that_damages_is_recognised(damaged: bytes, hint: str) -> None:
    with pytest.raises(TransferDamageError, match=hint):
        container.read(damaged)


@pytest.mark.parametrize(
    "foreign", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"hello, world", b"\0", b"CLC\r\n"]
)
def test_another_kind_of_file_is_not_ours(foreign: bytes) -> None:
    with pytest.raises(NotACorelicFileError, match="89 43 4c 43"):
        container.read(foreign)


@pytest.mark.parametrize("version", [0, 2, 255])
@pytest.mark.parametrize("read", [container.read, container.read_header])
def test_other_versions_are_refused(version: int, read: Callable[[bytes], object]) -> None:
    other = FILE[:6] + bytes([version]) + FILE[7:]
    with pytest.raises(UnsupportedVersionError) as caught:
        read(other)
    assert (caught.value.found, caught.value.newest) == (version, 1)


def test_the_header_needs_only_the_first_bytes() -> None:
    assert container.read_header(FILE[:HEADER_END]) == EXAMPLE.header
    with pytest.raises(TruncatedFileError):
        container.read_header(FILE[: HEADER_END - 1])


def test_the_header_is_checked_without_the_rest() -> None:
    damaged = bytearray(FILE[:HEADER_END])
    damaged[20] ^= 1
    with pytest.raises(ChecksumError, match="header"):
        container.read_header(bytes(damaged))


@pytest.mark.parametrize(
    ("position", "part"),
    [
        (HEADER_END - 5, "header"),
        (HEADER_END - 1, "header"),
        (HEADER_END, "chunk 1"),  # its type: the checksum speaks before the mask does
        (HEADER_END + 8, "chunk 1"),
        (-11, "chunk 4"),
        (-1, "contents"),
    ],
)
def test_each_checksum_names_its_part(position: int, part: str) -> None:
    damaged = bytearray(FILE)
    damaged[position] ^= 0x40
    with pytest.raises(ChecksumError) as caught:
        container.read(bytes(damaged))
    assert caught.value.part == part


def test_parts_spliced_from_two_sound_files_are_not_a_file() -> None:
    """Each part has a sound checksum of its own here, and the length that was expected."""
    header = dataclasses.replace(EXAMPLE.header, quality_step=801)
    other = container.write(Container(header, 1, b"8 bytes.", (Chunk(4, b"XYZ"),)))
    chunk_1, chunk_4 = slice(HEADER_END, HEADER_END + 18), slice(HEADER_END + 18, -4)
    for sources in itertools.product((FILE, other), repeat=4):
        header_from, latents_from, profile_from, end_from = sources
        spliced = header_from[:HEADER_END] + latents_from[chunk_1] + profile_from[chunk_4]
        spliced += end_from[-4:]
        if len(set(sources)) == 1:
            container.read(spliced)
        else:
            with pytest.raises(ChecksumError, match="contents"):
                container.read(spliced)


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("codec", b"\x05swift", b"\x00"),
        ("codec", b"\x05swift", b"\x21" + b"a" * 33),
        ("codec", b"swift", b"Swift"),
        ("codec", b"swift", b"swif\n"),
        ("codec", b"swift", b"swif\xe9"),
        ("width_px", b"\x80\x06", b"\x00"),
        ("width_px", b"\x80\x06", b"\x81\x80\x80\x08"),
        ("width_px", b"\x80\x06", b"\x80\x86\x00"),  # 768 with a byte to spare
        ("width_px", b"\x80\x06", b"\xff" * 9 + b"\x00"),
        ("height_px", b"\x80\x04", b"\x00"),
        ("height_px", b"\x80\x04", b"\x81\x80\x80\x08"),
        ("colour", b"\x01\xa0", b"\x02\xa0"),
        ("quality_step", b"\xa0\x06", b"\xc1\x0c"),
        ("chunks", b"\xa0\x06\x02", b"\xa0\x06\x04"),  # no latents
        ("chunks", b"\xa0\x06\x02", b"\xa0\x06\x02\x00"),  # a field too many
        ("chunks", b"\xa0\x06\x02", b"\xa0\x06"),  # a field too few
        ("quality_step", b"\xa0\x06\x02", b"\xa0"),
        ("codec", PLAIN, b""),
        ("codec", PLAIN, b"\x05swi"),
    ],
)
def test_a_header_field_out_of_range_is_refused(field: str, old: bytes, new: bytes) -> None:
    assert PLAIN.count(old) == 1
    with pytest.raises(HeaderError) as caught:
        container.read(forged(PLAIN.replace(old, new)))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codec", ""),
        ("codec", "swïft"),
        ("generation", -1),
        ("generation", 2**63),
        ("fingerprint", b"abc"),
        ("width_px", 0),
        ("height_px", 2**24 + 1),
        ("colour", 2),
        ("quality_step", -1),
        ("quality_step", 1601),
    ],
)
def test_what_cannot_be_read_cannot_be_written(field: str, value: object) -> None:
    values = {name: getattr(EXAMPLE.header, name) for name in Header.__slots__}
    with pytest.raises(HeaderError, match=field):
        Header(**values | {field: value})


def test_quality_comes_in_sixteenths() -> None:
    assert EXAMPLE.header.quality == 50


@pytest.mark.parametrize("types", [(1,), (3,), (64,), (-2,), (4, 2), (4, 4)])
def test_optional_chunks_are_even_ascending_and_unique(types: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="optional chunks"):
        Container(EXAMPLE.header, 0, b"", tuple(Chunk(chunk_type, b"") for chunk_type in types))


def test_an_unknown_required_chunk_is_refused_but_not_its_header() -> None:
    data = forged(PLAIN[:-1] + b"\x0a", b"\x01\x04abcd", b"\x03\x00")
    assert container.read_header(data) == EXAMPLE.header
    with pytest.raises(UnknownChunkError) as caught:
        container.read(data)
    assert caught.value.chunk_type == 3


def test_an_unknown_optional_chunk_is_kept_unread() -> None:
    mask = b"\x82" + b"\x80" * 7 + b"\x40"  # bits 1 and 62
    data = forged(PLAIN[:-1] + mask, b"\x01\x04abcd", b"\x3e\x03xyz")
    assert container.read(data).optional == (Chunk(62, b"xyz"),)


@pytest.mark.parametrize("chunk_type", [0, 2, 3, 255])
def test_a_chunk_is_of_the_type_the_header_announces(chunk_type: int) -> None:
    with pytest.raises(HeaderError, match="chunk 1 type"):
        container.read(forged(PLAIN, bytes([chunk_type]) + b"\x04abcd"))


def test_latents_without_room_for_their_checksum_are_refused() -> None:
    with pytest.raises(PayloadError):
        container.read(forged(PLAIN, b"\x01\x03abc"))


def test_a_varint_has_at_most_9_bytes() -> None:
    with pytest.raises(HeaderError, match="chunk 1 length"):
        container.read(forged(PLAIN, b"\x01" + b"\xff" * 9 + b"\x01"))


def test_an_enormous_length_is_a_missing_end_not_an_allocation() -> None:
    with pytest.raises(TruncatedFileError) as caught:
        container.read(forged(PLAIN, b"\x01" + b"\xff" * 8 + b"\x7f"))
    assert caught.value.needed_bytes > 2**62


@given(containers)
@settings(deadline=None)
def test_an_outline_needs_the_beginning_alone(original: Container) -> None:
    data = container.write(original)
    found = container.outline(data[: container.HEADER_MAX_BYTES])
    assert found.header == original.header
    assert set(found.types) == {1, *(chunk.type for chunk in original.optional)}


@given(containers, st.sets(st.integers(0, 62)))
@settings(deadline=None)
def test_skimming_finds_what_reading_finds(original: Container, wanted: set[int]) -> None:
    found = container.skim(BytesIO(container.write(original)), wanted - {1})
    expected = {chunk.type: chunk.payload for chunk in original.optional}
    assert found == {type: expected[type] for type in expected.keys() & wanted}


class Watched(BytesIO):
    """Counts what is read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.read_bytes += len(found)
        return found


def test_skimming_leaves_the_pixels_alone() -> None:
    file = Watched(container.write(dataclasses.replace(EXAMPLE, words=bytes(10_000))))
    assert container.skim(file, {ChunkType.ICC}) == {4: b"ICC"}
    assert file.read_bytes < 200


@given(st.binary(max_size=60))
@example(b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f")  # a length that no memory holds
@settings(deadline=None)
def test_skimming_any_bytes_is_a_result_or_a_bad_file(noise: bytes) -> None:
    with suppress(BadFileError):
        container.skim(BytesIO(FILE[:HEADER_END] + noise), {4})


@pytest.mark.parametrize("payload", [b"", b"\x08", b"\x11", b"\x10\x00"])
def test_a_depth_is_16_or_is_not_there(payload: bytes) -> None:
    assert EXAMPLE.bit_depth == 8
    deep = dataclasses.replace(EXAMPLE, optional=(Chunk(ChunkType.DEPTH, b"\x10"),))
    assert deep.bit_depth == 16
    odd = dataclasses.replace(EXAMPLE, optional=(Chunk(ChunkType.DEPTH, payload),))
    with pytest.raises(ChunkError, match="depth makes no sense"):
        _ = odd.bit_depth


def test_the_format_page_lists_the_chunk_types() -> None:
    table = FORMAT_PAGE.partition("### Chunks")[2].partition("### Alpha")[0]
    documented = re.findall(r"^\| (\d+) \| (\w+)", table, re.MULTILINE)
    assert documented == [(str(int(type)), container.label(type)) for type in ChunkType]


def test_chunks_are_named() -> None:
    assert EXAMPLE.sizes == ((1, 12), (4, 3))
    assert [container.label(type) for type in (1, 2, 14)] == ["latents", "alpha", "optional 14"]
