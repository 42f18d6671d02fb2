"""Model cards from benchmarks/publish.py: the two sources of figures say the same."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from corelic.codecs.registry import find_spec

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def numbers(table: str) -> NDArray[np.float64]:
    """Of the rows below the head: quality, bpp, PSNR, MS-SSIM."""
    rows = table.replace("dB", "").splitlines()[2:]
    return np.array([[float(each) for each in row.strip("| ").split("|")] for row in rows])


def test_a_run_of_bench_gives_the_figures_of_kodak() -> None:
    publish = runpy.run_path(str(BENCHMARKS / "publish.py"), run_name="publish")
    folder = BENCHMARKS / "results" / "kodak"
    [name] = (path.stem for path in (folder / "curves").glob("swift-*.json"))
    kodak = json.loads((BENCHMARKS / "results" / f"kodak-{name}.json").read_text())
    bench = publish["of_bench"](folder, name)
    table = publish["rate_distortion_table"]
    # Analysis in bfloat16 may round otherwise on another number of threads: the last digit, once.
    rows, expected = (numbers(table(one)) for one in (bench, kodak))
    assert rows.shape == (11, 4)
    assert (np.abs(rows - expected) <= np.array([0, 0.001, 0.01, 0.0001]) * 1.01).all()
    for metric in ("psnr", "ms-ssim"):
        ours, theirs = (publish["bd_rate"](one, metric) for one in (bench, kodak))
        assert ours["anchor"] == theirs["anchor"]
        assert ours["percent"] == pytest.approx(theirs["percent"], abs=0.01)
    assert publish["kodak_sentence"](bench) == publish["kodak_sentence"](kodak)
    # Files alone do not tell what the grid costs.
    assert publish["parsing_sentence"](bench) == publish["NOT_COMPARED"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("swift-5", "On from `swift-5`"),
        ("swift", "On from `swift-4`"),  # as older runs have it
        ("/home/me/runs/swift.safetensors", "On from `swift.safetensors`"),
        (None, "`recipes/swift.yaml`"),
    ],
)
def test_a_card_says_where_training_began(start: str | None, expected: str) -> None:
    publish = runpy.run_path(str(BENCHMARKS / "publish.py"), run_name="publish")
    assert publish["begun"]({"start": start}, find_spec("swift-5")).startswith(expected)
