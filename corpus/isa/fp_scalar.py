"""Scalar floating point that `fp` and `fp_simd` leave out: half precision in every form that
has it, comparisons under a condition, fixed point in general registers."""

from __future__ import annotations

from corpus.isa.asimd_fp import TWO_MISC, ZERO
from corpus.isa.form import Form, Operand
from corpus.isa.fp import FROM_INTEGER, TO_INTEGER, condition
from corpus.isa.fpimm import fp_immediate
from corpus.isa.operands import (
    arrangement,
    at,
    esize,
    imm,
    nowhere,
    q_only,
    v,
    w,
    x,
)
from corpus.isa.rows import rows, shift_rows

_SCALAR_BIT = 5 << 28
_X = 1 << 31
_CONDITION = condition(12)


def _type(t: int) -> int:
    """ftype: 0 single, 1 double, 3 half."""
    return (t - 2 & 3) << 22


_SIZE = {"fp": esize(names="sd", place=_type), "fp16": esize(names="h", place=_type)}
_HALF = esize(names="h", place=nowhere)
_VD, _VN, _VM = v("vd", 0, ""), v("vn", 5, ""), v("vm", 16, "")

_HALF_SIMD = (
    *rows(
        "fp-compare-mask",
        "fp16",
        "{t}{vd}, {t}{vn}, {t}{vm}",
        (_HALF, _VD, _VN, _VM),
        {
            "fcmeq": 0x5E40_2400,
            "fcmge": 0x7E40_2400,
            "fcmgt": 0x7EC0_2400,
            "facge": 0x7E40_2C00,
            "facgt": 0x7EC0_2C00,
        },
        "_sch",
    ),
    *rows(
        "fp-arith",
        "fp16",
        "{t}{vd}, {t}{vn}, {t}{vm}",
        (_HALF, _VD, _VN, _VM),
        {
            "fmulx": 0x5E40_1C00,
            "frecps": 0x5E40_3C00,
            "frsqrts": 0x5EC0_3C00,
            "fabd": 0x7EC0_1400,
        },
        "_sch",
    ),
    *rows(
        "fp-compare-mask",
        "fp16",
        "{t}{vd}, {t}{vn}, #0.0",
        (_HALF, _VD, _VN),
        {name: word | 0x0058_0000 | _SCALAR_BIT for name, word in ZERO.items()},
        "_sch0",
    ),
    *rows(
        "fp-unary",
        "fp16",
        "{t}{vd}, {t}{vn}",
        (_HALF, _VD, _VN),
        {
            **{
                name: word | 0x0058_0000 | _SCALAR_BIT
                for name, word in TWO_MISC.items()
                if name.startswith(("fcvt", "scvtf", "ucvtf", "frecpe", "frsqrte"))
            },
            "frecpx": 0x5EF9_F800,
        },
        "_sch",
    ),
)

_FIXED = {"scvtf": 0x0F00_E400, "fcvtzs": 0x0F00_FC00, "ucvtf": 0x2F00_E400, "fcvtzu": 0x2F00_FC00}

_HALF_FIXED = (
    *shift_rows(
        "asimd-fp-fixed",
        "fp16",
        "{vd}.{t}, {vn}.{t}, #{imm}",
        (v("vd", 0), arrangement("4h 8h", place=q_only), v("vn", 5), imm("imm", 0, 64, nowhere)),
        _FIXED,
        "_vhi",
        at(16),
        right=True,
        log2=lambda a: a >> 1,
    ),
    *shift_rows(
        "fp-fixed",
        "fp16",
        "{t}{vd}, {t}{vn}, #{imm}",
        (_HALF, _VD, _VN, imm("imm", 0, 64, nowhere)),
        {name: word | _SCALAR_BIT for name, word in _FIXED.items()},
        "_schi",
        at(16),
        right=True,
    ),
)


def _compares(cap: str, suffix: str) -> tuple[Form, ...]:
    """Comparisons under a condition, of single and double precision or of half precision."""
    t = _SIZE[cap]
    return rows(
        "fp-conditional-compare",
        cap,
        "{t}{vn}, {t}{vm}, #{imm}, {cond}",
        (t, _VN, _VM, imm("imm", 0, 15, at(0)), _CONDITION),
        {"fccmp": 0x1E20_0400, "fccmpe": 0x1E20_0410},
        suffix,
    )


