"""Which modules are instrumented for libFuzzer, and which must be kept from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

INSTRUMENTED = (
    *("targets.model.model", "targets.model.onereg", "targets.model.idregs"),
    "targets.model.run",
    *(f"targets.model.steps.{name}" for name in ("lengths", "lists", "lives", "registers")),
    *(f"targets.model.steps.{name}" for name in ("hosts", "migration", "power", "running")),
)
"""Modules whose branches steer libFuzzer. Few: instrumented code is several times slower."""


def excluded(included: Sequence[str] = INSTRUMENTED) -> list[str]:
    """Every other module of the same packages.

    atheris.instrument_imports takes the first part of an included name only, and then
    instruments all of that package which is not excluded.
    """
    packages = {name.partition(".")[0] for name in included}
    return [name for package in sorted(packages) for name in _modules(package, included)]


def _modules(package: str, included: Sequence[str]) -> Iterator[str]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in included:
            yield name
