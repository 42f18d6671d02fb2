"""docs/benchmarks.md is made from a run; here from a small one."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import needs

ROOT = Path(__file__).parents[1]


def test_the_page_is_made_by_one_command(photos: Path, tmp_path: Path) -> None:
    needs("matplotlib", "plotly")
    page = tmp_path / "page.md"
    command = [sys.executable, str(ROOT / "benchmarks" / "page.py"), "--pictures", str(photos)]
    command += ["--codecs", "webp,jpeg", "--results", str(tmp_path / "run"), "--page", str(page)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    text = page.read_text()
    assert "2 pictures of Kodak" in text and "**WebP, method 6** (`webp`)" in text
    assert "| DCAE (`kodak/dcae`) | published | -16.98 % |" in text
    assert text.index("kodak/dcae") < text.index("kodak/cai-jpeg`")
