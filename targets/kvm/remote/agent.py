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
from contextlib import contextmanager
from ipaddress import ip_address
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from targets.kvm.remote.address import Address
from targets.kvm.remote.door import Door, Proven
from targets.kvm.remote.session import Service, Stopped, converse
from targets.transport import TransportError

MOST_CLIENTS = 32
_END_S = 10.0
_LOOK_S = 5.0
"""How often processes that ended are looked for when nobody comes."""

_FORK_NEEDS = 8
"""Descriptors that starting a process takes for a while; half a try would leak some."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
        self._door = Door(self._listener, service.key, say)

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
        process = _fork.Process(
            target=_check, args=(self._door, self._service, theirs), daemon=True
        )
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
        """See that the leg starts, tell `ready` its facts, and serve until a signal says to
        stop; then end the clients' processes, too. A second signal ends all at once. Main
        thread only.

        Raises TransportError if the leg does not start.
        """
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if number != signal.SIGHUP or handler != signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, _stop)
        try:
            ready(self._check())
            while True:
                for client in self._door.wait(_LOOK_S):
                    self._admit(client)
        except Stopped:
            self._say("stopped.")
        finally:
            self._door.close()
            _end(_fork.active_children())
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    def _admit(self, client: Proven) -> None:
        running = len(_fork.active_children())  # takes leave of those that ended
        why = f"{running} clients are served already." if running >= self._most else ""
        why = why or self._fork(client)
        if why:
            self._door.refuse(client.line, client.name, why, later=True)
        else:
            client.line.close()

    def _fork(self, client: Proven) -> str:
        """Start the client's process, or say why that cannot be."""
        self._door.make_room(_FORK_NEEDS)
        arguments = (self._door, client, self._service, self._say)
        try:
            with _blocked():
                _fork.Process(target=_serve, args=arguments, daemon=True).start()
        except OSError as error:
            return f"no process can be started for it: {(error.strerror or '').lower()}."
        return ""


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
    """The agent's: the next signal ends it, and with it, by their wish, its children. Only a
    terminal that is closed says so more than once."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    raise Stopped


def _stop_child(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what follows is the end
    raise Stopped


@contextmanager
def _blocked() -> Iterator[None]:
    """Hold back the signals that end the agent: between fork and handler they would be lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _as_child(work: Callable[[], None]) -> None:
    """Do this in a forked process: die with the agent, and leave signals of the terminal to it,
    which tells its children. `Stopped` is raised in `work`, and goes no further than this. (No
    context manager of a generator does that: it may come just before the generator goes on.)"""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop_child)
    try:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            work()
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    except Stopped:
        pass


def _serve(door: Door, client: Proven, service: Service, say: Callable[[str], None]) -> None:
    """The life of a client's process."""
    door.close()
    said = "stopped."

    def serve() -> None:
        nonlocal said
        say(f"{client.name}: connected.")
        try:
            said = converse(client.line, service, client.coverage)
        except Stopped:
            pass
        except Exception as error:  # a defect of ours: the sentence is for the agent's user
            said = f"given up: {type(error).__name__}: {error}"
            if os.environ.get("VCPUFUZZ_DEBUG", "0") not in ("", "0"):
                raise

    _as_child(serve)
    say(f"{client.name}: {said}")


def _check(door: Door, service: Service, pipe: Connection[Any, Any]) -> None:
    door.close()

    def check() -> None:
        facts, why = None, ""
        try:
            transport = service.open(False)
            try:
                facts = dict(transport.start())
            finally:
                transport.close()
        except TransportError as error:
            why = str(error)
        pipe.send((facts, why))

    _as_child(check)


def _end(processes: list[Any]) -> None:
    for process in processes:
        process.terminate()
    end = time.monotonic() + _END_S
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
