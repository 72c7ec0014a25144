"""Forms outside the vector units: constants, addresses, system registers, barriers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from corpus.domain import Choice, IntRange
from corpus.isa.form import Form, Insn, Operand
from corpus.isa.fp import condition
from corpus.isa.operands import at, bits, choice, imm, x, xsp
from corpus.isa.pauth import ENABLE_KEYS
from corpus.isa.stage1 import FORM as STAGE_1_FORM
from corpus.isa.stage1 import STAGE_1_ON
from corpus.isa.tagged import FORM as TAGS_FORM
from corpus.isa.tagged import TAG_CHECKS
from corpus.registers import KEY_NAMES, SYSREG_ENCODINGS, TAGGING_NAMES
from corpus.wire import DATA_BASE, GIC_DIST, RAM_BASE, RAM_SIZE

_MRS_TABLE: dict[str, tuple[int, int, int, int, int]] = {
    **{n: SYSREG_ENCODINGS[n] for n in ("zcr_el1", "cpacr_el1", "tpidr_el0", "tpidr_el1")},
    "fpcr": (3, 3, 4, 4, 0),
    "fpsr": (3, 3, 4, 4, 1),
    "nzcv": (3, 3, 4, 2, 0),
    **{n: SYSREG_ENCODINGS[n] for n in ("zcr_el2", "cptr_el2", "hcr_el2", "tpidr_el2")},
    "zcr_el12": (3, 5, 1, 2, 0),
    "cpacr_el12": (3, 5, 1, 0, 2),
    "fpmr": SYSREG_ENCODINGS["fpmr"],
    **{n: SYSREG_ENCODINGS[n] for n in (*KEY_NAMES, *TAGGING_NAMES)},
    "tco": (3, 3, 4, 2, 7),
}


def sysreg_operand(encoding: tuple[int, int, int, int, int]) -> int:
    """The o0:op1:CRn:CRm:op2 field of MRS and MSR, in place."""
    op0, op1, crn, crm, op2 = encoding
    return (op0 & 1) << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5


OF_EL2 = frozenset(name for name in _MRS_TABLE if name.endswith(("_el2", "_el12")))
"""Registers that are UNDEFINED below EL2."""

GMID = "gmid_el1"
_ID_TABLE = {
    **{n: code for n, code in SYSREG_ENCODINGS.items() if n.startswith("id_")},
    GMID: (3, 1, 0, 0, 4),
}
ID_REGISTERS = frozenset(_ID_TABLE)
"""Registers that can only be read."""

_SYSREG = {name: sysreg_operand(encoding) for name, encoding in _MRS_TABLE.items()}
_READABLE = {**_SYSREG, **{name: sysreg_operand(code) for name, code in _ID_TABLE.items()}}


def _by_encoding(table: Mapping[str, tuple[int, int, int, int, int]]) -> dict[str, int]:
    return {"s{}_{}_c{}_c{}_{}".format(*code): sysreg_operand(code) for code in table.values()}


_BY_ENCODING = _by_encoding(_MRS_TABLE)

_LDA_PLACE = 32 + 5


def _lda_place(offset: int) -> int:
    return offset << _LDA_PLACE


BRANCH_TO = "branch_to"
"""The form that branches into the guest's data, where nothing is to be executed. It is a RET, which
leaves PSTATE.BTYPE zero."""


def _both(position: int) -> Operand:
    """An X register named in both words of a two-word pseudo-instruction."""
    first = x("xd", position)
    return Operand("xd", first.domain, lambda n: n << position | n << 32 + position)


_SPSR = {"el0t": 0x3C0, "el1t": 0x3C4, "el1h": 0x3C5}
"""SPSR_EL1 for an exception return, by mode: all interrupts masked, no flags."""
_SPSR_EL2 = {**_SPSR, "el2t": 0x3C8, "el2h": 0x3C9}
"""The same for SPSR_EL2."""


def _mode(values: dict[str, int]) -> Operand:
    return Operand(
        "mode",
        Choice(values),
        lambda spsr: spsr << 2 * 32 + 5,
        {"spsr": {value: f"{value:#x}" for value in values.values()}},
    )


HVC_LOOP = "hvc_loop"
"""The form of a loop that asks for PSCI's version again and again: a guest that is left and
entered many times within one KVM_RUN."""

UNDEF_LOOP = "undef_loop"
"""The form of a loop in which KVM has the guest take an exception, which returns, again and again
within one KVM_RUN. It brings a handler of its own, and is for EL1h."""
LOOP_VECTORS = RAM_BASE + 0x4800
"""Where its vectors are, in RAM that nothing else uses."""
_HANDLER_WORDS = (0xD538_403E, 0x9100_13DE, 0xD518_403E, 0xD69F_03E0)
LOOP_HANDLER = struct.pack("<4I", *_HANDLER_WORDS)
_FETCH_HANDLER = """\
b .+20
mrs x30, elr_el1
add x30, x30, #4
msr elr_el1, x30
eret
adr x29, .-16
ldp x0, x1, [x29]
"""
"""Code that has the handler in it, jumps over that, and loads it into X0 and X1."""
_FETCH_HANDLER_WORDS = (0x1400_0005, *_HANDLER_WORDS, 0x10FF_FF9D, 0xA940_07A0)

RETURN_VECTORS = "return_vectors"
"""The form that puts such a handler at the vectors of synchronous exceptions from EL1 and EL0: from
then on those return, to the instruction behind, and the run goes on."""

WFI_LOOP = "wfi_loop"
"""The form of a loop in which the guest sets its virtual timer and waits for it in KVM, which takes
the vcpu from its CPU meanwhile: about 0.1 ms each time. KVM tells user space that the time is
up, and again once it sees that the timer is off, for which the guest reads a register that KVM
answers."""

MMIO_LOOP = "mmio_loop"
"""The form of a loop that reads GICD_TYPER of the interrupt controller that `create-gic` makes: KVM
answers each access itself, and enters the guest again."""
_GICD_TYPER = 4

SPIN_LOOP = "spin_loop"
"""The form of a loop that does not leave the guest: what comes then interrupts the guest, and not
KVM. A round is 256 times two instructions, and three of the longest are not yet what the emulator
takes for a guest without end."""

LOOPS = frozenset({HVC_LOOP, MMIO_LOOP, SPIN_LOOP, UNDEF_LOOP, WFI_LOOP})
"""Forms that only take time."""

CALLS: tuple[Form, ...] = (
    Form("hvc", "hvc #{imm}", (0xD400_0002,), (imm("imm", 0, 65535, at(5)),), "sys", "base"),
    Form(
        HVC_LOOP,
        "hvc-loop #{imm}",
        (0xD280_001C, 0xD2B0_8000, 0xD400_0002, 0xD100_079C, 0xB5FF_FFBC),
        (imm("imm", 1, 1024, at(5)),),
        "sys",
        "base",
        asm="movz x28, #{imm}\nmovz x0, #33792, lsl #16\nhvc #0\nsub x28, x28, #1\ncbnz x28, .-12",
    ),
    Form(
        MMIO_LOOP,
        "mmio-loop #{imm}",
        (
            *(0xD280_001C, 0xD2A0_0000 | GIC_DIST >> 16 << 5, 0xB940_0000 | _GICD_TYPER >> 2 << 10),
            *(0xD100_079C, 0xB5FF_FFBC, 0xD280_0000),
        ),
        (imm("imm", 1, 1024, at(5)),),
        "sys",
        "base",
        asm=f"""movz x28, #{{imm}}