_HALF_PAIRS = rows(
    "asimd-scalar-pair",
    "fp16",
    "{vd}, {vn}.2h",
    (v("vd", 0, "h"), v("vn", 5)),
    {
        "fmaxnmp": 0x5E30_C800,
        "faddp": 0x5E30_D800,
        "fmaxp": 0x5E30_F800,
        "fminnmp": 0x5EB0_C800,
        "fminp": 0x5EB0_F800,
    },
    "_sch",
)

_JAVASCRIPT = rows(
    "fp-to-general",
    "jscvt",
    "{wd}, {dn}",
    (w("wd", 0), v("dn", 5, "d")),
    {"fjcvtzs": 0x1E7E_0000},
)

_HALF_CONTROL = (
    *rows(
        "fp-compare",
        "fp16",
        "{t}{vn}, {t}{vm}",
        (_SIZE["fp16"], _VN, _VM),
        {"fcmp": 0x1E20_2000, "fcmpe": 0x1E20_2010},
        "_sch",
    ),
    *rows(
        "fp-compare",
        "fp16",
        "{t}{vn}, #0.0",
        (_SIZE["fp16"], _VN),
        {"fcmp": 0x1E20_2008, "fcmpe": 0x1E20_2018},
        "_sch0",
    ),
    *rows(
        "fp-select",
        "fp16",
        "{t}{vd}, {t}{vn}, {t}{vm}, {cond}",
        (_SIZE["fp16"], _VD, _VN, _VM, _CONDITION),
        {"fcsel": 0x1E20_0C00},
        "_sch",
    ),
    *rows(
        "fp-move",
        "fp16",
        "{t}{vd}, #{imm}",
        (_SIZE["fp16"], _VD, fp_immediate("imm", at(13))),
        {"fmov": 0x1E20_1000},
        "_schi",
    ),
    *rows(
        "fp-move", "fp16", "{hd}, {xn}", (v("hd", 0, "h"), x("xn", 5)), {"fmov": 0x9EE7_0000}, "_hx"
    ),
    *rows(
        "asimd-to-general",
        "fp16",
        "{xd}, {hn}",
        (x("xd", 0), v("hn", 5, "h")),
        {"fmov": 0x9EE6_0000},
        "_xh",
    ),
)


def _fixed_bits(count: int) -> Operand:
    return imm("imm", 1, count, lambda value: 64 - value << 10)


def _general(kind: str, wide: int) -> tuple[Form, ...]:
    """Conversions from and to general registers: half precision, and fixed point of all."""
    general = x if kind == "x" else w
    bits = _fixed_bits(64 if kind == "x" else 32)
    to = {name: word | wide for name, word in TO_INTEGER.items()}
    back = {name: word | wide for name, word in FROM_INTEGER.items()}
    fixed_to = {name: to[name] & ~(1 << 21) for name in ("fcvtzs", "fcvtzu")}
    fixed_back = {name: word & ~(1 << 21) for name, word in back.items()}
    forms: tuple[Form, ...] = ()
    for cap, suffix in (("fp", f"_f_{kind}"), ("fp16", f"_fh_{kind}")):
        t = _SIZE[cap]
        operands = (general("rd", 0), t, _VN, bits)
        forms += rows("fp-to-general", cap, "{rd}, {t}{vn}, #{imm}", operands, fixed_to, suffix)
        operands = (t, _VD, general("rn", 5), bits)
        forms += rows("fp-from-general", cap, "{t}{vd}, {rn}, #{imm}", operands, fixed_back, suffix)
    t = _SIZE["fp16"]
    return (
        *forms,
        *rows(
            "fp-to-general", "fp16", "{rd}, {t}{vn}", (general("rd", 0), t, _VN), to, f"_h_{kind}"
        ),
        *rows(
            "fp-from-general",
            "fp16",
            "{t}{vd}, {rn}",
            (t, _VD, general("rn", 5)),
            back,
            f"_h_{kind}",
        ),
    )


FORMS: tuple[Form, ...] = (
    *_HALF_SIMD,
    *_HALF_FIXED,
    *_HALF_PAIRS,
    *_HALF_CONTROL,
    *_JAVASCRIPT,
    *_compares("fp", "_sc"),
    *_compares("fp16", "_sch"),
    *_general("w", 0),
    *_general("x", _X),
)
