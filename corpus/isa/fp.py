"""Scalar and AdvSIMD floating point."""

from __future__ import annotations

from corpus.isa.asimd_shift import INDEX_D, INDEX_H, INDEX_S
from corpus.isa.form import Form, Operand
from corpus.isa.operands import (
    arrangement,
    at,
    choice,
    esize,
    imm,
    log2_bytes,
    nowhere,
    q_fp,
    q_only,
    v,
    w,
    x,
)
from corpus.isa.rows import rows, shift_rows

_VECTOR = "2s 4s 2d"
_HALVES = "4h 8h"
_Q = 1 << 30


def _type(t: int) -> int:
    """ftype of scalar instructions: 0 single, 1 double."""
    return t - 2 << 22


_SCALAR_THREE = (esize(names="sd", place=_type), v("vd", 0, ""), v("vn", 5, ""), v("vm", 16, ""))
_SCALAR_TWO = _SCALAR_THREE[:3]
_HALF_THREE = (v("vd", 0, "h"), v("vn", 5, "h"), v("vm", 16, "h"))
_HALF_TYPE = 3 << 22


def _scalar(group: str, tail: str, count: int, table: dict[str, int]) -> tuple[Form, ...]:
    """Scalar rows for single and double precision, and their half-precision twins."""
    full = (*_SCALAR_THREE[: count + 1], *((v("va", 10, ""),) if count == 4 else ()))
    half = (*_HALF_THREE[:count], *((v("va", 10, "h"),) if count == 4 else ()))
    plain = tail.replace("{t}", "")
    halves = {name: word | _HALF_TYPE for name, word in table.items()}
    return rows(group, "fp", tail, full, table, "_sc") + rows(
        group, "fp16", plain, half, halves, "_h"
    )


_CONDITIONS = "eq ne hs lo mi pl vs vc hi ls ge lt gt le al nv".split()  # noqa: SIM905

_SCALAR = (
    *_scalar(
        "fp-arith",
        "{t}{vd}, {t}{vn}, {t}{vm}",
        3,
        {
            "fmul": 0x1E20_0800,
            "fdiv": 0x1E20_1800,
            "fadd": 0x1E20_2800,
            "fsub": 0x1E20_3800,
            "fmax": 0x1E20_4800,
            "fmin": 0x1E20_5800,
            "fmaxnm": 0x1E20_6800,
            "fminnm": 0x1E20_7800,
            "fnmul": 0x1E20_8800,
        },
    ),
    *_scalar(
        "fp-unary",
        "{t}{vd}, {t}{vn}",
        2,
        {
            "fabs": 0x1E20_C000,
            "fneg": 0x1E21_4000,
            "fsqrt": 0x1E21_C000,
            "frintn": 0x1E24_4000,
            "frintp": 0x1E24_C000,
            "frintm": 0x1E25_4000,
            "frintz": 0x1E25_C000,
            "frinta": 0x1E26_4000,
            "frintx": 0x1E27_4000,
            "frinti": 0x1E27_C000,
        },
    ),
    *_scalar(
        "fp-fma",
        "{t}{vd}, {t}{vn}, {t}{vm}, {t}{va}",
        4,
        {
            "fmadd": 0x1F00_0000,
            "fmsub": 0x1F00_8000,
            "fnmadd": 0x1F20_0000,
            "fnmsub": 0x1F20_8000,
        },
    ),
    *rows(
        "fp-compare",
        "fp",
        "{t}{vn}, {t}{vm}",
        (esize(names="sd", place=_type), v("vn", 5, ""), v("vm", 16, "")),
        {"fcmp": 0x1E20_2000, "fcmpe": 0x1E20_2010},
        "_sc",
    ),
    *rows(
        "fp-compare",
        "fp",
        "{t}{vn}, #0.0",
        (esize(names="sd", place=_type), v("vn", 5, "")),
        {"fcmp": 0x1E20_2008, "fcmpe": 0x1E20_2018},
        "_sc0",
    ),
    *rows(
        "fp-select",
        "fp",
        "{t}{vd}, {t}{vn}, {t}{vm}, {cond}",
        (
            *_SCALAR_THREE,
            choice("cond", {name: number for number, name in enumerate(_CONDITIONS)}, 12),
        ),
        {"fcsel": 0x1E20_0C00},
        "_sc",
    ),
    *(
        form
        for to, come_from, cap, word in (
            ("d", "s", "fp", 0x1E22_C000),
            ("h", "s", "fp", 0x1E23_C000),
            ("s", "d", "fp", 0x1E62_4000),
            ("h", "d", "fp", 0x1E63_C000),
            ("s", "h", "fp", 0x1EE2_4000),
            ("d", "h", "fp", 0x1EE2_C000),
        )
        for form in rows(
            "fp-convert",
            cap,
            "{vd}, {vn}",
            (v("vd", 0, to), v("vn", 5, come_from)),
            {"fcvt": word},
            f"_{to}{come_from}",
        )
    ),
)

_TO_INTEGER = {
    "fcvtns": 0x1E20_0000,
    "fcvtnu": 0x1E21_0000,
    "fcvtas": 0x1E24_0000,
    "fcvtau": 0x1E25_0000,
    "fcvtps": 0x1E28_0000,
    "fcvtpu": 0x1E29_0000,
    "fcvtms": 0x1E30_0000,
    "fcvtmu": 0x1E31_0000,
    "fcvtzs": 0x1E38_0000,
    "fcvtzu": 0x1E39_0000,
}
_FROM_INTEGER = {"scvtf": 0x1E22_0000, "ucvtf": 0x1E23_0000}


