"""corelic robustness"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from corelic.attacks import grid
from corelic.attacks.findings import Plan
from corelic.attacks.victim import Victim
from corelic.errors import OutOfMemoryError
from corelic.eval import bench, tasks
from corelic.eval.engines import Serial
from corelic.media import Picture
from tests.cli.conftest import Program
from tests.tiny import TINY_WEIGHTS

TINY = ("--codecs", str(TINY_WEIGHTS))
SHORT = ("--steps", "2", "--objectives", "rate", "-o", "out")


@pytest.fixture(autouse=True)
def pictures(corelic: Program, photo: Image.Image) -> None:
    Path("pictures").mkdir()
    photo.crop((0, 0, 70, 60)).save("pictures/one.png")
    photo.crop((60, 40, 124, 104)).save("pictures/two.jpg", quality=95)


def findings() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path("out/robustness.json").read_text())["findings"]
    return found


def test_every_combination_is_measured_on_files(corelic: Program) -> None:
    ran = corelic("robustness", "pictures", *TINY, *SHORT, "--defences", "median", "--crop", "48",
                  "--constraints", "linf=4,linf=8", "--qualities", "30,70")  # fmt: skip
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert "out/index.html" in ran.stdout.decode()
    points = {
        (one["quality"], one["defence"], one["knows"], one["constraint"]) for one in findings()
    }
    attackers = (("none", "all"), ("median", "codec"), ("median", "all"))
    assert points == {
        (quality, *attacker, constraint)
        for quality in (30, 70)
        for attacker in attackers
        for constraint in ("linf=4", "linf=8")
    }
    for one in findings():
        attack, noise, *control = one["rows"]
        assert attack["mean"]["linf_levels"] == int(one["constraint"][-1])
        assert "noise" in noise["attack"]
        assert len(control) == (2 if one["defence"] == "none" else 0)
        for damage in attack["damages"]:
            name = f"out/attacked/{one['attacked'][damage['picture']]}"
            assert Image.open(name).size == (48, 48)
            if one["defence"] == "none":
                codec = ("--codec", str(TINY_WEIGHTS), "-q", f"{one['quality']:g}")
                assert corelic("encode", name, *codec, "-o", "x.clc", "--overwrite").exit_code == 0
                assert Path("x.clc").stat().st_size == damage["attacked_bytes"]


def test_attacks_run_where_they_are_told_to(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for command in (("attack",), ("robustness",)):
        ran = corelic(*command, "pictures/one.png", "-o", "there", "--device", "cuda")
        assert ran.exit_code == 1 and "is not there; leave --device out" in ran.stderr
    assert not Path("there").exists()


def test_an_attacker_who_knows_of_chance_takes_its_mean(corelic: Program) -> None:
    command = ("robustness", "pictures/one.png", *TINY, *SHORT, "--defences", "shifts")
    ran = corelic(*command, "--draws", "2")
    assert ran.exit_code == 0, ran.stderr
    rows = {(one["defence"], one["knows"]): one["rows"][0] for one in findings()}
    means = {at: ("EOT 2" in row["attack"], row["passes"]) for at, row in rows.items()}
    assert means == {
        ("none", "all"): (False, 2),
        ("shifts", "codec"): (False, 2),
        ("shifts", "all"): (True, 4),
    }
    ran = corelic(*command, "--attacks", "square", "--queries", "4", "-o", "blind")
    assert ran.exit_code == 0, ran.stderr


def test_a_blind_attacker_makes_what_it_makes_of_the_codec_alone(corelic: Program) -> None:
    ran = corelic("robustness", "pictures/one.png", *TINY, *SHORT, "--defences", "blur")
    assert ran.exit_code == 0, ran.stderr
    attacked = {
        (one["defence"], one["knows"]): Path(
            "out/attacked", one["attacked"]["one.png"]
        ).read_bytes()
        for one in findings()
    }
    assert attacked["none", "all"] == attacked["blur", "codec"] != attacked["blur", "all"]
    victims = {one["rows"][0]["victim"] for one in findings()}
    assert victims == {"tiny-1 at 50", "tiny-1 at 50 behind blur σ 0.7"}  # as both are judged


def test_the_page_shows_pictures_in_rows_and_needs_nothing_else(corelic: Program) -> None:
    ran = corelic("robustness", "pictures", *TINY, *SHORT, "--sample", "1", "--crop", "48")
    assert ran.exit_code == 0, ran.stderr
    page = Path("out/index.html").read_text()
    assert "one.png: " in page and "two.jpg: " not in page  # one of them is shown
    assert page.count("<figure>") == page.count("data:image/webp;base64,") == 6
    for label in ("clean", "attacked", "decoded clean", "decoded attacked", "difference × 8"):
        assert f"<figcaption>{label}</figcaption>" in page
    assert "://" not in page and "{{" not in page and "<script" not in page


def test_differences_are_amplified_around_grey() -> None:
    clean = np.array([[[100, 100, 100]]], np.uint8)
    attacked = np.array([[[101, 98, 255]]], np.uint8)
    assert grid.amplified(clean, attacked).tolist() == [[[136, 112, 255]]]


def test_a_run_goes_on_where_it_was(corelic: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("robustness", "pictures", *TINY, *SHORT, "--crop", "48")
    assert corelic(*arguments).exit_code == 0
    before = findings()
    cells = sorted(Path("out/cells").iterdir())
    cells[0].unlink()
    cells[1].write_text("{")  # as an older version might have left it
    done = []
    whole = grid.Assault.run

    def counted(self: grid.Assault, data: bytes) -> grid.Assaulted:
        done.append(self.subject.picture)
        return whole(self, data)

    monkeypatch.setattr(grid.Assault, "run", counted)
    assert corelic(*arguments).exit_code == 0
    assert sorted(done) == ["one.png", "two.jpg"] and len(cells) == 2
    for one in (*before, *(after := findings())):
        for row in one["rows"]:
            del row["seconds"]
    assert before == after
    assert corelic(*arguments).exit_code == 0 and len(done) == 2
    # Another budget is another measurement.
    assert corelic(*arguments, "--constraints", "linf=3").exit_code == 0 and len(done) == 4
    # So are the attacks of another release.
    monkeypatch.setattr("corelic.__version__", "99.0")
    assert corelic(*arguments).exit_code == 0 and len(done) == 6


def test_a_point_knows_what_its_files_hold(corelic: Program, photo: Image.Image) -> None:
    def assault() -> grid.Assault:
        aims = ("targeted=aim.png",)
        plan = Plan(("jpeg",), (50,), attacks=("pgd",), objectives=aims, constraints=("linf=8",))
        pictures, _ = bench.inventory([Path("pictures/one.png")])
        [found] = grid.assaults_of(plan, pictures)
        return found

    photo.crop((0, 0, 70, 60)).save("aim.png")
    first = assault()
    assert assault().key == first.key
    photo.crop((1, 0, 71, 60)).save("aim.png")
    assert assault().key != first.key


def test_a_point_knows_what_it_was_computed_with(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(("jpeg",), (50,), attacks=("pgd",), objectives=("rate",), constraints=("linf=8",))
    pictures, _ = bench.inventory([Path("pictures/one.png")])
    [before] = grid.assaults_of(plan, pictures)
    monkeypatch.setattr(tasks, "software", lambda: "torch 99, pillow 99")
    [after] = grid.assaults_of(plan, pictures)
    assert after.key != before.key


def test_a_picture_that_changes_meanwhile_costs_its_own_points(corelic: Program) -> None:
    plan = Plan(("jpeg",), (50,), ("noise",), ("rate",), ("linf=8",), sample=0)

    class Meddled:
        def run(self, given: Sequence[tasks.Task], read: Any) -> Any:
            Path("pictures/one.png").unlink()
            return Serial().run(given, read)

    outcome = grid.run(plan, [Path("pictures")], Path("out"), engine=Meddled())
    assert ["one.png" in str(failure) for failure in outcome.failures] == [True]
    assert [one.picture for one in outcome.findings[0].rows[0].damages] == ["two.jpg"]


def test_memory_that_is_refused_costs_one_point(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(codec: object, quality: float) -> Victim:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    pictures, _ = bench.inventory([Path("pictures/one.png")])
    plan = Plan(("jpeg",), (50,), ("noise",), ("rate",), ("linf=8",))
    [assault] = grid.assaults_of(plan, pictures)
    monkeypatch.setattr(grid, "victim_of", refused)
    with pytest.raises(OutOfMemoryError, match="70 × 60"):
        assault.run(Path("pictures/one.png").read_bytes())


def test_clean_pictures_are_read_once_for_all_points(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    whole = grid.shown_pictures

    def counted(files: Sequence[Path]) -> list[Picture]:
        read.append(list(files))
        return whole(files)

    monkeypatch.setattr(grid, "shown_pictures", counted)
    ran = corelic("robustness", "pictures", *TINY, "--attacks", "noise", "--objectives", "rate",
                  "--crop", "32", "--defences", "latent-clipping", "--clean", "photo.png",
                  "-o", "out")  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    assert len(findings()) == 3  # two of them defended, on two pictures each
    assert read == [[Path("photo.png")]] * 3  # to be checked, to be named, and for all points


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text here")
def test_a_name_that_is_no_text_costs_no_results(corelic: Program, photo: Image.Image) -> None:
    Path("clean").mkdir()
    shutil.copy("photo.png", os.fsdecode(b"clean/b\xff.png"))
    Path("clean/index.csv").write_text("name,source")
    aim = os.fsdecode(b"aim\xff.png")
    photo.crop((0, 0, 32, 32)).save(aim)
    ran = corelic("robustness", "pictures/one.png", *TINY, "--attacks", "noise", "--crop", "32",
                  "--objectives", f"targeted={aim}", "--defences", "latent-clipping",
                  "--clean", os.fsdecode(b"clean/b\xff.png"), "--clean", "clean",
                  "-o", "out")  # fmt: skip
    assert ran.exit_code == 0 and "index.csv" in ran.stderr
    plan = json.loads(Path("out/robustness.json").read_text())["plan"]
    assert plan["clean"] == ["clean/b\\xff.png", "clean"]
    assert len(findings()) == 3 and Path("out/index.html").stat().st_size > 1000


def test_processes_give_the_same_figures(corelic: Program) -> None:
    arguments = ("robustness", "pictures", *TINY, *SHORT, "--crop", "48")
    assert corelic(*arguments).exit_code == 0
    one = findings()
    assert corelic(*arguments, "-o", "again", "--jobs", "2").exit_code == 0
    other = json.loads(Path("again/robustness.json").read_text())["findings"]
    for a, b in zip(one, other, strict=True):
        assert a["attacked"] == b["attacked"]
        assert [row["damages"] for row in a["rows"]] == [row["damages"] for row in b["rows"]]


def test_what_fails_is_named_and_the_rest_goes_on(corelic: Program, photo: Image.Image) -> None:
    Path("pictures/notes.txt").write_text("not a picture")
    photo.convert("RGBA").save("pictures/clear.png")
    ran = corelic("robustness", "pictures", "--codecs", f"{TINY_WEIGHTS},jpeg", *SHORT, "--crop",
                  "48", "--defences", "latent-clipping", "--clean", "photo.png")  # fmt: skip
    assert ran.exit_code == 1
    for told in ("notes.txt", "clear.png", "jpeg behind latent-clipping"):
        assert told in ran.stderr
    # The text, the defence, and of the picture with alpha each point that is left.
    assert ran.stderr.endswith("error: 6 failures, named above; all else is in the results\n")
    assert all(len(one["rows"][0]["damages"]) == 2 for one in findings())
    assert [(one["codec"] == "jpeg", one["defence"]) for one in findings()] == [
        *((False, "none"), (True, "none"), (False, "latent-clipping"), (False, "latent-clipping")),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--attacks", "pgdd"), "did you mean 'pgd'"),
        (("--objectives", "distorsion"), "did you mean 'distortion'"),
        (("--constraints", "linf=0"), "give 1 / 255 to 1"),
        (("--defences", "medium"), "did you mean 'median'"),
        (("--codecs", "swfit"), "did you mean 'swift'"),
        (("--control", "jpg"), "did you mean"),
        (("--defences", "latent-clipping"), "was shown no picture"),
        (("--clean", "photo.png"), "leave --clean out"),
    ],
)
def test_a_misspelt_part_stops_the_run_before_it_begins(
    corelic: Program, arguments: tuple[str, ...], message: str
) -> None:
    codec = () if "--codecs" in arguments else TINY
    ran = corelic("robustness", "pictures", *codec, *arguments, "-o", "out")
    assert ran.exit_code == 1 and message in ran.stderr and ran.stderr.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.parametrize("text", ["10,x", "-3", "101", ","])
def test_wrong_qualities_are_wrong_usage(corelic: Program, text: str) -> None:
    assert corelic("robustness", "pictures", "--qualities", text).exit_code == 2


def test_a_folder_without_pictures_is_an_error(corelic: Program) -> None:
    Path("empty").mkdir()
    ran = corelic("robustness", "empty", *TINY, *SHORT)
    assert ran.exit_code == 1 and "no picture is left" in ran.stderr


def test_a_defence_is_not_shown_a_crop_of_what_is_attacked(corelic: Program) -> None:
    ran = corelic("robustness", "pictures/one.png", *TINY, *SHORT, "--defences", "latent-clipping",
                  "--clean", "pictures", "--crop", "48")  # fmt: skip
    assert ran.exit_code == 1 and "a defender does not have that one" in ran.stderr


def test_files_are_known_whatever_their_names(corelic: Program, photo: Image.Image) -> None:
    photo.save("me+you.png")
    assert grid._digest_of_files(["targeted=me+you.png"])
