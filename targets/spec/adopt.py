"""Taking an observation for granted: what a leg has, however it came to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from corpus.trace import Observation
from targets.spec.permitted import Outcome, Part, Permitted
from targets.spec.sets import narrow


@dataclass(frozen=True, slots=True)
class Adopted:
    """What is permitted once it is; `changed`: how many values were not before."""

    permitted: Permitted
    changed: int


def adopt(permitted: Permitted, seen: Observation, granted: Callable[[str], bool]) -> Adopted:
    """Permit the values that were observed of the parts with a label that is `granted`, too.
    Observing them narrows the model to them, as always. Pure."""
    changed = 0
    outcomes: list[Outcome] = []
    for outcome in permitted.outcomes:
        parts: list[Part] = []
        at = 0
        for part in outcome.parts:
            value = int.from_bytes(seen.data[at : at + part.size], "little")
            at += part.size
            if at <= len(seen.data) and granted(part.label) and _is_wrong(part, value):
                parts.append(
                    msgspec.structs.replace(part, candidates=(*part.candidates, (value, 0)))
                )
                changed += 1
            else:
                parts.append(part)
        outcomes.append(
            msgspec.structs.replace(
                outcome, known_parts=tuple(parts), whole=None, holes=(), more=None
            )
        )
    return Adopted(msgspec.structs.replace(permitted, outcomes=tuple(outcomes)), changed)


def _is_wrong(part: Part, value: int) -> bool:
    return narrow(part.candidates, value) is None
