"""Semantics outside the vector units: constants, addresses, system registers, exceptions."""

from __future__ import annotations

from corpus.isa import mops
from corpus.isa.system import ANY, CALLS, GMID, ID_REGISTERS, OF_EL2
from corpus.isa.system import FORMS as SYSTEM_FORMS
from corpus.isa.unallocated import NEWER, is_unallocated
from corpus.registers import KEY_NAMES, TAGGING_NAMES
from corpus.wire import RAM_BASE
from targets.spec import idregs
from targets.spec.cpu import FP_CONTROL, FPEN_SHIFT, U64, ZCR_LEN, Cpu
from targets.spec.errors import (
    UNDEFINED,
    Decides,
    GuestException,
    MmioExit,
    Unpredictable,
    syndrome,
)
from targets.spec.nested import NestedCpu
from targets.spec.semantics import mte
from targets.spec.semantics.arrival import arrive
from targets.spec.semantics.fp import condition
from targets.spec.semantics.pauth import need_keys, write_key
from targets.spec.semantics.registry import semantic
from targets.spec.sets import exact, join, unknown


def carry_mask(mask: int) -> int:
    """Unknown bits of a sum: everything from the lowest unknown input bit up."""
    return U64 & ~((mask & -mask) - 1) if mask else 0


@semantic("movz")
def movz(cpu: Cpu, xd: int, imm: int) -> None:
    cpu.set_x(xd, imm)


@semantic("movz16")
def movz16(cpu: Cpu, xd: int, imm: int) -> None:
    cpu.set_x(xd, imm << 16)


@semantic("movk")
def movk(cpu: Cpu, xd: int, imm: int, shift: int) -> None:
    value, mask = cpu.x(xd)
    keep = ~(0xFFFF << 16 * shift)
    cpu.set_x(xd, value & keep | imm << 16 * shift, mask & keep)


@semantic("lda")
def lda(cpu: Cpu, xd: int, offset: int) -> None:
    cpu.set_x(xd, RAM_BASE + offset)


@semantic("add_imm")
def add_imm(cpu: Cpu, xd: int, xn: int, imm: int) -> None:
    value, mask = cpu.xsp(xn)
    cpu.set_xsp(xd, value + imm, carry_mask(mask))


@semantic("sub_imm")
def sub_imm(cpu: Cpu, xd: int, xn: int, imm: int) -> None:
    value, mask = cpu.xsp(xn)
    cpu.set_xsp(xd, value - imm, carry_mask(mask))


