"""How legs did with a bucket's case, by kernel and mode. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.records import CellView, LegRecord


@dataclass(frozen=True, slots=True)
class Square:
    """One leg's outcome: shows, passes, other, unjudged, absent, deviated, agreed."""

    leg: str
    outcome: str
    said: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows are kernels or backends, columns are modes; several legs may share a square, which
    differ in their vector lengths."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[Square, ...], ...]], ...]


def matrix(
    cells: Sequence[CellView], votes: Mapping[str, Mapping[str, int]], legs: Sequence[LegRecord]
) -> Matrix:
    """What was tried on purpose, and, for other legs, what findings showed."""
    prints: dict[str, Mapping[str, str]] = {leg.name: leg.fingerprint for leg in legs}
    prints.update({cell.leg: cell.fingerprint for cell in cells if cell.fingerprint})
    squares = [Square(cell.leg, cell.outcome, cell.said) for cell in cells]
    tried = {square.leg for square in squares}
    squares += [_voted(leg, vote) for leg, vote in votes.items() if leg not in tried]
    places = {one.leg: _place(one.leg, prints.get(one.leg, {})) for one in squares}
    columns = tuple(dict.fromkeys(sorted(mode for _, mode in places.values())))
    kernels = sorted({kernel for kernel, _ in places.values()})
    return Matrix(
        columns,
        tuple(
            (
                kernel,
                tuple(
                    tuple(one for one in squares if places[one.leg] == (kernel, mode))
                    for mode in columns
                ),
            )
            for kernel in kernels
        ),
    )


def _voted(leg: str, vote: Mapping[str, int]) -> Square:
    deviated, agreed = vote.get("deviated", 0), vote.get("agreed", 0)
    word = "deviated" if deviated else "agreed" if agreed else "unjudged"
    passes = f", {vote['passes']} passes since" if vote.get("passes") else ""
    return Square(leg, word, f"deviated {deviated} times, agreed {agreed}{passes}")


def _place(leg: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Kernel and mode of a leg of KVM; name and variant of another."""
    kind, first, second, *_ = (*leg.split(":"), "", "")
    if kind == "kvm":
        release = str(facts.get("release", ""))
        shown = f"{first} ({release})" if release and release != first else first
        return f"kvm {shown}", str(facts.get("mode") or second or "-")
    return kind, first or "-"
