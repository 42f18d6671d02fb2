import inspect
import pickle
import re

import pytest

from corelic import errors
from corelic.errors import CorelicError

EXAMPLES = [
    errors.BadFileError("bad"),
    errors.NotACorelicFileError(b"\x89PNG"),
    errors.TransferDamageError("line ends were converted"),
    errors.UnsupportedVersionError(2, 1),
    errors.TruncatedFileError("header", 30, 12),
    errors.TrailingDataError(1),
    errors.ChecksumError("chunk 1", 1, 2),
    errors.HeaderError("width_px", 0, "1 to 2"),
    errors.UnknownChunkError(3),
    errors.ChunkError("alpha", "it is cut"),
    errors.PayloadError("the last word is zero"),
    errors.SymbolMismatchError(1, 2),
    errors.ForeignFileError("AVIF", "its header is cut"),
    errors.UnknownCodecError("swft", ("checkerboard", "swift")),
    errors.MissingWeightsError("swift", b"\x1a\x2b\x3c\x4d"),
    errors.PluginError("'klt' (corelic.transforms of theirs)", "no module; install it"),
    errors.UntrainedCodecError("s2lic-1", "recipes/s2lic.yaml", ("swift-1",)),
    errors.BadWeightsError("swift-1.safetensors", "a tensor is missing"),
    errors.PictureError("photo.png", "has several frames"),
    errors.TooManyPixelsError(20_000, 10_000, 1_000_000),
    errors.OutOfMemoryError(20_000, 10_000),
    errors.MemoryBudgetError(3_000_000_000, 2_000_000_000),
    errors.TargetError("4,000 bytes", "the smallest file has 5,124; ask for at least that"),
    errors.QualityError(101),
    errors.OutputError("photo.clc", "the disk is full"),
    errors.MissingPartError("JPEG XL", "pillow-jxl-plugin", "bench"),
    errors.PeerError("vvc", "the encoder gave no file"),
    errors.CodecOptionError("swift", "effort is 9; give a whole number, 0 … 6"),
    errors.RecipeError("swift.yaml", "no key 'stepz'"),
    errors.DeviceError("cuda", "there is none; use --device cpu"),
    errors.TrainingError("100 steps had gradients that are not finite; lower the learning rate"),
    errors.WorkerError(4),
]
KINDS = {
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, CorelicError) and kind is not CorelicError
}
every_error = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def test_every_kind_has_an_example() -> None:
    assert {type(error) for error in EXAMPLES} == KINDS


@every_error
def test_an_error_survives_the_trip_home_from_a_worker(error: CorelicError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (back.args, vars(back), str(back)) == (error.args, vars(error), str(error))


@every_error
def test_a_message_is_one_sentence_that_shows_every_field(error: CorelicError) -> None:
    message = str(error)
    assert message and "\n" not in message and not message.endswith(".")
    for value in vars(error).values():
        if isinstance(value, int):
            shown = {str(value), f"{value:,}", f"{value:08x}"}
        elif isinstance(value, bytes):
            shown = {value.hex(), value.hex(" ")}
        else:
            shown = {value} if isinstance(value, str) else set()
        assert not shown or any(form in message for form in shown)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)(?: \((\w+)\))?", errors.__doc__ or "")
    assert {name for name, _ in drawn} == {kind.__name__ for kind in KINDS}
    for name, builtin in drawn:
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        assert bases == (["CorelicError", builtin] if builtin else ["BadFileError"])


def test_a_misspelt_codec_gets_a_suggestion() -> None:
    assert "did you mean 'swift'?" in str(errors.UnknownCodecError("swfit", ("c3m", "swift")))
    assert "choose from c3m, swift" in str(errors.UnknownCodecError("jpeg9", ("c3m", "swift")))


def test_missing_weights_say_both_ways_to_supply_them() -> None:
    message = str(errors.MissingWeightsError("swift", b"\x1a\x2b\x3c\x4d"))
    assert "CORELIC_MODELS" in message and "--codec PATH" in message


def test_too_many_pixels_says_how_to_raise_the_limit() -> None:
    assert "max_pixels=12" in str(errors.TooManyPixelsError(4, 3, 10))


def test_a_version_of_the_future_says_to_upgrade() -> None:
    assert "upgrade corelic" in str(errors.UnsupportedVersionError(2, 1))
    assert "upgrade" not in str(errors.UnsupportedVersionError(0, 1))


def test_a_huge_found_value_does_not_flood_the_message() -> None:
    assert len(str(errors.HeaderError("codec", b"x" * 10**6, "less"))) < 250
