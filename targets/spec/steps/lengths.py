"""KVM_REG_ARM64_SVE_VLS: a vcpu's vector lengths (api.rst 4.68, facts 1.4)."""

from __future__ import annotations

from corpus.ops import GetVls, SetVls
from targets.spec.errno import EFAULT, EINVAL, ENOENT, ENOEXEC, EPERM
from targets.spec.permitted import Outcome, Part, Permitted, fails, fault_on_get, with_prefill
from targets.spec.sets import exact
from targets.spec.steps.registry import step
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

VLS_SIZE = 64


@step(GetVls)
def get_vls(world: World, op: GetVls) -> Permitted:
    return read_vls(world, op.vcpu, None)


@step(SetVls)
def set_vls(world: World, op: SetVls) -> Permitted:
    return write_vls(world, op.vcpu, op.vqs, None)


def _gate(world: World, slot: int) -> Vcpu | Permitted:
    vcpu = world.vcpu(slot)
    if isinstance(vcpu, Permitted):
        return vcpu
    if not vcpu.initialised:
        return fails("reg.not-initialised", ENOEXEC)
    world.settle(vcpu)
    if not vcpu.sve:
        return fails("vls.no-sve", ENOENT)
    return vcpu


def read_vls(world: World, slot: int, edge: int | None) -> Permitted:
    """GET; `edge`: bytes mapped, None for all."""
    vcpu = _gate(world, slot)
    if isinstance(vcpu, Permitted):
        return with_prefill(vcpu, VLS_SIZE if edge is None else min(edge, VLS_SIZE), world.rules)
    vqs = world.profile.vqs & ((1 << vcpu.max_vq) - 1)
    rule = "vls.get-finalised" if vcpu.finalised else "vls.get"
    if edge is not None and edge < VLS_SIZE:
        world.rules.add("vls.get-fault")
        return fault_on_get("vls.get-fault", edge)
    return Permitted(rule, (Outcome(known_parts=(Part("vls", VLS_SIZE, exact(vqs)),)),))


def write_vls(world: World, slot: int, vqs: int, edge: int | None) -> Permitted:
    """SET of the bitmap `vqs`; `edge`: bytes mapped, None for all."""
    vcpu = _gate(world, slot)
    if isinstance(vcpu, Permitted):
        return vcpu
    if vcpu.finalised:
        return fails("vls.after-finalize", EPERM)
    if edge is not None and edge < VLS_SIZE:
        return fails("vls.set-fault", EFAULT)
    top = vqs.bit_length()
    if top > world.profile.max_vq:
        return fails("vls.above-host-maximum", EINVAL)
    if vqs ^ (world.profile.vqs & ((1 << top) - 1)):
        return fails("vls.differs-from-host", EINVAL)
    if not vqs:
        return fails("vls.empty", EINVAL)
    vcpu.max_vq = top
    return Permitted("vls.set", (Outcome(),))
