"""Scalar floating point."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.operands import (
    choice,
    esize,
    v,
    w,
    x,
)
from corpus.isa.rows import rows


def _type(t: int) -> int:
    """ftype of scalar instructions: 0 single, 1 double."""
    return t - 2 << 22


SCALAR_THREE = (esize(names="sd", place=_type), v("vd", 0, ""), v("vn", 5, ""), v("vm", 16, ""))
SCALAR_TWO = SCALAR_THREE[:3]
"""Operands of scalar instructions: element size, destination, sources."""
_HALF_THREE = (v("vd", 0, "h"), v("vn", 5, "h"), v("vm", 16, "h"))
_HALF_TYPE = 3 << 22


def _scalar(group: str, tail: str, count: int, table: dict[str, int]) -> tuple[Form, ...]:
    """Scalar rows for single and double precision, and their half-precision twins."""
    full = (*SCALAR_THREE[: count + 1], *((v("va", 10, ""),) if count == 4 else ()))
    half = (*_HALF_THREE[:count], *((v("va", 10, "h"),) if count == 4 else ()))
    plain = tail.replace("{t}", "")
    halves = {name: word | _HALF_TYPE for name, word in table.items()}
    return rows(group, "fp", tail, full, table, "_sc") + rows(
        group, "fp16", plain, half, halves, "_h"
    )


CONDITIONS = "eq ne hs lo mi pl vs vc hi ls ge lt gt le al nv".split()  # noqa: SIM905


def condition(position: int) -> Operand:
    """A condition; an assembler reads cs and cc for hs and lo."""
    numbers = {name: number for number, name in enumerate(CONDITIONS)}
    return choice("cond", numbers, position, {"cs": numbers["hs"], "cc": numbers["lo"]})


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
            *SCALAR_THREE,
            condition(12),
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

TO_INTEGER = {
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
FROM_INTEGER = {"scvtf": 0x1E22_0000, "ucvtf": 0x1E23_0000}


def _general() -> tuple[Form, ...]:
    forms: tuple[Form, ...] = ()
    source = (esize(names="sd", place=_type), v("vn", 5, ""))
    target = (esize(names="sd", place=_type), v("vd", 0, ""))
    for kind, wide in (("w", 0), ("x", 1 << 31)):
        register = x if kind == "x" else w
        to = {name: word | wide for name, word in TO_INTEGER.items()}
        back = {name: word | wide for name, word in FROM_INTEGER.items()}
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


FORMS: tuple[Form, ...] = (*_SCALAR, *_general())
