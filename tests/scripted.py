"""Legs that do what a test tells them, and verdicts in short form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from corpus.case import Case
from corpus.fault import Fault
from corpus.trace import Ending, Observation, Trace
from fuzz.oracle.verdict import Agree, Diverge
from targets.base import Incident, Ran, Target
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.judge import Choices
from targets.transport import TransportError

Script = Callable[[Case, int], Trace]
"""From a case and how many ran before, to what the leg does with it."""

LAB = {"lab.qemu": "7.2", "lab.kernel_sha256": "0", "mode": "vhe", "release": "6.12.9"}
"""What makes legs of kind `kvm` twins."""


def sound(case: Case, turn: int = 0, profile: Profile | None = None) -> Trace:
    """What the specification would do."""
    return ModelTarget(profile or Profile()).run(case)


def wrong(case: Case, index: int, seen: Observation | None = None) -> Trace:
    """The same, but for what op `index` observes (errno 99)."""
    observations = list(sound(case).observations)
    observations[index] = seen or Observation(99)
    return Trace(tuple(observations))


def broken(fault: Fault, ending: Ending = Ending.CRASH, seen: Sequence[Observation] = ()) -> Trace:
    """A case that broke the machine."""
    return Trace(tuple(seen), ending, f"log of {fault}", fault=fault)


class Scripted(Target):
    """A leg that does what `script` says. `told`: incidents that it tells when asked next."""

    def __init__(
        self,
        name: str,
        script: Script = sound,
        kind: str = "kvm",
        fingerprint: Mapping[str, str] | None = None,
        profile: Profile | None = None,
    ) -> None:
        self.name, self.kind, self.script = name, kind, script
        self.fingerprint = dict(LAB if fingerprint is None else fingerprint)
        self.profile = profile or Profile()
        self.ran: list[Case] = []
        self.shared: list[Case] = []
        self.log: list[str] = []
        self.told: list[Incident] = []
        self.restarted = 0
        self.gone = False

    def submit(self, case: Case) -> int:
        if self.gone:
            raise TransportError(f"{self.name} is gone.")
        self.ran.append(case)
        self.log.append("run")
        return len(self.ran)

    def submit_shared(self, case: Case) -> int:
        self.shared.append(case)
        return self.submit(case)

    def collect(self, ticket: int) -> Trace:
        self.executions += 1
        return self.script(self.ran[ticket - 1], ticket - 1)

    def restart(self) -> None:
        self.restarted += 1
        self.log.append("restart")

    def incidents(self) -> Sequence[Incident]:
        told, self.told = self.told, []
        return told


def agree(judged: int = 0, reason: str = "", rules: Sequence[str] = ()) -> Agree:
    """A trace that is permitted."""
    return Agree(judged, frozenset(rules), Choices(), reason)


DIVERGE = Diverge(
    oracle="conformance",
    op_index=0,
    op_word="get",
    rule="sve.z",
    label="z3",
    expected="0x0",
    observed="0x1",
    detail="",
    strict=True,
)


def diverge(**changed: object) -> Diverge:
    """DIVERGE with some of its fields changed."""
    return replace(DIVERGE, **changed)  # type: ignore[arg-type]


def earlier(*cases: Case, shared: bool = False) -> tuple[Ran, ...]:
    """Cases as a leg ran them."""
    return tuple(Ran(case, shared) for case in cases)
