"""Every transport with an executor behind it, and the ways to injure that executor."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import guestfaults
import pytest
import remote_fakes
from fake_executor import Bad, FakeExecutor
from native_fakes import module, probed

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from corpus.wire import Kind, WireOp, pack_request, unpack_response
from targets import legs
from targets.emulator.transport import EmulatorTransport
from targets.ended import End, end_of, state
from targets.kvm import build_native, native
from targets.kvm.lab import pace
from targets.kvm.lab.transport import LabTransport
from targets.kvm.native import NativeTransport
from targets.kvm.remote import secret, session
from targets.kvm.remote.client import RemoteTransport
from targets.transport import Transport

SVE_VCPU = (
    WireOp(Kind.CREATE_VCPU),
    WireOp(Kind.INIT, a=5, payload=struct.pack("<7I", 1 << 4, *[0] * 6)),
    WireOp(Kind.FINALIZE, a=4),
)
BRANCH_TO_SELF = WireOp(Kind.RUN, payload=struct.pack("<I", 0x1400_0000))
AT = 0x8000
IMPATIENCE_S = 1.0
PROBED = probed(b"release=6.12.1\nvqs=1,2,4")


def await_end(lives: Callable[[], bool]) -> None:
    """Wait until an executor is no more."""
    end = time.monotonic() + 20
    while lives():
        assert time.monotonic() < end
        time.sleep(0.01)


class Rig(ABC):
    """One kind of transport, for one test or several. `costly`: its executor takes seconds to
    start, so tests share one as long as it works. `hears_last`: it learns what became of an
    executor even if all it is asked for is to close. `notices_pause`: it sees that somebody
    stopped the executor. `own_signals`: what a fault of its own is like."""

    own_signals: tuple[signal.Signals, ...] = (signal.SIGSEGV, signal.SIGABRT)
    costly = False
    hears_last = True
    notices_pause = True

    @abstractmethod
    def make(self) -> Transport:
        """A transport, not started."""

    def request(self, value: int) -> bytes:
        """A request whose response holds `value`, 0 to 255."""
        data = bytes([value]) * 8
        return pack_request(
            [WireOp(Kind.WRITE_MEM, a=AT, payload=data), WireOp(Kind.READ_MEM, a=AT, b=8)]
        )

    def value(self, response: bytes) -> int:
        """What `request` put there."""
        _, read = unpack_response(response)
        assert read.data == read.data[:1] * 8
        return read.data[0]

    @abstractmethod
    def watch(self, transport: Transport) -> Callable[[], bool]:
        """Tells whether the executor that now is there still lives."""

    @abstractmethod
    def pause(self, transport: Transport) -> None:
        """Keep the executor from getting on, until it is struck."""

    def release(self) -> None:  # noqa: B027 (what is paused is mostly gone when it may go on)
        """Let go of what `pause` held."""

    @abstractmethod
    def strike(self, transport: Transport, number: signal.Signals) -> None:
        """End a paused executor as that signal does."""

    @abstractmethod
    def kill_idle(self, transport: Transport) -> None:
        """End an executor that has nothing to do, as somebody else would, and see it gone."""

    @abstractmethod
    def impatient(self, transport: Transport) -> AbstractContextManager[bytes]:
        """A context in which the transport waits for seconds only; gives a request that is
        never answered."""

    def get_into(self, transport: Transport) -> tuple[int, int | None]:
        """Pause the executor in the midst of a request: its ticket, and the op under way where
        the transport can tell that."""
        self.pause(transport)
        request, at = self.long_request()
        return transport.submit(request), at

    def long_request(self) -> tuple[bytes, int | None]:
        """A request, and the op that is under way when a paused executor is struck."""
        return self.request(1), None

    def end(self) -> None:  # noqa: B027 (most hold nothing)
        """Close what the rig itself holds."""


class ProcessRig(Rig):
    """An executor that is a process of this machine."""

    @abstractmethod
    def pid(self, transport: Transport) -> int:
        """Of the executor."""

    def watch(self, transport: Transport) -> Callable[[], bool]:
        pid = self.pid(transport)
        return lambda: state(pid) not in ("Z", "")

    _paused = 0

    def pause(self, transport: Transport) -> None:
        self._paused = self.pid(transport)
        os.kill(self._paused, signal.SIGSTOP)
        # Only the thread that takes the signal is woken for it: until then the others go on.
        os.waitid(os.P_PID, self._paused, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def release(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._paused, signal.SIGCONT)

    def strike(self, transport: Transport, number: signal.Signals) -> None:
        pid = self.pid(transport)
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)

    def kill_idle(self, transport: Transport) -> None:
        pid = self.pid(transport)
        os.kill(pid, signal.SIGKILL)
        # One that is still dying as it is closed is killed by that for all that can be seen.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # with all its threads


class Lab(ProcessRig):
    """Real KVM in QEMU."""

    own_signals = (signal.SIGSEGV,)
    costly = True

    def make(self) -> Transport:
        _, opener = legs.transport("kvm")
        return opener(False)

    def pid(self, transport: Transport) -> int:
        assert isinstance(transport, LabTransport)
        assert transport.pid is not None
        return transport.pid

    @contextmanager
    def impatient(self, transport: Transport) -> Iterator[bytes]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pace, "FLOOR_S", 2 * IMPATIENCE_S)
            patch.setattr(pace, "CEILING_S", 2 * IMPATIENCE_S)
            guestfaults.ignore_requests(self.pid(transport))
            yield self.request(0)

    def get_into(self, transport: Transport) -> tuple[int, int | None]:
        assert isinstance(transport, LabTransport)
        ticket = transport.submit(pack_request([*SVE_VCPU, *[BRANCH_TO_SELF] * 40]))
        vm = transport._vm
        assert vm is not None
        end = time.monotonic() + 30
        while (vm.states()[0].ops_done or 0) <= len(SVE_VCPU):
            assert time.monotonic() < end
            time.sleep(0.01)
        self.pause(transport)
        return ticket, vm.states()[0].ops_done


class Emulator(ProcessRig):
    """VIXL's worker."""

    def make(self) -> Transport:
        return EmulatorTransport(("--steps", str(10**12)))

    def pid(self, transport: Transport) -> int:
        assert isinstance(transport, EmulatorTransport)
        assert transport._worker is not None
        return transport._worker.process.pid

    @contextmanager
    def impatient(self, transport: Transport) -> Iterator[bytes]:
        assert isinstance(transport, EmulatorTransport)
        transport._limit, usual = IMPATIENCE_S, transport._limit
        yield pack_request([*SVE_VCPU, BRANCH_TO_SELF])
        transport._limit = usual


