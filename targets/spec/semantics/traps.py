"""A guest that returns from its exceptions: from one of KVM's making again and again, or from all
that it takes."""

from __future__ import annotations

from corpus.isa import mops
from corpus.isa.form import Insn
from corpus.isa.system import ANY, LOOP_HANDLER, LOOP_VECTORS, RETURN_VECTORS, UNDEF_LOOP
from corpus.isa.table import FORMS
from corpus.isa.table import insn as any_word
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import (
    UNDEFINED,
    Decides,
    GuestException,
    Unpredictable,
    syndrome,
)
from targets.spec.exceptions import write_down
from targets.spec.semantics.registry import semantic
from targets.spec.sets import exact, join, unknown
from targets.spec.vcpu import PSTATE_IL

_EL1H = 5
_RETURN = 18 * 4
"""Where each exception returns to, from the beginning of the form."""
_AT_SYNC = 0x200
"""The vector of synchronous exceptions at the current EL with its own SP."""


@semantic(UNDEF_LOOP)
def undef_loop(cpu: Cpu, count: int) -> None:
    """A handler that steps over what it is called for is put at vectors of the form's own, and
    then count times PMCR_EL0 is read: a vcpu without a PMU has none (sys_regs.c, pmu_visibility),
    so KVM, to which that traps, has the guest take an exception. Then the vectors are put back."""
    vcpu = cpu.vcpu
    if vcpu.pmu_ready:
        raise Unpredictable("a guest that has a PMU reads a register of that", Decides.KERNEL)
    pstate, mask = join(vcpu.core["pstate"])
    if pstate & 0xF != _EL1H or vcpu.el2:
        raise Unpredictable("a handler for another mode than EL1h", Decides.NOTHING)
    cpu.leave()
    cpu.synchronise()
    cpu.mem.store(LOOP_VECTORS + _AT_SYNC, len(LOOP_HANDLER), _HANDLER)
    back = cpu.pc + _RETURN
    old_vectors = join(vcpu.sys["vbar_el1"])
    cpu.set_x(0, _HANDLER & U64)
    cpu.set_x(1, *old_vectors)
    for register, value in ((28, 0), (29, LOOP_VECTORS), (30, back)):
        cpu.set_x(register, value)
    write_down(cpu, GuestException(UNDEFINED), 1, back)
    vcpu.core["pstate"] = unknown(pstate, mask | pstate & vcpu.loose_pstate)


_HANDLER = int.from_bytes(LOOP_HANDLER, "little")


@semantic(RETURN_VECTORS)
def return_vectors(cpu: Cpu) -> None:
    """The handler is stored at three vectors, and VBAR_EL1 set to them. From EL0 the first IC IVAU
    traps, since SCTLR_EL1.UCI is zero; a handler that is there already returns from that, and the
    rest of the form is executed."""
    vcpu = cpu.vcpu
    if vcpu.el2 or (cpu.translates and cpu.el == 0):
        raise Unpredictable("a handler for vcpus with EL2, or put where EL0 may not store")
    cpu.set_x(0, _HANDLER & U64)
    cpu.set_x(1, _HANDLER >> 64)
    start = cpu.pc
    for vector in _SYNC:
        cpu.set_x(29, LOOP_VECTORS + vector)
        cpu.mem.store(LOOP_VECTORS + vector, len(LOOP_HANDLER), _HANDLER)
        if cpu.el == 0:
            cpu.pc = start + _TO_IC_IVAU[vector]
            _trapped(cpu, GuestException(_IC_IVAU_TRAP))
    cpu.set_x(29, LOOP_VECTORS)
    if cpu.el == 0:
        cpu.pc = start + _TO_MSR
        _trapped(cpu, GuestException(UNDEFINED))
        cpu.pc = start
        return
    vcpu.sys["vbar_el1"] = exact(LOOP_VECTORS)
    vcpu.origins["vbar_el1"] = cpu.rule
    cpu.synchronise()
    cpu.returns = True


def _trapped(cpu: Cpu, exception: GuestException) -> None:
    """An instruction in the middle of a form traps: then the handler, if there is one, returns to
    the next one."""
    if not cpu.returns:
        raise exception
    _return_behind(cpu, exception)


_IC_IVAU_TRAP = syndrome(0x18, 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 29 << 5 | 5 << 1)
"""A write: op0 1, op2 1, op1 3, CRn 7, X29, CRm 5."""
_SYNC = (0, _AT_SYNC, 0x400)
"""Vectors of synchronous exceptions from EL1 with the SP of EL0 and with its own, and from EL0."""
_WORDS = FORMS[RETURN_VECTORS].words
_TO_IC_IVAU = dict(
    zip(_SYNC, (4 * n for n, word in enumerate(_WORDS) if word == 0xD50B_753D), strict=True)
)
_TO_MSR = 4 * _WORDS.index(0xD518_C01D)
"""Where in the form these instructions are."""


def come_back(cpu: Cpu, exception: GuestException, insn: Insn) -> tuple[Insn, ...]:
    """The guest takes an exception, and its handler returns to the instruction behind; of MOVPRFX
    that is what it prefixes, of a copy that the CPU does not have its next part, which is then to
    be executed. Raises Unpredictable."""
    vcpu = cpu.vcpu
    pstate, mask = join(vcpu.core["pstate"])
    form = insn.form
    first = len(form.words) == 1 or form.group == "sve-prefixed"
    first |= form.group == mops.GROUP and form.cap in cpu.lacks
    if exception.ret or not first or (pstate | mask) & PSTATE_IL:
        raise Unpredictable("a handler that returns to elsewhere than the next instruction")
    _return_behind(cpu, exception)
    return tuple(any_word(ANY, word) for word in insn.words()[1:])


def _return_behind(cpu: Cpu, exception: GuestException) -> None:
    vcpu = cpu.vcpu
    pstate, mask = join(vcpu.core["pstate"])
    behind = cpu.pc + 4
    write_down(cpu, exception, 1, behind)
    cpu.rules.add("exception.returns")
    vcpu.core["pstate"] = unknown(pstate, mask | pstate & vcpu.loose_pstate)
    cpu.set_x(30, behind)
    if cpu.loaded:
        cpu.leave()  # it may be one of KVM's making
    cpu.synchronise()
    came_from = cpu.el
    if came_from != 1:
        cpu.go(1)
        cpu.go(came_from)
    cpu.pc = behind
