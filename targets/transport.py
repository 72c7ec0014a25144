"""How request bytes reach the code that executes a case, and how its response comes back.

A *transport* knows nothing of cases or oracles: it moves the byte strings of
`corpus.wire` to an executor (real KVM in the lab, real KVM in this process, the
emulator's worker) and tells how that ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.fault import Fault
from corpus.trace import Ending
from targets.codemap import CodeMap


class TransportError(RuntimeError):
    """The executor cannot be started or reached; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request.

    `response` is None unless `ending` is `Ending.OK`. `log` holds what the
    executor's machine said meanwhile (kernel log lines, a crash message). `blocks`
    are those of the transport's `code` that the request executed, each once. `at`: which of
    its ops was under way when the executor broke, where that is known. `fault` is what made
    an ending bad, and None for `Ending.OK` and `Ending.LOST`.
    """

    ending: Ending
    response: bytes | None
    log: str
    seconds: float
    blocks: Sequence[int] = ()
    at: int | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """An executor that went away with no request at fault; `log` is for people."""

    fault: Fault
    log: str


class Transport(ABC):
    """One executor, reached by bytes.

    `submit` never blocks on execution; several requests may be in flight up to
    `depth`. After a reply whose ending is not OK the transport has already
    discarded the broken executor; the next `submit` starts a fresh one. Requests
    that were in flight behind the one at fault end as `Ending.LOST` and may be
    submitted again.
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

    @abstractmethod
    def start(self) -> Mapping[str, str]:
        """Start the executor; return the probe's `key -> value` lines. Raises TransportError."""

    @abstractmethod
    def submit(self, request: bytes) -> int:
        """Queue one request; return its ticket. Raises TransportError."""

    @abstractmethod
    def collect(self, ticket: int) -> Reply:
        """Wait for the reply to `ticket`."""

    @abstractmethod
    def close(self) -> None:
        """Stop the executor. Idempotent."""

    def losses(self) -> Sequence[Loss]:
        """Each executor that was lost with no request at fault (somebody killed it), since
        this was last asked."""
        return ()

    def restart(self) -> None:
        """Discard the executor: the next request is served by a fresh one."""
        self.close()
