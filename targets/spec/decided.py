"""What decides how an op goes on that the model has stopped predicting."""

from __future__ import annotations

from corpus.isa.form import Insn
from corpus.isa.system import ANY, FORMS, LOOPS
from corpus.isa.unallocated import is_in_vector_space
from corpus.ops import HostRun, Op, Run
from targets.spec.cpu import FPCR_STATEFUL, NZCV_SHIFT, ZCR_LEN, effective_vl
from targets.spec.errors import Decides, Unpredictable
from targets.spec.semantics.system import CPACR_STATEFUL
from targets.spec.sets import Set, join, low
from targets.spec.steps.migration import AARCH32
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

_SYS_OPERAND = next(form for form in FORMS if form.name == "msr").operands[0].domain
_HARMLESS = frozenset({"fpcr", "fpsr", "nzcv", "tpidr_el0", "tpidr_el1"})
"""What MSR may write without a change of vector length."""


def decided(world: World, op: Op, stop: Unpredictable) -> Decides:
    """What decides it, beside the state that the model knows. Nothing does where the guest
    may come to see what the model does not know: bits that a kernel may keep or clear. The
    kernel does where the guest may ask for what a kernel made up: it answers hypervisor
    calls, and gives system registers their values at a reset."""
    vcpu = world.vm.vcpus.get(getattr(op, "vcpu", 0))
    if vcpu is None or not vcpu.initialised or vcpu.el2:
        return Decides.NOTHING
    if world.mem.unknown or not _known(world, vcpu):
        return Decides.NOTHING
    left: tuple[Insn, ...] = ()
    if isinstance(op, Run | HostRun):
        left = op.program if stop.left is None else stop.left
    if vcpu.sve and _is_aarch64(vcpu) and any(map(_may_change_length, left)):
        return Decides.NOTHING
    asks = any(insn.form.name in ("hvc", "mrs", *LOOPS) for insn in left)
    return min(stop.decides, Decides.KERNEL if asks else Decides.CPU)


def _is_aarch64(vcpu: Vcpu) -> bool:
    """Whether the program is what it was written as; a 32-bit guest knows no vector length."""
    return not join(vcpu.core["pstate"])[0] & AARCH32


def _may_change_length(insn: Insn) -> bool:
    """Whether bits above the vector length may come into the guest's sight."""
    if insn.form.name == ANY:
        return not is_in_vector_space(insn.args[0])
    if insn.form.name == "msr":
        return _SYS_OPERAND.format(insn.args[0]) not in _HARMLESS
    return insn.form.name == "eret_to"


def _known(world: World, vcpu: Vcpu) -> bool:
    """Whether all that the guest can see at its present vector length is known exactly, but
    for what it cannot read before an exit: status registers of exceptions, banked ones."""
    width = 128
    if vcpu.sve:
        zcr, mask = join(vcpu.sys["zcr_el1"])
        if mask & ZCR_LEN:
            return False
        width = 8 * effective_vl(zcr, vcpu.max_vq, world.profile.vqs)
    seen: tuple[tuple[list[Set], int], ...] = (
        (vcpu.z, width),
        (vcpu.p, width // 8),
        (vcpu.ffr, width // 8),
        ([*vcpu.x, vcpu.core["sp"], vcpu.core["sp_el1"]], 64),
    )
    controls = (
        (vcpu.core["fpcr"], FPCR_STATEFUL),
        (vcpu.core["pstate"], 15 << NZCV_SHIFT),
        (vcpu.sys["cpacr_el1"], CPACR_STATEFUL),
    )
    return not any(low(one, bits)[1] for group, bits in seen for one in group) and not any(
        join(control)[1] & mask for control, mask in controls
    )
