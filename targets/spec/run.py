"""One KVM_RUN: from the entry state to what user space sees of the exit."""

from __future__ import annotations

from dataclasses import dataclass

from corpus import wire
from corpus.isa.decode import meant
from corpus.isa.form import Insn
from corpus.isa.system import ANY
from corpus.kept import Effect
from corpus.ops import NISV_TO_USER, machine_code
from targets.profile import Profile
from targets.spec import aborts, protected, stage1
from targets.spec.cpu import Cpu, access_check
from targets.spec.defects import spoiled, worst
from targets.spec.el2 import SCTLR_FIXED
from targets.spec.errno import EINTR, ENOSYS
from targets.spec.errors import (
    ILLEGAL_STATE,
    Decides,
    GuestException,
    MmioExit,
    RunFailed,
    SystemEvent,
    Unpredictable,
    Waits,
)
from targets.spec.exceptions import write_down
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.nested import NestedCpu
from targets.spec.pauth import without_enables
from targets.spec.semantics import SEMANTICS, Semantic, mte
from targets.spec.semantics.fpops import FLAGS, ControlUnknown
from targets.spec.semantics.system import held_fpmr, loaded_cpacr
from targets.spec.semantics.tagging import is_checked
from targets.spec.semantics.traps import come_back
from targets.spec.sets import ZERO, either, exact, join, unknown
from targets.spec.vcpu import (
    BY_EXCEPTIONS,
    OPTIONAL_PSTATE,
    PSTATE_IL,
    PSTATE_TCO,
    SCTLR_RESET,
    Vcpu,
    Vm,
)

PLAIN_PSTATE = 0xF000_03CF
"""PSTATE bits that a run keeps: NZCV, DAIF and the mode."""
RUNNABLE_MODES = frozenset({0x0, 0x4, 0x5, 0x8, 0x9})
"""EL0t, EL1t, EL1h and, where PSTATE takes them, EL2t, EL2h. The model does not run AArch32."""
NZCV = 0xF000_0000


@dataclass(frozen=True, slots=True)
class NoSyndrome:
    """An abort of which the CPU does not say enough for KVM: KVM_EXIT_ARM_NISV."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: errno of KVM_RUN, or what user space has to do."""

    err: int
    exit: MmioExit | SystemEvent | NoSyndrome | None = None
    cause: str = "run.exit"
    """Rule of the instruction that ended the run."""


def check_runnable(vcpu: Vcpu, mem: Memory) -> None:
    """Raises Unpredictable for entry states that the model does not follow."""
    if vcpu.aarch32:
        raise Unpredictable("AArch32 guests are not modelled", Decides.KERNEL)
    value, mask = join(vcpu.core["pstate"])
    known = PLAIN_PSTATE | OPTIONAL_PSTATE | (0 if vcpu.el2 else PSTATE_IL)
    loose = NZCV | OPTIONAL_PSTATE
    if mask & ~loose or value & ~known or value & 0xF not in RUNNABLE_MODES:
        raise Unpredictable(f"a run from PSTATE {value:#x} is not modelled", Decides.KERNEL)
    sctlr = without_enables(vcpu.sys["sctlr_el1"])
    if vcpu.tagged and sctlr == exact(SCTLR_RESET):
        raise Unpredictable("a run with tags in addresses that are not translated", Decides.NOTHING)
    if sctlr not in (exact(SCTLR_RESET), SCTLR_FIXED) and not stage1.is_on(vcpu, mem):
        value, mask = join(sctlr)
        names = ", ".join(f"SCTLR_EL1.{bit}" for bit in _names(value ^ SCTLR_RESET | mask))
        raise Unpredictable(f"a run with {names} other than a reset leaves it is not modelled")


_SCTLR_BITS = {
    **{0: "M", 1: "A", 2: "C", 3: "SA", 4: "SA0", 5: "CP15BEN", 6: "nAA", 7: "ITD", 8: "SED"},
    **{9: "UMA", 10: "EnRCTX", 11: "EOS", 12: "I", 14: "DZE", 15: "UCT", 16: "nTWI", 18: "nTWE"},
    **{19: "WXN", 20: "TSCXT", 21: "IESB", 22: "EIS", 23: "SPAN", 24: "E0E", 25: "EE", 26: "UCI"},
    **{28: "nTLSMD", 29: "LSMAOE", 32: "CMOW", 33: "MSCEn", 34: "EnFPM", 35: "BT0", 36: "BT1"},
    **{37: "ITFSB", 38: "TCF0", 39: "TCF0", 40: "TCF", 41: "TCF", 42: "ATA0", 43: "ATA"},
    **{44: "DSSBS", 57: "EPAN", 60: "EnTP2", 61: "NMI"},
}
"""Bits of SCTLR_EL1 by number (Arm ARM); those that enable keys of pointer authentication are
modelled."""
_FEW = 3


