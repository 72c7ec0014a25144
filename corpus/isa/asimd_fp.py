"""AdvSIMD floating point: on vectors, across them, by element, and to other precisions."""

from __future__ import annotations

from corpus.isa.asimd_shift import INDEX_D, INDEX_H, INDEX_S
from corpus.isa.form import Form, Operand
from corpus.isa.operands import (
    arrangement,
    imm,
    nowhere,
    q_fp,
    q_only,
    v,
)
from corpus.isa.rows import rows

VECTOR = "2s 4s 2d"
"""Arrangements of whole lanes."""
_HALVES = "4h 8h"
_Q = 1 << 30


def _vector(
    group: str, tail: str, operands: tuple[Operand, ...], table: dict[str, int], suffix: str = "_v"
) -> tuple[Form, ...]:
    t = arrangement(VECTOR, place=q_fp)
    return rows(group, "fp", tail, (operands[0], t, *operands[1:]), table, suffix)


_THREE = (v("vd", 0), v("vn", 5), v("vm", 16))
_SAME = "{vd}.{t}, {vn}.{t}, {vm}.{t}"

_THREE_SAME = {
    "fmaxnm": 0x0E20_C400,
    "fmla": 0x0E20_CC00,
    "fadd": 0x0E20_D400,
    "fmulx": 0x0E20_DC00,
    "fcmeq": 0x0E20_E400,
    "fmax": 0x0E20_F400,
    "frecps": 0x0E20_FC00,
    "fminnm": 0x0EA0_C400,
    "fmls": 0x0EA0_CC00,
    "fsub": 0x0EA0_D400,
    "fmin": 0x0EA0_F400,
    "frsqrts": 0x0EA0_FC00,
    "fmaxnmp": 0x2E20_C400,
    "faddp": 0x2E20_D400,
    "fmul": 0x2E20_DC00,
    "fcmge": 0x2E20_E400,
    "facge": 0x2E20_EC00,
    "fmaxp": 0x2E20_F400,
    "fdiv": 0x2E20_FC00,
    "fminnmp": 0x2EA0_C400,
    "fabd": 0x2EA0_D400,
    "fcmgt": 0x2EA0_E400,
    "facgt": 0x2EA0_EC00,
    "fminp": 0x2EA0_F400,
}


def _half_three(word: int) -> int:
    """The half-precision twin of a three-register encoding: opcode in 13:11, bit 22 set."""
    return word & 0xFF80_0000 | 0x0040_0400 | word & 0x3800


_VECTORS = (
    *_vector("asimd-fp-3same", _SAME, _THREE, _THREE_SAME),
    *rows(
        "asimd-fp-3same",
        "fp16",
        _SAME,
        (v("vd", 0), arrangement(_HALVES, place=q_only), v("vn", 5), v("vm", 16)),
        {name: _half_three(word) for name, word in _THREE_SAME.items()},
        "_vh",
    ),
)

TWO_MISC = {
    "frintn": 0x0E21_8800,
    "frintm": 0x0E21_9800,
    "fcvtns": 0x0E21_A800,
    "fcvtms": 0x0E21_B800,
    "fcvtas": 0x0E21_C800,
    "scvtf": 0x0E21_D800,
    "fabs": 0x0EA0_F800,
    "frintp": 0x0EA1_8800,
    "frintz": 0x0EA1_9800,
    "fcvtps": 0x0EA1_A800,
    "fcvtzs": 0x0EA1_B800,
    "frecpe": 0x0EA1_D800,
    "frinta": 0x2E21_8800,
    "frintx": 0x2E21_9800,
    "fcvtnu": 0x2E21_A800,
    "fcvtmu": 0x2E21_B800,
    "fcvtau": 0x2E21_C800,
    "ucvtf": 0x2E21_D800,
    "fneg": 0x2EA0_F800,
    "frinti": 0x2EA1_9800,
    "fcvtpu": 0x2EA1_A800,
    "fcvtzu": 0x2EA1_B800,
    "frsqrte": 0x2EA1_D800,
    "fsqrt": 0x2EA1_F800,
}
ZERO = {
    "fcmgt": 0x0EA0_C800,
    "fcmeq": 0x0EA0_D800,
    "fcmlt": 0x0EA0_E800,
    "fcmge": 0x2EA0_C800,
    "fcmle": 0x2EA0_D800,
}


def _half_two(word: int) -> int:
    """The half-precision twin of a two-register encoding."""
    return word | 0x0058_0000


_TWO = (v("vd", 0), v("vn", 5))
_TWO_H = (v("vd", 0), arrangement(_HALVES, place=q_only), v("vn", 5))

