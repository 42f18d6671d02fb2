"""What benchmarks/matrix.py prints, and what it goes on with."""

import runpy
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "matrix.py"


@pytest.fixture(scope="module")
def matrix() -> dict[str, Any]:
    return runpy.run_path(str(PATH), run_name="matrix")


def row(matrix: dict[str, Any], context: str, seed: int, share: float) -> object:
    """A context that needs `share` of the bits."""
    points = tuple((0.0, share * 2.0**db, 30.0 + db) for db in range(4))
    figures = (1000, 2.5, 3, 0.1, points, 0.2, 0.4)
    return matrix["Row"]("residual", context, seed, *figures)


def test_bits_are_against_no_context_of_the_same_seed(matrix: dict[str, Any]) -> None:
    base = matrix["BASELINE"]
    rows = [row(matrix, base, 1, 1.0), row(matrix, "checkerboard", 1, 0.9)]
    rows += [row(matrix, base, 2, 2.0), row(matrix, "checkerboard", 2, 1.6)]
    _, _, first, second = matrix["table"](rows)
    assert first.startswith(f"| residual | {base} | 0 |")
    assert second.startswith("| residual | checkerboard | -10.0 % / -20.0 % | 0.00 M | 2.5 | 3 |")


def test_the_page_says_what_was_measured(matrix: dict[str, Any]) -> None:
    options = dict.fromkeys(matrix["FIXED"], "7") | {"limit": "None", "pictures": "a/kodak"}
    options |= {"frozen": "None"}
    assert "of the middle 7² of the pictures in `kodak`" in matrix["conditions"](options)
    options |= {"limit": "2", "centre": "None"}
    assert "of the first 2 pictures in `kodak`" in matrix["conditions"](options)
    assert matrix["conditions"](options).startswith("7 latent channels. Transforms had 7 steps;")
    published = matrix["conditions"](options | {"frozen": "swift"})
    assert published.startswith("Transforms are those of swift, as published; contexts had 7 steps")


def test_a_run_goes_on_with_its_own_options_alone(matrix: dict[str, Any], tmp_path: Path) -> None:
    options = {name: "1" for name in matrix["FIXED"]} | {"seeds": "1"}
    assert matrix["keep_to"](options, tmp_path / "new") is None
    assert matrix["keep_to"](options | {"seeds": "1,2"}, tmp_path / "new") is None
    problem = matrix["keep_to"](options | {"transform_steps": "7"}, tmp_path / "new")
    assert "--transform-steps 1;" in problem


def test_every_kind_can_be_in_it(matrix: dict[str, Any]) -> None:
    for transform in matrix["spec_json"].kinds("transform").values():
        for context in matrix["spec_json"].kinds("context").values():
            spec = matrix["codec_spec"]("matrix", transform.sized(128), context.sized(128))
            assert spec.transform.latent_channels == spec.context.latent_channels == 128
