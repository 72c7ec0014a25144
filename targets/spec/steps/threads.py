"""Threads: two lists of ops at once, and the run that each may begin with.

Each ioctl on a vcpu takes its mutex (kvm_main.c, kvm_vcpu_ioctl; locking.rst), so what they do is
what they would do one after the other. In which order is for `targets.spec.orders` to find out;
here stands what an op of a list may observe in its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpus import wire
from corpus.ops import Run, Threads
from targets.spec.errno import EAGAIN, EINTR, EOPNOTSUPP
from targets.spec.errors import Decides, MmioExit, Unpredictable
from targets.spec.permitted import Mismatch, Outcome, Part, Permitted, Tail
from targets.spec.run import Ended, step_over
from targets.spec.sets import ZERO, exact
from targets.spec.steps.registry import step
from targets.spec.steps.running import enter, lacks_pmu, prepare, waits_for_ever
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

SOME_ORDER = "threads.some-order"


@step(Threads)
def threads(world: World, op: Threads) -> Permitted:
    if not world.profile.threads:
        return Permitted("threads.none", (Outcome(EOPNOTSUPP),))
    size = wire.THREADS_DATA.size + op.span * wire.INTERVAL.size

    def check(data: bytes) -> Mismatch | None:
        if len(data) != size:
            return Mismatch("data", f"{size} bytes", f"{len(data)} bytes")
        return None

    both = Outcome(tail=Tail(check, lambda: bytes(size)))
    return Permitted(SOME_ORDER, (_IN_TURN, both))


_IN_TURN = Outcome(EAGAIN)
"""A thread cannot always be had (pthread_create(3)): then the ops are done one by one."""


@dataclass(frozen=True, slots=True)
class Lead:
    """A run that is prepared and has still to be made: where its code is, and what was so when it
    was prepared."""

    run: Run
    base: int
    initialised: bool
    stopped: bool

    @classmethod
    def prepare(cls, world: World, run: Run, base: int = wire.CODE_BASE) -> Lead:
        """What the harness does before KVM_RUN."""
        world.turn_to(run)
        if world.vm.protected:
            raise Unpredictable("two threads in a protected VM are not modelled", _NOTHING)
        prepare(world, run.vcpu, run.program, base)
        vcpu = world.vm.vcpus.get(run.vcpu)
        return cls(run, base, bool(vcpu and vcpu.initialised), bool(vcpu and vcpu.stopped))

    def enter(self, world: World) -> Permitted:
        """KVM_RUN, with what others did since. Raises Unpredictable."""
        world.turn_to(self.run)
        vcpu = world.vm.vcpus.get(self.run.vcpu)
        if vcpu and vcpu.initialised:
            if not self.initialised:
                raise Unpredictable("a vcpu was initialised between a run's parts", _NOTHING)
            if vcpu.sve <= vcpu.finalised and not lacks_pmu(world, vcpu):
                lost = self._lost(world, vcpu)
                if lost:
                    return lost
        run = self.run
        immediate = bool(run.immediate)
        return enter(world, run.vcpu, run.program, immediate, self.stopped, _not_completed)

    def _lost(self, world: World, vcpu: Vcpu) -> Permitted | None:
        """A run from elsewhere than it was prepared for. Raises Unpredictable."""
        if self.stopped or self.run.immediate:
            return None
        if vcpu.stopped:
            return waits_for_ever(world, vcpu)
        place = vcpu.core["pc"], vcpu.sys["vbar_el1"]
        if place == (exact(self.base), exact(wire.VECTOR_BASE)):
            return None
        if place == (ZERO, ZERO) and not (vcpu.el2 or vcpu.aarch32):
            return _times_out("exception.no-memory-at-vectors")
        raise Unpredictable("a run from where others put it is not modelled", _NOTHING)

    def complete(self, world: World, exited: bytes) -> None:
        """What the harness does once all is over; `exited`: RUN's data."""
        world.turn_to(self.run)
        vcpu = world.vm.vcpus.get(self.run.vcpu)
        if vcpu and wire.RUN_DATA.unpack_from(exited)[0] == _MMIO:
            step_over(vcpu)


_MMIO = 6
_NOTHING = Decides.NOTHING


def _not_completed(vcpu: Vcpu, ended: Ended) -> Ended:
    """Raises Unpredictable where more than the PC has still to change."""
    if isinstance(ended.exit, MmioExit) and not ended.exit.write:
        raise Unpredictable("a load that user space has still to answer", _NOTHING)
    return ended


def _times_out(rule: str) -> Permitted:
    """The vcpu takes one exception after the other until its time is up; what it holds then is not
    known."""

    def go_on() -> None:
        raise Unpredictable("a run that came to nothing leaves what nobody knows", _NOTHING)

    parts = Part("exit", 28, exact(0)), Part("flags", 4, exact(wire.RUN_TIMED_OUT))
    return Permitted(rule, (Outcome(EINTR, parts, effect=go_on),))
