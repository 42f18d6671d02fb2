"""corelic attack."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from corelic.attacks.evaluation.damage import CleanSide
from corelic.attacks.victim import Victim
from corelic.codecs.peers import PEERS
from corelic.errors import MissingPartError
from tests.cli.conftest import Program, Ran
from tests.tiny import TINY_WEIGHTS

TINY = ("--codec", str(TINY_WEIGHTS))
SHORT = ("--steps", "4")


@pytest.fixture(autouse=True)
def small(corelic: Program, photo: Image.Image) -> None:
    """Two pictures of different sizes, smaller than those of other commands."""
    photo.crop((0, 0, 70, 60)).save("one.png")
    photo.crop((60, 40, 124, 104)).save("two.jpg", quality=95)


def test_attacked_pictures_keep_to_the_budget_and_are_what_was_measured(corelic: Program) -> None:
    ran = corelic("attack", "one.png", "two.jpg", *TINY, *SHORT, "--objective", "rate", "-o", "out")
    assert ran.exit_code == 0, ran.stderr
    shown = ran.stdout.decode()
    assert "means over 2 pictures" in shown and "attacked pictures and all figures: out" in shown
    rows = json.loads(Path("out/attack.json").read_text())
    assert [len(row["damages"]) for row in rows] == [2] * 4
    for name, source, damage in zip(
        ("one", "two"), ("one.png", "two.jpg"), rows[0]["damages"], strict=True
    ):
        attacked = Image.open(f"out/{name}.png")
        change = np.asarray(attacked).astype(int) - np.asarray(Image.open(source))
        assert attacked.mode == "RGB" and np.abs(change).max() == 8 == damage["linf_levels"]
        assert corelic("encode", f"out/{name}.png", *TINY, "-o", f"{name}.clc").exit_code == 0
        assert Path(f"{name}.clc").stat().st_size == damage["attacked_bytes"]
    assert rows[0]["mean"]["bytes_ratio"] > rows[1]["mean"]["bytes_ratio"]
    assert rows[0]["moved"] == 2 and rows[0]["passes"] == 8


def test_json_is_what_the_file_has(corelic: Program) -> None:
    ran = corelic("attack", "one.png", *TINY, *SHORT, "--json", "-o", "out")
    assert json.loads(ran.stdout) == json.loads(Path("out/attack.json").read_text())


def test_whether_a_task_was_fooled_is_said_of_the_files(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ran = corelic(
        *("attack", "one.png", "--codec", "jpeg", "--objective", "task=plain", "--steps", "3"),
        *("--constraint", "linf=32", "-o", "out"),
    )
    assert ran.exit_code == 0, ran.stderr
    attack, *_ = json.loads(Path("out/attack.json").read_text())
    [damage] = attack["damages"]
    assert damage["score_after"] > damage["score_before"] == attack["mean"]["score_before"]
    assert attack["mean"]["reclassified"] == (damage["class_after"] != damage["class_before"])
    shown = " ".join(ran.stdout.decode().split())
    assert "(another class in" in shown and f"→ {damage['score_after']:.3g}" in shown


def test_all_parts_can_be_named(corelic: Program) -> None:
    ran = corelic(
        *("attack", "one.png", *TINY, *SHORT, "-q", "30", "--attack", "apgd"),
        *("--objective", "frobenius:low-band=1", "--constraint", "psnr=38:high=0.1"),
        *("--modifier", "smooth=3", "--modifier", "momentum=0.9"),
        *("--defence", "blur", "--region", "8,8,32,32", "--control", "webp", "--json", "-o", "out"),
    )
    assert ran.exit_code == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert rows[0]["attack"] == (
        "APGD-4 + smooth 3 + momentum 0.9, Frobenius norm − 1 × low band in a region, "
        "PSNR ≥ 38.00 dB, from 0.1 cycles/px"
    )
    assert rows[0]["victim"].startswith("tiny-1 at 30 behind") and "WebP" in rows[2]["victim"]
    assert rows[0]["damages"][0]["input_psnr_db"] >= 38


def test_a_defence_that_measures_is_shown_other_photographs(
    corelic: Program, photo: Image.Image
) -> None:
    def ran(*clean: str) -> Ran:
        defence = ("--defence", "latent-clipping", *clean)
        return corelic("attack", "one.png", *TINY, "--steps", "1", *defence, "--json", "-o", "out")

    nothing, itself = ran(), ran("--clean", "one.png")
    assert nothing.exit_code == 1 and "was shown no picture" in nothing.stderr
    assert itself.exit_code == 1 and "is shown one.png, which is attacked" in itself.stderr
    Path("clean").mkdir()
    photo.crop((100, 0, 200, 100)).save("clean/a.png")
    photo.crop((0, 76, 100, 176)).save("clean/b.jpg")
    found = ran("--clean", "clean")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)[0]["victim"] == "tiny-1 at 50 behind latent clipping"


def test_clean_pictures_for_nobody_are_refused(corelic: Program) -> None:
    for defence in ((), ("--defence", "median")):
        ran = corelic("attack", "one.png", *TINY, *defence, "--clean", "photo.png", "-o", "out")
        assert ran.exit_code == 1 and "leave --clean out" in ran.stderr


def test_the_middle_alone_can_be_attacked(corelic: Program) -> None:
    ran = corelic("attack", "one.png", *TINY, *SHORT, "--crop", "32", "--json", "-o", "out")
    [damage] = json.loads(ran.stdout)[0]["damages"]
    assert (damage["width_px"], damage["height_px"]) == (32, 32)
    clean = np.asarray(Image.open("one.png")).astype(int)[14:46, 19:51]
    assert np.abs(np.asarray(Image.open("out/one.png")) - clean).max() == 8


def test_memory_that_is_refused_costs_one_picture(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = CleanSide.__init__

    def refused(self: CleanSide, victim: Victim, pictures: Any, names: Any) -> None:
        if pictures[0].width_px == 70:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        coded(self, victim, pictures, names)

    monkeypatch.setattr(CleanSide, "__init__", refused)
    ran = corelic("attack", "one.png", "two.jpg", *TINY, "--steps", "1", "-o", "out")
    assert ran.exit_code == 1 and "70 × 60 needs more memory" in ran.stderr
    assert len(json.loads(Path("out/attack.json").read_text())[0]["damages"]) == 1


def test_a_classical_codec_can_be_searched_without_gradients(corelic: Program) -> None:
    ran = corelic(
        *("attack", "one.png", "--codec", "jpeg", "--attack", "square", "--queries", "12"),
        *("--json", "-o", "out"),
    )
    rows = json.loads(ran.stdout)
    assert rows[0]["queries"] == 12 and rows[0]["passes"] == 0


def test_figures_of_another_run_are_not_overwritten(corelic: Program) -> None:
    short = (*TINY, "--steps", "1", "-o", "out")
    assert corelic("attack", "one.png", *short).exit_code == 0
    figures = Path("out/attack.json").read_bytes()
    refused = corelic("attack", "two.jpg", *short)
    assert refused.exit_code == 1 and "attack.json" in refused.stderr
    assert Path("out/attack.json").read_bytes() == figures and not Path("out/two.png").exists()
    assert corelic("attack", "two.jpg", *short, "--overwrite").exit_code == 0


def test_the_same_seed_gives_the_same_picture(corelic: Program) -> None:
    for folder, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        corelic("attack", "one.png", *TINY, "--steps", "1", "--seed", seed, "-o", folder)
    a, b, c = (Path(folder, "one.png").read_bytes() for folder in "abc")
    assert a == b != c


def test_a_picture_that_cannot_be_attacked_does_not_stop_the_others(
    corelic: Program, photo: Image.Image
) -> None:
    photo.convert("RGBA").save("clear.png")  # opaque, but it has an alpha
    ran = corelic("attack", "clear.png", "one.png", *TINY, *SHORT, "-o", "out")
    assert ran.exit_code == 1 and "transparency" in ran.stderr
    assert Path("out/one.png").exists() and not Path("out/clear.png").exists()
    assert len(json.loads(Path("out/attack.json").read_text())[0]["damages"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--objective", "distorsion"), "did you mean 'distortion'"),
        (("--constraint", "linf=0"), "give 1 / 255 to 1"),
        (("--modifier", "inertia"), "is not known"),
        (("--attack", "pgdd"), "did you mean 'pgd'"),
        (("--codec", "swfit"), "did you mean 'swift'"),
        (("--control", "jpg"), "did you mean"),
        (("--defence", "medium"), "did you mean 'median'"),
        (("--region", "60,0,20,20"), "not within 70 × 60"),
        (("--region", "0,0,1000000,1000000"), "not within 70 × 60"),
        (("--region", "5,5,0,9"), "has no pixels"),
    ],
)
def test_a_misspelt_part_is_one_line_and_nothing_is_written(
    corelic: Program, arguments: tuple[str, ...], message: str
) -> None:
    codec = () if "--codec" in arguments else TINY
    ran = corelic("attack", "one.png", *codec, *arguments, "-o", "out")
    assert ran.exit_code == 1 and ran.stderr.startswith("error: ")
    assert message in ran.stderr and ran.stderr.count("\n") == 1
    assert not Path("out/one.png").exists()


def test_a_control_that_cannot_be_had_is_said_before_the_work(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: object) -> None:
        raise MissingPartError("x265", "av", "bench")

    monkeypatch.setattr(type(PEERS["x265"]), "facts", property(missing))
    ran = corelic("attack", "one.png", *TINY, *SHORT, "--control", "x265", "-o", "out")
    assert ran.exit_code == 1 and "corelic[bench]" in ran.stderr
    assert not Path("out").exists()


def test_a_picture_without_its_figures_is_not_left(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be in the way of the next run."""

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(CleanSide, "beside", fail)
    ran = corelic("attack", "one.png", *TINY, *SHORT, "-o", "out")
    assert ran.exit_code == 1 and not Path("out/one.png").exists()


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
def test_a_seed_is_one_that_torch_takes(corelic: Program, seed: str) -> None:
    ran = corelic("attack", "one.png", *TINY, "--seed", seed, "-o", "out")
    assert ran.exit_code == 2 and "--seed" in ran.stderr


def test_an_aim_that_is_not_reached_is_not_called_nothing(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    aim = ("--attack", "cw:goal=1000000", "--objective", "rate", *SHORT)
    ran = corelic("attack", "one.png", *TINY, *aim, "-o", "out")
    assert ran.exit_code == 0, ran.stderr
    attack, *_ = json.loads(Path("out/attack.json").read_text())
    [damage] = attack["damages"]
    assert attack["moved"] == 0 and damage["score_after"] > damage["score_before"]
    assert "(aim not reached)" in ran.stdout.decode()


def test_a_region_has_four_numbers(corelic: Program) -> None:
    ran = corelic("attack", "one.png", *TINY, "--region", "1,2,3", "-o", "out")
    assert ran.exit_code == 2 and "0,0,64,64" in ran.stderr


def test_what_exists_is_not_overwritten_unasked(corelic: Program) -> None:
    arguments = ("attack", "one.png", *TINY, "--steps", "1", "-o", "out")
    assert corelic(*arguments).exit_code == 0
    again = corelic(*arguments)
    assert again.exit_code == 1 and "exists" in again.stderr
    assert corelic(*arguments, "--overwrite").exit_code == 0
