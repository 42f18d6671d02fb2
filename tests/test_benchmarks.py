"""The scripts that measure are run by hand; that they still start is tested here."""

import importlib
import json
import os
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from corelic.codecs.files import open_codec
from corelic.errors import OutputError
from tests.tiny import TINY_WEIGHTS

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


def test_there_are_scripts() -> None:  # none would pass below
    assert len(SCRIPTS) > 5


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_imports_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(path.parent)
    assert callable(runpy.run_path(str(path), run_name=path.stem)["main"])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """What a script holds, by its name."""
    monkeypatch.syspath_prepend(SCRIPTS[0].parent)

    def found(name: str) -> dict[str, Any]:
        return runpy.run_path(str(SCRIPTS[0].parent / f"{name}.py"), run_name=name)

    return found


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """What the scripts keep results with; nothing of it reaches ours."""
    monkeypatch.syspath_prepend(SCRIPTS[0].parent)
    module = importlib.import_module("keeping")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    return module


@pytest.mark.parametrize(
    ("codec", "partial", "expected"),
    [
        ("swift-6", False, "speed-swift-6-fast.json"),
        ("swift-6:effort=4", False, "speed-swift-6-effort-4-fast.json"),
        ("swift-6", True, None),
    ],
)
def test_results_have_places_of_their_own(
    keeping: ModuleType,
    capsys: pytest.CaptureFixture[str],
    codec: str,
    partial: bool,
    expected: str | None,
) -> None:
    opened = open_codec(codec, "cpu")
    found = keeping.place_of("speed", opened, None, partial=partial, variant="-fast")
    assert found == (expected and keeping.RESULTS / expected)
    assert ("--out" in capsys.readouterr().err) == (expected is None)
    given = Path("mine.json")
    assert keeping.place_of("speed", opened, given, partial=partial) == given


