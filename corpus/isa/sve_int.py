"""SVE integer arithmetic, logic, shifts, reductions and compares on vectors."""

from __future__ import annotations

from corpus.isa.form import Args, Form, Operand
from corpus.isa.operands import (
    at,
    bits,
    choice,
    esize,
    imm,
    nowhere,
    p,
    r,
    split,
    v,
    z,
)
from corpus.isa.rows import rows, shift_rows

_ZZZ = (z("zd", 0), esize(), z("zn", 5), z("zm", 16))
_LANES = "{zd}.{t}, {zn}.{t}, {zm}.{t}"

_UNPREDICATED = (
    *rows(
        "sve-lanewise",
        "sve",
        _LANES,
        _ZZZ,
        {
            "add": 0x0420_0000,
            "sub": 0x0420_0400,
            "sqadd": 0x0420_1000,
            "uqadd": 0x0420_1400,
            "sqsub": 0x0420_1800,
            "uqsub": 0x0420_1C00,
        },
        "_zz",
    ),
    *rows(
        "sve-bitwise",
        "sve",
        "{zd}.d, {zn}.d, {zm}.d",
        (z("zd", 0), z("zn", 5), z("zm", 16)),
        {"and": 0x0420_3000, "orr": 0x0460_3000, "eor": 0x04A0_3000, "bic": 0x04E0_3000},
        "_zz",
    ),
    *rows(
        "sve-shift",
        "sve",
        "{zd}.{t}, {zn}.{t}, {zm}.d",
        (z("zd", 0), esize(names="bhs"), z("zn", 5), z("zm", 16)),
        {"asr": 0x0420_8000, "lsr": 0x0420_8400, "lsl": 0x0420_8C00},
        "_zz_wide",
    ),
)

_GOVERNED = (z("zdn", 0), esize(), p("pg", 10, 8), z("zm", 5))
_MERGING = "{zdn}.{t}, {pg}/m, {zdn}.{t}, {zm}.{t}"

_PREDICATED = (
    *rows(
        "sve-lanewise",
        "sve",
        _MERGING,
        _GOVERNED,
        {
            "add": 0x0400_0000,
            "sub": 0x0401_0000,
            "subr": 0x0403_0000,
            "smax": 0x0408_0000,
            "umax": 0x0409_0000,
            "smin": 0x040A_0000,
            "umin": 0x040B_0000,
            "sabd": 0x040C_0000,
            "uabd": 0x040D_0000,
            "mul": 0x0410_0000,
            "smulh": 0x0412_0000,
            "umulh": 0x0413_0000,
            "orr": 0x0418_0000,
            "eor": 0x0419_0000,
            "and": 0x041A_0000,
            "bic": 0x041B_0000,
        },
        "_zpz",
    ),
    *rows(
        "sve-lanewise",
        "sve",
        _MERGING,
        (z("zdn", 0), esize(names="sd"), p("pg", 10, 8), z("zm", 5)),
        {
            "sdiv": 0x0414_0000,
            "udiv": 0x0415_0000,
            "sdivr": 0x0416_0000,
            "udivr": 0x0417_0000,
        },
        "_zpz",
    ),
    *rows(
        "sve-shift",
        "sve",
        _MERGING,
        _GOVERNED,
        {
            "asr": 0x0410_8000,
            "lsr": 0x0411_8000,
            "lsl": 0x0413_8000,
            "asrr": 0x0414_8000,
            "lsrr": 0x0415_8000,
            "lslr": 0x0417_8000,
        },
        "_zpz",
    ),
    *rows(
        "sve-shift",
        "sve",
        "{zdn}.{t}, {pg}/m, {zdn}.{t}, {zm}.d",
        (z("zdn", 0), esize(names="bhs"), p("pg", 10, 8), z("zm", 5)),
        {"asr": 0x0418_8000, "lsr": 0x0419_8000, "lsl": 0x041B_8000},
        "_zpz_wide",
    ),
)


def _unary(names: str, table: dict[str, int]) -> tuple[Form, ...]:
    operands = (z("zd", 0), esize(names=names), p("pg", 10, 8), z("zn", 5))
    return rows("sve-unary", "sve", "{zd}.{t}, {pg}/m, {zn}.{t}", operands, table, "_zpz")


_UNARY = (
    *_unary(
        "bhsd",
        {
            "abs": 0x0416_A000,
            "neg": 0x0417_A000,
            "cls": 0x0418_A000,
            "clz": 0x0419_A000,
            "cnt": 0x041A_A000,
            "cnot": 0x041B_A000,
            "not": 0x041E_A000,
            "rbit": 0x0527_8000,
        },
    ),
    *_unary("hsd", {"sxtb": 0x0410_A000, "uxtb": 0x0411_A000, "revb": 0x0524_8000}),
    *_unary("sd", {"sxth": 0x0412_A000, "uxth": 0x0413_A000, "revh": 0x0525_8000}),
    *_unary("d", {"sxtw": 0x0414_A000, "uxtw": 0x0415_A000, "revw": 0x0526_8000}),
)

