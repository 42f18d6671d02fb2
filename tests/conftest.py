"""Fixtures that any test may use."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image
from skimage import data


@pytest.fixture
def photo() -> Image.Image:
    """A real photograph, 240 × 176, RGB: no multiple of 64, and no square."""
    return Image.fromarray(data.astronaut()[40:216, 100:340])


@pytest.fixture
def data_dir() -> Path:
    """The folder of test data; tests that need it skip where there is none."""
    folder = os.environ.get("CORELIC_DATA")
    if not folder:
        pytest.skip("CORELIC_DATA is unset: it names the folder of test data")
    return Path(folder)


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


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every program that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