movz x0, #{GIC_DIST >> 16}, lsl #16
ldr w0, [x0, #{_GICD_TYPER}]
sub x28, x28, #1
cbnz x28, .-12
movz x0, #0""",
    ),
    Form(
        UNDEF_LOOP,
        "undef-loop #{imm}",
        (
            *(0xD280_001C, *_FETCH_HANDLER_WORDS),
            *(0xD2A8_001D, 0xF289_401D, 0xA900_07A0, 0xD50B_753D, 0xD503_3B9F, 0xD108_03BD),
            *(0xD538_C001, 0xD518_C01D, 0xD503_3FDF),
            *(0xD53B_9C00, 0xD100_079C, 0xB5FF_FFDC, 0xD518_C001, 0xD503_3FDF),
        ),
        (imm("imm", 1, 1024, at(5)),),
        "sys",
        "base",
        asm="movz x28, #{imm}\n"
        + _FETCH_HANDLER
        + """movz x29, #16384, lsl #16
movk x29, #18944
stp x0, x1, [x29]
ic ivau, x29
dsb ish
sub x29, x29, #512
mrs x1, vbar_el1
msr vbar_el1, x29
isb
mrs x0, pmcr_el0
sub x28, x28, #1
cbnz x28, .-8
msr vbar_el1, x1
isb""",
    ),
    Form(
        WFI_LOOP,
        "wfi-loop #{imm}",
        (
            *(0xD280_001C, 0xD53B_E000, 0xD34D_FC00, 0xD51B_E300, 0xD280_0020, 0xD51B_E320),
            *(0xD503_3FDF, 0xD53B_E320, 0x3710_0040, 0xD503_207F, 0xD51B_E33F, 0xD503_3FDF),
            *(0xD538_0400, 0xD100_079C, 0xB5FF_FE7C, 0xD280_0000),
        ),
        (imm("imm", 1, 1024, at(5)),),
        "sys",
        "base",
        asm="""movz x28, #{imm}
mrs x0, cntfrq_el0
lsr x0, x0, #13
msr cntv_tval_el0, x0
movz x0, #1
msr cntv_ctl_el0, x0
isb
mrs x0, cntv_ctl_el0
tbnz w0, #2, .+8
wfi
msr cntv_ctl_el0, xzr
isb
mrs x0, id_aa64pfr0_el1
sub x28, x28, #1
cbnz x28, .-52
movz x0, #0""",
    ),
    Form(
        SPIN_LOOP,
        "spin-loop #{imm}",
        (0xD280_001C, 0xD378_DF9C, 0xD100_079C, 0xB5FF_FFFC),
        (imm("imm", 1, 64, at(5)),),
        "sys",
        "base",
        asm="movz x28, #{imm}\nlsl x28, x28, #8\nsub x28, x28, #1\ncbnz x28, .-4",
    ),
    Form(
        RETURN_VECTORS,
        "return-vectors",
        (
            *(*_FETCH_HANDLER_WORDS, 0xD2A8_001D, 0xF289_001D),
            *(0xA900_07A0, 0xD50B_753D, 0x9108_03BD),
            *(0xA900_07A0, 0xD50B_753D, 0x9108_03BD),
            *(0xA900_07A0, 0xD50B_753D, 0xD503_3B9F, 0xD110_03BD, 0xD518_C01D, 0xD503_3FDF),
        ),
        (),
        "sys",
        "base",
        asm=_FETCH_HANDLER
        + """movz x29, #16384, lsl #16
movk x29, #18432
stp x0, x1, [x29]
ic ivau, x29
add x29, x29, #512
stp x0, x1, [x29]
ic ivau, x29
add x29, x29, #512
stp x0, x1, [x29]
ic ivau, x29
dsb ish
sub x29, x29, #1024
msr vbar_el1, x29
isb""",
    ),
    Form(
        "eret_to",
        "eret-to {mode}",
        (0x1000_00BE, 0xD518_403E, 0xD280_001E, 0xD518_401E, 0xD69F_03E0),
        (_mode(_SPSR),),
        "sys",
        "base",
        asm="adr x30, .+20\nmsr elr_el1, x30\nmovz x30, #{mode.spsr}\nmsr spsr_el1, x30\neret",
    ),
    Form(
        "eret_el2_to",
        "eret-el2-to {mode}",
        (0x1000_00BE, 0xD51C_403E, 0xD280_001E, 0xD51C_401E, 0xD69F_03E0),
        (_mode(_SPSR_EL2),),
        "sys",
        "base",
        asm="adr x30, .+20\nmsr elr_el2, x30\nmovz x30, #{mode.spsr}\nmsr spsr_el2, x30\neret",
    ),
)
"""Calls to the hypervisor, and exception returns, by the registers of EL1 and those of EL2."""

