"""corelic bdrate, offline."""

import json
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


def test_published_curves_are_listed(corelic: Program) -> None:
    ran = corelic("bdrate", "--list")
    assert tuple(ran.stdout.decode().split()) == published.names()


def test_mistakes_are_explained(corelic: Program) -> None:
    assert corelic("bdrate", "kodak/dcae").exit_code == 2
    ran = corelic("bdrate", "nothing.json", "kodak/cai-vtm")
    assert ran.exit_code == 1 and "--list" in ran.stderr
    ran = corelic("bdrate", "kodak/dcae", "kodak/cai-vtm", "--metric", "ms-ssim")
    assert ran.exit_code == 1 and "0 points" in ran.stderr