_MULTIPLY_ADD = (
    *rows(
        "sve-mla",
        "sve",
        "{zda}.{t}, {pg}/m, {zn}.{t}, {zm}.{t}",
        (z("zda", 0), esize(), p("pg", 10, 8), z("zn", 5), z("zm", 16)),
        {"mla": 0x0400_4000, "mls": 0x0400_6000},
        "_zpz",
    ),
    *rows(
        "sve-mla",
        "sve",
        "{zdn}.{t}, {pg}/m, {zm}.{t}, {za}.{t}",
        (z("zdn", 0), esize(), p("pg", 10, 8), z("zm", 16), z("za", 5)),
        {"mad": 0x0400_C000, "msb": 0x0400_E000},
        "_zpz",
    ),
)

_REDUCTIONS = (
    *rows(
        "sve-reduce",
        "sve",
        "{t}{vd}, {pg}, {zn}.{t}",
        (esize(), v("vd", 0, ""), p("pg", 10, 8), z("zn", 5)),
        {
            "smaxv": 0x0408_2000,
            "umaxv": 0x0409_2000,
            "sminv": 0x040A_2000,
            "uminv": 0x040B_2000,
            "orv": 0x0418_2000,
            "eorv": 0x0419_2000,
            "andv": 0x041A_2000,
        },
        "_z",
    ),
    *rows(
        "sve-reduce",
        "sve",
        "{dd}, {pg}, {zn}.{t}",
        (v("dd", 0, "d"), p("pg", 10, 8), z("zn", 5), esize(names="bhs")),
        {"saddv": 0x0400_2000},
        "_z",
    ),
    *rows(
        "sve-reduce",
        "sve",
        "{dd}, {pg}, {zn}.{t}",
        (v("dd", 0, "d"), p("pg", 10, 8), z("zn", 5), esize()),
        {"uaddv": 0x0401_2000},
        "_z",
    ),
)

UNPREDICATED_SHIFT = split((16, 5), (22, 2))
PREDICATED_SHIFT = split((5, 5), (22, 2))
_BY_IMM = (z("zd", 0), esize(place=nowhere), z("zn", 5), imm("imm", 0, 64, nowhere))
_BY_IMM_GOVERNED = (
    z("zdn", 0),
    esize(place=nowhere),
    p("pg", 10, 8),
    imm("imm", 0, 64, nowhere),
)

_SHIFTS_BY_IMMEDIATE = (
    *shift_rows(
        "sve-shift",
        "sve",
        "{zd}.{t}, {zn}.{t}, #{imm}",
        _BY_IMM,
        {"asr": 0x0420_9000, "lsr": 0x0420_9400},
        "_zi",
        UNPREDICATED_SHIFT,
        right=True,
    ),
    *shift_rows(
        "sve-shift",
        "sve",
        "{zd}.{t}, {zn}.{t}, #{imm}",
        _BY_IMM,
        {"lsl": 0x0420_9C00},
        "_zi",
        UNPREDICATED_SHIFT,
        right=False,
    ),
    *shift_rows(
        "sve-shift",
        "sve",
        "{zdn}.{t}, {pg}/m, {zdn}.{t}, #{imm}",
        _BY_IMM_GOVERNED,
        {"asr": 0x0400_8000, "lsr": 0x0401_8000, "asrd": 0x0404_8000},
        "_zpi",
        PREDICATED_SHIFT,
        right=True,
    ),
    *shift_rows(
        "sve-shift",
        "sve",
        "{zdn}.{t}, {pg}/m, {zdn}.{t}, #{imm}",
        _BY_IMM_GOVERNED,
        {"lsl": 0x0403_8000},
        "_zpi",
        PREDICATED_SHIFT,
        right=False,
    ),
)

SHIFTED = choice("sh", {"": 0, ", lsl #8": 1}, 13, {", lsl #0": 0})
"""The optional left shift of an 8-bit immediate; byte elements have none."""


def shifted_valid(args: Args) -> bool:
    """For operands (_, t, ..., sh): no shift with byte elements."""
    return args[1] != 0 or args[-1] == 0


def shifted_repair(args: Args) -> Args:
    """Drops the shift."""
    return (*args[:-1], 0)


def _wide_immediate(operand: Operand, table: dict[str, int]) -> tuple[Form, ...]:
    return rows(
        "sve-lanewise",
        "sve",
        "{zdn}.{t}, {zdn}.{t}, #{imm}",
        (z("zdn", 0), esize(), operand),
        table,
        "_zi",
    )


