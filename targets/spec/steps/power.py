"""KVM_{GET,SET}_MP_STATE (api.rst 4.38, 4.39)."""

from __future__ import annotations

from corpus.ops import GetMp, SetMp
from targets.spec.errno import EINVAL
from targets.spec.permitted import Outcome, Part, Permitted, fails
from targets.spec.sets import exact
from targets.spec.steps.registry import step
from targets.spec.vcpu import MP_RUNNABLE, MP_STOPPED, MP_SUSPENDED
from targets.spec.world import World

_SET_RULES = {
    MP_RUNNABLE: "mp.set-runnable",
    MP_STOPPED: "mp.set-stopped",
    MP_SUSPENDED: "mp.set-suspended",
}


@step(SetMp)
def set_mp(world: World, op: SetMp) -> Permitted:
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    rule = _SET_RULES.get(op.state)
    if rule is None:
        return fails("mp.unknown-state", EINVAL)
    vcpu.stopped = op.state
    return Permitted(rule, (Outcome(),))


@step(GetMp)
def get_mp(world: World, op: GetMp) -> Permitted:
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    rule = "mp.get" if vcpu.initialised else "mp.get-new"
    return Permitted(rule, (Outcome(known_parts=(Part("mp_state", 4, exact(vcpu.stopped)),)),))
