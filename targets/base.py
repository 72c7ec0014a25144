"""Targets: code that runs a case on one leg and says what happened, with no judgement."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from corpus.case import Case
from corpus.trace import Ending, Trace
from corpus.wire import FLAG_REUSE_VM, WireError, unpack_response, with_flags
from targets.codemap import CodeMap
from targets.kvm import reuse
from targets.profile import Profile
from targets.transport import Transport


class Target(ABC):
    """One leg, ready to run cases. Use as a context manager."""

    name: str
    kind: str
    profile: Profile
    fingerprint: Mapping[str, str]
    executions: int = 0
    restarts: int = 0
    code: CodeMap | None = None
    """What `blocks` is about; None for a leg that records no coverage."""
    no_coverage: str = ""
    """Why a leg that was asked to record coverage does not, in one sentence."""
    blocks: Sequence[int] = ()
    """Blocks of `code` that the last collected case executed, each once."""

    @abstractmethod
    def submit(self, case: Case) -> int:
        """Start `case`; return a ticket. Raises TransportError."""

    def submit_shared(self, case: Case) -> int:
        """As `submit`, but the case may run in a VM that served earlier ones, where the leg
        can do that soundly. Raises TransportError."""
        return self.submit(case)

    @abstractmethod
    def collect(self, ticket: int) -> Trace:
        """The trace of a submitted case. Raises TransportError."""

    def run(self, case: Case) -> Trace:
        """Run one case. Raises TransportError."""
        return self.collect(self.submit(case))

    def close(self) -> None:  # noqa: B027 (a leg without resources has nothing to do)
        """Release what the leg holds. Idempotent."""

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WireTarget(Target):
    """A leg behind a transport: lowers cases, raises traces."""

    def __init__(
        self, name: str, kind: str, transport: Transport, extra: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.kind = name, kind
        self.transport = transport
        probe = dict(transport.start())
        self.profile = Profile.from_probe(probe)
        self.fingerprint = {**probe, **(extra or {}), "leg": name}
        self.code, self.no_coverage = transport.code, transport.no_coverage
        self._running: dict[int, Case] = {}
        self._shares: bool | None = None

    def submit(self, case: Case) -> int:
        return self._submit(case, case.request)

    def submit_shared(self, case: Case) -> int:
        return self._submit(case, with_flags(case.request, FLAG_REUSE_VM if self.shares else 0))

    def _submit(self, case: Case, request: bytes) -> int:
        ticket = self.transport.submit(request)
        self._running[ticket] = case
        return ticket

    @property
    def shares(self) -> bool:
        """Whether cases may share a VM here; found out by trying, when no case is running.
        Raises TransportError."""
        if self._shares is None:
            self._shares = self.kind == "kvm" and reuse.is_sound(self.transport)
        return self._shares

    def collect(self, ticket: int) -> Trace:
        reply = self.transport.collect(ticket)
        case = self._running.pop(ticket)
        self.blocks = reply.blocks
        if reply.ending is Ending.LOST:
            self.restarts += 1
            return self.run(case)
        self.executions += 1
        if reply.response is None:
            self.restarts += 1
            return Trace((), reply.ending, reply.log)
        try:
            observations = unpack_response(reply.response)
        except WireError as error:
            return Trace((), Ending.CRASH, f"{error}\n{reply.log}")
        return Trace(observations, reply.ending, reply.log)

    def close(self) -> None:
        self.transport.close()


def fingerprint_hash(fingerprint: Mapping[str, str]) -> str:
    """12 hexadecimal digits that change with anything in the fingerprint."""
    text = "\n".join(f"{key}={fingerprint[key]}" for key in sorted(fingerprint))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
