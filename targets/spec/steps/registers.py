"""KVM_{GET,SET}_ONE_REG and ReadAll (api.rst 4.68, 4.69; facts 1.5 to 1.7)."""

from __future__ import annotations

from corpus import registers as regs
from corpus.ops import GetReg, ReadAll, SetReg
from corpus.readgroups import READ_GROUPS
from corpus.wire import LARGEST_REG
from targets.spec import onereg
from targets.spec.errno import EBADF, EFAULT, ENOEXEC
from targets.spec.permitted import Home, Outcome, Part, Permitted, fails, fault_on_get, with_prefill
from targets.spec.readall import usual_answer
from targets.spec.sets import Set, either, exact, unknown
from targets.spec.steps.lengths import read_vls, write_vls
from targets.spec.steps.registry import step
from targets.spec.vcpu import Vcpu
from targets.spec.world import World

VECTOR_KINDS = ("z", "p", "ffr")


def _find(world: World, vcpu: Vcpu, reg: int) -> onereg.Slot | onereg.Refused | onereg.NotModelled:
    if world.beyond and reg == _FPMR:  # an ID register may have been written that hides it
        return onereg.NotModelled()
    return onereg.find(world.vm, vcpu, world.profile, reg)


_FPMR = regs.REGISTERS["fpmr"].id


@step(GetReg)
def get_reg(world: World, op: GetReg) -> Permitted:
    if op.reg == regs.VLS_ID:
        return read_vls(world, op.vcpu, op.edge)
    size = min(regs.size_of(op.reg), LARGEST_REG)
    seen = size if op.edge is None else min(op.edge, size)
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return with_prefill(vcpu, seen, world.rules)
    if not vcpu.initialised:
        return with_prefill(fails("reg.not-initialised", ENOEXEC), seen, world.rules)
    world.settle(vcpu)
    found = _find(world, vcpu, op.reg)
    if isinstance(found, onereg.NotModelled):
        return Permitted(found.rule, (), anything=True)
    if isinstance(found, onereg.Refused):
        return with_prefill(fails(found.rule, found.err), seen, world.rules)
    if op.edge is not None and op.edge < size:
        return fault_on_get("reg.get-fault", seen)
    if found.copied < size:
        world.rules.add("sve.zeros-above-length")
    part = Part(found.label, size, found.candidates, found.home)
    world.rules.add(vcpu.origins.get(found.label, found.rule))
    return Permitted(
        found.rule, (Outcome(known_parts=(part,)),), world.context(vcpu), origins=vcpu.origins
    )


@step(SetReg)
def set_reg(world: World, op: SetReg) -> Permitted:
    size = min(regs.size_of(op.reg), LARGEST_REG)
    data = op.value.expand(64 if op.reg == regs.VLS_ID else size)
    if op.reg == regs.VLS_ID:
        return write_vls(world, op.vcpu, int.from_bytes(data, "little"), op.edge)
    vcpu = world.vcpu(op.vcpu)
    if isinstance(vcpu, Permitted):
        return vcpu
    if not vcpu.initialised:
        return fails("reg.not-initialised", ENOEXEC)
    world.settle(vcpu)
    found = _find(world, vcpu, op.reg)
    mapped = size if op.edge is None else min(op.edge, size)
    if isinstance(found, onereg.NotModelled):
        return Permitted(found.rule, (), anything=True, if_done=world.go_beyond)
    if onereg.is_sysreg(op.reg) and op.edge is not None and op.edge < 8:
        return fails("sysreg.fault-first", EFAULT)
    if isinstance(found, onereg.Refused):
        return fails(found.rule, found.err)
    if mapped < found.copied:
        return _faults(found, data, mapped)
    if found.copied < size:
        above = "sve.ignores-above-length" if op.edge is None else "sve.reads-to-length-only"
        if mapped < size or any(data[found.copied :]):
            world.rules.add(above)
    value = int.from_bytes(data[: found.copied], "little")
    return _accept(world, vcpu, found, value)


