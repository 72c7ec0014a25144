"""What a kept case says of its own outcome, in comment lines of its text form.

::

    # machine: vixl=5.1.*
    # diverges: emulator:* isa.xtn2_v tail

means: on legs that match the first pattern, and whose fingerprint matches the machine
lines, a divergence from a rule that matches the second pattern is a known, true defect of
the leg (the comments around say which). Everything else must agree. The third word tells
a campaign what the defect can spoil, so that it can go on behind it (`Effect`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

from corpus.case import Case
from corpus.domain import TextError
from corpus.store import load_case

_DIVERGES = re.compile(r"#\s*diverges:\s*(\S+)\s+(\S+?)(?:\s+([a-z]+))?\s*")
_AVOID = re.compile(r"#\s*avoid:\s*(\S+)\s+(\S+)\s*")
_MACHINE = re.compile(r"#\s*machine:\s*([\w.]+)=(\S+)\s*")


class Effect(StrEnum):
    """What a defective instruction can spoil, the least first."""

    FPSR = "fpsr"  # FPSR's cumulative bits only
    INPLACE = "inplace"  # every register it writes, where it reads its destination, too
    MODES = "modes"  # every register it writes, but only while FPCR is not zero
    TAIL = "tail"  # bits 128 up to the VL of the V register it writes
    RESULT = "result"  # every register it writes
    STOP = "stop"  # it may also trap or not trap: nothing after it can be judged

    @property
    def rank(self) -> int:
        """Its place in the order."""
        return list(Effect).index(self)


@dataclass(frozen=True, slots=True)
class Known:
    """A divergence that is expected: patterns (shell style) of leg names and rule ids."""

    legs: str
    rule: str
    effect: Effect = Effect.RESULT

    def covers(self, leg: str, rule: str) -> bool:
        """Whether `leg` breaking `rule` is this divergence."""
        return fnmatchcase(leg, self.legs) and fnmatchcase(rule, self.rule)


@dataclass(frozen=True, slots=True)
class KeptCase:
    """A case file with what it expects. `about`: its first comment lines; `avoid`: (leg,
    rule) patterns of what a campaign must not try on a leg because it kills the machine."""

    path: Path
    case: Case
    known: tuple[Known, ...]
    about: str
    machine: tuple[tuple[str, str], ...] = ()
    avoid: tuple[tuple[str, str], ...] = ()

    def concerns(self, fingerprint: Mapping[str, str]) -> bool:
        """Whether a leg's fingerprint matches the machine lines."""
        return all(fnmatchcase(fingerprint.get(key, ""), value) for key, value in self.machine)

    def expects(self, leg: str, fingerprint: Mapping[str, str]) -> bool:
        """Whether `leg` is known to diverge on this case."""
        return self.concerns(fingerprint) and any(fnmatchcase(leg, k.legs) for k in self.known)

    def covers(self, leg: str, fingerprint: Mapping[str, str], rule: str) -> bool:
        """Whether `leg` breaking `rule` is known from this case."""
        return self.concerns(fingerprint) and any(k.covers(leg, rule) for k in self.known)


def load_kept(path: Path) -> KeptCase:
    """A kept case with its expectations. Raises TextError, OSError."""
    case = load_case(path)
    known: list[Known] = []
    about: list[str] = []
    machine: list[tuple[str, str]] = []
    avoid: list[tuple[str, str]] = []
    for line in path.read_bytes().decode(errors="replace").splitlines():
        if not line.startswith("#"):
            break
        if match := _DIVERGES.fullmatch(line):
            known.append(Known(match[1], match[2], _effect(match[3], path)))
        elif match := _MACHINE.fullmatch(line):
            machine.append((match[1], match[2]))
        elif match := _AVOID.fullmatch(line):
            avoid.append((match[1], match[2]))
        elif line.startswith(("# diverges", "# machine", "# avoid")):
            raise TextError(
                f"{path}: {line!r}: write '# diverges: LEGS RULE [EFFECT]',"
                " '# machine: KEY=PATTERN' or '# avoid: LEGS RULE'"
            )
        elif "requires:" not in line:
            about.append(line[1:].strip())
    text = " ".join(about).strip()
    return KeptCase(path, case, tuple(known), text, tuple(machine), tuple(avoid))


def _effect(word: str | None, path: Path) -> Effect:
    try:
        return Effect(word or Effect.RESULT)
    except ValueError:
        raise TextError(f"{path}: {word!r} is none of {', '.join(Effect)}") from None


def avoided(kept: Sequence[KeptCase], leg: str, fingerprint: Mapping[str, str]) -> frozenset[str]:
    """Rules that a campaign must not exercise on a leg."""
    found = (item.avoid for item in kept if item.concerns(fingerprint))
    return frozenset(rule for rows in found for legs, rule in rows if fnmatchcase(leg, legs))


Defects: TypeAlias = dict[str, frozenset[Effect]]
"""What a leg is known to get wrong: rule -> effects, each under its own condition."""


def defects(
    kept: Sequence[KeptCase], leg: str, fingerprint: Mapping[str, str], forms: Sequence[str]
) -> Defects:
    """Every known defect of a leg, for `isa.*` rules of `forms` and the FPSR rule."""
    rules = [*(f"isa.{form}" for form in forms), FPSR_RULE]
    found: Defects = {}
    for item in kept:
        for known in item.known if item.concerns(fingerprint) else ():
            if fnmatchcase(leg, known.legs):
                for rule in rules:
                    if fnmatchcase(rule, known.rule):
                        found[rule] = found.get(rule, frozenset()) | {known.effect}
    return found


FPSR_RULE = "fpsr.cumulative"
