"""An executor within the test that does what its requests mean, for what stands above it.

tests/test_transport_contract.py holds it to what real transports are held to.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from targets.transport import Loss, Reply, Transport, UnknownTicket


@dataclass(frozen=True, slots=True)
class Bad:
    """An answer that is none: the executor ends so."""

    ending: Ending
    log: str = ""
    fault: Fault | None = None
    at: int | None = None


Act = Callable[[bytes], bytes | Bad]


class FakeExecutor(Transport):
    """`act`: what comes of a request. A loss is told with each `Ending.LOST` of `act`'s."""

    depth = 3

    def __init__(self, act: Act, facts: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._act = act
        self._facts = facts or {"release": "6.12.1", "vqs": "1,2,4"}
        self._alive = False
        self._killed_by = ""
        self._queue: deque[tuple[int, bytes]] = deque()
        self._replies: dict[int, Reply] = {}
        self._tickets = 0

    def start(self) -> Mapping[str, str]:
        self._boot()
        return dict(self._facts)

    def _boot(self) -> None:
        self._look()
        if not self._alive:
            self._alive = True
            self.boots, self.boot_seconds = self.boots + 1, 1.5

    @property
    def lives(self) -> bool:
        """Whether the executor is there."""
        return self._alive and not self._killed_by

    def kill(self, how: str = "killed by SIGKILL") -> None:
        """As if somebody did that to the executor."""
        self._killed_by = how

    def submit(self, request: bytes) -> int:
        self._boot()
        self._tickets += 1
        self._queue.append((self._tickets, request))
        return self._tickets

    def collect(self, ticket: int) -> Reply:
        while ticket not in self._replies:
            if ticket not in (under_way for under_way, _ in self._queue):
                raise UnknownTicket(ticket)
            self._look()
            if self._alive:
                self._run()
        return self._replies.pop(ticket)

    def _look(self) -> None:
        if self._killed_by:
            self._losses.append(Loss.told(f"it was {self._killed_by}", self._killed_by))
            self._killed_by = ""
            self._end()

    def _run(self) -> None:
        ticket, request = self._queue.popleft()
        began = time.monotonic()
        answer = self._act(request)
        reply = Reply(Ending.OK, None, "", time.monotonic() - began, boot=self.boots)
        if isinstance(answer, bytes):
            self._replies[ticket] = replace(reply, response=answer)
            return
        if answer.ending is Ending.LOST:
            self._losses.append(Loss.told(answer.log.strip() or "it was lost"))
            answer = Bad(Ending.LOST)
        self._replies[ticket] = replace(
            reply, ending=answer.ending, log=answer.log, at=answer.at, fault=answer.fault
        )
        self._end()

    def _end(self) -> None:
        self._alive = False
        for ticket, _ in self._queue:
            self._replies[ticket] = Reply(Ending.LOST, None, "", 0.0, boot=self.boots)
        self._queue.clear()

    def restart(self) -> None:
        self._look()
        self._end()

    def close(self) -> None:
        self.restart()
        self._replies.clear()


def in_turn(
    endings: Sequence[Ending], answer: bytes, log: str = "", fault: Fault | None = None
) -> Act:
    """Each request ends as is its turn, and after that all are answered alike."""
    left = list(endings)

    def act(_: bytes) -> bytes | Bad:
        ending = left.pop(0) if left else Ending.OK
        if ending is Ending.OK:
            return answer
        if ending is Ending.LOST:
            return Bad(ending)
        return Bad(ending, log, fault or Fault(FaultKind.CRASH))

    return act