_WIDE_IMMEDIATE = (
    *rows(
        "sve-lanewise",
        "sve",
        "{zdn}.{t}, {zdn}.{t}, #{imm}{sh}",
        (z("zdn", 0), esize(), imm("imm", 0, 255, at(5)), SHIFTED),
        {
            "add": 0x2520_C000,
            "sub": 0x2521_C000,
            "subr": 0x2523_C000,
            "sqadd": 0x2524_C000,
            "uqadd": 0x2525_C000,
            "sqsub": 0x2526_C000,
            "uqsub": 0x2527_C000,
        },
        "_zi",
        valid=shifted_valid,
        repair=shifted_repair,
    ),
    *_wide_immediate(
        imm("imm", -128, 127, bits(5, 8)),
        {"smax": 0x2528_C000, "smin": 0x252A_C000, "mul": 0x2530_C000},
    ),
    *_wide_immediate(imm("imm", 0, 255, at(5)), {"umax": 0x2529_C000, "umin": 0x252B_C000}),
)

_COMPARES = (
    *rows(
        "sve-compare",
        "sve",
        "{pd}.{t}, {pg}/z, {zn}.{t}, {zm}.{t}",
        (p("pd", 0), esize(), p("pg", 10, 8), z("zn", 5), z("zm", 16)),
        {
            "cmphs": 0x2400_0000,
            "cmphi": 0x2400_0010,
            "cmpge": 0x2400_8000,
            "cmpgt": 0x2400_8010,
            "cmpeq": 0x2400_A000,
            "cmpne": 0x2400_A010,
        },
        "_zz",
    ),
    *rows(
        "sve-compare",
        "sve",
        "{pd}.{t}, {pg}/z, {zn}.{t}, {zm}.d",
        (p("pd", 0), esize(names="bhs"), p("pg", 10, 8), z("zn", 5), z("zm", 16)),
        {
            "cmpeq": 0x2400_2000,
            "cmpne": 0x2400_2010,
            "cmpge": 0x2400_4000,
            "cmpgt": 0x2400_4010,
            "cmplt": 0x2400_6000,
            "cmple": 0x2400_6010,
            "cmphs": 0x2400_C000,
            "cmphi": 0x2400_C010,
            "cmplo": 0x2400_E000,
            "cmpls": 0x2400_E010,
        },
        "_zz_wide",
    ),
    *rows(
        "sve-compare",
        "sve",
        "{pd}.{t}, {pg}/z, {zn}.{t}, #{imm}",
        (p("pd", 0), esize(), p("pg", 10, 8), z("zn", 5), imm("imm", 0, 127, at(14))),
        {
            "cmphs": 0x2420_0000,
            "cmphi": 0x2420_0010,
            "cmplo": 0x2420_2000,
            "cmpls": 0x2420_2010,
        },
        "_zi",
    ),
    *rows(
        "sve-compare",
        "sve",
        "{pd}.{t}, {pg}/z, {zn}.{t}, #{imm}",
        (p("pd", 0), esize(), p("pg", 10, 8), z("zn", 5), imm("imm", -16, 15, bits(16, 5))),
        {
            "cmpge": 0x2500_0000,
            "cmpgt": 0x2500_0010,
            "cmplt": 0x2500_2000,
            "cmple": 0x2500_2010,
            "cmpeq": 0x2500_8000,
            "cmpne": 0x2500_8010,
        },
        "_zi",
    ),
)

_INDEX = (
    *rows(
        "sve-index",
        "sve",
        "{zd}.{t}, #{imm}, #{imm2}",
        (z("zd", 0), esize(), imm("imm", -16, 15, bits(5, 5)), imm("imm2", -16, 15, bits(16, 5))),
        {"index": 0x0420_4000},
        "_ii",
    ),
    *rows(
        "sve-index",
        "sve",
        "{zd}.{t}, {t.r}{rn}, #{imm}",
        (z("zd", 0), esize(), r("rn", 5), imm("imm", -16, 15, bits(16, 5))),
        {"index": 0x0420_4400},
        "_ri",
    ),
    *rows(
        "sve-index",
        "sve",
        "{zd}.{t}, #{imm}, {t.r}{rm}",
        (z("zd", 0), esize(), imm("imm", -16, 15, bits(5, 5)), r("rm", 16)),
        {"index": 0x0420_4800},
        "_ir",
    ),
    *rows(
        "sve-index",
        "sve",
        "{zd}.{t}, {t.r}{rn}, {t.r}{rm}",
        (z("zd", 0), esize(), r("rn", 5), r("rm", 16)),
        {"index": 0x0420_4C00},
        "_rr",
    ),
)

FORMS: tuple[Form, ...] = (
    *_UNPREDICATED,
    *_PREDICATED,
    *_UNARY,
    *_MULTIPLY_ADD,
    *_REDUCTIONS,
    *_SHIFTS_BY_IMMEDIATE,
    *_WIDE_IMMEDIATE,
    *_COMPARES,
    *_INDEX,
)
