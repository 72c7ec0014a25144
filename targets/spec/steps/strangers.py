"""Disturb: what goes on beside a vcpu changes nothing for it, nor the vcpu for that.

So there is nothing to predict here but the strangers themselves. A signal ends KVM_RUN, which the
executor then makes again (api.rst 5, immediate_exit), and the run is judged as one. So does
whoever single-steps the guest (api.rst 4.87): which the guest can see in what an exception saves of
PSTATE, and nowhere else.
"""

from __future__ import annotations

from corpus import wire
from corpus.ops import Disturb
from targets.spec.errno import EAGAIN, EOPNOTSUPP
from targets.spec.permitted import Mismatch, Outcome, Permitted, Tail
from targets.spec.steps.hosts import LABELS, thread_tail
from targets.spec.steps.registry import step
from targets.spec.world import World


@step(Disturb)
def disturb(world: World, op: Disturb) -> Permitted:
    kind = wire.Stranger(op.by)
    if kind.name.lower() not in world.profile.strangers:
        return Permitted("disturb.no-stranger", (Outcome(EOPNOTSUPP),))
    if kind is wire.Stranger.STEP:
        world.rules.update(("disturb.step", "disturb.step-shows"))
        for vm in world.vms:
            vm.stepped = SINGLE_STEP
    for vm in world.vms:
        vm.signalled |= kind is wire.Stranger.SIGNAL
    if kind is not wire.Stranger.THREAD:
        return Permitted("disturb.strikes", (Outcome(tail=_COUNTS), _NOT_STARTED))
    world.rules.update(LABELS.values())
    state = thread_tail(world, op.vl)

    def check(data: bytes) -> Mismatch | None:
        return _check_counts(data[:_SIZE]) or state.check(data[_SIZE:])

    def make() -> bytes:
        return _make_counts() + state.make()

    struck = Outcome(tail=Tail(check, make))
    return Permitted("disturb.strikes", (struck, _NOT_STARTED), origins=LABELS)


SINGLE_STEP = 1 << 21
"""PSTATE.SS."""
_NOT_STARTED = Outcome(EAGAIN)
"""A thread cannot always be had (pthread_create(3))."""
_SIZE = wire.DISTURB_DATA.size


def _check_counts(data: bytes) -> Mismatch | None:
    """How often it struck is chance."""
    return None if len(data) == _SIZE else Mismatch("data", f"{_SIZE} bytes", f"{len(data)} bytes")


def _make_counts() -> bytes:
    return wire.DISTURB_DATA.pack(0, 1)


_COUNTS = Tail(_check_counts, _make_counts)
