"""The lab as a transport: requests to a guest that is booted again whenever it breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from corpus.trace import Ending
from corpus.wire import Kind, WireError, WireOp, pack_request, unpack_response
from targets.kvm.lab import console, image, qemu
from targets.kvm.lab.channel import Command, Layout, State
from targets.kvm.lab.kernels import Kernel
from targets.kvm.lab.vm import Completion, Fate, GuestDied, Vm
from targets.transport import Reply, Transport, TransportError

_ENDINGS = {Fate.EXIT: Ending.CRASH, Fate.HANG: Ending.HANG}


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What a lab leg is made of; `kernel` fetches on demand and may raise TransportError."""

    name: str
    kernel: Callable[[], Kernel]
    mode: str
    boot_options: str = ""
    vqs: tuple[int, ...] = qemu.ALL_VQS
    plugin: str = ""


class LabTransport(Transport):
    """Real KVM in an emulated machine. Not for several threads at once."""

    def __init__(self, spec: LabSpec, depth: int = 2) -> None:
        self.depth = depth
        self.spec = spec
        self.boot_log = ""
        self._layout = Layout(slots=max(depth, 1))
        self._vm: Vm | None = None
        self._facts: dict[str, str] = {}
        self._in_flight: dict[int, int] = {}  # the VM's sequence number -> ticket
        self._submitted: dict[int, float] = {}
        self._replies: dict[int, Reply] = {}
        self._tickets = 0
        self._last_end = 0.0

    def start(self) -> Mapping[str, str]:
        self._running()
        return dict(self._facts)

    def submit(self, request: bytes) -> int:
        vm = self._running()
        sequence = vm.post(request)
        self._tickets += 1
        self._in_flight[sequence] = self._tickets
        self._submitted[self._tickets] = time.monotonic()
        return self._tickets

    def collect(self, ticket: int) -> Reply:
        while ticket not in self._replies:
            if ticket not in self._submitted or self._vm is None:
                raise ValueError(f"ticket {ticket} is not in flight")
            try:
                self._settle(self._vm.next_completion())
            except GuestDied as death:
                self._bury(death)
        return self._replies.pop(ticket)

    def close(self) -> None:
        if self._vm:
            self._vm.close()
        self._vm = None
        self._in_flight.clear()
        self._submitted.clear()
        self._replies.clear()

    @property
    def pid(self) -> int | None:
        """Of the QEMU process, while there is one."""
        return self._vm.pid if self._vm else None

    def read_guest_file(self, path: str) -> bytes:
        """A file of the guest such as /proc/kallsyms. Raises TransportError."""
        if self._in_flight:
            raise TransportError("a guest file can only be read while no request is in flight.")
        vm = self._running()
        content = bytearray()
        while True:
            vm.post(len(content).to_bytes(8, "little") + path.encode(), Command.READ_FILE)
            try:
                done = vm.next_completion()
            except GuestDied as death:
                self._bury(death)
                raise TransportError(f"the guest died while {path} was read.") from death
            error, piece = vm.channel.take(done.slot)
            if error:
                raise TransportError(f"the guest cannot read {path}: errno {error}.")
            if not piece:
                return bytes(content)
            content += piece

    def _running(self) -> Vm:
        if self._vm is None:
            self._vm = self._boot()
        return self._vm

    def _boot(self) -> Vm:
        program = qemu.find()
        version = qemu.version(program)
        kernel = self.spec.kernel()
        initramfs = image.build()
        machine = qemu.Machine(
            kernel.path,
            initramfs.path,
            self.spec.boot_options,
            self.spec.vqs,
            plugin=self.spec.plugin,
        )
        vm = Vm(program, machine, self._layout)
        try:
            self.boot_log = vm.wait_ready()
            facts = self._probe(vm)
        except BaseException as error:
            vm.close()
            if isinstance(error, TransportError):
                raise TransportError(f"{self.spec.name}: {error}") from error
            raise
        facts["lab.qemu"] = version
        facts["lab.kernel_sha256"] = kernel.sha256
        facts["lab.kernel_package"] = kernel.package_version
        facts["lab.executor"] = initramfs.key
        self._facts = facts
        return vm

    def _probe(self, vm: Vm) -> dict[str, str]:
        """The probe's facts, once it is sure that they are of the leg asked for."""
        vm.post(pack_request([WireOp(Kind.PROBE)]))
        try:
            done = vm.next_completion()
        except GuestDied as death:
            words = console.last_words(death.log)
            raise TransportError(f"the kernel died when its KVM was probed: {words}") from death
        try:
            (seen,) = unpack_response(vm.channel.take(done.slot)[1])
        except (WireError, ValueError) as error:
            raise TransportError("the kernel has no usable /dev/kvm with these options.") from error
        text = seen.data.decode("utf-8", "replace")
        facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if facts.get("cap.sve") != "1":
            raise TransportError(
                f"KVM of kernel {facts.get('release')} in mode {facts.get('mode')} has no SVE."
            )
        if facts.get("mode") not in (self.spec.mode, "unknown"):
            raise TransportError(
                f"the kernel came up in KVM mode {facts.get('mode')}, not {self.spec.mode}."
            )
        return facts

    def _settle(self, done: Completion) -> None:
        """Note the reply of a served request."""
        assert self._vm is not None
        _, response = self._vm.channel.take(done.slot)
        if console.at_fault(done.log):
            # A WARN_ONCE warns once per boot: only a fresh guest can show it again.
            self._reply(done.sequence, Ending.HOST_LOG, None, done.log)
            self._discard()
        else:
            self._reply(done.sequence, Ending.OK, response, done.log)

    def _bury(self, death: GuestDied) -> None:
        """Give everything in flight its ending: one request is at fault, if any was running."""
        assert self._vm is not None
        ending, log = _ENDINGS[death.fate], death.log
        states = self._vm.states()
        running = [r.sequence for r in states if r.state is State.RUNNING]
        finished = [r for r in states if r.state is State.DONE]
        if not running and finished:
            # Died between finishing a request and ringing for it: the last one did that.
            running = [finished.pop().sequence]
        for request in finished:
            _, response = self._vm.channel.take(request.slot)
            self._reply(request.sequence, Ending.OK, response, "")
        for sequence in running:
            self._reply(sequence, ending, None, log)
        self._discard(log)

    def _discard(self, log: str = "") -> None:
        """Close the guest; what was queued behind is lost."""
        if self._vm:
            self._vm.close()
        self._vm = None
        for sequence in list(self._in_flight):
            self._reply(sequence, Ending.LOST, None, log)

    def _reply(self, sequence: int, ending: Ending, response: bytes | None, log: str) -> None:
        ticket = self._in_flight.pop(sequence, None)
        if ticket is None:
            return
        now = time.monotonic()
        begun = max(self._submitted.pop(ticket), self._last_end)
        self._last_end = now
        self._replies[ticket] = Reply(ending, response, log, now - begun)
