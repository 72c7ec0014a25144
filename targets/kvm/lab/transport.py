"""The lab as a transport: requests to a guest that is booted again whenever it breaks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from corpus.fault import Fault
from corpus.trace import Ending
from targets.kvm.lab import autopsy, kernellog
from targets.kvm.lab.boot import Booted, Bootloader, LabSpec, read_file
from targets.kvm.lab.channel import Command, Layout, State, batches
from targets.kvm.lab.coverage.log import NOTHING, Executed
from targets.kvm.lab.kernellog import MINE
from targets.kvm.lab.vm import Completion, Fate, GuestDied, KilledAtBoot, Vm
from targets.transport import START_TRIES, Loss, Reply, Transport, TransportError, UnknownTicket

__all__ = ["LabSpec", "LabTransport"]

_ENDINGS = {Fate.EXIT: Ending.CRASH, Fate.HANG: Ending.HANG, Fate.SILENT: Ending.HANG}


class LabTransport(Transport):
    """Real KVM in an emulated machine. Not for several threads at once."""

    def __init__(self, spec: LabSpec, depth: int = 2, layout: Layout | None = None) -> None:
        super().__init__()
        self.depth = depth
        self.spec = spec
        self.boot_log = ""
        self._layout = layout or Layout(slots=max(depth, 1))
        self._loader = Bootloader(spec, self._layout)
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
        return self._submit(request, Command.EXECUTE)

    def submit_program(self, program: bytes) -> int:
        """Queue an executable for arm64, statically linked, for the guest to run; `collect` takes
        what it wrote (`ended`). Raises TransportError."""
        return self._submit(program, Command.PROGRAM)

    def _submit(self, request: bytes, command: Command) -> int:
        vm = self._running()
        sequence = vm.post(request, command)
        self._tickets += 1
        self._in_flight[sequence] = self._tickets
        self._submitted[self._tickets] = time.monotonic()
        return self._tickets

    def collect(self, ticket: int) -> Reply:
        while ticket not in self._replies:
            if ticket not in self._submitted or self._vm is None:
                raise UnknownTicket(ticket)
            try:
                self._settle(self._vm.next_completion())
            except GuestDied as death:
                self._bury(death)
        return self._replies.pop(ticket)

    def restart(self) -> None:
        death = self._vm.died() if self._vm else None
        if death:  # before anybody asked it
            self._bury(death)
        if self._vm:
            self._vm.close()
        self._vm = None
        self._lose_the_rest()

    def close(self) -> None:
        self.restart()
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
            return read_file(self._running(), path)
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
            began = time.monotonic()
            booted = self._boot()
            self._vm, self._facts, self.boot_log = booted.vm, dict(booted.facts), booted.log
            self.code, self.no_coverage = self._loader.code, self._loader.no_coverage
            self.boots += 1
            self.boot_seconds = time.monotonic() - began
        return self._vm

    def _boot(self) -> Booted:
        for _ in range(START_TRIES - 1):
            try:
                return self._loader.boot()
            except KilledAtBoot as killed:
                how = str(killed.__cause__)
                self._losses.append(Loss.told(f"{MINE}{how}", how.removeprefix("QEMU was ")))
        return self._loader.boot()

    def _settle(self, done: Completion) -> None:
        """Note the reply of a served request."""
        assert self._vm is not None
        _, response = self._vm.channel.take(done.slot)
        executed = self._vm.executed(done.sequence)
        if kernellog.at_fault(done.log):
            # A WARN_ONCE warns once per boot: only a fresh guest can show it again.
            self._vm.close()
            self._vm = None
            log = self._named(done.log)
            fault = kernellog.find(log)
            self._reply(done.sequence, Ending.HOST_LOG, None, log, executed, fault=fault)
            self._lose_the_rest()
        else:
            self._reply(done.sequence, Ending.OK, response, done.log, executed)

    def _bury(self, death: GuestDied) -> None:
        """Give everything in flight its ending: one request is at fault, unless the guest died
        of something outside. Requests behind that one are lost."""
        assert self._vm is not None
        vm, self._vm = self._vm, None
        under_way = vm.states()
        done = [r for r in under_way if r.state is State.DONE]
        finished = [(r.sequence, vm.channel.take(r.slot)[1], vm.executed(r.sequence)) for r in done]
        at_work = [(r.sequence, r.ops_done) for r in under_way if r.state is State.RUNNING]
        waiting = [r.sequence for r in under_way if r.state is State.PENDING]
        vm.close()
        told, fate = autopsy.report(death, self._loader.place)
        log = self._named(told)
        said = kernellog.find(log)
        fault = said or fate
        assert fault is not None
        ending = _ENDINGS[death.fate]
        if death.from_outside and not said:
            self._losses.append(Loss(fault, log))
        elif at_work:
            culprit, at = at_work[0]
            self._reply(culprit, ending, None, log, at=at, fault=fault)
        elif done and not done[-1].silent:
            # It died between finishing a request and ringing for it: the last one did that.
            self._reply(finished.pop()[0], ending, None, log, fault=fault)
        elif waiting:
            # It died with nothing to do; what wrecked it came earlier, and is in the history.
            self._reply(waiting[0], ending, None, log, fault=fault)
        else:
            self._losses.append(Loss(fault, log))
        for sequence, response, executed in finished:
            self._reply(sequence, Ending.OK, response, "", executed)
        self._lose_the_rest()

    def _named(self, log: str) -> str:
        return kernellog.symbolise(log, self._loader.name) if kernellog.unresolved(log) else log

    def _lose_the_rest(self) -> None:
        for sequence in list(self._in_flight):
            self._reply(sequence, Ending.LOST, None, "")

    def _reply(
        self,
        sequence: int,
        ending: Ending,
        response: bytes | None,
        log: str,
        executed: Executed = NOTHING,
        at: int | None = None,
        fault: Fault | None = None,
    ) -> None:
        ticket = self._in_flight.pop(sequence, None)
        if ticket is None:
            return
        now = time.monotonic()
        begun = max(self._submitted.pop(ticket), self._last_end)
        self._last_end = now
        seconds = now - begun
        self._replies[ticket] = Reply(
            *(ending, response, log, seconds, executed.blocks, at, fault),
            boot=self.boots,
            interrupted=executed.interrupted,
        )
