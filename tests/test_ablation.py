"""What benchmarks/ablation.py changes, and what it prints."""

import argparse
import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

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
    recipe = SCRIPT["recipe_for"]("swift", argparse.Namespace(seed=1, precision="32-true"))
    after, other = change.spec(before), change.recipe(recipe)
    assert (after != before) + (other != recipe) == (name != SCRIPT["BASE"])
    with torch.device("meta"):
        counts = [LearnedImageCodec(spec).parameter_count for spec in (before, after)]
    assert (counts[0] != counts[1]) == (after != before)


def test_the_best_change_comes_first() -> None:
    base = SCRIPT["BASE"]
    _, _, *lines = SCRIPT["table"]([row(base, 1.0), row("worse", 1.1), row("better", 0.9)])
    assert [line.split("`")[1] for line in lines] == ["better", base, "worse"]
    assert "| -10.00 % | 30.0 … 34.0 dB | 800 | 0.25 | 8.00 M | 32.0 |" in lines[0]


def test_a_misspelt_change_is_an_error() -> None:
    assert SCRIPT["chosen"]("cosine") == [SCRIPT["BASE"], "cosine"]
    with pytest.raises(SystemExit, match="cosinus: no change"):
        SCRIPT["chosen"]("cosinus")


def test_what_is_kept_is_named_after_all_that_decides_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = argparse.Namespace(
        seed=1, minutes=5.0, precision="32-true", device="cpu", data=tmp_path / "photos"
    )
    shutil.copytree(photos, given.data)
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))  # what it registers goes again
    names = [SCRIPT["run_name"]("cosine", given)]
    (given.data / "coffee.png").unlink()
    names.append(SCRIPT["run_name"]("cosine", given))
    monkeypatch.setitem(
        SCRIPT["run_name"].__globals__, "device_of", lambda name: torch.device("cuda")
    )
    names.append(SCRIPT["run_name"]("cosine", given))
    newest = find_spec(SCRIPT["BASE"])
    registry.register(replace(newest, generation=newest.generation + 1))
    names.append(SCRIPT["run_name"]("cosine", given))
    assert len(set(names)) == len(names)


def test_changes_are_trained_measured_and_kept(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(SCRIPT["main"].__globals__, "SIDE_PX", 64)
    monkeypatch.setattr("corelic.training.data.is_held_out", lambda name: "coffee" in name)
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))  # what it registers goes again
    folders = ["--data", str(photos), "--work", str(tmp_path / "work")]
    folders += ["--out", str(tmp_path / "out.json")]
    options = ["--only", "hyper-64", "--minutes", "0.001", "--device", "cpu", *folders]
    monkeypatch.setattr(sys, "argv", ["ablation.py", *options])
    assert SCRIPT["main"]() == 0
    shown = capsys.readouterr().out
    assert "hyper-64: step " in shown and "| `hyper-64`: 64 hyper-latents instead of 128 |" in shown
    found = json.loads((tmp_path / "out.json").read_text())
    assert [one["change"] for one in found["rows"]] == [SCRIPT["BASE"], "hyper-64"]
    for one in found["rows"]:
        assert one["steps"] >= 1 and len(one["points"]) == len(SCRIPT["QUALITIES"])
        assert all(rate_bpp > 0 and db > 5 for rate_bpp, db in one["points"])
    assert SCRIPT["main"]() == 0 and ": step " not in capsys.readouterr().out
