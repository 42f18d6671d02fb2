"""Is a result there already? What lets a run over folders go on where the last one stopped.

A result that is older than its source is not one, as for `make`; what else changed shows in the
.clc file, whose header names weights, quality and size.
"""

import os
from collections.abc import Callable

from corelic.codecs.files import quality_step_of
from corelic.codecs.rate import QUALITY_MAX
from corelic.codecs.store import by_name
from corelic.codecs.targets import ENOUGH, bytes_at
from corelic.disk import read_file, why
from corelic.entropy import container
from corelic.entropy.container import Container
from corelic.errors import BadFileError, OutputError, PictureError
from corelic.jobs import Job
from corelic.media.outline import outline_of

# (content and bytes of a file) -> what tells it from one that was made as asked, or None
Difference = Callable[[Container, int], str | None]


def is_encoded(job: Job, *, codec: str, unlike: Difference, strip: bool, max_pixels: int) -> bool:
    """Whether `job.output` holds `job.source`, with these weights and not `unlike` what is asked.

    False where it may be written; OutputError where another file is in the way, and says which.
    """
    return _is_there(job) and _settle(job, _unlike_encoded(job, codec, unlike, strip, max_pixels))


def is_decoded(job: Job, *, max_pixels: int) -> bool:
    """Whether `job.output` is a picture from `job.source`; else as `is_encoded`."""
    return _is_there(job) and _settle(job, _unlike_decoded(job, max_pixels))


def unlike_quality(quality: float, content: Container, file_bytes: int) -> str | None:
    """A `Difference`, as the next two, once what is asked for is given."""
    if content.header.quality_step != quality_step_of(quality):
        return f"has quality {content.header.quality:g}"
    return None


def unlike_size(target_bytes: int, content: Container, file_bytes: int) -> str | None:
    """Whether latents fill what the rest of the file leaves them, as after a search.

    Of a very small picture perhaps no quality does; that cannot be told from here.
    """
    if file_bytes > target_bytes:
        return f"takes {file_bytes:,} bytes, more than {target_bytes:,}"
    latent_bytes = len(content.words)
    enough = ENOUGH * (target_bytes - file_bytes + latent_bytes)
    if latent_bytes < enough and content.header.quality < QUALITY_MAX:
        return f"takes {file_bytes:,} bytes, and a better one may have up to {target_bytes:,}"
    return None


def unlike_rate(target_bpp: float, content: Container, file_bytes: int) -> str | None:
    pixels = content.header.width_px * content.header.height_px
    return unlike_size(bytes_at(target_bpp, pixels), content, file_bytes)


def _is_there(job: Job) -> bool:
    return os.path.isfile(job.output)  # of a name that cannot be one, `Path` raises


def _settle(job: Job, difference: str | None) -> bool:
    if difference is not None and not job.overwrite:
        reason = f"it exists already, and {difference}; replace it with --overwrite"
        reason += " (overwrite=True), or keep it with --skip-existing"
        raise OutputError(str(job.output), reason)
    return difference is None


def _unlike_encoded(
    job: Job, codec: str, unlike: Difference, strip: bool, max_pixels: int
) -> str | None:
    """What tells the output from what the job would write."""
    if _is_older(job):
        return f"is older than {job.source}"
    try:
        content = container.read(data := read_file(job.output))
    except BadFileError as error:
        return f"is no sound .clc file ({error})"
    header, source = content.header, outline_of(job.source, max_pixels)
    if header.fingerprint != by_name(codec).fingerprint:
        return f"comes from other weights, {header.codec}-{header.generation}"
    difference = unlike(content, len(data))
    if difference is not None:
        return difference
    # Either way round: a photograph is turned upright, and its file need not say so at the front.
    if sorted((header.width_px, header.height_px)) != sorted((source.width_px, source.height_px)):
        return f"is {header.width_px} × {header.height_px}, another size than {job.source}"
    has_metadata = any(content.payload(type) is not None for type in container.METADATA)
    if strip and has_metadata:
        return "has a profile, EXIF or XMP, which --strip leaves out"
    if not strip and not has_metadata and source.has_metadata:
        return f"lacks the profile, EXIF or XMP of {job.source}"
    exif = content.payload(container.ChunkType.EXIF)
    if exif is not None and source.exif is not None and exif != source.exif:
        return f"has other EXIF than {job.source}, perhaps of another photograph"
    return None


def _unlike_decoded(job: Job, max_pixels: int) -> str | None:
    if _is_older(job):
        return f"is older than {job.source}"
    header = container.read(read_file(job.source)).header
    try:
        found = outline_of(job.output, max_pixels)
    except PictureError as error:
        return f"is no sound picture ({error})"
    if (found.width_px, found.height_px) != (header.width_px, header.height_px):
        return f"is {found.width_px} × {found.height_px}, another size than {job.source}"
    return None


def _is_older(job: Job) -> bool:
    try:
        return job.output.stat().st_mtime_ns < job.source.stat().st_mtime_ns
    except OSError as error:
        raise PictureError(str(job.source), f"cannot be read ({why(error)})") from error
