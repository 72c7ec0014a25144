"""Which modules are instrumented for libFuzzer, and a model that is made of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from targets.spec.model import Model

ROOT = Path(__file__).resolve().parents[2]

INSTRUMENTED = (
    *("targets.spec.model", "targets.spec.onereg", "targets.spec.idregs"),
    "targets.spec.run",
    *(f"targets.spec.steps.{name}" for name in ("lengths", "lists", "lives", "registers")),
    *(f"targets.spec.steps.{name}" for name in ("hosts", "migration", "power", "running")),
)
"""Modules whose branches steer libFuzzer. Few: instrumented code is several times slower."""

_COPIED = "targets.spec.steps"
"""A package whose modules a copy of the model needs copies of, instrumented or not."""


def traced_model() -> type[Model]:
    """A second model, with its branches instrumented; the plain one stays what it is.

    One judgement per case is enough to steer by, and the others are faster without.
    """
    import atheris  # noqa: PLC0415 (starts libFuzzer's runtime: only workers want that)

    plain = importlib.import_module("targets.spec.model")
    copied = [name for name in sys.modules if name in INSTRUMENTED or name.startswith(_COPIED)]
    kept = {name: _take(name) for name in copied}
    for name in copied:
        del sys.modules[name]
    try:
        with atheris.instrument_imports(include=INSTRUMENTED, exclude=excluded()):
            traced = importlib.import_module(plain.__name__)
    finally:
        for name, module in kept.items():
            _put(name, module)
    found: type[Model] = traced.Model
    return found


def _take(name: str) -> ModuleType:
    """Make the next import of `name` load it anew."""
    package, _, child = name.rpartition(".")
    delattr(sys.modules[package], child)
    return sys.modules[name]


def _put(name: str, module: ModuleType) -> None:
    """Make `module` what an import of `name` finds."""
    sys.modules[name] = module
    package, _, child = name.rpartition(".")
    setattr(sys.modules[package], child, module)


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
