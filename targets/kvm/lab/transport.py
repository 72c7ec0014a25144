"""The lab as a transport: requests to a guest that is booted again whenever it breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from corpus.trace import Ending
from corpus.wire import Kind, WireError, WireOp, pack_request, unpack_response
from targets.kvm.lab import console, image, newer_qemu, qemu
from targets.kvm.lab.channel import Command, Layout, State, batches
from targets.kvm.lab.coverage import build, maps
from targets.kvm.lab.coverage.areas import NoSymbols
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
    coverage: bool = False
    initramfs: Callable[[], image.Image] = lambda: image.build()  # noqa: PLW0108 (late bound)


def unfit(facts: Mapping[str, str], mode: str) -> str:
    """Why a machine that booted is not the leg asked for, in one sentence; else nothing."""
    release, found = facts.get("release"), facts.get("mode", "unknown")
    if found == "unknown":
        return f"kernel {release} does not log in which mode its KVM came up (CONFIG_PRINTK=y)."
    if found != mode:
        hint = " (CONFIG_ARM64_VHE=y)" if (mode, found) == ("vhe", "nvhe") else ""
        return f"the kernel came up in KVM mode {found}, not {mode}{hint}."
    if facts.get("cap.sve") != "1":
        return f"KVM of kernel {release} in mode {mode} has no SVE (CONFIG_ARM64_SVE=y)."
    if mode == "nested" and facts.get("cap.el2", "0") == "0":
        return f"KVM of kernel {release} offers its guests no EL2 on this emulated machine."
    return ""


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
        try:
            return _read_file(self._running(), path)
        except GuestDied as death:
            self._bury(death)
            raise TransportError(f"the guest died while {path} was read.") from death

    def repeat(self, requests: Sequence[bytes], rounds: int = 1) -> float:
        """Seconds in which the guest, left alone, executes `requests` `rounds` times over.

        Raises TransportError, also when some request is not executed in full.
        """
        if self._in_flight:
            raise TransportError("requests can only be repeated while none is in flight.")
        spent = 0
        for batch in batches(requests, rounds, self._layout.request_cap):
            vm = self._running()
            vm.post(batch, Command.REPEAT)
            try:
                done = vm.next_completion()
            except GuestDied as death:
                self._bury(death)
                raise TransportError("the guest died while it repeated requests.") from death
            error, answer = vm.channel.take(done.slot)
            if error:
                raise TransportError("the guest could not execute all of the repeated requests.")
            spent += int.from_bytes(answer, "little")
        return spent / 1e9

    def _running(self) -> Vm:
        if self._vm is None:
            self._vm = self._boot()
        return self._vm

    def _boot(self) -> Vm:
        program = newer_qemu.program_for(self.spec.mode)
        version = qemu.version(program)
        kernel = self.spec.kernel()
        initramfs = self.spec.initramfs()
        machine = qemu.Machine(
            kernel.path,
            initramfs.path,
            self.spec.boot_options,
            self.spec.vqs,
        )
        if self.spec.coverage:
            machine = self._with_plugin(program, version, machine, kernel)
        vm = Vm(program, machine, self._layout, self.code)
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

    def _with_plugin(
        self, program: str, version: str, machine: qemu.Machine, kernel: Kernel
    ) -> qemu.Machine:
        """The machine with the coverage plugin, or as it is if that cannot be had here.

        A kernel that is seen for the first time is booted once more, to ask where its
        functions are: the plugin must know that before it boots.
        """
        try:
            plugin = build.build(version)
            self.code = maps.load(kernel.sha256)
            if self.code is None:
                with closing(Vm(program, machine, self._layout)) as vm:
                    vm.wait_ready()
                    kallsyms = _read_file(vm, "/proc/kallsyms")
                self.code = maps.save(kernel.sha256, kallsyms.decode("ascii", "replace"))
        except (TransportError, NoSymbols) as error:
            self.no_coverage = str(error)
            return machine
        except GuestDied as death:
            self.no_coverage = f"the guest died while its symbols were read ({death})."
            return machine
        return replace(machine, plugin=plugin)

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
            raise TransportError(
                "the kernel has no usable /dev/kvm with these options (CONFIG_KVM=y)."
            ) from error
        text = seen.data.decode("utf-8", "replace")
        facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        trouble = unfit(facts, self.spec.mode)
        if trouble:
            raise TransportError(trouble)
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
        blocks = self._vm.blocks(sequence) if self._vm else ()
        self._replies[ticket] = Reply(ending, response, log, now - begun, blocks)


def _read_file(vm: Vm, path: str) -> bytes:
    """A file of a guest that serves nothing else now. Raises GuestDied, TransportError."""
    content = bytearray()
    while True:
        vm.post(len(content).to_bytes(8, "little") + path.encode(), Command.READ_FILE)
        error, piece = vm.channel.take(vm.next_completion().slot)
        if error:
            raise TransportError(f"the guest cannot read {path}: errno {error}.")
        if not piece:
            return bytes(content)
        content += piece
