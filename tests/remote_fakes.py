"""An agent within the test's process, and a leg for it that does what a request says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

from fake_executor import Bad, FakeExecutor

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from targets.codemap import CodeMap, Function
from targets.kvm.remote.address import Address
from targets.kvm.remote.door import Challenge, Door, Proven
from targets.kvm.remote.line import Line
from targets.kvm.remote.session import Service, Stopped, converse
from targets.transport import Loss, Reply, Transport, TransportError

KEY = "correct horse battery"
PANIC = Fault(FaultKind.PANIC, "do_exit", True, "Kernel panic")
KILLED = Loss.told("it was killed by SIGKILL", "killed by SIGKILL")
CODE = CodeMap(0xFFFF_8000_0000_0000, 0x2000, (Function(0, 64, "kvm_init", "arm.c"),))


class Echo(FakeExecutor):
    """Answers with the request, twice over; some requests mean something else."""

    def __init__(self, coverage: bool = False, facts: Mapping[str, str] | None = None) -> None:
        super().__init__(self._answer, facts)
        self.code = CODE if coverage else None
        self.requests: list[bytes] = []
        self.closed = threading.Event()

    @staticmethod
    def _answer(request: bytes) -> bytes | Bad:
        if request.startswith(b"sleep"):
            time.sleep(float(request[5:]))
        if request == b"stop":
            raise Stopped
        if request == b"panic":
            return Bad(Ending.CRASH, "x" * 100_000 + "Kernel panic", PANIC)
        return request * 2

    def submit(self, request: bytes) -> int:
        if request == b"refuse":
            raise TransportError("this leg takes no more.")
        if request == b"lose":
            self.kill()
        self.requests.append(request)
        return super().submit(request)

    def collect(self, ticket: int) -> Reply:
        reply = super().collect(ticket)
        if reply.response is None:
            return reply
        blocks = (4, 8) if self.code else ()
        return replace(reply, log="a log", seconds=0.25, blocks=blocks)

    def close(self) -> None:
        super().close()
        self.closed.set()


class Host:
    """What a machine with an agent looks like from outside."""

    def __init__(self, serve: Callable[[socket.socket], object], port: int) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", port))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self.connections: list[socket.socket] = []
        self.said: list[object] = []
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self._threads.append(
                threading.Thread(target=self._one, args=(connection,), daemon=True)
            )
            self._threads[-1].start()

    def _one(self, connection: socket.socket) -> None:
        self.said.append(self._serve(connection))

    def sentence(self) -> str:
        """What the first conversation ended with, once it did."""
        end = time.monotonic() + 10
        while not self.said:
            assert time.monotonic() < end
            time.sleep(0.01)
        return str(self.said[0])

    def hang_up(self) -> None:
        """Break every connection; whoever serves it finds out."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()


@contextmanager
def host(serve: Callable[[socket.socket], object], port: int = 0) -> Iterator[Host]:
    """Serve every connection with `serve`, in a thread of its own."""
    opened = Host(serve, port)
    try:
        yield opened
    finally:
        opened.close()


def admit(line: Line) -> bool:
    """What the door does, for one client: exchange proofs; whether it wants coverage."""
    challenge = Challenge(KEY.encode())
    line.send(challenge.hello)
    proof = line.receive(10)
    assert proof is not None
    welcome, coverage = challenge.answer(proof)
    line.send(welcome)
    return coverage


class Agent(Host):
    """An agent's door and conversations, without its processes."""

    def __init__(self, service: Service, port: int) -> None:
        self._service = service
        super().__init__(lambda _: None, port)

    def _accept(self) -> None:
        with suppress(OSError, ValueError):  # until the listener is closed
            door = Door(self._listener, self._service.key, self.said.append)
            while True:
                for client in door.wait(0.1):
                    self.connections.append(client.line._socket)
                    threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def _converse(self, client: Proven) -> None:
        self.said.append(converse(client.line, self._service, client.coverage))

    def sentence(self) -> str:
        """What is said without the address of who it is about."""
        return super().sentence().rpartition("refused: ")[2]


@contextmanager
def agent(make: Callable[[bool], Transport] = Echo, port: int = 0) -> Iterator[Agent]:
    """An agent within this process."""
    opened = Agent(Service("echo", make, KEY.encode()), port)
    try:
        yield opened
    finally:
        opened.close()