def test_figures_of_an_export_have_no_place(
    keeping: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    own = SimpleNamespace(spec=SimpleNamespace(generation=0), facts=SimpleNamespace(name="tiny-0"))
    assert keeping.place_of("kodak", own, None, partial=False) is None
    assert "every export of your own is a tiny-0" in capsys.readouterr().err


def test_the_campaign_goes_on_from_what_is_finished(
    script: Callable[[str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_job = script("campaign")["next_job"]
    finished: set[str] = set()
    monkeypatch.setitem(next_job.__globals__, "is_finished", lambda run: run.name in finished)
    recipe, run = tmp_path / "on.yaml", tmp_path / "runs" / "on"
    recipe.write_text("codec: swift\nseed: 4\nstart: swift\n")
    assert next_job(recipe, run) == (recipe, run)
    for number in (2, 3):
        run.mkdir(parents=True)
        (run / "swift.safetensors").touch()
        finished.add(run.name)
        planned, following = next_job(recipe, tmp_path / "runs" / "on")
        assert following == tmp_path / "runs" / f"on-{number}"
        assert yaml.safe_load(planned.read_text()) == {
            "codec": "swift",
            "seed": 3 + number,
            "start": str(run / "swift.safetensors"),
        }
        assert next_job(recipe, tmp_path / "runs" / "on") == (planned, following)
        run = following


def test_a_stretch_of_the_campaign_is_finished_when_it_was_measured(
    script: Callable[[str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was killed after its last step still has weights of an earlier pause."""
    is_finished = script("campaign")["is_finished"]
    named = is_finished.__globals__
    recipe, position = SimpleNamespace(steps=10), SimpleNamespace(step=10)
    there = SimpleNamespace(exists=lambda _: True, load=lambda _: SimpleNamespace(recipe=recipe))
    monkeypatch.setitem(named, "Setup", there)
    monkeypatch.setattr(named["checkpoint"], "exists", lambda _: True)
    monkeypatch.setattr(named["checkpoint"], "load", lambda _: SimpleNamespace(position=position))
    saved, measured = tmp_path / "checkpoint.json", tmp_path / "kodak.json"
    saved.touch()
    assert not is_finished(tmp_path)
    measured.touch()
    os.utime(measured, (0, 0))
    assert not is_finished(tmp_path)
    os.utime(measured)
    assert is_finished(tmp_path)
    position.step = 9
    assert not is_finished(tmp_path)


class Peer:
    """In the place of compressai's."""

    def compress(self, x: Tensor) -> dict[str, Any]:
        return {"strings": [[b"1234"]]}

    def decompress(self, **strings: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kodak", ["--qualities", "20,80"]),
        ("speed", ["--limit", "1", "--rounds", "1"]),
        ("targets", ["--rates", "0.0001", "--psnrs", "90"]),  # no target is in reach
    ],
)
def test_a_quick_look_leaves_what_was_measured(
    keeping: ModuleType,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Callable[[str], dict[str, Any]],
    name: str,
    options: list[str],
) -> None:
    main = script(name)["main"]
    if name == "speed":
        monkeypatch.setitem(main.__globals__, "peer", lambda pretrained: Peer())
    given = ["--codec", str(TINY_WEIGHTS), "--pictures", str(photos), *options]
    given += ["--threads", str(torch.get_num_threads())]  # of all tests, in one process
    for out in ([], ["--out", str(tmp_path / "new" / "mine.json")]):
        monkeypatch.setattr(sys, "argv", [name, *given, *out])
        main()
    assert not keeping.RESULTS.exists()
    assert not list((SCRIPTS[0].parent / "results").glob("*tiny*"))
    found = json.loads((tmp_path / "new" / "mine.json").read_text())
    assert (found.get("codec") or found["name"]) == "tiny-1"
    if name == "targets":
        assert found["most_trials"] is None and len(found["out_of_reach"]) == 4


def test_memory_is_not_compared_across_machines(
    script: Callable[[str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, out = script("memory"), tmp_path / "memory.json"
    inside = memory["main"].__globals__
    run = memory["Run"]("encode", 1.0, 2.0, 2.0, 10**9, 10**8, 1000)
    monkeypatch.setitem(inside, "in_a_process", lambda work, *_: replace(run, work=work))
    given = ["--megapixels", "1", "--files", str(tmp_path), "--out", str(out)]
    given += ["--threads", str(torch.get_num_threads())]
    kept = []
    for work, cpu in (("encode", "mine"), ("decode", "mine"), ("decode", "yours")):
        monkeypatch.setitem(inside, "machine", lambda cpu=cpu: {"cpu": cpu})
        monkeypatch.setattr(sys, "argv", ["memory", *given, "--only", work])
        memory["main"]()
        kept.append([run["work"] for run in json.loads(out.read_text())["runs"]])
    assert kept == [["encode"], ["decode", "encode"], ["decode"]]


def test_a_study_is_of_one_fine_tuned_codec(
    script: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    facts_of = script("robustness")["facts_of"]
    asked = {"size": "quick", "codecs": ["tiny-1"], "control": "jpeg", "hardened": None}

    def kept(facts: dict[str, Any]) -> None:
        (tmp_path / "run.json").write_text(json.dumps(facts))

    first = facts_of(tmp_path, asked)
    kept(first)
    # Weights that nothing was measured of yet may come later, and be left out again.
    kept(facts_of(tmp_path, {**asked, "hardened": "1234"}))
    (tmp_path / "defences").mkdir()
    (tmp_path / "defences" / "fine-tuned.json").touch()
    for hardened in (None, "1234"):
        assert facts_of(tmp_path, {**asked, "hardened": hardened})["hardened"] == "1234"
    with pytest.raises(SystemExit, match="not of"):
        facts_of(tmp_path, {**asked, "hardened": "5678"})
    # As older runs have it: of which weights the cell is, nobody knows.
    kept({key: value for key, value in first.items() if key != "hardened"})
    assert facts_of(tmp_path, asked) == first
    with pytest.raises(SystemExit, match="not of"):
        facts_of(tmp_path, {**asked, "hardened": "1234"})


def test_stored_attacks_have_the_settings_that_are_asked_for(
    script: Callable[[str], dict[str, Any]],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main, out = script("harden")["main"], tmp_path / "attacked"

    def attack(*options: str) -> str:
        given = ["--codecs", str(TINY_WEIGHTS), "--photos", str(photos), "--out", str(out)]
        given += ["--size", "64", "--steps", "1", "--count", "2"]
        given += ["--threads", str(torch.get_num_threads())]
        monkeypatch.setattr(sys, "argv", ["harden", *given, *options])
        main()
        return capsys.readouterr().out

    here = tmp_path / "here.safetensors"
    here.touch()
    for network in ("--purifier", "--irad"):
        with pytest.raises(OutputError, match="exists already"):
            attack(network, str(here))
    assert not out.exists()
    assert "2 attacks made" in attack()
    assert "0 attacks made" in attack()
    assert "9 stored" in attack("--count", "9")
    with pytest.raises(SystemExit, match="with other settings"):
        attack("--eps", "4")
    (out / "settings.json").unlink()
    with pytest.raises(SystemExit, match="that are not known"):
        attack()
