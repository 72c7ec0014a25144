"""How request bytes reach the code that executes a case, and how its response comes back.

A *transport* knows nothing of cases or oracles: it moves the byte strings of
`corpus.wire` to an executor (real KVM in the lab, real KVM in this process, the
emulator's worker) and tells how that ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from corpus.wire import Kind, WireOp, pack_request
from targets.codemap import CodeMap

START_TRIES = 4
"""Of an executor that somebody ends while it starts."""

_PROBE = pack_request([WireOp(Kind.PROBE)])


class TransportError(RuntimeError):
    """The executor cannot be started or reached; the message is one sentence for the user."""


class UnknownTicket(LookupError):
    """A ticket that was never given out, or whose reply was collected, or that `close` made
    void: a mistake of the caller."""

    def __init__(self, ticket: int) -> None:
        super().__init__(f"nothing is under way for ticket {ticket}.")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request.

    `response` is None unless `ending` is `Ending.OK`. `log` holds what the
    executor's machine said meanwhile (kernel log lines, a crash message). `blocks`
    are those of the transport's `code` that the request executed, each once, `interrupted`
    those after which an interrupt came, where that is told. `at`: which of its ops was under way
    when the executor broke, where that is known. `fault` is what made
    an ending bad, and None for `Ending.OK` and `Ending.LOST`. `boot` numbers the executor that
    had the request, as `Transport.boots` counts; 0 if that is not told.
    """

    ending: Ending
    response: bytes | None
    log: str
    seconds: float
    blocks: Sequence[int] = ()
    at: int | None = None
    fault: Fault | None = None
    boot: int = 0
    interrupted: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Loss:
    """An executor that went away with no request at fault; `log` is for people."""

    fault: Fault
    log: str

    @classmethod
    def told(cls, line: str, place: str = "") -> Loss:
        """A loss of which one line is all that is known; `place`: what became of it."""
        return cls(Fault(FaultKind.LOST, place[:80], line=line), f"{line}\n")


class Transport(ABC):
    """One executor, reached by bytes.

    `submit` never blocks on execution; several requests may be in flight up to
    `depth`, and their replies may be collected in any order. After a reply whose ending is
    not OK the transport has already discarded the broken executor; the next `submit` starts a
    fresh one. Requests that were in flight behind the one at fault end as `Ending.LOST` and
    may be submitted again. So do all, none being at fault, where somebody killed or stopped
    the executor: that is one of the `losses`.

    tests/test_transport_contract.py holds every transport to this.
    """

    depth: int = 1
    code: CodeMap | None = None
    """What `Reply.blocks` is about, once started; None if coverage is not recorded."""
    no_coverage: str = ""
    """Why coverage was asked for and is not recorded, in one sentence."""
    boots: int = 0
    """Executors started so far: what earlier requests left behind is gone when it grows."""
    boot_seconds: float = 0.0
    """How long the latest start took."""

    def __init__(self) -> None:
        self._losses: list[Loss] = []

    @abstractmethod
    def start(self) -> Mapping[str, str]:
        """Start the executor if there is none; the probe's `key -> value` lines. Raises
        TransportError."""

    @abstractmethod
    def submit(self, request: bytes) -> int:
        """Queue one request; return its ticket. Raises TransportError."""

    @abstractmethod
    def collect(self, ticket: int) -> Reply:
        """Wait for the reply to `ticket`, once. Raises UnknownTicket, TransportError."""

    @abstractmethod
    def close(self) -> None:
        """Stop the executor and forget what is under way. Idempotent; `start` and `submit`
        begin anew."""

    def _probe(self) -> Reply:
        """The reply to a PROBE. An executor that somebody ends meanwhile is replaced."""
        for _ in range(START_TRIES - 1):
            reply = self.collect(self.submit(_PROBE))
            if reply.ending is not Ending.LOST:
                return reply
        return self.collect(self.submit(_PROBE))

    def losses(self) -> Sequence[Loss]:
        """Each executor that was lost with no request at fault (somebody killed it), since
        this was last asked."""
        told, self._losses = self._losses, []
        return told

    @abstractmethod
    def restart(self) -> None:
        """Discard the executor: what is under way is lost, and the next request is served by
        a fresh one."""
