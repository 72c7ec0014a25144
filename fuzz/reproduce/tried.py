"""Programs compiled, and run in the lab: does what is said to fail fail, and pass elsewhere?"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from corpus.trace import Ending
from targets.compiler import compile_
from targets.kvm import legname
from targets.kvm.lab import image
from targets.kvm.lab.channel import Ended, Layout, ended
from targets.kvm.lab.transport import LabTransport
from targets.transport import Reply

FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s")
_LAYOUT = Layout(slots=1, request_cap=4 << 20)
"""Room for an executable."""
PASS, FAIL, SKIP = 0, 1, 4
"""Exit codes of kselftest."""


class Outcome(Enum):
    """How a program did on a leg."""

    PASSES = "passes"
    FAILS = "fails"
    SKIPS = "is skipped"
    BREAKS = "breaks the machine"
    ODD = "ends oddly"  # killed by a signal, or with another exit code


@dataclass(frozen=True, slots=True)
class Tried:
    """A program as it did on a leg; `said`: the line that tells why, `output`: all of it;
    `release`: of the kernel there."""

    name: str
    leg: str
    outcome: Outcome
    said: str
    output: str
    release: str = ""


def built(text: str) -> bytes:
    """The executable that a program's text makes, without a warning. Raises TransportError."""
    with tempfile.TemporaryDirectory() as place:
        source, binary = Path(place, "program.c"), Path(place, "program")
        source.write_text(text)
        argv = [image.find_compiler(), *FLAGS, "-o", str(binary), str(source)]
        compile_(argv, "the program", Path(place))
        return binary.read_bytes()


def can_run(leg: str) -> bool:
    """Whether programs can be run on a leg: those of the lab."""
    return leg.startswith("kvm:") and legname.is_lab(leg)


def run(programs: Mapping[str, bytes], leg: str) -> Iterator[Tried]:
    """Each program on a leg of the lab, in one machine as long as it lives. Raises
    TransportError."""
    opened = legname.open_transport(legname.parse(leg))
    assert isinstance(opened, LabTransport)
    with closing(LabTransport(opened.spec, 1, _LAYOUT)) as lab:
        release = lab.start().get("release", "")
        for name, program in programs.items():
            yield tell(name, leg, lab.collect(lab.submit_program(program)), release)


def tell(name: str, leg: str, reply: Reply, release: str = "") -> Tried:
    """What became of a program. Raises TransportError."""
    if reply.response is None or reply.ending is not Ending.OK:
        why = str(reply.fault) if reply.fault else reply.ending.value
        return Tried(name, leg, Outcome.BREAKS, why, reply.log, release)
    end = ended(reply.response)
    return Tried(name, leg, _outcome(end), _why(end), end.output, release)


def _outcome(end: Ended) -> Outcome:
    if end.signal is not None or "Bail out!" in end.output:
        return Outcome.ODD
    return {PASS: Outcome.PASSES, FAIL: Outcome.FAILS, SKIP: Outcome.SKIPS}.get(
        end.code, Outcome.ODD
    )


_TELLING = re.compile(r"^(not ok \d+ .*|1\.\.0 # SKIP .*|Bail out! .*)$", re.MULTILINE)


def _why(end: Ended) -> str:
    if end.signal is not None:
        return f"killed by signal {end.signal}"
    found = _TELLING.search(end.output)
    return found[1] if found else ""


def reproduces(tried: Sequence[Tried], deviating: Sequence[str]) -> bool:
    """Whether a program shows what it is about: it fails on every leg that is known to deviate,
    of one at least, and passes on another one."""
    those = [one for one in tried if one.leg in deviating]
    others = [one for one in tried if one.leg not in deviating]
    wrong = (Outcome.FAILS, Outcome.BREAKS)
    return (
        bool(those)
        and all(one.outcome in wrong for one in those)
        and any(one.outcome is Outcome.PASSES for one in others)
    )
