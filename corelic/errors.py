"""Errors that corelic raises on purpose, in one tree.

    CorelicError
    ├── BadFileError (ValueError)               what was read is not a sound .clc file
    │   ├── NotACorelicFileError                another kind of file
    │   ├── TransferDamageError                 changed on its way by a text-mode or 7-bit transfer
    │   ├── UnsupportedVersionError             a format version this release does not read
    │   ├── TruncatedFileError                  the end is missing
    │   ├── TrailingDataError                   there is more after the end
    │   ├── ChecksumError                       a part is not the one that was written
    │   ├── HeaderError                         a field has a value the format does not allow
    │   ├── UnknownChunkError                   a part that decoding needs is of an unknown kind
    │   ├── ChunkError                          an optional part is not what its kind must be
    │   ├── PayloadError                        the entropy-coded stream contradicts itself
    │   ├── SymbolMismatchError                 it decodes, but to other symbols
    │   └── ForeignFileError                    a classical codec's own file, damaged
    ├── UnknownCodecError (LookupError)         no codec of this name
    ├── MissingWeightsError (LookupError)       the weights a file names are not here
    ├── UntrainedCodecError (LookupError)       a codec whose weights do not ship
    ├── BadWeightsError (ValueError)            weights that cannot be used
    ├── PictureError (ValueError)               a picture that cannot be read or encoded
    ├── TooManyPixelsError (ValueError)         a picture larger than the caller allows
    ├── OutOfMemoryError (MemoryError)          a picture that the device cannot hold
    ├── MemoryBudgetError (MemoryError)         a picture that needs more memory than allowed
    ├── TargetError (ValueError)                a size or a PSNR that cannot be reached
    ├── QualityError (ValueError)               a quality outside 0 to 100
    ├── OutputError (OSError)                   a result that cannot be written
    ├── MissingPartError (ImportError)          an optional package that is not installed
    ├── PeerError (RuntimeError)                a classical codec that failed
    ├── PluginError (ImportError)               a part of another package that cannot be used
    ├── CodecOptionError (ValueError)           a parameter that a learned codec does not have
    ├── RecipeError (ValueError)                a training recipe that makes no sense
    ├── TrainingError (RuntimeError)            a training run that cannot go on
    ├── DeviceError (RuntimeError)              a device that is not here or does not do
    └── WorkerError (RuntimeError)              a worker process that ended without an answer

    PictureWarning (UserWarning)                a picture that was changed to be encoded
    PluginWarning (UserWarning)                 another package whose codecs cannot be had

Beside what raises them: JobsFailedError (`jobs`), CurveError, ResultsError, NoPicturesError
(`eval`), AttackError (`attacks`).

Catch ours, or the builtin in brackets. Each message is one sentence that says what was found and
what to do. Fields go to `args`, so that an error survives the trip home from a worker process.
"""

from difflib import get_close_matches


class CorelicError(Exception):
    """The root: `except CorelicError` catches all that is not a bug."""

    def __str__(self) -> str:
        return ": ".join(map(str, self.args))


class BadFileError(CorelicError, ValueError):
    """What was read is not a sound .clc file."""


class NotACorelicFileError(BadFileError):
    """Another kind of file; `found` is how it begins."""

    def __init__(self, found: bytes) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return (
            f"this is not a .clc file: it begins with the bytes {self.found[:4].hex(' ')}, "
            f"not with 89 43 4c 43; check that it is the file you meant, or give the codec "
            f"that made it (--codec)"
        )


class TransferDamageError(BadFileError):
    """The signature was changed in a way that betrays what changed the file; `damage` says how."""

    def __init__(self, damage: str) -> None:
        super().__init__(damage)
        self.damage = damage

    def __str__(self) -> str:
        return f"the file was damaged on its way here ({self.damage}); transfer it again as binary"


class UnsupportedVersionError(BadFileError):
    """A format version this release does not read; `newest` is the newest it does."""

    def __init__(self, found: int, newest: int) -> None:
        super().__init__(found, newest)
        self.found, self.newest = found, newest

    def __str__(self) -> str:
        remedy = (
            "upgrade corelic to read it"
            if self.found > self.newest
            else "no such version exists, so get the file again"
        )
        return (
            f"the file has format version {self.found}, and this release of corelic reads "
            f"up to version {self.newest}; {remedy}"
        )


class TruncatedFileError(BadFileError):
    """The end is missing: `part` reaches to `needed_bytes` from the start of the file."""

    def __init__(self, part: str, needed_bytes: int, found_bytes: int) -> None:
        super().__init__(part, needed_bytes, found_bytes)
        self.part, self.needed_bytes, self.found_bytes = part, needed_bytes, found_bytes

    def __str__(self) -> str:
        return (
            f"the file ends within its {self.part}: it has {self.found_bytes} bytes and needs "
            f"at least {self.needed_bytes}; get it again in full"
        )


