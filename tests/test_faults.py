"""benchmarks/faults.py, whose faults have to fit the code as it is."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "faults.py"), run_name="faults")


def test_every_fault_stands_once_where_it_says(script: dict[str, Any]) -> None:
    for fault in script["faults"]():
        assert (ROOT / fault.path).read_text().count(fault.old) == 1, fault


def test_every_test_of_conformance_has_one(script: dict[str, Any]) -> None:
    assert set(script["tests"]()) == {fault.test for fault in script["faults"]()}


def test_a_fault_that_nobody_notices_has_survived(script: dict[str, Any]) -> None:
    test = "tests/conformance/test_codecs.py::test_a_quality_that_is_none"
    fault = script["Fault"](test, "corelic/codecs/files.py", "sixteenths;", "16ths;")
    assert not fault.is_noticed()
