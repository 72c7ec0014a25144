"""What is known already, in one line. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from db.suspects import OF, Suspect


def recorded_line(by_suspect: Mapping[str, int]) -> str:
    """`22 recorded: 11 of VIXL, 10 of the lab's CPU, 1 of KVM`."""
    known = {who.value: phrase for who, phrase in OF.items()}
    ranked = sorted(by_suspect.items(), key=lambda pair: (-pair[1], pair[0]))
    parts = [f"{number} {known.get(who, OF[Suspect.UNCLEAR])}" for who, number in ranked]
    return f"{sum(by_suspect.values())} recorded: {', '.join(parts)}"
