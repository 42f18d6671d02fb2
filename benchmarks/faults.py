"""Every test of conformance seen red: faults, put one at a time into a copy of the tree.

    faults/*.json ─► a copy with one fault ─► the test that should notice ─► red, or it SURVIVED
    tests/conformance ───────────────────────────────────► tests without a fault

    python benchmarks/faults.py
    python benchmarks/faults.py --only test_damage_is_a_bad_file

A test that cannot fail shows nothing. A fault is text that stands once in a file, what it becomes,
and the test; most lie in the package, some in the tests' own tools, which are to notice faults. The
published codecs are left out, since random weights show as much, but where a fault says otherwise.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "conformance"
FAULTS = Path(__file__).parent / "faults"
COPIED = "corelic", "tests", "recipes", "docs", "pyproject.toml", "setup.cfg"
RED = 1  # what pytest ends with when tests fail, and nothing else goes wrong


@dataclass(frozen=True, slots=True)
class Fault:
    """`old` stands once in `path`; `select` is pytest's -k."""

    test: str
    path: str
    old: str
    new: str
    # Without the published: their ids are no test's name.
    select: str = "not swift and not small-1 and not small-2"

    def put_into(self, tree: Path) -> None:
        """SystemExit where the code has moved on, and the fault with it."""
        text = (tree / self.path).read_text()
        if text.count(self.old) != 1:
            raise SystemExit(f"error: {self.path} has not once: {self.old!r}")
        (tree / self.path).write_text(text.replace(self.old, self.new))

    def is_noticed(self) -> bool:
        """Whether the test is red with it; SystemExit where it cannot even be run."""
        with tempfile.TemporaryDirectory(prefix="fault-") as folder:
            tree = Path(folder)
            copy_into(tree)
            self.put_into(tree)
            name = self.test.partition("::")[2]
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
            command += [self.test, "-k", f"{name} and {self.select}"]
            paths = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            environment = {**os.environ, **paths, "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(
                command, cwd=tree, env=environment, capture_output=True, text=True
            )
        # One that is skipped has not looked.
        looked = re.search(r"\b[1-9][0-9]* (passed|failed|error)", done.stdout)
        if done.returncode not in (0, RED) or not looked:
            raise SystemExit(f"error: {self.test} cannot be run:\n{done.stdout[-2000:]}")
        return done.returncode == RED


def copy_into(tree: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "weights")
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy(source, tree / name)
    for weights in ROOT.glob("corelic/**/weights"):
        os.symlink(weights, tree / weights.relative_to(ROOT))


def faults() -> Iterator[Fault]:
    for path in sorted(FAULTS.glob("*.json")):
        yield from (Fault(**fields) for fields in json.loads(path.read_text()))


def tests() -> Iterator[str]:
    """As pytest calls them."""
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(ROOT)}::{node.name}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", help="part of a test's name")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    chosen = [fault for fault in faults() if given.only is None or given.only in fault.test]
    with ThreadPoolExecutor(given.jobs) as threads:
        results = threads.map(Fault.is_noticed, chosen)
        noticed = list(track(results, total=len(chosen), description="faults"))
    for fault, red in zip(chosen, noticed, strict=True):
        print(f"{'red' if red else 'SURVIVED'}: {fault.test}: {fault.path}: {fault.new[:60]!r}")
    seen = {fault.test for fault, red in zip(chosen, noticed, strict=True) if red}
    missing = [test for test in tests() if test not in seen and (given.only or "") in test]
    for test in missing:
        print(f"NEVER RED: {test}")
    print(f"{sum(noticed)} of {len(noticed)} faults noticed; {len(missing)} tests never red")
    return 0 if all(noticed) and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