class Native(ProcessRig):
    """The forked executor of an arm64 host, with a function of ours in place of the C one."""

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(native, "unavailable", lambda: None)
        self._patch.setattr(build_native, "load", lambda: module(PROBED))

    def make(self) -> Transport:
        return NativeTransport()

    def pid(self, transport: Transport) -> int:
        assert isinstance(transport, NativeTransport)
        return transport._child

    def request(self, value: int) -> bytes:
        return bytes([value]) * 16

    def value(self, response: bytes) -> int:
        return response[0]

    @contextmanager
    def impatient(self, transport: Transport) -> Iterator[bytes]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "HANG_LIMIT_S", IMPATIENCE_S)
            yield b"sleep".ljust(16)

    def end(self) -> None:
        self._patch.undo()


class Fake(Rig):
    """The executor of tests of what stands above transports: no better than real ones."""

    notices_pause = False

    def __init__(self) -> None:
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._struck: End | None = None

    def _act(self, request: bytes) -> bytes | Bad:
        self._goes_on.wait(60)
        if self._struck:
            fault, self._struck = self._struck.fault("it", idle=False), None
            lost = fault.kind is FaultKind.LOST
            at = 3 if request.startswith(b"long") else None
            return Bad(Ending.LOST if lost else Ending.CRASH, f"{fault.line}\n", fault, at)
        if request.startswith(b"hang"):
            return Bad(Ending.HANG, "it hung\n", Fault(FaultKind.HANG))
        return PROBED if request.startswith(b"VFC1") else request

    def make(self) -> Transport:
        return FakeExecutor(self._act)

    def request(self, value: int) -> bytes:
        return bytes([value]) * 16

    def value(self, response: bytes) -> int:
        return response[0]

    def watch(self, transport: Transport) -> Callable[[], bool]:
        assert isinstance(transport, FakeExecutor)
        boot = transport.boots
        return lambda: transport.lives and transport.boots == boot

    def pause(self, transport: Transport) -> None:
        self._goes_on.clear()

    def release(self) -> None:
        self._goes_on.set()

    def strike(self, transport: Transport, number: signal.Signals) -> None:
        self._struck = end_of(-number)
        self._goes_on.set()

    def kill_idle(self, transport: Transport) -> None:
        assert isinstance(transport, FakeExecutor)
        transport.kill()

    @contextmanager
    def impatient(self, transport: Transport) -> Iterator[bytes]:
        yield b"hang".ljust(16)

    def long_request(self) -> tuple[bytes, int | None]:
        return b"long".ljust(16), 3


