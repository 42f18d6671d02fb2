"""Files of a wanted size or PSNR. The tiny codec has no range of PSNR to speak of: swift has."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import corelic
from corelic.codecs import store, targets
from corelic.codecs.files import FileCodec, exact_arithmetic, open_codec
from corelic.codecs.limits import MEMORY_BYTES
from corelic.codecs.passes import silent
from corelic.codecs.search import Search
from corelic.codecs.targets import TRIALS, Found, encode_to_psnr, encode_to_size
from corelic.entropy import container
from corelic.entropy.container import ChunkType
from corelic.errors import MemoryBudgetError, TargetError
from corelic.eval.metrics import psnr_db
from corelic.media import Picture
from tests.tiny import TINY_WEIGHTS


@pytest.fixture(scope="module")
def codec() -> FileCodec:
    return FileCodec(store.from_file(TINY_WEIGHTS), torch.device("cpu"))


PICTURES = {
    "portrait": Picture(data.astronaut()[:300, 100:420]),
    "cup": Picture(data.coffee()[100:329, 200:500]),
    "grey cat": Picture(data.chelsea()[50:250, 100:301, 1]),
}
LARGE = Picture(data.astronaut())
every_picture = pytest.mark.parametrize("picture", PICTURES.values(), ids=list(PICTURES))


def is_next_over(codec: FileCodec, picture: Picture, found: Found, target_bytes: int) -> bool:
    """Quality has steps, and words have 4 bytes."""
    larger = codec.encode(picture, (found.quality_step + 1) / 16)
    return len(larger) > target_bytes


@every_picture
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_a_size_is_nearly_reached_and_never_exceeded(
    codec: FileCodec, picture: Picture, share: float
) -> None:
    target_bytes = round(share * len(codec.encode(picture, 95)))
    found = encode_to_size(codec, picture, target_bytes)
    assert len(found.data) <= target_bytes
    enough = len(found.data) >= 0.97 * target_bytes
    assert enough or is_next_over(codec, picture, found, target_bytes)
    assert found.trials <= TRIALS
    assert corelic.info(found.data).quality == found.quality_step / 16
    files = (each.encode(picture, found.quality_step / 16) for each in (codec.plain, codec))
    ours, without, with_filter = (
        psnr_db(picture.pixels, codec.decode(data).pixels) for data in (found.data, *files)
    )
    assert ours is not None and without is not None and with_filter is not None
    # The analysis was made for a quality near it, and there may be no room for a filter.
    assert without - 0.3 < ours < with_filter + 0.3


@pytest.mark.parametrize(
    ("name", "target_db"), [("portrait", 29), ("cup", 33), ("grey cat", 36)], ids=str
)
def test_a_psnr_is_met(name: str, target_db: float) -> None:
    codec, picture = open_codec("swift", "cpu"), PICTURES[name]
    found = encode_to_psnr(codec, picture, target_db)
    reached = psnr_db(picture.pixels, codec.decode(found.data).pixels)
    assert reached == pytest.approx(target_db, abs=0.05)
    assert found.trials <= TRIALS


def test_a_psnr_is_of_what_can_be_seen() -> None:
    """As in `corelic compare`: what is hidden is coded as next to nothing, without an error."""
    codec, pixels = open_codec("swift", "cpu"), PICTURES["portrait"].pixels
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[100:200, 90:250] = 255
    found = encode_to_psnr(codec, Picture(pixels, alpha), 31)
    decoded = codec.decode(found.data).pixels
    reached = psnr_db(pixels[None, alpha != 0], decoded[None, alpha != 0])
    assert reached == pytest.approx(31, abs=0.05)


def test_what_no_file_reaches_is_said(codec: FileCodec) -> None:
    picture = PICTURES["portrait"]
    unfiltered = FileCodec(codec.weights, codec.device, fast=True)
    smallest = len(unfiltered.encode(picture, 0))
    with pytest.raises(TargetError, match=f"{smallest:,}"):
        encode_to_size(codec, picture, smallest - 1)
    assert len(encode_to_size(codec, picture, smallest).data) == smallest
    with pytest.raises(TargetError, match="reaches 25"):
        encode_to_psnr(codec, picture, 60)
    for wrong in (0, -5):
        with pytest.raises(TargetError):
            encode_to_size(codec, picture, wrong)
        with pytest.raises(TargetError):
            encode_to_psnr(codec, picture, wrong)


def has_filter(encoded: bytes) -> bool:
    return filter_bytes(encoded) > 0


def filter_bytes(encoded: bytes) -> int:
    return len(container.read(encoded).payload(ChunkType.FILTER) or b"")


def test_files_of_a_size_have_filters_and_those_of_a_psnr_none() -> None:
    picture, codec = Picture(data.astronaut()[:256, 100:420]), open_codec("swift", "cpu")
    plain = codec.encode(picture, 90)
    assert has_filter(plain)
    for target_bytes in (len(plain), 10**7):  # reached, and beyond the best
        found = encode_to_size(codec, picture, target_bytes)
        assert len(found.data) <= target_bytes
        assert has_filter(found.data)
    assert found.data == codec.encode(picture, 100)
    quick = FileCodec(codec.weights, codec.device, fast=True)
    assert not has_filter(encode_to_size(quick, picture, len(plain)).data)
    assert not has_filter(encode_to_psnr(codec, picture, 36).data)


def test_a_filter_takes_the_room_there_is() -> None:
    picture, codec = Picture(data.astronaut()[:256, 100:420]), open_codec("swift", "cpu")
    files = codec.encode(picture, 70), codec.plain.encode(picture, 70)
    lengths = []
    for room in range(0, 32, 4):
        target_bytes = len(files[1]) + room
        found = encode_to_size(codec, picture, target_bytes)
        assert len(found.data) <= target_bytes
        lengths.append(filter_bytes(found.data))
    assert any(0 < length < filter_bytes(files[0]) for length in lengths)


def test_more_than_the_codec_can_use_is_its_best(codec: FileCodec) -> None:
    found = encode_to_size(codec, PICTURES["cup"], 10**7)
    assert found.quality_step == 1600
    assert encode_to_psnr(codec, PICTURES["cup"], 5).quality_step == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (65, 2)], ids=str)
def test_tiny_pictures_never_exceed_their_target(codec: FileCodec, size: tuple[int, int]) -> None:
    picture = Picture(data.astronaut()[50 : 50 + size[0], 200 : 200 + size[1]])
    smallest, largest = (len(codec.encode(picture, quality)) for quality in (0, 100))
    for target_bytes in {smallest, (smallest + largest) // 2, largest}:
        assert len(encode_to_size(codec, picture, target_bytes).data) <= target_bytes


def test_a_picture_of_one_colour(codec: FileCodec) -> None:
    picture = Picture(np.full((200, 300, 3), 77, np.uint8))
    assert len(encode_to_size(codec, picture, 2000).data) <= 2000


def test_one_target_at_a_time() -> None:
    image = Image.new("RGB", (8, 8))
    with pytest.raises(TargetError, match="quality and target_bytes: they exclude each other"):
        corelic.encode(image, quality=50, target_bytes=500)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(TargetError):
            corelic.encode(image, target_bpp=wrong, codec=str(TINY_WEIGHTS))
        with pytest.raises(TargetError):
            corelic.encode(image, target_psnr_db=wrong, codec=str(TINY_WEIGHTS))


def test_targets_from_python(photo: Image.Image) -> None:
    pixels = photo.width * photo.height
    seen: list[tuple[int, int]] = []
    made = corelic.encode(
        photo,
        codec=str(TINY_WEIGHTS),
        target_bpp=0.4,
        device="cpu",
        progress=lambda *state: seen.append(state),
    )
    assert 0.96 * 0.4 <= 8 * len(made) / pixels <= 0.4
    assert seen
    assert all(done <= total for done, total in seen)
    made = corelic.encode(photo, target_psnr_db=31, device="cpu")
    decoded = corelic.decode(made, device="cpu")
    assert psnr_db(np.asarray(photo), np.asarray(decoded)) == pytest.approx(31, abs=0.05)


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_what_every_file_has_is_no_part_of_the_search(codec: FileCodec, share: float) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (300, 320), dtype=np.uint8)
    heavy = replace(PICTURES["portrait"], alpha=alpha, exif=b"Exif\0\0" + alpha.tobytes()[:60_000])
    least, most = (len(codec.encode(heavy, quality)) for quality in (0, 100))
    target_bytes = least + round(share * (most - least))
    found = encode_to_size(codec, heavy, target_bytes)
    assert len(found.data) <= target_bytes and found.trials < TRIALS
    latents = len(found.data) - least
    assert latents >= 0.9 * (target_bytes - least)


def test_targets_beyond_any_file_are_the_best_file_and_the_least(codec: FileCodec) -> None:
    picture = PICTURES["grey cat"]
    assert encode_to_size(codec, picture, 10**400).quality_step == 1600
    options = {"codec": str(TINY_WEIGHTS), "device": "cpu"}
    assert corelic.info(corelic.encode(picture, target_bpp=1e307, **options)).quality == 100
    with pytest.raises(TargetError, match="the smallest file has"):
        corelic.encode(picture, target_bpp=1e-9, **options)


class Scripted:
    """A search of which each trial is so many dB short of the target, wherever it goes.

    symbols      that are not zero
    surprise_db  what latents of the last step have more of errors than their draft
    """

    def __init__(
        self, short_db: list[float], target_db: float, symbols: int = 0, surprise_db: float = 0
    ) -> None:
        self.short_db, self.target_db = short_db, target_db
        self.symbols, self.surprise_db = symbols, surprise_db
        self.steps: list[int] = []
        self.drafts = self.analyses = self.coded = 0
        self.passes, self.picture = self, LARGE

    @property
    def trials(self) -> int:
        return len(self.steps)

    def quantise(self, step: int) -> SimpleNamespace:
        self.steps.append(step)
        self.analyses += 1  # so that no quality bounds another
        return SimpleNamespace(latents=SimpleNamespace(y_hat=None, crc32=0))

    def draft(self, step: int) -> None:
        self.steps.append(step)
        self.drafts += 1

    def can_foretell(self, step: int) -> bool:
        return True

    def draft_quantisation_error(self, step: int) -> float:
        return 10.0 / 10 ** (self.surprise_db / 10)

    def quantisation_error(self, y_hat: None, step: int) -> float:
        return 10.0

    def error(self, y_hat: None, step: int) -> float:
        reached_db = self.target_db - self.short_db[self.trials - 1]
        return 255**2 / 10 ** (reached_db / 10)

    def words_of(self, quantised: SimpleNamespace) -> bytes:
        self.coded += 1
        return b""


def searched(
    codec: FileCodec,
    monkeypatch: pytest.MonkeyPatch,
    short_db: list[float],
    symbols: int = 0,
    surprise_db: float = 0,
) -> tuple[Found, Scripted]:
    script = Scripted(short_db, 30, symbols, surprise_db)
    monkeypatch.setattr(targets, "Search", lambda *options: script)
    monkeypatch.setattr(targets.Scale, "last_step", lambda *options: 800)
    return encode_to_psnr(codec, LARGE, 30), script


def test_where_trials_run_out_the_nearest_that_was_measured_counts(
    codec: FileCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_db = [3, -2, 1.5, -1.2, 0.8, -0.3, 0.9, 0.7]
    found, script = searched(codec, monkeypatch, short_db)
    assert found.trials == len(script.steps) == TRIALS == len(short_db)
    assert found.quality_step == script.steps[5]
    assert corelic.info(found.data).quality == found.quality_step / 16


def test_the_last_trial_is_judged_by_itself(
    codec: FileCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best quality reaches the target, whatever the one before it lacked."""
    short_db = [0.3, -0.3, 0.3, -0.3, 0.3, -0.3, 9, 0]
    found, script = searched(codec, monkeypatch, short_db)
    assert found.quality_step == script.steps[-1] == 1600 and found.trials == TRIALS


