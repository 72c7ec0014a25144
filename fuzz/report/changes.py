"""Entries of the audit log in words. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What an entry changed; moves of many rows in short."""
    for row, columns in after.items():
        if not isinstance(columns, dict):
            yield f"{row}: {textwrap.shorten(str(columns), 60)}"
        elif row.startswith("bucket "):
            for name, value in columns.items():
                if name not in {"first_seen", "last_seen", "reproduced", "attempts"}:
                    old = before.get(row, {}).get(name)
                    yield f"{row}: {name} {_shown(old)} -> {_shown(value)}"
        elif row.startswith(("finding ", "mute ", "note ")):
            yield textwrap.shorten(row, 40, placeholder=" ...")


def _shown(value: Any) -> str:
    return "-" if value in (None, "") else str(value)