class TrailingDataError(BadFileError):
    """There is more after the end."""

    def __init__(self, extra_bytes: int) -> None:
        super().__init__(extra_bytes)
        self.extra_bytes = extra_bytes

    def __str__(self) -> str:
        plural = "" if self.extra_bytes == 1 else "s"
        return (
            f"{self.extra_bytes} byte{plural} follow the end of the file; get it again, "
            f"or cut them off if you know where they come from"
        )


class ChecksumError(BadFileError):
    """`part` of the file is not the one that was written."""

    def __init__(self, part: str, expected_crc32: int, found_crc32: int) -> None:
        super().__init__(part, expected_crc32, found_crc32)
        self.part, self.expected_crc32, self.found_crc32 = part, expected_crc32, found_crc32

    def __str__(self) -> str:
        return (
            f"the file is damaged: its {self.part} has CRC {self.found_crc32:08x} where "
            f"{self.expected_crc32:08x} was written; get it again"
        )


class HeaderError(BadFileError):
    """A field has a value the format does not allow; raised when writing, too."""

    def __init__(self, field: str, found: object, expected: str) -> None:
        super().__init__(field, found, expected)
        self.field, self.found, self.expected = field, found, expected

    def __str__(self) -> str:
        found = repr(self.found)
        shown = found if len(found) <= 40 else f"{found[:40]}…"
        return (
            f"the field {self.field} is {shown}, and the format allows only "
            f"{self.expected}; the file is damaged, or its writer is at fault"
        )


class UnknownChunkError(BadFileError):
    """A chunk that decoding needs is of a type this release does not know."""

    def __init__(self, chunk_type: int) -> None:
        super().__init__(chunk_type)
        self.chunk_type = chunk_type

    def __str__(self) -> str:
        return (
            f"decoding needs chunk type {self.chunk_type}, which this release of corelic does "
            f"not know; upgrade corelic to read the file"
        )


class ChunkError(BadFileError):
    """An optional chunk whose payload is not what its type must hold."""

    def __init__(self, chunk: str, reason: str) -> None:
        super().__init__(chunk, reason)
        self.chunk, self.reason = chunk, reason

    def __str__(self) -> str:
        return (
            f"the file's {self.chunk} makes no sense ({self.reason}); the file is damaged, "
            f"or its writer is at fault"
        )


class PayloadError(BadFileError):
    """The entropy-coded stream contradicts itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the entropy-coded data makes no sense ({self.reason}); the file is damaged, "
            f"or these are not the weights it names"
        )


class SymbolMismatchError(BadFileError):
    """The symbols came out, but are not the ones that were encoded."""

    def __init__(self, expected_crc32: int, found_crc32: int) -> None:
        super().__init__(expected_crc32, found_crc32)
        self.expected_crc32, self.found_crc32 = expected_crc32, found_crc32

    def __str__(self) -> str:
        return (
            f"the decoded symbols have CRC {self.found_crc32:08x}, the file says "
            f"{self.expected_crc32:08x}; the file is damaged, or these are not the weights it names"
        )


class ForeignFileError(BadFileError):
    """A file in the own format of another codec that cannot be decoded."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason

    def __str__(self) -> str:
        return f"this is no sound {self.kind} file ({self.reason}); get it again"


class UnknownCodecError(CorelicError, LookupError):
    """No codec of this name; `known` are the names there are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name, self.known = name, known

    def __str__(self) -> str:
        close = get_close_matches(self.name, self.known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(self.known)}"
        return f"there is no codec {self.name!r}; {hint}"


class MissingWeightsError(CorelicError, LookupError):
    """The weights with this fingerprint, for this codec, are not here."""

    def __init__(self, codec: str, fingerprint: bytes) -> None:
        super().__init__(codec, fingerprint)
        self.codec, self.fingerprint = codec, fingerprint

    def __str__(self) -> str:
        return (
            f"the weights {self.fingerprint.hex()} of codec {self.codec!r} are not here; put them "
            f"in a folder that CORELIC_MODELS names, or give their file with --codec PATH"
        )


class UntrainedCodecError(CorelicError, LookupError):
    """A codec by name, of which no weights are in the package; `trained` are those that have."""

    def __init__(self, codec: str, recipe: str, trained: tuple[str, ...]) -> None:
        super().__init__(codec, recipe, trained)
        self.codec, self.recipe, self.trained = codec, recipe, trained

    def __str__(self) -> str:
        return (
            f"no trained weights of {self.codec} come with this package; train it with "
            f"corelic train {self.recipe} and give the file it writes with --codec PATH, or "
            f"choose from {', '.join(self.trained)}"
        )


class BadWeightsError(CorelicError, ValueError):
    """Weights that cannot be used; `source` is their file, or the part of it that is wrong."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}; get the weights again, or export them anew"