def test_a_search_that_ends_soon_codes_once(
    codec: FileCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, script = searched(codec, monkeypatch, [2, -1, 0.02, math.nan], symbols=5000)
    assert (found.trials, found.drafts, script.coded) == (4, 3, 1)


def test_where_much_is_coded_drafts_are_measured(
    codec: FileCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the last step, which is small, is not."""
    found, script = searched(codec, monkeypatch, [0.4, 0.06, math.nan], symbols=5000)
    assert (found.trials, found.drafts, script.coded) == (3, 2, 1)
    assert 800 < script.steps[1] < script.steps[2] == found.quality_step
    found, script = searched(codec, monkeypatch, [0.1, math.nan], symbols=5000)
    assert (found.trials, found.drafts, script.coded) == (2, 1, 1)
    found, script = searched(codec, monkeypatch, [0.4, 0.06, 0.02], symbols=4999)
    assert (found.trials, found.drafts) == (3, 1)


def test_latents_that_no_draft_has_foretold_are_measured(
    codec: FileCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_db = [0.4, 0.06, -0.08, 0.02]
    found, script = searched(codec, monkeypatch, short_db, symbols=5000, surprise_db=5)
    assert (found.trials, found.drafts, script.coded) == (4, 2, 1)


def test_trials_end_with_drafts_among_them(
    codec: FileCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_db = [0.9, -0.5, 0.6, -0.7, 0.4, -0.5, 0.3, 0.2]
    found, script = searched(codec, monkeypatch, short_db, symbols=5000)
    assert (found.trials, found.drafts) == (TRIALS, 4)
    assert found.quality_step == script.steps[-1]


def test_where_little_is_coded_each_quality_is_measured(
    codec: FileCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_db = [2, -1, 0.06, 0.09, -0.07, 0.08, 0.1, -0.1]
    found, script = searched(codec, monkeypatch, short_db)
    assert found.trials == TRIALS
    assert found.quality_step == script.steps[2]


@pytest.mark.parametrize("name", ["portrait", "grey cat"])
def test_a_draft_decodes_to_what_quantising_would(name: str) -> None:
    codec, picture = open_codec("swift", "cpu"), PICTURES[name]
    search = Search(codec, picture, MEMORY_BYTES, silent)
    with exact_arithmetic():
        for step in (500, 900):
            search.means = None
            for at in (step, step - 64, step + 64):  # the first one with a context
                drafted = search.error(search.draft(at), at)
                again = search.draft_quantisation_error(at)
                assert again == pytest.approx(
                    search.quantisation_error(search.draft(at), at), rel=1e-6
                )
                kept = search.means
                quantised = search.error(search.quantise(at).latents.y_hat, at)
                search.means = kept
                assert 10 * abs(math.log10(drafted / quantised)) < (0.02 if at == step else 0.1)
    assert (search.trials, search.drafts) == (18, 12)


@pytest.mark.parametrize("name", ["portrait", "grey cat"])
def test_the_slope_of_a_picture_is_known_from_one_quantisation(name: str) -> None:
    codec, picture = open_codec("swift", "cpu"), PICTURES[name]
    scale = targets.Scale(codec)
    search = Search(codec, picture, MEMORY_BYTES, silent)
    with exact_arithmetic():
        for step in (300, 800, 1300):
            quantised = search.quantise(step)
            value = math.log(search.error(quantised.latents.y_hat, step))
            of_quantising = math.log(search.quantisation_error(quantised.latents.y_hat, step))
            slope = targets.own_slope(of_quantising - value, scale.at(step))
            further = step + 60
            there = search.quantise(further).latents.y_hat
            found = (math.log(search.error(there, further)) - value) / (further - step)
            assert 0.5 < scale.slope(slope) / found < 1.6


def test_latents_that_lose_nothing_have_an_error_to_take_a_logarithm_of() -> None:
    codec = open_codec("swift", "cpu")
    search = Search(codec, Picture(PICTURES["portrait"].pixels[:64, :64]), MEMORY_BYTES, silent)
    with exact_arithmetic():
        nothing = torch.zeros_like(search.analyse(800))
        search.latents = nothing
        assert 0 < search.quantisation_error(nothing, 800) < 1e-6
        assert search.quantisation_error(nothing + 0.5, 800) > 1e-3


def test_errors_of_all_depths_are_in_units_of_8_bits() -> None:
    codec = open_codec("swift", "cpu")
    pixels = PICTURES["portrait"].pixels[:128, :128]
    errors = []
    for samples in (pixels, pixels.astype(np.uint16) * np.uint16(257)):
        search = Search(codec, Picture(samples), MEMORY_BYTES, silent)
        with exact_arithmetic():
            errors.append(search.error(search.quantise(800).latents.y_hat, 800))
    # In 8 bits, what is decoded is rounded.
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


def test_a_blank_picture_has_its_quality_for_every_psnr() -> None:
    blank = Image.new("RGB", (512, 512), (77, 77, 77))
    for target_db in (30, 40):
        data = corelic.encode(blank, target_psnr_db=target_db)
        decoded = np.asarray(corelic.decode(data))
        reached_db = psnr_db(np.asarray(blank), decoded)
        assert reached_db is None or reached_db == math.inf or reached_db >= target_db - 0.05


def test_no_psnr_is_too_high_to_be_refused(codec: FileCodec) -> None:
    with pytest.raises(TargetError, match="this codec reaches"):
        encode_to_psnr(codec, PICTURES["grey cat"], 1e308)


def test_an_effort_names_a_budget_that_would_do() -> None:
    codec = open_codec(f"{TINY_WEIGHTS}:effort=1", "cpu")
    picture = Picture(PICTURES["portrait"].pixels[:100, :129])
    with pytest.raises(MemoryBudgetError) as refused:
        codec.encode(picture, 50, memory_bytes=1000)
    codec.encode(picture, 50, memory_bytes=refused.value.needed_bytes)