def _faults(slot: onereg.Slot, data: bytes, mapped: int) -> Permitted:
    """SET from a buffer that ends early. A vector register is copied in place: a part of
    the mapped bytes may have arrived, the rest is zero (facts 1.5)."""
    if slot.kind not in VECTOR_KINDS:
        return fails("reg.set-fault", EFAULT)
    home, key = slot.home
    home[key] = unknown(0, int.from_bytes(data[:mapped], "little"))
    return fails("sve.set-fault-partial", EFAULT)


def _accept(world: World, vcpu: Vcpu, slot: onereg.Slot, value: int) -> Permitted:
    home, key = slot.home

    def store() -> None:
        home[key] = slot.stored(value)
        vcpu.origins.pop(slot.label, None)
        if slot.kind in _CORE_KINDS:
            narrow_to_32bit(world, vcpu)

    verdict = slot.check(value) if slot.check else onereg.ACCEPTED
    rule = verdict.rule or slot.rule + "-set"
    if verdict.errors == (0,):
        store()
        return Permitted(rule, (Outcome(),))
    if 0 not in verdict.errors:
        vcpu.origins[slot.label] = "reg.refused-set-changes-nothing"
    outcomes = tuple(Outcome(err, effect=None if err else store) for err in verdict.errors)
    return Permitted(rule, outcomes)


_CORE_KINDS = frozenset({"x", "sp", "pc", "pstate", "sp_el1", "elr_el1", "fpsr", "fpcr", "v"})

USER_32, SYSTEM_32 = 0x10, 0x1F


def narrow_to_32bit(world: World, vcpu: Vcpu) -> None:
    """Any core SET while PSTATE is an AArch32 mode cuts registers to 32 bits (guest.c)."""
    mode = vcpu.core["pstate"][0][0] & 0x1F
    if not mode & 0x10:
        return
    world.rules.add("core.cut-to-32-bits")
    count = 15 if mode in (USER_32, SYSTEM_32) else 31
    for n in range(count):
        vcpu.x[n] = _low32(vcpu.x[n])
    vcpu.core["pc"] = _low32(vcpu.core["pc"])


def _low32(candidates: Set) -> Set:
    return either((v & 0xFFFF_FFFF, m & 0xFFFF_FFFF) for v, m in candidates)


@step(ReadAll)
def read_all(world: World, op: ReadAll) -> Permitted:
    vcpu = world.vm.vcpus.get(op.vcpu)
    if vcpu is None:
        return Permitted("vcpu.missing", (Outcome(EBADF, open_ended=True),))
    if vcpu.initialised:
        world.settle(vcpu)
    world.rules.update(vcpu.origins.values())
    whole, holes = usual_answer(vcpu) or (None, ())
    outcome = Outcome(whole=whole, holes=holes, more=lambda: read_parts(world, vcpu))
    return Permitted("reg.read-all", (outcome,), world.context(vcpu), origins=vcpu.origins)


def read_parts(world: World, vcpu: Vcpu) -> tuple[Part, ...]:
    """ReadAll's data, register by register."""
    parts: list[Part] = []
    for group in READ_GROUPS:
        for reg in group:
            err, size, candidates, home = _peek(world, vcpu, reg)
            parts.append(Part("", 8, exact(err | size << 32)))
            if err:
                break
            parts.append(Part(regs.name_of(reg), size, candidates, home))
            if size & 7:
                parts.append(Part("", -size & 7, exact(0)))
    return tuple(parts)


def _peek(world: World, vcpu: Vcpu, reg: int) -> tuple[int, int, Set, Home | None]:
    if not vcpu.initialised:
        return ENOEXEC, 0, exact(0), None
    found = _find(world, vcpu, reg)
    if isinstance(found, onereg.Refused):
        world.rules.add(found.rule)
        return found.err, 0, exact(0), None
    assert isinstance(found, onereg.Slot)
    return 0, found.size, found.candidates, found.home
