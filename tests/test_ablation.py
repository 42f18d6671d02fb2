"""What benchmarks/ablation.py changes, and what it prints."""

import argparse
import runpy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from corelic.codecs import registry
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.registry import find_spec

PATH = Path(__file__).parents[1] / "benchmarks" / "ablation.py"
SCRIPT = runpy.run_path(str(PATH), run_name="ablation")


def row(name: str, share: float) -> object:
    """A change that needs `share` of the bits."""
    points = tuple((share * 2.0**step, 30.0 + step) for step in range(5))
    return SCRIPT["Row"](name, "a change", 800, 0.25, 1.5, 8_000_000, 32.04, points)


@pytest.mark.parametrize("name", SCRIPT["CHANGES"])
def test_a_change_changes_one_thing(name: str) -> None:
    change, before = SCRIPT["CHANGES"][name], find_spec(SCRIPT["BASE"])
    recipe = SCRIPT["recipe_for"]("swift", 1, "32-true")
    after, other = change.spec(before), change.recipe(recipe)
    assert (after != before) + (other != recipe) == (name != SCRIPT["BASE"])
    with torch.device("meta"):
        codec = LearnedImageCodec(after)
    assert (codec.parameter_count != 7_963_456) == (after != before)


def test_the_best_change_comes_first() -> None:
    base = SCRIPT["BASE"]
    _, _, *lines = SCRIPT["table"]([row(base, 1.0), row("worse", 1.1), row("better", 0.9)])
    assert [line.split("`")[1] for line in lines] == ["better", base, "worse"]
    assert "| -10.00 % | 30.0 … 34.0 dB | 800 | 0.25 | 8.00 M | 32.0 |" in lines[0]


def test_a_misspelt_change_is_an_error() -> None:
    assert SCRIPT["chosen"]("cosine") == [SCRIPT["BASE"], "cosine"]
    with pytest.raises(SystemExit, match="cosinus: no change"):
        SCRIPT["chosen"]("cosinus")


def test_a_change_is_trained_and_measured(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    globals_of: dict[str, Any] = SCRIPT["trained"].__globals__
    monkeypatch.setitem(globals_of, "SIDE_PX", 64)
    monkeypatch.setattr("corelic.training.data.is_held_out", lambda name: "coffee" in name)
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))  # what it registers goes again
    given = argparse.Namespace(
        minutes=0.001, seed=1, precision="32-true", device="cpu", data=photos, work=tmp_path
    )
    found = SCRIPT["trained"]("hyper-64", SCRIPT["CHANGES"]["hyper-64"], given)
    assert asdict(found)["steps"] >= 1 and len(found.points) == len(SCRIPT["QUALITIES"])
    assert all(rate_bpp > 0 and db > 5 for rate_bpp, db in found.points)
