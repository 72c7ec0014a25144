"""A journey: a case whose vcpu goes on on another leg, at a line such as

    migrate v0 to=kvm:6.1:nvhe features=sve,psci_0_2

What stands before it is one case, what stands behind it another: of a VM of its own, on that leg,
which has this vcpu, in the same slot, and the guest's RAM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpus.case import Case
from corpus.domain import TextError
from corpus.lines import bare
from corpus.opfields import fields_of
from corpus.ops import Init, Migrate
from corpus.text import parse_case

_DEPARTURE = re.compile(r"migrate\b.*\sto=(?!v[0-9])")
_DOMAINS = {field.name: field.domain for field in fields_of(Migrate)}


@dataclass(frozen=True, slots=True)
class Journey:
    """`vcpu`: the slot of the one that leaves; `to`: the name of the leg where it goes on, empty
    where the text does not say; `features`: those of INIT there, None where they are the same."""

    before: Case
    vcpu: int
    to: str
    features: int | None
    after: Case


def parse_journey(text: str) -> Journey:
    """The journey that a text describes: a case that names no leg is one that leaves at its end,
    with its first vcpu. Raises TextError naming the line."""
    lines = text.split("\n")
    found = [number for number, line in enumerate(lines) if _DEPARTURE.match(bare(line))]
    if not found:
        case = parse_case(text)
        vcpu = min((op.vcpu for op in case.ops if isinstance(op, Init)), default=0)
        return Journey(case, vcpu, "", None, Case((), case.min_vq))
    leave = found[0]
    if len(found) > 1:
        raise TextError(f"line {found[1] + 1}: a case goes on on one other leg")
    before = parse_case("\n".join(lines[:leave]) or "\n")
    try:
        vcpu, to, features = _departure(bare(lines[leave]).split()[1:])
    except TextError as error:
        raise TextError(f"line {leave + 1}: {error}") from None
    behind = lines[leave + 1 :]
    after = parse_case("\n" * (leave + 1) + "\n".join(behind)) if any(map(bare, behind)) else None
    return Journey(before, vcpu, to, features, Case(after.ops if after else (), before.min_vq))


def _departure(words: list[str]) -> tuple[int, str, int | None]:
    """Slot, leg and features, None where they are those of the source. Raises TextError."""
    named = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    if len(plain) != 1 or set(named) - {"to", "features"} or len(named) + 1 != len(words):
        raise TextError("a departure is written migrate <vcpu> to=LEG [features=...]")
    if not named["to"]:
        raise TextError("to= names no leg")
    features = named.get("features")
    return (
        _DOMAINS["vcpu"].parse(plain[0]),
        named["to"],
        None if features is None else _DOMAINS["features"].parse(features),
    )
