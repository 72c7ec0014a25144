"""Targets: code that runs a case on one leg and says what happened, with no judgement."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.trace import Ending, Trace
from corpus.wire import FLAG_REUSE_VM, WireError, unpack_response, with_flags
from targets.codemap import CodeMap
from targets.profile import Profile
from targets.transport import Reply, Transport

HISTORY = 64
"""Cases that are remembered per leg: what a later one may owe its fate to."""

LOST_TRIES = 5
"""Executors that one case may lose, through no fault of its own as it seems, before it is
taken to be at fault."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A case as a leg ran it; `shared`: in a VM that may have served others."""

    case: Case
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Incident:
    """An executor that broke, complained, or was lost. `case` is the one at fault, if any;
    `preceding` what the same executor had run before it, oldest first."""

    fault: Fault
    log: str
    case: Case | None = None
    preceding: tuple[Ran, ...] = ()


class Target(ABC):
    """One leg, ready to run cases. Use as a context manager."""

    name: str
    kind: str
    profile: Profile
    fingerprint: Mapping[str, str]
    depth: int = 1
    """Cases that may be submitted and not yet collected, at most."""
    executions: int = 0
    restarts: int = 0
    """How many executors broke or were lost while they had cases to run."""
    code: CodeMap | None = None
    """What `blocks` is about; None for a leg that records no coverage."""
    no_coverage: str = ""
    """Why a leg that was asked to record coverage does not, in one sentence."""
    blocks: Sequence[int] = ()
    """Blocks of `code` that the last collected case executed, each once."""
    interrupted: Sequence[int] = ()
    """Blocks of `code` after which an interrupt came during that case, each once."""
    boots: int = 0
    """How often what executes the cases was started."""
    boot_seconds: float = 0.0
    """How long the latest start took."""

    @abstractmethod
    def submit(self, case: Case) -> int:
        """Start `case`; return a ticket. Raises TransportError."""

    def submit_shared(self, case: Case) -> int:
        """As `submit`, but the case may run in a VM that served earlier ones, where the leg
        can do that soundly. Raises TransportError."""
        return self.submit(case)

    @abstractmethod
    def collect(self, ticket: int) -> Trace:
        """The trace of a submitted case, once. Raises UnknownTicket, TransportError."""

    def run(self, case: Case) -> Trace:
        """Run one case. Raises TransportError."""
        return self.collect(self.submit(case))

    def restart(self) -> None:  # noqa: B027 (a leg without state is always fresh)
        """Run what comes next as after a boot."""

    def incidents(self) -> Sequence[Incident]:
        """What broke since this was last asked, each once."""
        return ()

    def close(self) -> None:  # noqa: B027 (a leg without resources has nothing to do)
        """Release what the leg holds. Idempotent."""

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WireTarget(Target):
    """A leg behind a transport: lowers cases, raises traces."""

    def __init__(
        self,
        name: str,
        kind: str,
        transport: Transport,
        extra: Mapping[str, str] | None = None,
        can_share: Callable[[Transport], bool] = lambda _: False,
    ) -> None:
        """`extra`: added to the fingerprint; `can_share` tries whether cases do the same in
        VMs that served others. Raises TransportError."""
        self.name, self.kind = name, kind
        self._can_share = can_share
        self.transport = transport
        probe = dict(transport.start())
        self.depth = transport.depth
        self.profile = Profile.from_probe(probe)
        self.fingerprint = {**probe, **(extra or {}), "leg": name}
        self.code, self.no_coverage = transport.code, transport.no_coverage
        self.boots, self.boot_seconds = transport.boots, transport.boot_seconds
        self._running: dict[int, _Submitted] = {}
        self._history: deque[_Submitted] = deque(maxlen=HISTORY)
        self._incidents: list[Incident] = []
        self._replaced: set[int] = set()  # executors that broke or were lost, by number
        self._shares: bool | None = None

    def submit(self, case: Case) -> int:
        return self._submit(Ran(case))

    def submit_shared(self, case: Case) -> int:
        return self._submit(Ran(case, self.shares))

    def run_as(self, case: Case, request: bytes) -> Trace:
        """What the executor does with `request`, of which `case` is how people read it. Raises
        TransportError."""
        return self.collect(self._submit(Ran(case), request))

    def _submit(self, ran: Ran, request: bytes = b"", tries: int = 1) -> int:
        request = request or ran.case.request
        flags = FLAG_REUSE_VM if ran.shared else 0
        ticket = self.transport.submit(with_flags(request, flags))
        self.boots, self.boot_seconds = self.transport.boots, self.transport.boot_seconds
        submitted = _Submitted(ran, request, ticket, self.boots, tries)
        self._running[ticket] = submitted
        self._history.append(submitted)
        return ticket

    @property
    def shares(self) -> bool:
        """Whether cases may share a VM here; found out by trying, when no case is running.
        Raises TransportError."""
        if self._shares is None:
            self._shares = self._can_share(self.transport)
        return self._shares

    def collect(self, ticket: int) -> Trace:
        while True:
            reply = self.transport.collect(ticket)
            submitted = self._running.pop(ticket)
            submitted.boot = reply.boot or submitted.boot
            if reply.response is None:
                self._replaced.add(submitted.boot)
                self.restarts = len(self._replaced)
            if reply.ending is not Ending.LOST or submitted.tries >= LOST_TRIES:
                break
            ticket = self._submit(submitted.ran, submitted.request, submitted.tries + 1)
        self.blocks, self.interrupted = reply.blocks, reply.interrupted
        self.executions += 1
        if reply.response is None:
            return self._broken(submitted, reply, "lost again and again")
        try:
            observations = unpack_response(reply.response)
        except WireError as error:
            return self._broken(submitted, reply, str(error))
        return Trace(observations, reply.ending, reply.log, fault=reply.fault)

    def _broken(self, at_fault: _Submitted, reply: Reply, why: str) -> Trace:
        """The trace of a case that broke the executor; `why`, where the reply does not tell."""
        untold = reply.ending in (Ending.OK, Ending.LOST)
        ending = Ending.CRASH if untold else reply.ending
        fault = reply.fault or Fault(FaultKind.CRASH, line=why)
        log = f"{why}\n{reply.log}" if untold else reply.log
        preceding = tuple(
            earlier.ran
            for earlier in self._history
            if earlier.boot == at_fault.boot and earlier.ticket < at_fault.ticket
        )
        self._incidents.append(Incident(fault, log, at_fault.ran.case, preceding))
        return Trace((), ending, log, reply.at, fault)

    def restart(self) -> None:
        self.transport.restart()

    def incidents(self) -> Sequence[Incident]:
        lost = [Incident(loss.fault, loss.log) for loss in self.transport.losses()]
        told, self._incidents = [*lost, *self._incidents], []
        return told

    def close(self) -> None:
        self.transport.close()


@dataclass(slots=True)
class _Submitted:
    """A case on its way: to which executor as far as is known, and how many it lost, this one
    included if it does."""

    ran: Ran
    request: bytes
    ticket: int
    boot: int
    tries: int


def fingerprint_hash(fingerprint: Mapping[str, str]) -> str:
    """12 hexadecimal digits that change with anything in the fingerprint."""
    text = "\n".join(f"{key}={fingerprint[key]}" for key in sorted(fingerprint))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
