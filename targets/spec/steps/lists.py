"""KVM_GET_REG_LIST (api.rst 4.84, facts 1.8)."""

from __future__ import annotations

from corpus import registers as regs
from corpus.ops import EXACT, ONE_LESS, RegList
from targets.spec import onereg
from targets.spec.errno import E2BIG, EBADF, ENOEXEC, EPERM
from targets.spec.permitted import Outcome, Part, Permitted
from targets.spec.sets import exact, unknown
from targets.spec.steps.registry import step
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

CORE_IDS, CORE_IDS_SVE, SVE_IDS = 75, 43, 50
COUNT_BITS = 0x7FF


@step(RegList)
def reg_list(world: World, op: RegList) -> Permitted:
    vcpu = world.vm.vcpus.get(op.vcpu)
    room = Part("n", 8, exact(0 if op.room in (EXACT, ONE_LESS) else op.room))
    if vcpu is None:
        return Permitted("vcpu.missing", (Outcome(EBADF, (room,)),))
    refused = refusal(vcpu)
    if refused:
        rule, err = refused
        return Permitted(rule, (Outcome(err, (room,)),))
    count = Part("n", 8, unknown(0, COUNT_BITS))
    too_small = Outcome(E2BIG, (count,))
    ids = head(vcpu)
    fits = Outcome(0, (count, *ids), open_ended=True)
    rule = "reg-list.sve-block" if vcpu.sve else "reg-list.core-first"
    if op.room == EXACT:
        origins = dict.fromkeys((part.label for part in ids), rule)
        return Permitted("reg-list.exact", (fits,), origins=origins)
    if op.room < least(vcpu) or op.room == ONE_LESS:
        return Permitted("reg-list.too-small", (too_small,))
    return Permitted(rule, (too_small, fits))


def refusal(vcpu: Vcpu) -> tuple[str, int] | None:
    """The rule and errno by which a vcpu has no list yet."""
    if not vcpu.initialised:
        return "reg-list.not-initialised", ENOEXEC
    if vcpu.sve and not vcpu.finalised:
        return "reg-list.not-finalised", EPERM
    return None


def least(vcpu: Vcpu) -> int:
    """The number of ids that every list of this vcpu has."""
    return CORE_IDS_SVE + SVE_IDS if vcpu.sve else CORE_IDS


def head(vcpu: Vcpu) -> tuple[Part, ...]:
    """The head of the list: core registers, then the SVE block."""
    order = sorted(
        (row for row in regs.REGISTERS.values() if row.id & onereg.COPROC_MASK == regs.CORE),
        key=lambda row: row.id & 0xFFFF,
    )
    ids = [row.id for row in order if not (vcpu.sve and row.kind == "v")]
    if vcpu.sve:
        ids += [regs.VLS_ID, *regs.Z_IDS, *regs.P_IDS, regs.REGISTERS["ffr"].id]
    return tuple(Part(f"list: {regs.name_of(i)}", 8, exact(i)) for i in ids)
