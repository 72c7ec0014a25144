"""Floating point of the AdvSIMD unit on one lane, and conversions from and to fixed point."""

from __future__ import annotations

from corpus.isa.asimd_fp import TWO_MISC, VECTOR, ZERO
from corpus.isa.form import Form
from corpus.isa.fp import SCALAR_THREE, SCALAR_TWO
from corpus.isa.operands import (
    arrangement,
    at,
    esize,
    imm,
    log2_bytes,
    nowhere,
    q_only,
    v,
)
from corpus.isa.rows import rows, shift_rows

_SCALAR_SIMD = (
    *rows(
        "fp-compare-mask",
        "fp",
        "{t}{vd}, {t}{vn}, {t}{vm}",
        SCALAR_THREE,
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
        SCALAR_THREE,
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
        SCALAR_TWO,
        {name: word | 5 << 28 for name, word in ZERO.items()},
        "_sc0",
    ),
    *rows(
        "fp-unary",
        "fp",
        "{t}{vd}, {t}{vn}",
        SCALAR_TWO,
        {
            **{
                name: word | 5 << 28
                for name, word in TWO_MISC.items()
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
        (v("vd", 0), arrangement(VECTOR, place=q_only), v("vn", 5), imm("imm", 0, 64, nowhere)),
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