ANY = "inst"
"""The form of a word that need not be an instruction."""


class _MachineWord(IntRange):
    """Any 32 bits, in hexadecimal."""

    def __init__(self) -> None:
        super().__init__(0, 0xFFFF_FFFF)

    def format(self, value: int) -> str:
        return f"{value:#010x}"


NEEDS_ISB = frozenset({"cpacr_el1", "cpacr_el12", "cptr_el2", "hcr_el2"})
"""Controls whose writes take effect at the next context synchronisation event at the latest."""
_HARMLESS = frozenset({"nop", "movz", "movz16", "movk", "lda"})
"""Forms that do the same whichever value of a control is in effect."""


def unsynchronised(program: Sequence[Insn]) -> int:
    """How many instructions of a program may see the old value of a control or the new one."""
    loose, count = False, 0
    for insn in program:
        if insn.form.name in _SYNCHRONISES:
            loose = False
        elif insn.form.name == "msr" and _SYSREG_NAMES.get(insn.args[0]) in NEEDS_ISB:
            loose = True
        elif loose and insn.form.name not in _HARMLESS:
            count += 1
    return count


_SYNCHRONISES = frozenset(
    {"isb", "hvc", RETURN_VECTORS, STAGE_1_ON, TAG_CHECKS, ENABLE_KEYS, *LOOPS - {SPIN_LOOP}}
)
_SYSREG_NAMES = {value: name for name, value in _SYSREG.items()}

