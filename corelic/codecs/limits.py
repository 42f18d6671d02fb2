"""What holds unless told otherwise, and how large a picture may be; quick to import."""

from corelic.errors import TooManyPixelsError

MEMORY_BYTES = 2 * 10**9  # beside the picture, the weights and the libraries
DEFAULT_QUALITY = 50.0
# Pixels that padding may add, or so much of the limit: 1,000,000 × 1 would be padded to 64,000,000.
PADDING_ALLOWED, PADDING_SHARE = 2**18, 1 / 32


def check_size(width_px: int, height_px: int, max_pixels: int, pad_multiple_px: int = 1) -> None:
    """TooManyPixelsError before anything of the picture's size is allocated.

    Counts what padding adds, too, beyond what any but the thinnest pictures need; the error then
    names the padded size, for that is what has to be processed.
    """
    width, height = (round_up(side, pad_multiple_px) for side in (width_px, height_px))
    allowed = max(PADDING_ALLOWED, int(PADDING_SHARE * max_pixels))
    padding_allowed = allowed if pad_multiple_px > 1 else 0
    if width * height > max_pixels + padding_allowed:
        raise TooManyPixelsError(width, height, max_pixels)


def round_up(side: int, multiple: int) -> int:
    """The least multiple that is not below `side`."""
    return -(-side // multiple) * multiple
