"""What benchmarks/matrix.py prints, and what it goes on with."""

import importlib
import json
import runpy
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from corelic.codecs import store
from corelic.codecs.registry import find_spec

PATH = Path(__file__).parents[1] / "benchmarks" / "matrix.py"
NOWHERE = "--data", "photos", "--pictures", "kodak"


@pytest.fixture(scope="module")
def matrix() -> dict[str, Any]:
    """What the script and the modules beside it hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PATH.parent)
        names = ("rows", "training")
        parts = [vars(importlib.import_module(f"matrix_study.{name}")) for name in names]
        script = runpy.run_path(str(PATH), run_name="matrix")
    return {name: found for part in (*parts, script) for name, found in part.items()}


def row(matrix: dict[str, Any], context: str, seed: int, share: float) -> Any:
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


def test_what_is_done_is_shown(matrix: dict[str, Any], tmp_path: Path) -> None:
    given = Namespace(work=tmp_path, seeds="1,2", contexts="checkerboard,quarters")
    done = row(matrix, "quarters", 2, 0.5)
    (tmp_path / "residual").mkdir()
    (tmp_path / "residual" / "quarters-2.json").write_text(json.dumps(asdict(done)))
    (found,) = matrix["kept"]("residual", given)
    assert (found.context, found.seed) == ("quarters", 2)
    assert found.curve == done.curve


def test_a_published_codec_lends_its_transforms(
    matrix: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    base = matrix["published_base"]("swift", Namespace(data=photos, work=tmp_path))
    published = store.by_name("swift").codec.analysis.state_dict()
    for name, weight in base.codec.analysis.state_dict().items():
        assert weight.equal(published[name].to(weight.dtype)), name
    assert base.crops.batch(0, range(1), 64).shape == (1, 3, 64, 64)


def test_a_published_codec_is_one_of_a_generation(
    matrix: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of one must not be taken for the next one's."""
    monkeypatch.setattr(sys, "argv", ["matrix.py", "--frozen", "swift,swift-3", *NOWHERE])
    assert matrix["arguments"]().frozen == f"{find_spec('swift').full_name},swift-3"


def test_every_kind_can_be_in_it(matrix: dict[str, Any]) -> None:
    for transform in matrix["spec_json"].kinds("transform").values():
        for context in matrix["spec_json"].kinds("context").values():
            spec = matrix["codec_spec"]("matrix", transform.sized(128), context.sized(128))
            assert spec.transform.latent_channels == spec.context.latent_channels == 128