FORMS: tuple[Form, ...] = (
    Form(
        "movz",
        "mov {xd}, #{imm}",
        (0xD280_0000,),
        (x("xd", 0), imm("imm", 0, 65535, at(5))),
        "core",
        "base",
    ),
    Form(
        "movz16",
        "movz {xd}, #{imm}, lsl #16",
        (0xD2A0_0000,),
        (x("xd", 0), imm("imm", 0, 65535, at(5))),
        "core",
        "base",
    ),
    Form(
        "movk",
        "movk {xd}, #{imm}, lsl #{shift}",
        (0xF280_0000,),
        (
            x("xd", 0),
            imm("imm", 0, 65535, at(5)),
            choice("shift", {"0": 0, "16": 1, "32": 2, "48": 3}, 21, default=0),
        ),
        "core",
        "base",
    ),
    Form(
        "lda",
        "lda {xd}, ram+{offset}",
        (0xD280_0000 | (RAM_BASE >> 16) << 5 | 1 << 21, 0xF280_0000),
        (_both(0), imm("offset", 0, RAM_SIZE - 1, _lda_place)),
        "core",
        "base",
        asm=f"movz {{xd}}, #{RAM_BASE >> 16:#x}, lsl #16\nmovk {{xd}}, #{{offset}}",
    ),
    Form(
        "add_imm",
        "add {xd}, {xn}, #{imm}",
        (0x9100_0000,),
        (xsp("xd", 0), xsp("xn", 5), imm("imm", 0, 4095, at(10))),
        "core",
        "base",
    ),
    Form(
        "sub_imm",
        "sub {xd}, {xn}, #{imm}",
        (0xD100_0000,),
        (xsp("xd", 0), xsp("xn", 5), imm("imm", 0, 4095, at(10))),
        "core",
        "base",
    ),
    Form(
        "add_x",
        "add {xd}, {xn}, {xm}",
        (0x8B00_0000,),
        (x("xd", 0), x("xn", 5), x("xm", 16)),
        "core",
        "base",
    ),
    Form(
        "sub_x",
        "sub {xd}, {xn}, {xm}",
        (0xCB00_0000,),
        (x("xd", 0), x("xn", 5), x("xm", 16)),
        "core",
        "base",
    ),
    Form(
        "eor_x",
        "eor {xd}, {xn}, {xm}",
        (0xCA00_0000,),
        (x("xd", 0), x("xn", 5), x("xm", 16)),
        "core",
        "base",
    ),
    Form(
        "csel_x",
        "csel {xd}, {xn}, {xm}, {cond}",
        (0x9A80_0000,),
        (x("xd", 0), x("xn", 5), x("xm", 16), condition(12)),
        "core",
        "base",
    ),
    Form(
        "str_x",
        "str {xt}, [{xn}, #{imm}]",
        (0xF900_0000,),
        (x("xt", 0), xsp("xn", 5), imm("imm", 0, 32760, bits(10, 12, scale=8), 8)),
        "mem",
        "base",
    ),
    Form(
        "ldr_x",
        "ldr {xt}, [{xn}, #{imm}]",
        (0xF940_0000,),
        (x("xt", 0), xsp("xn", 5), imm("imm", 0, 32760, bits(10, 12, scale=8), 8)),
        "mem",
        "base",
    ),
    Form(
        "msr",
        "msr {sys}, {xt}",
        (0xD510_0000,),
        (choice("sys", _SYSREG, also=_BY_ENCODING), x("xt", 0)),
        "sys",
        "base",
    ),
    Form(
        "mrs",
        "mrs {xt}, {sys}",
        (0xD530_0000,),
        (x("xt", 0), choice("sys", _READABLE, also=_BY_ENCODING | _by_encoding(_ID_TABLE))),
        "sys",
        "base",
    ),
    Form("isb", "isb", (0xD503_3FDF,), (), "sys", "base"),
    Form("nop", "nop", (0xD503_201F,), (), "core", "base"),
    Form(
        BRANCH_TO,
        "branch-to ram+{offset}",
        (0xD2A8_001D, 0xF280_001D, 0xD65F_03A0),
        (Operand("offset", IntRange(DATA_BASE - RAM_BASE, RAM_SIZE - 4, 4), _lda_place),),
        "sys",
        "base",
        asm="movz x29, #16384, lsl #16\nmovk x29, #{offset}\nret x29",
    ),
    Form("svc", "svc #{imm}", (0xD400_0001,), (imm("imm", 0, 65535, at(5)),), "sys", "base"),
    Form("brk", "brk #{imm}", (0xD420_0000,), (imm("imm", 0, 65535, at(5)),), "sys", "base"),
    Form("udf", "udf #{imm}", (0,), (imm("imm", 0, 65535, at(0)),), "sys", "base"),
    Form(ANY, ".inst {word}", (0,), (Operand("word", _MachineWord(), at(0)),), "sys", "base"),
    STAGE_1_FORM,
    TAGS_FORM,
    *CALLS,
)
