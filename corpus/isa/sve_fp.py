"""SVE floating point."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.fpimm import fp_immediate
from corpus.isa.operands import at, choice, esize, imm, p, split, v, z
from corpus.isa.rows import rows

_HSD = "hsd"
_GOVERNED = (z("zdn", 0), esize(names=_HSD), p("pg", 10, 8), z("zm", 5))
_MERGING = "{zdn}.{t}, {pg}/m, {zdn}.{t}, {zm}.{t}"
_ZZZ = (z("zd", 0), esize(names=_HSD), z("zn", 5), z("zm", 16))
_ZPZ = (z("zd", 0), esize(names=_HSD), p("pg", 10, 8), z("zn", 5))

_ARITHMETIC = (
    *rows(
        "sve-fp",
        "sve",
        "{zd}.{t}, {zn}.{t}, {zm}.{t}",
        _ZZZ,
        {
            "fadd": 0x6500_0000,
            "fsub": 0x6500_0400,
            "fmul": 0x6500_0800,
            "ftsmul": 0x6500_0C00,
            "frecps": 0x6500_1800,
            "frsqrts": 0x6500_1C00,
            "ftssel": 0x0420_B000,
        },
        "_zz",
    ),
    *rows(
        "sve-fp",
        "sve",
        _MERGING,
        _GOVERNED,
        {
            "fadd": 0x6500_8000,
            "fsub": 0x6501_8000,
            "fmul": 0x6502_8000,
            "fsubr": 0x6503_8000,
            "fmaxnm": 0x6504_8000,
            "fminnm": 0x6505_8000,
            "fmax": 0x6506_8000,
            "fmin": 0x6507_8000,
            "fabd": 0x6508_8000,
            "fscale": 0x6509_8000,
            "fmulx": 0x650A_8000,
            "fdivr": 0x650C_8000,
            "fdiv": 0x650D_8000,
        },
        "_zpz",
    ),
    *rows(
        "sve-fp",
        "sve2",
        _MERGING,
        _GOVERNED,
        {
            "faddp": 0x6410_8000,
            "fmaxnmp": 0x6414_8000,
            "fminnmp": 0x6415_8000,
            "fmaxp": 0x6416_8000,
            "fminp": 0x6417_8000,
        },
        "_zpz",
    ),
)


def _constant(low: str, high: str, table: dict[str, int]) -> tuple[Form, ...]:
    constant = choice("imm", {low: 0, high: 1}, 5)
    operands = (z("zdn", 0), esize(names=_HSD), p("pg", 10, 8), constant)
    return rows("sve-fp", "sve", "{zdn}.{t}, {pg}/m, {zdn}.{t}, #{imm}", operands, table, "_zpi")


_CONSTANTS = (
    *_constant("0.5", "1.0", {"fadd": 0x6518_8000, "fsub": 0x6519_8000, "fsubr": 0x651B_8000}),
    *_constant("0.5", "2.0", {"fmul": 0x651A_8000}),
    *_constant(
        "0.0",
        "1.0",
        {
            "fmaxnm": 0x651C_8000,
            "fminnm": 0x651D_8000,
            "fmax": 0x651E_8000,
            "fmin": 0x651F_8000,
        },
    ),
)

_MULTIPLY_ADD = (
    *rows(
        "sve-fp-fma",
        "sve",
        "{zda}.{t}, {pg}/m, {zn}.{t}, {zm}.{t}",
        (z("zda", 0), esize(names=_HSD), p("pg", 10, 8), z("zn", 5), z("zm", 16)),
        {
            "fmla": 0x6520_0000,
            "fmls": 0x6520_2000,
            "fnmla": 0x6520_4000,
            "fnmls": 0x6520_6000,
        },
        "_zpz",
    ),
    *rows(
        "sve-fp-fma",
        "sve",
        "{zdn}.{t}, {pg}/m, {zm}.{t}, {za}.{t}",
        (z("zdn", 0), esize(names=_HSD), p("pg", 10, 8), z("zm", 5), z("za", 16)),
        {
            "fmad": 0x6520_8000,
            "fmsb": 0x6520_A000,
            "fnmad": 0x6520_C000,
            "fnmsb": 0x6520_E000,
        },
        "_zpz",
    ),
    *rows(
        "sve-fp-complex",
        "sve",
        "{zda}.{t}, {pg}/m, {zn}.{t}, {zm}.{t}, #{rot}",
        (
            z("zda", 0),
            esize(names=_HSD),
            p("pg", 10, 8),
            z("zn", 5),
            z("zm", 16),
            choice("rot", {"0": 0, "90": 1, "180": 2, "270": 3}, 13),
        ),
        {"fcmla": 0x6400_0000},
        "_zpz",
    ),
    *rows(
        "sve-fp-complex",
        "sve",
        "{zdn}.{t}, {pg}/m, {zdn}.{t}, {zm}.{t}, #{rot}",
        (*_GOVERNED, choice("rot", {"90": 0, "270": 1}, 16)),
        {"fcadd": 0x6400_8000},
        "_zpz",
    ),
    *rows(
        "sve-fp",
        "sve",
        "{zdn}.{t}, {zdn}.{t}, {zm}.{t}, #{imm}",
        (z("zdn", 0), esize(names=_HSD), z("zm", 5), imm("imm", 0, 7, at(16))),
        {"ftmad": 0x6510_8000},
    ),
)


def _elements() -> tuple[Form, ...]:
    forms: tuple[Form, ...] = ()
    for letter, bits_, count, index in (
        ("h", 0, 8, imm("imm", 0, 7, split((19, 2), (22, 1)))),
        ("s", 0x0080_0000, 8, imm("imm", 0, 3, at(19))),
        ("d", 0x00C0_0000, 16, imm("imm", 0, 1, at(20))),
    ):
        forms += rows(
            "sve-fp-element",
            "sve",
            f"{{zd}}.{letter}, {{zn}}.{letter}, {{zm}}.{letter}[{{imm}}]",
            (z("zd", 0), z("zn", 5), z("zm", 16, count), index),
            {
                "fmla": 0x6420_0000 | bits_,
                "fmls": 0x6420_0400 | bits_,
                "fmul": 0x6420_2000 | bits_,
            },
            f"_z{letter}x",
        )
    return forms


_COMPARES = (
    *rows(
        "sve-fp-compare",
        "sve",
        "{pd}.{t}, {pg}/z, {zn}.{t}, {zm}.{t}",
        (p("pd", 0), esize(names=_HSD), p("pg", 10, 8), z("zn", 5), z("zm", 16)),
        {
            "fcmge": 0x6500_4000,
            "fcmgt": 0x6500_4010,
            "fcmeq": 0x6500_6000,
            "fcmne": 0x6500_6010,
            "fcmuo": 0x6500_C000,
            "facge": 0x6500_C010,
            "facgt": 0x6500_E010,
        },
        "_zz",
    ),
    *rows(
        "sve-fp-compare",
        "sve",
        "{pd}.{t}, {pg}/z, {zn}.{t}, #0.0",
        (p("pd", 0), esize(names=_HSD), p("pg", 10, 8), z("zn", 5)),
        {
            "fcmge": 0x6510_2000,
            "fcmgt": 0x6510_2010,
            "fcmlt": 0x6511_2000,
            "fcmle": 0x6511_2010,
            "fcmeq": 0x6512_2000,
            "fcmne": 0x6513_2000,
        },
        "_z0",
    ),
)

_UNARY = (
    *rows(
        "sve-fp-unary",
        "sve",
        "{zd}.{t}, {pg}/m, {zn}.{t}",
        _ZPZ,
        {
            "fabs": 0x041C_A000,
            "fneg": 0x041D_A000,
            "frintn": 0x6500_A000,
            "frintp": 0x6501_A000,
            "frintm": 0x6502_A000,
            "frintz": 0x6503_A000,
            "frinta": 0x6504_A000,
            "frintx": 0x6506_A000,
            "frinti": 0x6507_A000,
            "frecpx": 0x650C_A000,
            "fsqrt": 0x650D_A000,
        },
        "_zpz",
    ),
    *rows(
        "sve-fp-unary",
        "sve2",
        "{zd}.{t}, {pg}/m, {zn}.{t}",
        (z("zd", 0), esize(17, _HSD), p("pg", 10, 8), z("zn", 5)),
        {"flogb": 0x6518_A000},
        "_zpz",
    ),
    *rows(
        "sve-fp-unary",
        "sve",
        "{zd}.{t}, {zn}.{t}",
        (z("zd", 0), esize(names=_HSD), z("zn", 5)),
        {"frecpe": 0x650E_3000, "frsqrte": 0x650F_3000, "fexpa": 0x0420_B800},
        "_z",
    ),
)

_CONVERSIONS: dict[str, dict[str, int]] = {
    "fcvt": {
        "hs": 0x6588_A000,
        "sh": 0x6589_A000,
        "hd": 0x65C8_A000,
        "dh": 0x65C9_A000,
        "sd": 0x65CA_A000,
        "ds": 0x65CB_A000,
    },
    "scvtf": {
        "hh": 0x6552_A000,
        "hs": 0x6554_A000,
        "hd": 0x6556_A000,
        "ss": 0x6594_A000,
        "ds": 0x65D0_A000,
        "sd": 0x65D4_A000,
        "dd": 0x65D6_A000,
    },
    "fcvtzs": {
        "hh": 0x655A_A000,
        "sh": 0x655C_A000,
        "dh": 0x655E_A000,
        "ss": 0x659C_A000,
        "sd": 0x65D8_A000,
        "ds": 0x65DC_A000,
        "dd": 0x65DE_A000,
    },
}
"""Fixed bits by mnemonic and the letters of destination and source."""
for _signed, _unsigned in (("scvtf", "ucvtf"), ("fcvtzs", "fcvtzu")):
    _CONVERSIONS[_unsigned] = {
        pair: word + 0x1_0000 for pair, word in _CONVERSIONS[_signed].items()
    }
_CONVERSIONS_SVE2 = {
    "fcvtnt": {"hs": 0x6488_A000, "sd": 0x64CA_A000},
    "fcvtlt": {"sh": 0x6489_A000, "ds": 0x64CB_A000},
    "fcvtx": {"sd": 0x650A_A000},
    "fcvtxnt": {"sd": 0x640A_A000},
}


def _convert(table: dict[str, dict[str, int]], cap: str) -> tuple[Form, ...]:
    return tuple(
        form
        for mnemonic, words in table.items()
        for pair, word in words.items()
        for form in rows(
            "sve-fp-convert",
            cap,
            f"{{zd}}.{pair[0]}, {{pg}}/m, {{zn}}.{pair[1]}",
            (z("zd", 0), p("pg", 10, 8), z("zn", 5)),
            {mnemonic: word},
            f"_z{pair}",
        )
    )


_REDUCTIONS = (
    *rows(
        "sve-fp-reduce",
        "sve",
        "{t}{vd}, {pg}, {zn}.{t}",
        (esize(names=_HSD), v("vd", 0, ""), p("pg", 10, 8), z("zn", 5)),
        {
            "faddv": 0x6500_2000,
            "fmaxnmv": 0x6504_2000,
            "fminnmv": 0x6505_2000,
            "fmaxv": 0x6506_2000,
            "fminv": 0x6507_2000,
        },
        "_z",
    ),
    *rows(
        "sve-fp-reduce",
        "sve",
        "{t}{vdn}, {pg}, {t}{vdn}, {zm}.{t}",
        (esize(names=_HSD), v("vdn", 0, ""), p("pg", 10, 8), z("zm", 5)),
        {"fadda": 0x6518_2000},
        "_z",
    ),
)


def _fp_imm8(position: int) -> Operand:
    return fp_immediate("imm", at(position))


_MOVES = (
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, #{imm}",
        (z("zd", 0), esize(names=_HSD), _fp_imm8(5)),
        {"fdup": 0x2539_C000},
    ),
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, {pg}/m, #{imm}",
        (z("zd", 0), esize(names=_HSD), p("pg", 16), _fp_imm8(5)),
        {"fcpy": 0x0510_C000},
    ),
)

_MATRIX = (
    *rows(
        "sve-fp-matrix",
        "f32mm",
        "{zda}.s, {zn}.s, {zm}.s",
        (z("zda", 0), z("zn", 5), z("zm", 16)),
        {"fmmla": 0x64A0_E400},
        "_s",
    ),
    *rows(
        "sve-fp-matrix",
        "f64mm",
        "{zda}.d, {zn}.d, {zm}.d",
        (z("zda", 0), z("zn", 5), z("zm", 16)),
        {"fmmla": 0x64E0_E400},
        "_d",
    ),
    *rows(
        "sve-fp-fma",
        "sve2",
        "{zda}.s, {zn}.h, {zm}.h",
        (z("zda", 0), z("zn", 5), z("zm", 16)),
        {
            "fmlalb": 0x64A0_8000,
            "fmlalt": 0x64A0_8400,
            "fmlslb": 0x64A0_A000,
            "fmlslt": 0x64A0_A400,
        },
    ),
    *rows(
        "sve-fp-convert",
        "bf16",
        "{zd}.h, {pg}/m, {zn}.s",
        (z("zd", 0), p("pg", 10, 8), z("zn", 5)),
        {"bfcvt": 0x658A_A000, "bfcvtnt": 0x648A_A000},
        "_z",
    ),
)

FORMS: tuple[Form, ...] = (
    *_ARITHMETIC,
    *_CONSTANTS,
    *_MULTIPLY_ADD,
    *_elements(),
    *_COMPARES,
    *_UNARY,
    *_convert(_CONVERSIONS, "sve"),
    *_convert(_CONVERSIONS_SVE2, "sve2"),
    *_REDUCTIONS,
    *_MOVES,
    *_MATRIX,
)
