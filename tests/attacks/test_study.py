"""What benchmarks/robustness.py writes: words and marks that belong to its figures."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from corelic.attacks.evaluation.damage import Damage, Row

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import robustness_study

    yield robustness_study


def row(psnr_db: float, size: int, input_psnr_db: float = 40.0, output_db: float = 30.0) -> Row:
    """A picture of 8 × 8 pixels, whose file an attack doubles."""
    damage = Damage(
        *("p", 8, 8, 1, input_psnr_db, None, 0.5, size, 2 * size, psnr_db, psnr_db),
        *(output_db, 30.0, None, None),
    )
    return Row("a", "v", (damage,), 1, 0, 1, 0, 0.0)


def test_a_bd_rate_of_few_points_is_marked(study: ModuleType) -> None:
    from robustness_study.white_box import _bd_rate

    rows = [row(27.0 + 3 * place, 10 * 2**place) for place in range(5)]
    assert _bd_rate(rows) == "+100 %"
    assert _bd_rate(rows[:3]) == "+100 % (3 points, 27.0 … 33.0 dB)"


def test_the_gap_is_what_the_page_calls_it(study: ModuleType, tmp_path: Path) -> None:
    from robustness_study import gap
    from robustness_study.study import SIZES, Study

    attack, noise = row(30, 10, 40.0, 35.0), row(30, 10, 42.0, 43.0)
    assert gap.gap_db(attack, noise) == 43.0 - 35.0  # and not of their VI: 5 + 1
    page = gap.page(Study(SIZES["quick"], (), "jpeg", tmp_path))
    said = "The gap is the output PSNR of noise minus that of the attack"
    assert said in page and said in (ROOT / "docs" / "robustness.md").read_text()
