"""What a kept case says of its own outcome, in comment lines of its text form.

::

    # machine: vixl=5.1.*
    # diverges: emulator isa.xtn2_v tail

means: on legs of that kind whose fingerprint matches the machine lines, whatever they are
called, a divergence from a rule that matches the pattern is a known, true defect of the leg
(the comments around say which). Everything else must agree. The third word tells a campaign
what the defect can spoil, so that it can go on behind it (`Effect`).

::

    # expires: release=7.0
    # matches: kvm release=6.12.73 mode=vhe
    # differs: kvm release=7.2.1

say until when that is believed (`corpus.expiry`), and name examples of machines that it is about,
and that it is not about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from corpus.case import Case
from corpus.domain import TextError, quoted
from corpus.expiry import Expiry, parse_expiry
from corpus.store import load_document


class Effect(StrEnum):
    """What a defective instruction can spoil, the least first."""

    FPSR = "fpsr"  # FPSR's cumulative bits only
    INPLACE = "inplace"  # every register it writes, where it reads its destination, too
    MODES = "modes"  # every register it writes, but only while FPCR is not zero
    ODD = "odd"  # as RESULT, but only where the VL is an odd number of quadwords
    UNEVEN = "uneven"  # as RESULT, but only where the VL is no power of two
    UNKEYED = "unkeyed"  # as RESULT, but only where SCTLR_EL1 enables no key for pointers
    SHORT = "short"  # as STOP, but only at a VL of 128 bits
    SP = "sp"  # as STOP, but only where an operand is the stack pointer
    STACK = "stack"  # as STOP, but only at EL2 with the stack pointer of EL0
    SP_TAG = "sptag"  # as STOP, but only where tags are checked, and not of this access
    TAIL = "tail"  # bits 128 up to the VL of the V register it writes
    RESULT = "result"  # every register it writes
    TAGS = "tags"  # as STOP, but only where tags are checked, and one differs, but not from the
    # access's first byte on, or it faults otherwise
    STOP = "stop"  # it may also trap or not trap: nothing after it can be judged

    @property
    def rank(self) -> int:
        """Its place in the order."""
        return list(Effect).index(self)


class Described(Protocol):
    """What a leg is, apart from its name."""

    @property
    def kind(self) -> str:
        """`kvm`, `emulator`, ..."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Release, mode, versions: whatever changes the outcome."""


@dataclass(frozen=True, slots=True)
class Known:
    """A divergence that is expected: a kind of leg and patterns (shell style) of rule ids."""

    kind: str
    rule: str
    effect: Effect = Effect.RESULT


@dataclass(frozen=True, slots=True)
class Example:
    """A leg that might be, told by what it is."""

    kind: str
    fingerprint: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeptCase:
    """A case file with what it expects. `about`: its first comment lines; `avoid`: like
    `known`, what a campaign must not try because it kills the machine. `expires`: what of that
    is believed, as of the day `today`; `matches`, `differs`: examples of legs."""

    path: Path
    case: Case
    known: tuple[Known, ...]
    about: str
    machine: tuple[tuple[str, str], ...] = ()
    avoid: tuple[Known, ...] = ()
    expires: tuple[Expiry, ...] = ()
    matches: tuple[Example, ...] = ()
    differs: tuple[Example, ...] = ()
    today: date = date.min

    def recorded(self, leg: Described) -> tuple[Known, ...]:
        """The divergences that are expected on a leg."""
        return self._on(leg, self.known)

    def avoided(self, leg: Described) -> frozenset[str]:
        """Rules that a campaign must not come to on a leg."""
        return frozenset(known.rule for known in self._on(leg, self.avoid))

    def covers(self, leg: Described, rule: str) -> bool:
        """Whether `leg` breaking `rule` is known from this case."""
        return any(fnmatchcase(rule, known.rule) for known in self.recorded(leg))

    def is_about(self, leg: Described) -> bool:
        """Whether `leg` is one of those whose defect this records, believed or not."""
        facts = leg.fingerprint
        here = all(fnmatchcase(facts.get(key, ""), value) for key, value in self.machine)
        return here and any(known.kind == leg.kind for known in (*self.known, *self.avoid))

    def expired(self, leg: Described) -> Expiry | None:
        """Why the record is not believed of `leg` any more, if it would be about it."""
        over = (one for one in self.expires if one.is_over(leg.fingerprint, self.today))
        return next(over, None) if self.is_about(leg) else None

    def _on(self, leg: Described, rows: tuple[Known, ...]) -> tuple[Known, ...]:
        if not self.is_about(leg) or self.expired(leg):
            return ()
        return tuple(known for known in rows if known.kind == leg.kind)


def load_kept(path: Path, today: date | None = None) -> KeptCase:
    """A kept case with its expectations, as they are believed on a day, by default this one.
    Raises TextError, OSError."""
    document = load_document(path)
    known: list[Known] = []
    machine: list[tuple[str, str]] = []
    avoid: list[Known] = []
    expires: list[Expiry] = []
    examples: dict[str, list[Example]] = {"matches": [], "differs": []}
    for header in document.headers:
        first, second, *rest = (*header.parts, "")
        if header.name == "diverges":
            known.append(Known(first, second, _effect(rest[0], header.number, path)))
        elif header.name == "machine":
            machine.append((first, second))
        elif header.name == "avoid":
            avoid.append(Known(first, second))
        elif header.name == "expires":
            expires.append(_expiry(first, header.number, path))
        elif header.name in examples:
            examples[header.name].append(_example(first, second, header.number, path))
    return KeptCase(
        path,
        document.case,
        tuple(known),
        document.about,
        tuple(machine),
        tuple(avoid),
        tuple(expires),
        tuple(examples["matches"]),
        tuple(examples["differs"]),
        today or datetime.now(UTC).date(),
    )


def _example(kind: str, facts: str, line: int, path: Path) -> Example:
    found: dict[str, str] = {}
    for fact in facts.split():
        key, _, value = fact.partition("=")
        if key in found:
            raise TextError(f"{path}: line {line}: {key}= is there twice")
        found[key] = value
    return Example(kind, found)


def _expiry(text: str, line: int, path: Path) -> Expiry:
    try:
        return parse_expiry(text)
    except TextError as error:
        raise TextError(f"{path}: line {line}: {error}") from None


def _effect(word: str, line: int, path: Path) -> Effect:
    try:
        return Effect(word or Effect.RESULT)
    except ValueError:
        effects = ", ".join(Effect)
        raise TextError(f"{path}: line {line}: {quoted(word)} is none of {effects}") from None


FPSR_RULE, SYNDROME_RULE = "fpsr.cumulative", "mte.syndrome"
ABORT_RULE, FORGETS_ABORTS_RULE = "events.abort-pends", "init.forgets-aborts"