_TWOS = (
    *_vector("asimd-fp-2misc", "{vd}.{t}, {vn}.{t}", _TWO, TWO_MISC),
    *_vector("asimd-fp-2misc", "{vd}.{t}, {vn}.{t}, #0.0", _TWO, ZERO, "_v0"),
    *rows(
        "asimd-fp-2misc",
        "fp16",
        "{vd}.{t}, {vn}.{t}",
        _TWO_H,
        {name: _half_two(word) for name, word in TWO_MISC.items()},
        "_vh",
    ),
    *rows(
        "asimd-fp-2misc",
        "fp16",
        "{vd}.{t}, {vn}.{t}, #0.0",
        _TWO_H,
        {name: _half_two(word) for name, word in ZERO.items()},
        "_vh0",
    ),
)


def _precision(names: str, sz: int) -> tuple[Form, ...]:
    """Conversions between precisions; `names` are the narrow arrangement and its `2` twin."""
    forms: tuple[Form, ...] = ()
    for name, two, q in zip(names.split(), ("", "2"), (0, _Q), strict=True):
        operands = (v("vd", 0), arrangement(name, place=nowhere), v("vn", 5))
        suffix = "_v" + name[-1]
        extra = sz << 22 | q
        table = {f"fcvtn{two}": 0x0E21_6800 | extra}
        if sz:
            table[f"fcvtxn{two}"] = 0x2E21_6800 | extra
        forms += rows("asimd-narrow", "fp", "{vd}.{t}, {vn}.{t.wide}", operands, table, suffix)
        table = {f"fcvtl{two}": 0x0E21_7800 | extra}
        forms += rows("asimd-fp-long", "fp", "{vd}.{t.wide}, {vn}.{t}", operands, table, suffix)
    return forms


def _elements() -> tuple[Form, ...]:
    table = {"fmla": 0x0F00_1000, "fmls": 0x0F00_5000, "fmul": 0x0F00_9000, "fmulx": 0x2F00_9000}
    forms: tuple[Form, ...] = ()
    for letter, names, size, index, cap in (
        ("h", "4h 8h", 0, imm("imm", 0, 7, INDEX_H), "fp16"),
        ("s", "2s 4s", 2, imm("imm", 0, 3, INDEX_S), "fp"),
        ("d", "2d", 3, imm("imm", 0, 1, INDEX_D), "fp"),
    ):
        vm = v("vm", 16, count=16 if letter == "h" else 32)
        sized = {name: word | size << 22 for name, word in table.items()}
        element = f"{{vm}}.{letter}[{{imm}}]"
        forms += rows(
            "asimd-fp-element",
            cap,
            f"{{vd}}.{{t}}, {{vn}}.{{t}}, {element}",
            (v("vd", 0), arrangement(names, place=q_only), v("vn", 5), vm, index),
            sized,
            f"_e{letter}",
        )
        forms += rows(
            "fp-element",
            cap,
            f"{{vd}}, {{vn}}, {element}",
            (v("vd", 0, letter), v("vn", 5, letter), vm, index),
            {name: word | 5 << 28 for name, word in sized.items()},
            f"_sc_e{letter}",
        )
    return forms


_ACROSS = {
    "fmaxnmv": 0x2E30_C800,
    "fmaxv": 0x2E30_F800,
    "fminnmv": 0x2EB0_C800,
    "fminv": 0x2EB0_F800,
}
_PAIR = {
    "fmaxnmp": 0x7E30_C800,
    "faddp": 0x7E30_D800,
    "fmaxp": 0x7E30_F800,
    "fminnmp": 0x7EB0_C800,
    "fminp": 0x7EB0_F800,
}

_REDUCTIONS = (
    *rows(
        "asimd-fp-across",
        "fp",
        "{sd}, {vn}.4s",
        (v("sd", 0, "s"), v("vn", 5)),
        {name: word | _Q for name, word in _ACROSS.items()},
        "_v",
    ),
    *rows(
        "asimd-fp-across",
        "fp16",
        "{hd}, {vn}.{t}",
        (v("hd", 0, "h"), v("vn", 5), arrangement(_HALVES, place=q_only)),
        {name: word & ~(1 << 29) for name, word in _ACROSS.items()},
        "_vh",
    ),
    *rows(
        "asimd-scalar-pair",
        "fp",
        "{t.letter}{vd}, {vn}.{t}",
        (
            v("vd", 0, ""),
            arrangement("2s 2d", place=lambda a: (a >> 1) - 2 << 22),
            v("vn", 5),
        ),
        _PAIR,
        "_sc",
    ),
)

FORMS: tuple[Form, ...] = (
    *_VECTORS,
    *_TWOS,
    *_precision("4h 8h", 0),
    *_precision("2s 4s", 1),
    *_elements(),
    *_REDUCTIONS,
)