def _names(bits: int) -> tuple[str, ...]:
    """The names of some bits of SCTLR_EL1, the lowest ones of many."""
    found = (_SCTLR_BITS.get(n, f"bit {n}") for n in range(64) if bits >> n & 1)
    return tuple(dict.fromkeys(found))[:_FEW]


def run(
    vcpu: Vcpu,
    profile: Profile,
    mem: Memory,
    program: tuple[Insn, ...],
    rules: set[str],
    vm: Vm,
    forks: Forks | None = None,
) -> Ended:
    """Execute `program` at the PC of `vcpu`, with what `forks` chooses where there is a
    choice. An MMIO access that ends it is not `completed` yet. Raises Unpredictable."""
    check_runnable(vcpu, mem)
    rules.add(_ENTRY_RULES[join(vcpu.core["pstate"])[0] & 0xF])
    enter(vcpu)
    cpu = (NestedCpu if vcpu.el2 else Cpu)(vcpu, profile, mem, rules, vm, forks)
    cpu.pc = join(vcpu.core["pc"])[0]
    if vcpu.aborting:
        ended = _taken_first(cpu)
    elif join(vcpu.core["pstate"])[0] & PSTATE_IL:
        ended = _illegal_first(cpu)
    else:
        ended = _execute(cpu, program)
    vcpu.fault = _fault_address(vcpu, ended)
    cpu.leave()
    if not cpu.loaded:
        rules.add("run.idle-keeps-raw")
    vcpu.core["pc"] = exact(cpu.pc)
    return ended


def completed(vcpu: Vcpu, ended: Ended) -> Ended:
    """The next KVM_RUN steps over an MMIO access (api.rst 5, kvm_run.mmio)."""
    if isinstance(ended.exit, MmioExit):
        step_over(vcpu)
    return ended


def step_over(vcpu: Vcpu) -> None:
    """An instruction that is done with."""
    vcpu.core["pc"] = either((value + 4, mask) for value, mask in vcpu.core["pc"])


_ENTRY_RULES = {
    **{0x0: "run.enter-el0t", 0x4: "run.enter-el1t", 0x5: "run.enter-el1h"},
    **{0x8: "el2.enter-el2t", 0x9: "el2.enter-el2h"},
}


def place_code(mem: Memory, program: tuple[Insn, ...], base: int) -> None:
    """The harness writes the program and the exit after it to `base`."""
    code = machine_code(program)
    mem.store(base, len(code), int.from_bytes(code, "little"))


def enter(vcpu: Vcpu) -> None:
    """Entry loads the system registers into hardware, which drops RES0 bits of some."""
    sys = vcpu.sys
    sys["cpacr_el1"] = loaded_cpacr(*join(sys["cpacr_el1"]))
    _load_banked(vcpu, "esr_el1", "spsr_el1")
    if vcpu.el2:
        _load_banked(vcpu, "esr_el2", "spsr_el2")
    if vcpu.sys["fpmr"] is not ZERO:
        vcpu.sys["fpmr"] = held_fpmr(*join(vcpu.sys["fpmr"]))
    if vcpu.mte:
        for name in mte.FIELDS:
            vcpu.sys[name] = mte.held(name, *join(vcpu.sys[name]))
    pstate, mask = join(vcpu.core["pstate"])
    vcpu.core["pstate"] = unknown(pstate, mask | pstate & vcpu.loose_pstate)


def _load_banked(vcpu: Vcpu, esr: str, spsr: str) -> None:
    if vcpu.sys[esr] != ZERO:
        value, mask = join(vcpu.sys[esr])
        vcpu.sys[esr] = unknown(value, mask | value & ~0xFFFF_FFFF)
    value, mask = join(vcpu.core[spsr])
    vcpu.core[spsr] = unknown(value, mask | value & ~PLAIN_PSTATE)


def _execute(cpu: Cpu, program: tuple[Insn, ...]) -> Ended:
    try:
        for index, insn in enumerate(program):  # noqa: B007 (a handler wants it)
            _step_outlived(cpu, insn)
        return Ended(0, _epilogue(cpu), cpu.rule)
    except Unpredictable as stop:
        stop.left = program[index:]
        raise
    except GuestException as exception:
        return Ended(0, _take_exception(cpu, exception), cpu.rule)
    except MmioExit as mmio:
        return Ended(0, mmio, cpu.rule)
    except RunFailed as failure:
        if failure.err == ENOSYS and NISV_TO_USER in cpu.vm.caps:
            cpu.rules.add("enable.nisv-exit")
            return Ended(0, NoSyndrome(), cpu.rule)
        return Ended(failure.err, cause=cpu.rule)
    except SystemEvent as event:
        cpu.pc += 4
        return Ended(0, event, cpu.rule)
    except Waits:
        cpu.pc += 4
        return Ended(EINTR, cause=cpu.rule)