@semantic("add_x")
def add_x(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    (a, ma), (b, mb) = cpu.x(xn), cpu.x(xm)
    cpu.set_x(xd, a + b, carry_mask(ma | mb))


@semantic("sub_x")
def sub_x(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    (a, ma), (b, mb) = cpu.x(xn), cpu.x(xm)
    cpu.set_x(xd, a - b, carry_mask(ma | mb))


@semantic("eor_x")
def eor_x(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    (a, ma), (b, mb) = cpu.x(xn), cpu.x(xm)
    cpu.set_x(xd, a ^ b, ma | mb)


@semantic("csel_x")
def csel_x(cpu: Cpu, xd: int, xn: int, xm: int, cond: int) -> None:
    (a, ma), (b, mb) = cpu.x(xn), cpu.x(xm)
    nzcv, mask = cpu.nzcv()
    if mask:
        cpu.set_x(xd, a, ma | mb | a ^ b)
    else:
        cpu.set_x(xd, *((a, ma) if condition(nzcv, cond) else (b, mb)))


@semantic("str_x")
def str_x(cpu: Cpu, xt: int, xn: int, imm: int) -> None:
    cpu.store(cpu.address(xn, imm), 8, *cpu.x(xt), vector=False, element=8)


@semantic("ldr_x")
def ldr_x(cpu: Cpu, xt: int, xn: int, imm: int) -> None:
    try:
        cpu.set_x(xt, *cpu.load(cpu.address(xn, imm), 8, vector=False, element=8))
    except MmioExit:
        cpu.set_x(xt, 0)  # what the harness's devices read as
        cpu.rules.add("run.mmio-load")
        raise


@semantic("isb")
def isb(cpu: Cpu) -> None:
    cpu.synchronise()


@semantic("nop")
def nothing(cpu: Cpu) -> None:
    """No effect."""


@semantic("svc")
def svc(cpu: Cpu, imm: int) -> None:
    raise GuestException(syndrome(0x15, imm), ret=4)


@semantic("eret_to")
def eret_to(cpu: Cpu, spsr: int) -> None:
    """adr x30; msr elr_el1, x30; mov x30, #spsr; msr spsr_el1, x30; eret."""
    _begin_return(cpu, "eret.undefined-at-el0", 1)
    _return(cpu, spsr, *cpu.return_registers(spsr))


@semantic("eret_el2_to")
def eret_el2_to(cpu: Cpu, spsr: int) -> None:
    """The same with ELR_EL2 and SPSR_EL2."""
    _begin_return(cpu, "eret.el2-undefined-below", 2)
    cpu.rules.add("el2.eret-by-name")
    _return(cpu, spsr, "elr_el2", "spsr_el2")


def _begin_return(cpu: Cpu, refusal: str, least: int) -> None:
    """ADR, and the first MSR, which is UNDEFINED below level `least`."""
    cpu.set_x(30, cpu.pc + _ERET_SIZE)
    if cpu.el < least:
        cpu.pc += 4
        cpu.rules.add(refusal)
        raise GuestException(UNDEFINED)


def _return(cpu: Cpu, spsr: int, elr_elx: str, spsr_elx: str) -> None:
    vcpu, target = cpu.vcpu, cpu.pc + _ERET_SIZE
    for name in (elr_elx, spsr_elx):
        vcpu.origins[name] = cpu.rule
    vcpu.core[elr_elx] = exact(target)
    vcpu.core[spsr_elx] = exact(spsr)
    cpu.set_x(30, spsr)
    arrive(cpu, spsr, target)


_ERET_SIZE = 4 * len(next(form for form in CALLS if form.name == "eret_to").words)


@semantic("brk")
def brk(cpu: Cpu, imm: int) -> None:
    raise GuestException(syndrome(0x3C, imm))


@semantic(ANY)
def inst(cpu: Cpu, word: int) -> None:
    """A word that is no instruction of the table."""
    if is_unallocated(word) and NEWER in cpu.lacks:
        cpu.rules.add("run.unallocated")
        raise GuestException(UNDEFINED)
    if mops.is_part(word):
        if "mops" in cpu.lacks:
            cpu.rules.add("run.undefined-feature")
            raise GuestException(UNDEFINED)
        raise Unpredictable("a part of a memory copy alone, which KVM may begin anew before it")
    raise Unpredictable(f"the instruction {word:#010x} is not modelled")


@semantic("udf")
def udf(cpu: Cpu, imm: int) -> None:
    raise GuestException(UNDEFINED)


_SYS_OPERAND = next(f for f in SYSTEM_FORMS if f.name == "msr").operands[0].domain
_READABLE = next(f for f in SYSTEM_FORMS if f.name == "mrs").operands[1].domain
_EL1_ONLY = frozenset({"zcr_el1", "cpacr_el1", "tpidr_el1", *KEY_NAMES, *TAGGING_NAMES})


def _sys_access(cpu: Cpu, name: str, xt: int, reads: int) -> str:
    """The register's name, after the access checks."""
    if (cpu.el == 0 and name in _EL1_ONLY) or (cpu.el != 2 and name in OF_EL2):
        raise GuestException(UNDEFINED)
    if name == "fpmr":
        _need_fpmr(cpu)
        return name
    if name in KEY_NAMES:
        need_keys(cpu, name, xt << 5 | reads)
        return name
    if name in TAGGING_NAMES:
        mte.need_registers(cpu)
        return name
    if name == "tco":
        mte.need_tco(cpu)
        return name
    if isinstance(cpu, NestedCpu):
        return cpu.redirect(name, xt << 5 | reads)
    if name == "zcr_el1":
        cpu.need_zcr()
    elif name in FP_CONTROL:
        cpu.need_fp()
    return name


def _need_fpmr(cpu: Cpu) -> None:
    if cpu.el == 0 or cpu.vcpu.el2:  # SCTLR_ELx.EnFPM and the guest's HCRX_EL2 have a say
        raise Unpredictable("FPMR at another EL than EL1, or below EL2, is not modelled")
    if cpu.fpmr and not cpu.vm.protected:
        cpu.need_fp()
        return
    if cpu.fpmr is None or not cpu.enabled(FPEN_SHIFT):
        raise Unpredictable(
            "FPMR where KVM may keep it from guests is not modelled", Decides.KERNEL
        )
    if cpu.vm.protected:
        cpu.rules.add("protected.no-fpmr")
    cpu.rules.add("run.no-fpmr")  # the CPU has none, or KVM, to which it traps, gives it to nobody
    cpu.leave()
    raise GuestException(UNDEFINED)


@semantic("mrs")
def mrs(cpu: Cpu, xt: int, sys: int) -> None:
    name = _READABLE.format(sys)
    if name in ID_REGISTERS:
        _read_id(cpu, xt, name)
        return
    name = _sys_access(cpu, name, xt, 1)
    if name == "nzcv":
        value, mask = cpu.nzcv()
        cpu.set_x(xt, value << 28, mask << 28)
    elif name == "tco":
        cpu.set_x(xt, *mte.read_tco(cpu))
    else:
        cpu.set_x(xt, *join((cpu.vcpu.core if name in FP_CONTROL else cpu.vcpu.sys)[name]))


def _read_id(cpu: Cpu, xt: int, name: str) -> None:
    """KVM answers (HCR_EL2.TID3), and gives what it gives user space."""
    if cpu.el == 0 or (cpu.vcpu.el2 and cpu.el < 2):
        # UNDEFINED or trapped with FEAT_IDST; the guest's own HCR_EL2.TID3.
        raise Unpredictable("an ID register that is read below EL1, or EL2, is not modelled")
    if name == GMID:
        mte.read_gmid(cpu, xt)
        return
    cpu.leave()
    if cpu.vm.mixed:
        cpu.set_x(xt, 0, U64)
        return
    if cpu.vm.protected:
        cpu.rules.update((cpu.rule, "protected.own-ids"))
        cpu.set_x(xt, 0, U64)
        return
    cpu.rules.update((cpu.rule, "id.guest-reads"))
    cpu.rule = "id.guest-reads"
    cpu.set_x(xt, *join(idregs.find(cpu.vm, name).candidates))


@semantic("msr")
def msr(cpu: Cpu, sys: int, xt: int) -> None:
    name = _sys_access(cpu, _SYS_OPERAND.format(sys), xt, 0)
    value, mask = cpu.x(xt)
    if name == "nzcv":
        cpu.set_nzcv(value >> 28 & 15, mask >> 28 & 15)
    elif name in FP_CONTROL:
        low32 = unknown(value & 0xFFFFFFFF, mask & 0xFFFFFFFF)
        cpu.vcpu.core[name] = cpu.held(name, low32)
    elif name == "fpmr":
        cpu.vcpu.sys[name] = held_fpmr(value, mask)
    elif name in KEY_NAMES:
        write_key(cpu, name, value, mask)
    elif name in TAGGING_NAMES:
        mte.write_register(cpu, name, value, mask)
    elif name == "tco":
        mte.write_tco(cpu, value, mask)
    elif isinstance(cpu, NestedCpu):
        cpu.write_system(name, value, mask)
    elif name == "zcr_el1":
        cpu.vcpu.sys[name] = unknown(value & ZCR_LEN, mask & ZCR_LEN)
        cpu.vl_changed()
    else:
        old = cpu.vcpu.sys[name]
        cpu.vcpu.sys[name] = unknown(value, mask)
        if name == "cpacr_el1":
            cpu.vcpu.sys[name] = loaded_cpacr(value, mask)
            cpu.written(name, old)
            cpu.vl_changed()


FPMR_BITS = 0x3F_FF7F_C1FF
"""Fields of FPMR (Arm ARM)."""


def held_fpmr(value: int, mask: int) -> tuple[tuple[int, int], ...]:
    """FPMR after hardware held `value`."""
    return unknown(value, mask | value & ~FPMR_BITS)


CPACR_STATEFUL = 0x0033_0000
"""FPEN and ZEN; other set bits may read as set or clear, depending on features."""


def loaded_cpacr(value: int, mask: int) -> tuple[tuple[int, int], ...]:
    """CPACR_EL1 after hardware held `value`."""
    return unknown(value, mask | value & ~CPACR_STATEFUL)
