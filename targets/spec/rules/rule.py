"""What a row of the specification is.

Class: ARCH architecture, ABI documented interface, IMPL observed kernel behaviour.
ARCH and ABI rules give strict verdicts, IMPL rules lenient ones. `source` names the
kernel file (Debian's linux-source-6.12 was read), the documentation or the manual.
"""

from __future__ import annotations

from dataclasses import dataclass

Release = tuple[int, int]

FIRST, LAST = (0, 0), (99, 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement. `since` and `until` bound the kernels it holds for, (major, minor).

    `values`: for a statement about a value that changed, (first kernel, value) in order.
    """

    id: str
    cls: str
    source: str
    text: str
    since: Release = FIRST
    until: Release = LAST
    values: tuple[tuple[Release, int], ...] = ()

    def holds_in(self, kernel: Release) -> bool:
        """Whether it holds in a kernel. What is no kernel follows the newest."""
        return kernel == FIRST or self.since <= kernel <= self.until

    def value_for(self, kernel: Release) -> int:
        """The value in force in a kernel."""
        return [value for first, value in self.values if first <= kernel][-1]


Row = tuple[str, str, str]
"""Class, source and text."""


def table(rows: dict[str, Row]) -> tuple[Rule, ...]:
    """Rules that hold for every kernel, from rows by id."""
    return tuple(Rule(name, *row) for name, row in rows.items())
