"""The figures of the page on context models are those of the code."""

import runpy
from pathlib import Path

from corelic.codecs import spec_json

ROOT = Path(__file__).parents[1]


def test_figures_of_decoding_orders_are_current() -> None:
    orders = runpy.run_path(str(ROOT / "benchmarks" / "orders.py"), run_name="orders")
    page = (ROOT / "docs" / "context-models.md").read_text()
    assert orders["with_figures"](page) == page
    for kind in spec_json.kinds("context"):
        assert f"`{kind}`" in page
        # One step has no order.
        assert f"<!-- order: {kind} -->" in page or kind == "hyperprior_only"