def _fault_address(vcpu: Vcpu, ended: Ended) -> int | None:
    """What FAR_EL2 was at the exit, where it is the address that user space is told."""
    if vcpu.el2 or vcpu.tagged or not isinstance(ended.exit, MmioExit):
        return None
    return ended.exit.address


def _taken_first(cpu: Cpu) -> Ended:
    """An abort of user space's, before the guest's first instruction. ESR_EL1 and FAR_EL1 have told
    of it since it was injected, and may have been written since. Raises Unpredictable."""
    if cpu.returns:
        raise Unpredictable("an abort of user space's and a handler that returns")
    vcpu, cpu.rule = cpu.vcpu, aborts.PENDS
    esr, far = vcpu.sys["esr_el1"], vcpu.sys["far_el1"]
    exit_ = _take_exception(cpu, GuestException(aborts.SYNDROME))
    vcpu.sys["esr_el1"], vcpu.sys["far_el1"] = esr, far
    vcpu.aborting = False
    return Ended(0, exit_, cpu.rule)


def _illegal_first(cpu: Cpu) -> Ended:
    """What the first instruction gets while PSTATE.IL is set, which user space did: SPSR_EL1 has
    it then, and PSTATE not any more (Arm ARM, illegal execution state). Raises Unpredictable."""
    if cpu.returns:
        raise Unpredictable("a handler that returns with PSTATE.IL", Decides.NOTHING)
    cpu.rule = "exception.illegal-state"
    return Ended(0, _take_exception(cpu, GuestException(ILLEGAL_STATE)), cpu.rule)


def _step_outlived(cpu: Cpu, insn: Insn) -> None:
    """An instruction, and what comes behind the exception that it takes where a handler returns."""
    try:
        _step(cpu, insn)
    except (GuestException, RunFailed) as stop:
        exception = protected.abort(cpu, stop) if cpu.vm.protected else stop
        if isinstance(exception, RunFailed) or not cpu.returns:
            raise exception from None
        for word in come_back(cpu, exception, insn):
            _step_outlived(cpu, word)


def _step(cpu: Cpu, insn: Insn) -> None:
    if insn.form.name == ANY:
        insn = meant(insn)
    cpu.rule = "isa." + insn.form.name
    cpu.now = cpu.views
    if cpu.vcpu.tagged:
        cpu.checks = is_checked(insn)
    access_check(cpu, insn)
    semantic = SEMANTICS.get(insn.form.name)
    if semantic is None:
        raise Unpredictable(f"{insn.form.name} has no semantics")
    effects = cpu.defects.get(cpu.rule) if cpu.defects else None
    effect = worst(cpu, effects, insn) if effects else None
    if effect is None:
        try:
            semantic(cpu, *insn.args)
        except ControlUnknown:
            _whatever_fpcr(cpu, semantic, insn)
    else:
        spoiled(cpu, effect, semantic, insn)
    cpu.rules.add(cpu.rule)
    cpu.pc += 4 * len(insn.form.words)


def _whatever_fpcr(cpu: Cpu, semantic: Semantic, insn: Insn) -> None:
    """An instruction whose result depends on bits of FPCR that are not known."""
    fpcr = cpu.vcpu.core["fpcr"]
    value, _ = join(fpcr)
    cpu.vcpu.core["fpcr"] = exact(value)
    spoiled(cpu, Effect.RESULT, semantic, insn)
    cpu.vcpu.core["fpcr"] = fpcr
    cpu.raise_fpsr(0, FLAGS)


def _epilogue(cpu: Cpu) -> MmioExit:
    cpu.rule = "run.exit"
    cpu.set_x(30, wire.MMIO_BASE)
    cpu.pc += 4
    return MmioExit(wire.MMIO_BASE, 8, 0, 0, write=True)


def _take_exception(cpu: Cpu, exception: GuestException) -> MmioExit:
    """To EL1 or EL2, where the vector's code stores its own address and so exits by MMIO."""
    vcpu = cpu.vcpu
    target = cpu.target(exception)
    vector = write_down(cpu, exception, target, cpu.pc + exception.ret)
    # The flags are the interrupted code's on silicon; QEMU clears them.
    pstate, mask = join(vcpu.core["pstate"])
    flags = pstate & NZCV
    changed = OPTIONAL_PSTATE if vcpu.el2 else BY_EXCEPTIONS
    if vcpu.mte and not vcpu.el2:
        cpu.rules.add("mte.tco-of-exceptions")
        mask, changed, flags = mask & ~PSTATE_TCO, changed & ~PSTATE_TCO, flags | PSTATE_TCO
    vcpu.core["pstate"] = unknown(flags | 0x3C1 | target << 2, mask | flags & NZCV | changed)
    if cpu.el != target:
        cpu.go(target)
    address = wire.VECTOR_MMIO + 8 * vector
    cpu.set_x(30, address)
    cpu.pc = wire.VECTOR_BASE + 0x80 * vector + 8
    return MmioExit(address, 8, address, 0, write=True)
