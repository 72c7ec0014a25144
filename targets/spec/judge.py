"""Holding an observation against what is permitted; making an observation up.

`observe` narrows the model's sets to what was seen. `invent` is its inverse: it
makes one permitted choice, which turns the model into a leg of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from corpus.trace import Observation
from targets.spec.errno import error_name
from targets.spec.hexdump import rows_with, show
from targets.spec.permitted import Hole, Mismatch, Outcome, Part, Permitted
from targets.spec.sets import Set, exact, narrow


@dataclass(slots=True)
class Choices:
    """How often a leg kept or cleared bits that may legally vanish."""

    kept: int = 0
    cleared: int = 0


def observe(permitted: Permitted, seen: Observation, choices: Choices) -> Mismatch | None:
    """Narrow the model to `seen`, or say why no outcome permits it (model then unchanged)."""
    if permitted.anything:
        if permitted.if_done and seen.err == 0:
            permitted.if_done()
        return None
    best: Mismatch | None = None
    for outcome in permitted.outcomes:
        if outcome.err != seen.err:
            continue
        best = _match(outcome, seen, choices)
        if best is None:
            if outcome.effect:
                outcome.effect()
            return None
    if best is None:
        errs = " or ".join(sorted({error_name(o.err) for o in permitted.outcomes}))
        return Mismatch("errno", errs, error_name(seen.err))
    return best


def _match(outcome: Outcome, seen: Observation, choices: Choices) -> Mismatch | None:
    if outcome.aux is not None and outcome.aux != seen.aux:
        return Mismatch("aux", hex(outcome.aux), hex(seen.aux))
    data = seen.data
    if not (data or outcome.known_parts or outcome.more or outcome.tail):
        return None
    if outcome.whole is not None and _fits_whole(outcome.whole, outcome.holes, data):
        return _match_parts(outcome.holes, data, choices)
    placed: list[Hole] = []
    at = 0
    for part in outcome.parts:
        end = at + part.size
        if end > len(data):
            return Mismatch(part.label, f"{part.size} bytes", f"{max(0, len(data) - at)} bytes")
        placed.append((at, part))
        at = end
    if outcome.tail is None and at != len(data) and not outcome.open_ended:
        wrong = Mismatch("data", f"{at} bytes", f"{len(data)} bytes")
        return _match_parts(placed, data, Choices()) or wrong
    tail = outcome.tail.check(data[at:]) if outcome.tail else None
    return _match_parts(placed, data, choices) or tail


def _fits_whole(whole: bytes, holes: Sequence[Hole], data: bytes) -> bool:
    """Whether `data` is `whole` but for the holes."""
    if not holes:
        return whole == data
    if len(whole) != len(data):
        return False
    blank = bytearray(data)
    for at, part in holes:
        blank[at : at + part.size] = bytes(part.size)
    return blank == whole


def _match_parts(placed: Sequence[Hole], data: bytes, choices: Choices) -> Mismatch | None:
    """Match each part at its offset; narrow the sets only if all match."""
    narrowed: list[tuple[Part, int, int]] = []
    for at, part in placed:
        value = int.from_bytes(data[at : at + part.size], "little")
        candidates = part.candidates
        if len(candidates) == 1:
            known, mask = candidates[0]
            if (known ^ value) & ~mask:
                return _differs(part, value)
            if mask:
                narrowed.append((part, 0, value))
        else:
            index = narrow(candidates, value)
            if index is None:
                return _differs(part, value)
            narrowed.append((part, index, value))
    for part, index, value in narrowed:
        if len(part.candidates) > 1:
            if index == 0:
                choices.kept += 1
            else:
                choices.cleared += 1
        if part.home:
            container, key = part.home
            container[key] = exact(value)
    return None


def _differs(part: Part, value: int) -> Mismatch:
    wrong = nearest(part.candidates, value)
    rows = rows_with(wrong, part.size)
    return Mismatch(
        part.label or "register header",
        " or ".join(show(c, part.size, rows) for c in part.candidates),
        show((value, 0), part.size, rows),
        _where(wrong),
        wrong,
    )


def nearest(candidates: Set, value: int) -> int:
    """The bits in which a value differs from the candidate it is most like."""
    return min(((v ^ value) & ~m for v, m in candidates), key=int.bit_count)


def _where(wrong: int) -> str:
    """The bytes that the bits of `wrong` are in."""
    low = ((wrong & -wrong).bit_length() - 1) // 8
    high = (wrong.bit_length() - 1) // 8
    return f"byte {low}" if low == high else f"bytes {low}..{high}"


def invent(permitted: Permitted, choose: Callable[[Set], int]) -> Observation:
    """One permitted observation: the first outcome, in each set the candidate `choose`
    names, unknown bits as zero. Narrows the model accordingly."""
    if permitted.anything:
        if permitted.if_done:
            permitted.if_done()
        return Observation(0)
    outcome = permitted.outcomes[0]
    if outcome.whole is not None:
        data = bytearray(outcome.whole)
        for at, part in outcome.holes:
            data[at : at + part.size] = _invent_part(part, choose)
    else:
        data = bytearray()
        for part in outcome.parts:
            data += _invent_part(part, choose)
        if outcome.tail:
            data += outcome.tail.make()
    if outcome.effect:
        outcome.effect()
    return Observation(outcome.err, outcome.aux or 0, bytes(data))


def _invent_part(part: Part, choose: Callable[[Set], int]) -> bytes:
    value, _mask = part.candidates[choose(part.candidates) if len(part.candidates) > 1 else 0]
    if part.home:
        container, key = part.home
        container[key] = exact(value)
    return value.to_bytes(part.size, "little")
