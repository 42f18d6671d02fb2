"""A small finished benchmark, of codecs that every Pillow has."""

from pathlib import Path

import pytest

from corelic.eval import bench
from corelic.eval.results import Plan

PLAN = Plan(codecs=("webp", "jpeg"), anchor="jpeg", qualities=(10, 40, 70, 90), sample=1, rounds=1)


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results."""
    folder = tmp_path_factory.mktemp("results")
    bench.run(PLAN, [photos], folder)
    return folder