class PictureError(CorelicError, ValueError):
    """A picture that cannot be read or encoded; `reason` says why, and what would do."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason


class TooManyPixelsError(CorelicError, ValueError):
    """A picture larger than the caller allows."""

    def __init__(self, width_px: int, height_px: int, max_pixels: int) -> None:
        super().__init__(width_px, height_px, max_pixels)
        self.width_px, self.height_px, self.max_pixels = width_px, height_px, max_pixels

    def __str__(self) -> str:
        pixels = self.width_px * self.height_px
        return (
            f"the picture is {self.width_px} × {self.height_px}, {pixels:,} pixels, and the "
            f"limit is {self.max_pixels:,}; if you trust it, raise the limit with "
            f"max_pixels={pixels} (--max-pixels {pixels} on the command line)"
        )


class OutOfMemoryError(CorelicError, MemoryError):
    """A picture whose networks need more memory than the device has."""

    def __init__(self, width_px: int, height_px: int) -> None:
        super().__init__(width_px, height_px)
        self.width_px, self.height_px = width_px, height_px

    def __str__(self) -> str:
        return (
            f"a picture of {self.width_px} × {self.height_px} needs more memory than there is; "
            "lower memory_bytes= (--memory), take a smaller picture, or a machine that has more"
        )


class MemoryBudgetError(CorelicError, MemoryError):
    """A picture that needs more memory than the caller allows, however small the tiles."""

    def __init__(self, needed_bytes: int, allowed_bytes: int) -> None:
        super().__init__(needed_bytes, allowed_bytes)
        self.needed_bytes, self.allowed_bytes = needed_bytes, allowed_bytes

    def __str__(self) -> str:
        return (
            f"this picture needs {self.needed_bytes:,} bytes of memory, and the budget is "
            f"{self.allowed_bytes:,}; if there is that much, raise it with "
            f"memory_bytes={self.needed_bytes} (--memory {-(-self.needed_bytes // 10**6)}MB on "
            f"the command line)"
        )


class TargetError(CorelicError, ValueError):
    """A size or a PSNR that cannot be reached; `reason` names the nearest that can."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target, self.reason = target, reason


class QualityError(CorelicError, ValueError):
    """A quality that is none."""

    def __init__(self, quality: object) -> None:
        super().__init__(quality)
        self.quality = quality

    def __str__(self) -> str:
        return f"quality is {self.quality!r}; give a number from 0 (smallest) to 100 (best)"


class OutputError(CorelicError, OSError):
    """A result that cannot be written; nothing was left under its name."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"cannot write {self.path}: {self.reason}"


class MissingPartError(CorelicError, ImportError):
    """A part that not everyone needs is not installed; `extra` is the one that brings it."""

    def __init__(self, part: str, package: str, extra: str) -> None:
        super().__init__(part, package, extra)
        self.part, self.package, self.extra = part, package, extra

    def __str__(self) -> str:
        return f"{self.part} needs {self.package}; run: pip install 'corelic[{self.extra}]'"


class PeerError(CorelicError, RuntimeError):
    """A codec of others refused a picture or failed; `reason` is its own word, or a remedy."""

    def __init__(self, codec: str, reason: str) -> None:
        super().__init__(codec, reason)
        self.codec, self.reason = codec, reason


class CodecOptionError(CorelicError, ValueError):
    """A parameter that a learned codec does not have, or not with this value."""

    def __init__(self, codec: str, reason: str) -> None:
        super().__init__(codec, reason)
        self.codec, self.reason = codec, reason


class PluginError(CorelicError, ImportError):
    """A transform, context or codec of another package; `part` says which, `reason` what to do."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(part, reason)
        self.part, self.reason = part, reason

    def __str__(self) -> str:
        return f"{self.part} cannot be used: {self.reason}"


class RecipeError(CorelicError, ValueError):
    """A training recipe that makes no sense; `reason` names the key and what it may be."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason


class TrainingError(CorelicError, RuntimeError):
    """A training run that cannot go on; `reason` is a sentence for whoever started it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DeviceError(CorelicError, RuntimeError):
    """A device that is not here or does not do; `reason` names what would."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(device, reason)
        self.device, self.reason = device, reason

    def __str__(self) -> str:
        return f"device {self.device!r}: {self.reason}"


class WorkerError(CorelicError, RuntimeError):
    """A worker process, one of `processes`, ended without an answer: killed, or crashed."""

    def __init__(self, processes: int) -> None:
        super().__init__(processes)
        self.processes = processes

    def __str__(self) -> str:
        return (
            "the process that worked on it ended without an answer, most often for want of memory; "
            f"run it again with fewer processes than {self.processes} (--jobs)"
        )


class PictureWarning(UserWarning):
    """A picture had to be changed to be encoded, beyond what the codec itself does to it."""


class PluginWarning(UserWarning):
    """Another package's codecs cannot be had; all others can."""
