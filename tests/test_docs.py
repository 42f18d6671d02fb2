"""The documentation is executed: what it says to type works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page runs where a photo.png and a photo.jpg are."""
    monkeypatch.chdir(tmp_path)
    photo.save("photo.png")
    photo.save("photo.jpg")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def test_there_are_examples() -> None:
    """None would pass all of these."""
    assert blocks(PAGES[0], "python")
    assert any("$ corelic " in block for block in blocks(PAGES[0], "console"))


@every_page
def test_examples_run(page: Path) -> None:
    names: dict[str, object] = {}  # one per page: later blocks build on earlier ones
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


@every_page
def test_commands_succeed(page: Path) -> None:
    shell = f'corelic() {{ "{sys.executable}" -m corelic.cli.main "$@"; }}; set -e -o pipefail\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for block in blocks(page, "console"):
        for command in re.findall(r"^\$ (corelic .*)", block, re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", shell + command], env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target
