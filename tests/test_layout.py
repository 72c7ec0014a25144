"""The packages import downwards only, and each outside library stays in its corner."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "corpus": {"corpus"},
    "targets": {"targets", "corpus"},
    "db": {"db", "corpus"},
    "fuzz": {"fuzz", "db", "targets", "corpus"},
}

CORNERS = {
    "sqlalchemy": ("db/",),
    "alembic": ("db/",),
    "sqlite3": ("db/",),
    "click": ("fuzz/cli/",),
    "rich": ("fuzz/cli/",),
}
"""Library -> the only places that may know it."""

NO_EFFECTS = ("os", "subprocess", "socket", "threading", "time", "random")
"""What the ground floor has no business with."""


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(), path.name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def _found(package: str) -> Iterator[tuple[str, str]]:
    for path in _modules(package):
        for line, name in _imports(path):
            yield f"{path.relative_to(ROOT)}:{line}", name


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down(package: str) -> None:
    assert _modules(package)
    upward = [
        f"{where} imports {name}"
        for where, name in _found(package)
        if (top := name.partition(".")[0]) in MAY_IMPORT and top not in MAY_IMPORT[package]
    ]
    assert upward == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_are_absolute(package: str) -> None:
    assert [f"{where} imports {name}" for where, name in _found(package) if name[:1] == "."] == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_libraries_stay_in_their_corners(package: str) -> None:
    strays = [
        f"{where} imports {name}"
        for where, name in _found(package)
        if not where.startswith(CORNERS.get(name.partition(".")[0], ("",)))
    ]
    assert strays == []


def test_the_ground_floor_has_no_effects() -> None:
    effects = [
        f"{where} imports {name}"
        for where, name in _found("corpus")
        if name.partition(".")[0] in NO_EFFECTS and not where.startswith("corpus/store")
    ]
    assert effects == []


def test_the_rules_can_fail(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text("def f():\n    from fuzz.worker import x\nimport rich.table\n")
    assert set(_imports(module)) == {(2, "fuzz.worker"), (3, "rich.table")}
