"""The agent: listens, and gives every client a process with a transport of its own.

Processes, because a leg may fork, hang, or die, and none of that is the next client's.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from targets.kvm.remote.address import Address
from targets.kvm.remote.line import Line
from targets.kvm.remote.messages import Refused, frame
from targets.kvm.remote.session import Service, Stopped, converse
from targets.transport import TransportError

MOST_CLIENTS = 32
_END_S = 10.0
_LOOK_S = 5.0
"""How often processes that ended are looked for when nobody comes."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1
_fork = multiprocessing.get_context("fork")
_libc = ctypes.CDLL(None, use_errno=True)


class Agent:
    """Bound to its address once made. `say` is told who comes and goes."""

    def __init__(
        self,
        address: Address,
        service: Service,
        say: Callable[[str], None],
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        """Raises TransportError if nothing can listen there."""
        self._service, self._say, self._most = service, say, most_clients
        self._listener = _listen(address)

    @property
    def address(self) -> Address:
        """Where it really listens: the port is known, the host a number."""
        host, port = self._listener.getsockname()[:2]
        return Address(host, port)

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.address.host.partition("%")[0]).is_loopback

    def _check(self) -> Mapping[str, str]:
        """Start the leg once, as a client would; its facts. Raises TransportError."""
        ours, theirs = _fork.Pipe(duplex=False)
        process = _fork.Process(target=_check, args=(self._service, theirs), daemon=True)
        with _blocked():
            process.start()
        theirs.close()
        try:
            facts, why = ours.recv()
        except EOFError:
            facts, why = None, f"{self._service.leg} died as it was started."
        finally:
            _end([process])
        if facts is None:
            raise TransportError(why)
        return dict(facts)

    def run(self, ready: Callable[[Mapping[str, str]], None]) -> None:
        """See that the leg starts, tell `ready` its facts, and serve until SIGINT or SIGTERM;
        then end the clients' processes, too. Main thread only.

        Raises TransportError if the leg does not start.
        """
        self._listener.settimeout(_LOOK_S)
        before = {number: signal.signal(number, _stop) for number in _SIGNALS}
        try:
            ready(self._check())
            while True:
                self._accept()
        except Stopped:
            self._say("stopped.")
        finally:
            self._listener.close()
            _end(_fork.active_children())
            for number, handler in before.items():
                signal.signal(number, handler)

    def _accept(self) -> None:
        running = len(_fork.active_children())  # takes leave of those that ended
        try:
            connection, peer = self._listener.accept()
        except TimeoutError:
            return
        except OSError as error:  # out of descriptors, or gone again: neither lasts
            self._say(f"a client could not be accepted: {(error.strerror or '').lower()}.")
            time.sleep(0.5)
            return
        name = str(Address(*peer[:2]))
        with connection:
            if running >= self._most:
                self._turn_away(connection, name, f"{running} clients are served already.")
                return
            arguments = (self._listener, connection, name, self._service, self._say)
            try:
                with _blocked():
                    _fork.Process(target=_client, args=arguments, daemon=True).start()
            except OSError as error:
                why = f"no process can be started for it: {(error.strerror or '').lower()}."
                self._turn_away(connection, name, why)

    def _turn_away(self, connection: socket.socket, name: str, why: str) -> None:
        with suppress(OSError):
            connection.setblocking(False)
            connection.send(frame(Refused(why)))
        self._say(f"{name}: turned away: {why}")


def _listen(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen()
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise TransportError(f"nothing can listen at {address}: {why}.") from error
    return listener


def _stop(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:  # once is enough: what follows is the end
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


@contextmanager
def _blocked() -> Iterator[None]:
    """Hold back the signals that end the agent: between fork and handler they would be lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _become_child() -> None:
    """Die with the agent; leave Ctrl-C to it, which tells its children."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _client(
    listener: socket.socket,
    connection: socket.socket,
    name: str,
    service: Service,
    say: Callable[[str], None],
) -> None:
    """The life of a client's process."""
    listener.close()
    say(f"{name}: connected.")
    try:
        _become_child()
        said = converse(Line(connection), service)
    except Stopped:
        said = "stopped."
    except Exception as error:  # a defect of ours: the sentence is for the agent's user
        said = f"given up: {type(error).__name__}: {error}"
        if os.environ.get("VCPUFUZZ_DEBUG", "0") not in ("", "0"):
            raise
    say(f"{name}: {said}")


def _check(service: Service, pipe: Connection[Any, Any]) -> None:
    _become_child()
    try:
        transport = service.open(False)
        try:
            pipe.send((dict(transport.start()), ""))
        finally:
            transport.close()
    except TransportError as error:
        pipe.send((None, str(error)))
    except Stopped:
        pass


def _end(processes: list[Any]) -> None:
    for process in processes:
        process.terminate()
    end = time.monotonic() + _END_S
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