def _general() -> tuple[Form, ...]:
    forms: tuple[Form, ...] = ()
    source = (esize(names="sd", place=_type), v("vn", 5, ""))
    target = (esize(names="sd", place=_type), v("vd", 0, ""))
    for kind, wide in (("w", 0), ("x", 1 << 31)):
        register = x if kind == "x" else w
        to = {name: word | wide for name, word in _TO_INTEGER.items()}
        back = {name: word | wide for name, word in _FROM_INTEGER.items()}
        forms += rows(
            "fp-to-general",
            "fp",
            "{rd}, {t}{vn}",
            (register("rd", 0), *source),
            to,
            f"_{kind}",
        )
        forms += rows(
            "fp-from-general",
            "fp",
            "{t}{vd}, {rn}",
            (*target, register("rn", 5)),
            back,
            f"_{kind}",
        )
    return forms


def _vector(
    group: str, tail: str, operands: tuple[Operand, ...], table: dict[str, int], suffix: str = "_v"
) -> tuple[Form, ...]:
    t = arrangement(_VECTOR, place=q_fp)
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

_TWO_MISC = {
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
_ZERO = {
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
    *_vector("asimd-fp-2misc", "{vd}.{t}, {vn}.{t}", _TWO, _TWO_MISC),
    *_vector("asimd-fp-2misc", "{vd}.{t}, {vn}.{t}, #0.0", _TWO, _ZERO, "_v0"),
    *rows(
        "asimd-fp-2misc",
        "fp16",
        "{vd}.{t}, {vn}.{t}",
        _TWO_H,
        {name: _half_two(word) for name, word in _TWO_MISC.items()},
        "_vh",
    ),
    *rows(
        "asimd-fp-2misc",
        "fp16",
        "{vd}.{t}, {vn}.{t}, #0.0",
        _TWO_H,
        {name: _half_two(word) for name, word in _ZERO.items()},
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

_SCALAR_SIMD = (
    *rows(
        "fp-compare-mask",
        "fp",
        "{t}{vd}, {t}{vn}, {t}{vm}",
        _SCALAR_THREE,
        {
            "fcmeq": 0x5E20_E400,
            "fcmge": 0x7E20_E400,
            "fcmgt": 0x7EA0_E400,
            "facge": 0x7E20_EC00,
            "facgt": 0x7EA0_EC00,
        },
        "_sc",
    ),
    *rows(
        "fp-arith",
        "fp",
        "{t}{vd}, {t}{vn}, {t}{vm}",
        _SCALAR_THREE,
        {
            "fmulx": 0x5E20_DC00,
            "frecps": 0x5E20_FC00,
            "frsqrts": 0x5EA0_FC00,
            "fabd": 0x7EA0_D400,
        },
        "_sc",
    ),
    *rows(
        "fp-compare-mask",
        "fp",
        "{t}{vd}, {t}{vn}, #0.0",
        _SCALAR_TWO,
        {name: word | 5 << 28 for name, word in _ZERO.items()},
        "_sc0",
    ),
    *rows(
        "fp-unary",
        "fp",
        "{t}{vd}, {t}{vn}",
        _SCALAR_TWO,
        {
            **{
                name: word | 5 << 28
                for name, word in _TWO_MISC.items()
                if name.startswith(("fcvt", "scvtf", "ucvtf", "frecpe", "frsqrte"))
            },
            "frecpx": 0x5EA1_F800,
        },
        "_sc",
    ),
    *rows(
        "fp-unary",
        "fp",
        "{sd}, {dn}",
        (v("sd", 0, "s"), v("dn", 5, "d")),
        {"fcvtxn": 0x7E61_6800},
        "_sc",
    ),
)

_FIXED = {"scvtf": 0x0F00_E400, "fcvtzs": 0x0F00_FC00, "ucvtf": 0x2F00_E400, "fcvtzu": 0x2F00_FC00}

_FIXED_POINT_FORMS = (
    *shift_rows(
        "asimd-fp-fixed",
        "fp",
        "{vd}.{t}, {vn}.{t}, #{imm}",
        (v("vd", 0), arrangement(_VECTOR, place=q_only), v("vn", 5), imm("imm", 0, 64, nowhere)),
        _FIXED,
        "_vi",
        at(16),
        right=True,
        log2=log2_bytes,
    ),
    *shift_rows(
        "fp-fixed",
        "fp",
        "{t}{vd}, {t}{vn}, #{imm}",
        (
            esize(names="sd", place=nowhere),
            v("vd", 0, ""),
            v("vn", 5, ""),
            imm("imm", 0, 64, nowhere),
        ),
        {name: word | 5 << 28 for name, word in _FIXED.items()},
        "_sci",
        at(16),
        right=True,
    ),
)

FORMS: tuple[Form, ...] = (
    *_SCALAR,
    *_general(),
    *_VECTORS,
    *_TWOS,
    *_precision("4h 8h", 0),
    *_precision("2s 4s", 1),
    *_elements(),
    *_REDUCTIONS,
    *_SCALAR_SIMD,
    *_FIXED_POINT_FORMS,
    *rows(
        "fp-convert",
        "bf16-fp",
        "{hd}, {sn}",
        (v("hd", 0, "h"), v("sn", 5, "s")),
        {"bfcvt": 0x1E63_4000},
        "_sc",
    ),
)
