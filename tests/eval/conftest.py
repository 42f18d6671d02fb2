"""A small finished benchmark, of codecs that every Pillow has."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from corelic.eval import bench
from corelic.eval.results import Plan

PLAN = Plan(codecs=("webp", "jpeg"), anchor="jpeg", qualities=(10, 40, 70, 90), sample=1, rounds=1)


def needs(*packages: str) -> None:
    """Skips, saying so, where an optional package is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        pytest.skip(f"needs pip install {' '.join(missing)}")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs of different sizes."""
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(data.astronaut()[40:216, 100:340]).save(folder / "astronaut.png")
    Image.fromarray(data.coffee()[50:250, 150:350]).save(folder / "coffee.png")
    return folder


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results."""
    folder = tmp_path_factory.mktemp("results")
    bench.run(PLAN, [photos], folder)
    return folder
