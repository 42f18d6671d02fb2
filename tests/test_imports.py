"""Imports go one way, so that a part can be read, tested and used without what is above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "corelic"
ROOMS = ["entropy", "codecs", "api", "eval", "attacks", "training", "cli"]  # each above the last
# For all rooms; they import none.
SERVANTS = {"allocator", "media", "errors", "jobs", "tree", "workers", "console", "disk"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(module: list[str]) -> str:
    """Of ["corelic", "codecs", "base"]: "codecs"; of a name in corelic/__init__.py: "api"."""
    if module[1:] == ["__main__"]:
        return "cli"
    return module[1] if len(module) > 1 and module[1] in {*ROOMS, *SERVANTS} else "api"


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of all that a file imports from corelic, wherever in the file."""
    package = ["corelic", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[list[str]] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            start = [*start, *(node.module.split(".") if node.module else [])]
            names = [[*start, alias.name] for alias in node.names]
        for name in names:
            if name[0] == "corelic":
                yield node.lineno, room(name)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = room(["corelic", *path.relative_to(PACKAGE).with_suffix("").parts])
    allowed = {*SERVANTS}
    if own not in SERVANTS:
        allowed.update(ROOMS[: ROOMS.index(own) + 1])
    for line, found in imported(path):
        assert found in allowed, f"{path.name}:{line}: {own} imports {found}"


def test_the_checker_sees_imports() -> None:
    seen = {found for path in MODULES for _, found in imported(path)}
    assert {"errors", "media", "codecs", "entropy"} <= seen
