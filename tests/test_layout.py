"""The packages import downwards only, and each outside library stays in its corner."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "corpus": {"corpus"},
    "targets": {"targets", "corpus"},
    "db": {"db", "corpus"},
    "fuzz": {"fuzz", "db", "targets", "corpus"},
}

FLOORS = {
    "fuzz": (
        ("cli",),
        ("web", "review", "record", "fleet"),
        ("campaign", "bench", "report"),
        ("worker", "suites", "reproduce"),
        ("followup",),
        ("oracle", "generate"),
        ("output", "printable", "stopping"),
    ),
    "targets": (
        ("legs", "catalogue"),
        ("model", "mutants"),
        ("spec", "base", "kvm", "emulator"),
        ("profile", "kind", "entry", "compiler"),
        ("cache", "vqs", "ended"),
        ("transport",),
        ("codemap",),
    ),
}
"""The rooms of a package, the top floor first: nothing imports from a floor above, nor from
another room of its own."""

CORNERS = {
    "sqlalchemy": ("db/",),
    "alembic": ("db/",),
    "sqlite3": ("db/",),
    "click": ("fuzz/cli/",),
    "rich": ("fuzz/cli/",),
    "starlette": ("fuzz/web/",),
    "uvicorn": ("fuzz/web/",),
    "jinja2": ("fuzz/web/", "fuzz/reproduce/", "fuzz/fleet/"),
    "distributed": ("fuzz/fleet/",),
    "dask": ("fuzz/fleet/",),
    "fsspec": ("fuzz/fleet/",),
    "prometheus_client": ("fuzz/fleet/",),
    "itsdangerous": ("fuzz/web/",),
}
"""Library -> the only places that may know it."""

NO_EFFECTS = ("os", "subprocess", "socket", "threading", "time", "random")
"""What the ground floor has no business with."""


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(), path.name)))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a module imports, wherever in it."""
    for node in _nodes(path):
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


def _floor(package: str, room: str) -> int:
    for number, rooms in enumerate(FLOORS[package]):
        if room in rooms:
            return number
    raise AssertionError(f"{package}/{room} stands on no floor: add it to FLOORS")


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_import_from_floors_below(package: str) -> None:
    upward = []
    for path in _modules(package):
        room = path.relative_to(ROOT / package).with_suffix("").parts[0]
        if room == "__init__":
            continue
        for line, name in _names(path):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top != package or other in ("", room):
                continue
            if _floor(package, other) <= _floor(package, room):
                upward.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert upward == []


def _names(path: Path) -> Iterator[tuple[int, str]]:
    """As `_imports`, with what is taken from a module as part of the name."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_no_module_imports_itself_by_way_of_others() -> None:
    paths = {_dotted(path): path for package in MAY_IMPORT for path in _modules(package)}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        taken = [taken for _, taken in _names(path)]
        found = {one if one in paths else one.rpartition(".")[0] for one in taken}
        graph[name] = {one for one in found if one in paths and one != name}
    order = TopologicalSorter(graph)
    try:
        order.prepare()
    except CycleError as circle:
        pytest.fail(f"modules in a circle: {' -> '.join(circle.args[1])}")


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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
