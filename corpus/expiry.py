"""Until when the record of a defect is believed: to a day, or to a version of something.

::

    # expires: 2027-12-31
    # expires: release=6.13

The first is believed up to that day, the second on machines before that version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from corpus.domain import TextError, quoted
from corpus.headers import VERSION


@dataclass(frozen=True, slots=True)
class Expiry:
    """A last `day`, or the first `version` of the fact `key` of a leg."""

    day: date | None = None
    key: str = ""
    version: str = ""

    def is_over(self, facts: Mapping[str, str], today: date) -> bool:
        """Whether a record with it is believed no more of a leg with these facts."""
        if self.day is not None:
            return today > self.day
        found = _numbers(facts.get(self.key, ""))
        return bool(found) and found >= _numbers(self.version)

    def __str__(self) -> str:
        return f"{self.day}" if self.day else f"{self.key} {self.version}"


def parse_expiry(text: str) -> Expiry:
    """What stands behind `expires:`. Raises TextError."""
    key, equals, version = text.partition("=")
    if equals:
        return Expiry(key=key, version=version)
    try:
        return Expiry(date.fromisoformat(text))
    except ValueError:
        raise TextError(f"{quoted(text)} is no day such as 2027-12-31") from None


def _numbers(version: str) -> tuple[int, ...]:
    """6.12.73+deb13 -> (6, 12, 73)."""
    match = re.match(VERSION, version)
    return tuple(map(int, match[0].split("."))) if match else ()
