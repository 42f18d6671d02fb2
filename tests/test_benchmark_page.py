"""docs/benchmarks.md is made from a run; here from a small one."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import needs

ROOT = Path(__file__).parents[1]


def page_of(photos: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "page.py"), "--pictures", str(photos)]
    command += ["--results", str(folder / "run"), "--page", str(folder / "page.md"), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_page_is_made_by_one_command(photos: Path, tmp_path: Path) -> None:
    needs("matplotlib", "plotly")
    assert page_of(photos, tmp_path, "--codecs", "webp,jpeg").returncode == 0
    text = (tmp_path / "page.md").read_text()
    assert "2 pictures of Kodak" in text and "**WebP, method 6** (`webp`)" in text
    assert "| DCAE (`kodak/dcae`) | published | -16.98 % |" in text
    assert text.index("kodak/dcae") < text.index("kodak/cai-jpeg`")


def test_other_codecs_can_come_from_earlier_runs(photos: Path, tmp_path: Path) -> None:
    needs("matplotlib", "plotly")
    first, second = tmp_path / "first", tmp_path / "second"
    assert page_of(photos, first, "--codecs", "webp,jpeg").returncode == 0
    kept = "--kept", str(first / "run")
    assert page_of(photos, second, "--codecs", "jpeg2000,jpeg", *kept).returncode == 0
    text = (second / "page.md").read_text()
    for name in ("webp", "jpeg", "jpeg2000"):
        assert text.count(f"(`{name}`) | measured here |") == 1
    assert text.count("| WebP, method 6 |") == 1 and "later than that of the rest" in text
    assert "WebP, method 6" in (second / "kodak-psnr.svg").read_text()
    third = page_of(photos, tmp_path, "--codecs", "jpeg", "--kept", str(second / "run"), *kept)
    assert third.returncode == 0
    text = (tmp_path / "page.md").read_text()
    for name in ("webp", "jpeg", "jpeg2000"):
        assert text.count(f"(`{name}`) | measured here |") == 1
    (fewer := tmp_path / "fewer").mkdir()
    one = sorted(photos.iterdir())[0]
    (fewer / one.name).write_bytes(one.read_bytes())
    refused = page_of(fewer, tmp_path / "third", "--codecs", "jpeg", *kept)
    assert refused.returncode == 1 and "other pictures" in refused.stderr
