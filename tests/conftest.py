"""Fixtures that any test may use."""

import os
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
