"""The mutants that no test without a lab kills, each with the reason (`survivors.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("survivors.toml")


def load(path: Path = FILE) -> Mapping[tuple[str, str, str, str, int], str]:
    """Reasons by what names a mutant (`operators.Mutant.key`)."""
    found: dict[tuple[str, str, str, str, int], str] = {}
    for module, scopes in tomllib.loads(path.read_text()).items():
        for scope, rows in scopes.items():
            for row in rows:
                for nth in row.get("nth", [0]):
                    name = "" if scope == "module" else scope
                    found[module, name, row["before"], row["after"], nth] = row["reason"]
    return found
