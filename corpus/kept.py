"""What a kept case says of its own outcome, in comment lines of its text form.

::

    # machine: vixl=5.1.*
    # diverges: emulator isa.xtn2_v tail

means: on legs of that kind whose fingerprint matches the machine lines, whatever they are
called, a divergence from a rule that matches the pattern is a known, true defect of the leg
(the comments around say which). Everything else must agree. The third word tells a campaign
what the defect can spoil, so that it can go on behind it (`Effect`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from corpus.case import Case
from corpus.domain import TextError, quoted
from corpus.store import load_document


class Effect(StrEnum):
    """What a defective instruction can spoil, the least first."""

    FPSR = "fpsr"  # FPSR's cumulative bits only
    INPLACE = "inplace"  # every register it writes, where it reads its destination, too
    MODES = "modes"  # every register it writes, but only while FPCR is not zero
    ODD = "odd"  # as RESULT, but only where the VL is an odd number of quadwords
    SHORT = "short"  # as STOP, but only at a VL of 128 bits
    SP = "sp"  # as STOP, but only where an operand is the stack pointer
    TAIL = "tail"  # bits 128 up to the VL of the V register it writes
    RESULT = "result"  # every register it writes
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
class KeptCase:
    """A case file with what it expects. `about`: its first comment lines; `avoid`: like
    `known`, what a campaign must not try because it kills the machine."""

    path: Path
    case: Case
    known: tuple[Known, ...]
    about: str
    machine: tuple[tuple[str, str], ...] = ()
    avoid: tuple[Known, ...] = ()

    def recorded(self, leg: Described) -> tuple[Known, ...]:
        """The divergences that are expected on a leg."""
        return self._on(leg, self.known)

    def avoided(self, leg: Described) -> frozenset[str]:
        """Rules that a campaign must not come to on a leg."""
        return frozenset(known.rule for known in self._on(leg, self.avoid))

    def covers(self, leg: Described, rule: str) -> bool:
        """Whether `leg` breaking `rule` is known from this case."""
        return any(fnmatchcase(rule, known.rule) for known in self.recorded(leg))

    def _on(self, leg: Described, rows: tuple[Known, ...]) -> tuple[Known, ...]:
        found = tuple(known for known in rows if known.kind == leg.kind)
        facts = leg.fingerprint
        here = all(fnmatchcase(facts.get(key, ""), value) for key, value in self.machine)
        return found if here else ()


def load_kept(path: Path) -> KeptCase:
    """A kept case with its expectations. Raises TextError, OSError."""
    document = load_document(path)
    known: list[Known] = []
    machine: list[tuple[str, str]] = []
    avoid: list[Known] = []
    for header in document.headers:
        first, second, *rest = header.parts
        if header.name == "diverges":
            known.append(Known(first, second, _effect(rest[0], header.number, path)))
        elif header.name == "machine":
            machine.append((first, second))
        elif header.name == "avoid":
            avoid.append(Known(first, second))
    about = document.about
    return KeptCase(path, document.case, tuple(known), about, tuple(machine), tuple(avoid))


def _effect(word: str, line: int, path: Path) -> Effect:
    try:
        return Effect(word or Effect.RESULT)
    except ValueError:
        effects = ", ".join(Effect)
        raise TextError(f"{path}: line {line}: {quoted(word)} is none of {effects}") from None


FPSR_RULE = "fpsr.cumulative"
