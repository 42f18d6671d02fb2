"""corelic bdrate, offline."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from corelic.eval import published
from corelic.eval.rate_distortion import bd_rate, to_json
from tests.cli.conftest import Program


def test_a_file_is_compared_with_a_published_curve(corelic: Program) -> None:
    Path("ours.json").write_text(json.dumps(to_json(published.find("kodak/cai-vtm"))))
    ran = corelic("bdrate", "ours.json", "kodak/dcae", "kodak/cai-vtm", "--json")
    ours, theirs = json.loads(ran.stdout)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ours["percent"] == 0
    assert theirs["percent"] == pytest.approx(-16.98, abs=0.05)
    assert (theirs["curve"], theirs["anchor"]) == ("kodak/dcae", "kodak/cai-vtm")


def test_the_table_says_what_to_mind(corelic: Program) -> None:
    ran = corelic("bdrate", "kodak/dcae", "kodak/cai-vtm")
    assert "-16.98 %" in ran.stdout.decode() and "mind, kodak/dcae" in ran.stdout.decode()


def test_curves_are_compared_over_one_interval(corelic: Program) -> None:
    names = ("kodak/cai-webp", "kodak/cai-jpeg", "kodak/cai-vtm")
    ran = corelic("bdrate", *names, "--between", "29", "39", "--json")
    found = json.loads(ran.stdout)
    anchor = published.find(names[-1])
    for row, name in zip(found, names[:-1], strict=True):
        assert (row["low_db"], row["high_db"]) == (29, 39)
        expected = bd_rate(anchor, published.find(name), interval_db=(29, 39)).percent
        assert row["percent"] == pytest.approx(expected)
        assert abs(expected - bd_rate(anchor, published.find(name)).percent) > 0.1
    ran = corelic("bdrate", *names, "--between", "29", "45")
    assert ran.exit_code == 1 and "cannot be compared over 29 … 45 dB" in ran.stderr


def test_curves_of_one_name_are_told_apart(corelic: Program) -> None:
    content = to_json(published.find("kodak/cai-vtm"))
    for folder in ("before-long", "before-later"):
        Path(folder).mkdir()
        Path(folder, "of-one-and-the-same-rather-long-name.json").write_text(json.dumps(content))
    names = [f"{folder}/of-one-and-the-same-rather-long-name.json" for folder in
             ("before-long", "before-later")]  # fmt: skip
    ran = corelic("bdrate", *names, "kodak/dcae")
    shown = "".join(line.split("│")[1].strip() for line in ran.stdout.decode().splitlines()
                    if line.startswith("│"))  # fmt: skip
    assert all(name in shown for name in names)
    ran = corelic("bdrate", names[0], "kodak/dcae", "--between", "50", "60")
    assert ran.exit_code == 1 and f"{names[0]} " in ran.stderr and "kodak/dcae " in ran.stderr


def test_published_curves_are_listed(corelic: Program) -> None:
    ran = corelic("bdrate", "--list")
    assert tuple(ran.stdout.decode().split()) == published.names()


def test_mistakes_are_explained(corelic: Program) -> None:
    assert corelic("bdrate", "kodak/dcae").exit_code == 2
    ran = corelic("bdrate", "nothing.json", "kodak/cai-vtm")
    assert ran.exit_code == 1 and "--list" in ran.stderr
    ran = corelic("bdrate", "kodak/dcae", "kodak/cai-vtm", "--metric", "ms-ssim")
    assert ran.exit_code == 1 and "0 points" in ran.stderr


def own_curve(name: str, pictures: int) -> str:
    """A file as `corelic bench` writes it."""
    curve = published.find("kodak/cai-vtm")
    each = tuple(replace(curve, name=f"{number}.png") for number in range(pictures))
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(json.dumps(to_json(replace(curve, pictures=each))))
    return name


@pytest.mark.parametrize(("pictures", "warned"), [(3, True), (24, False), (0, False)])
def test_other_pictures_are_warned_of(corelic: Program, pictures: int, warned: bool) -> None:
    ours = own_curve("kodak/ours.json", pictures)  # in a folder that is called as a set is
    for curves in (("kodak/cai-vtm", ours), (ours, "kodak/cai-vtm")):
        [row] = json.loads(corelic("bdrate", *curves, "--json").stdout)
        said = [warning for warning in row["warnings"] if "tens of points" in warning]
        assert len(said) == warned
        assert all("24 pictures" in text and " 3 pictures" in text for text in said)
    shown = corelic("bdrate", ours, "kodak/cai-vtm").stdout.decode()
    assert ("tens of points" in shown) == warned


def test_published_curves_of_other_sets_are_warned_of(corelic: Program) -> None:
    ran = corelic("bdrate", "tecnick/dcae", "kodak/dcae")
    assert "24 pictures, the other over 100 pictures" in ran.stdout.decode()
    ran = corelic("bdrate", "kodak/dcae", "kodak/cai-vtm")
    assert "tens of points" not in ran.stdout.decode()
