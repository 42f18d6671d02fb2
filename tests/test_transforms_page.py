"""The page about transforms shows what its command prints."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_is_what_the_command_prints() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "transforms.py"), run_name="transforms")
    assert script["table"]() in script["PAGE"].read_text()
