"""How large a picture may be, and how much of that may be padding."""

import pytest

from corelic.codecs.limits import check_size
from corelic.errors import TooManyPixelsError

LIMIT = 134_217_728


@pytest.mark.parametrize(
    ("width_px", "height_px", "limit"),
    [
        (13_000, 10_320, LIMIT),
        (11_585, 11_585, LIMIT),
        (63_000, 2_130, LIMIT),
        (20_000, 15_000, 300_000_000),  # as an error of the size without padding would ask for
        (1, 1, 1),
    ],
)
def test_what_is_within_the_limit_is_so_with_its_padding(
    width_px: int, height_px: int, limit: int
) -> None:
    check_size(width_px, height_px, limit)
    check_size(width_px, height_px, limit, 64)


@pytest.mark.parametrize(
    ("width_px", "height_px", "limit", "multiple", "said"),
    [
        (11_586, 11_586, LIMIT, 1, "11586 × 11586"),
        (10_000, 1, 300_000, 64, "10048 × 64"),
        (4_000_000, 1, LIMIT, 64, "4000000 × 64"),
    ],
)
def test_what_is_not_is_named_with_its_padding(
    width_px: int, height_px: int, limit: int, multiple: int, said: str
) -> None:
    with pytest.raises(TooManyPixelsError, match=said):
        check_size(width_px, height_px, limit, multiple)
