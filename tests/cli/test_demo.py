"""corelic demo."""

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Program


def test_it_shows_what_came_of_a_picture(corelic: Program) -> None:
    ran = corelic("demo", "photo.png", "-o", "out", "--json")
    assert (ran.exit_code, ran.stderr) == (0, "")
    figures = json.loads(ran.stdout)
    assert len(figures) == 3
    for worse, better in pairwise(figures):
        assert worse["file_bytes"] < better["file_bytes"]
        assert worse["psnr_db"] < better["psnr_db"]
    assert sorted(os.listdir("out")) == ["demo-decoded.png", "demo-side-by-side.png", "demo.clc"]
    assert figures[1]["file_bytes"] == Path("out/demo.clc").stat().st_size
    with Image.open("out/demo-side-by-side.png") as pair:
        assert pair.width == 2 * 240
        assert pair.height > 176


def test_it_replaces_nothing_unless_told(corelic: Program) -> None:
    Path("demo.clc").write_text("precious")
    assert corelic("demo", "photo.png").exit_code == 1
    assert Path("demo.clc").read_text() == "precious"
    ran = corelic("demo", "photo.png", "--overwrite")
    assert ran.exit_code == 0
    assert "PSNR" in ran.stdout.decode()


def test_without_scikit_image_it_asks_for_a_picture(
    corelic: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    ran = corelic("demo")
    assert ran.exit_code == 1
    assert "corelic demo photo.jpg" in ran.stderr