class Remote(Rig):
    """An agent within the test, and what it serves."""

    hears_last = False

    def __init__(self, served: Rig) -> None:
        self._served = served
        self._opened: list[Transport] = []
        self._arrived = threading.Event()
        self._held = ExitStack()
        patch = self._held.enter_context(pytest.MonkeyPatch.context())
        patch.setenv(secret.VARIABLE, remote_fakes.KEY)
        patch.setattr(session, "GRACE_S", 0.1)
        self._host = self._held.enter_context(remote_fakes.agent(self._open))
        self.notices_pause = served.notices_pause

    def _open(self, _: bool) -> Transport:
        transport = self._served.make()
        submit = transport.submit

        def noted(request: bytes) -> int:
            ticket = submit(request)
            self._arrived.set()
            return ticket

        transport.submit = noted  # type: ignore[method-assign]
        self._opened.append(transport)
        return transport

    def make(self) -> Transport:
        return RemoteTransport(self._host.address)

    def request(self, value: int) -> bytes:
        return self._served.request(value)

    def value(self, response: bytes) -> int:
        return self._served.value(response)

    def watch(self, transport: Transport) -> Callable[[], bool]:
        return self._served.watch(self._opened[-1])

    def pause(self, transport: Transport) -> None:
        self._arrived.clear()
        self._served.pause(self._opened[-1])

    def release(self) -> None:
        self._served.release()

    def strike(self, transport: Transport, number: signal.Signals) -> None:
        assert self._arrived.wait(20)  # else nothing is under way over there
        self._served.strike(self._opened[-1], number)

    def kill_idle(self, transport: Transport) -> None:
        self._served.kill_idle(self._opened[-1])

    def impatient(self, transport: Transport) -> AbstractContextManager[bytes]:
        return self._served.impatient(self._opened[-1])

    def long_request(self) -> tuple[bytes, int | None]:
        return self._served.long_request()

    def end(self) -> None:
        self._held.close()
        self._served.end()


RIGS: dict[str, Callable[[], Rig]] = {
    "lab": Lab,
    "emulator": Emulator,
    "native": Native,
    "remote": lambda: Remote(Emulator()),
    "remote-fake": lambda: Remote(Fake()),
    "fake": Fake,
}
"""What every transport, and a fake of one, has to hold to."""

PARAMS = [pytest.param(name, marks=[pytest.mark.lab] if name == "lab" else []) for name in RIGS]
"""The same as parameters of tests."""
