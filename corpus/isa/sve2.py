"""SVE2 integer instructions."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.operands import choice, esize, imm, nowhere, p, split, z
from corpus.isa.rows import rows, shift_rows
from corpus.isa.sve_int import PREDICATED_SHIFT, UNPREDICATED_SHIFT

_ZZZ = (z("zd", 0), esize(), z("zn", 5), z("zm", 16))
_LANES = "{zd}.{t}, {zn}.{t}, {zm}.{t}"
_ACCUMULATE = "{zda}.{t}, {zn}.{t}, {zm}.{t}"
_ACC = (z("zda", 0), esize(), z("zn", 5), z("zm", 16))

_PREDICATED = (
    *rows(
        "sve-lanewise",
        "sve2",
        "{zdn}.{t}, {pg}/m, {zdn}.{t}, {zm}.{t}",
        (z("zdn", 0), esize(), p("pg", 10, 8), z("zm", 5)),
        {
            "srshl": 0x4402_8000,
            "urshl": 0x4403_8000,
            "srshlr": 0x4406_8000,
            "urshlr": 0x4407_8000,
            "sqshl": 0x4408_8000,
            "uqshl": 0x4409_8000,
            "sqrshl": 0x440A_8000,
            "uqrshl": 0x440B_8000,
            "sqshlr": 0x440C_8000,
            "uqshlr": 0x440D_8000,
            "sqrshlr": 0x440E_8000,
            "uqrshlr": 0x440F_8000,
            "shadd": 0x4410_8000,
            "uhadd": 0x4411_8000,
            "shsub": 0x4412_8000,
            "uhsub": 0x4413_8000,
            "srhadd": 0x4414_8000,
            "urhadd": 0x4415_8000,
            "shsubr": 0x4416_8000,
            "uhsubr": 0x4417_8000,
            "sqadd": 0x4418_8000,
            "uqadd": 0x4419_8000,
            "sqsub": 0x441A_8000,
            "uqsub": 0x441B_8000,
            "suqadd": 0x441C_8000,
            "usqadd": 0x441D_8000,
            "sqsubr": 0x441E_8000,
            "uqsubr": 0x441F_8000,
            "addp": 0x4411_A000,
            "smaxp": 0x4414_A000,
            "umaxp": 0x4415_A000,
            "sminp": 0x4416_A000,
            "uminp": 0x4417_A000,
        },
        "_zpz",
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        "{zda}.{t}, {pg}/m, {zn}.{t.half}",
        (z("zda", 0), esize(names="hsd"), p("pg", 10, 8), z("zn", 5)),
        {"sadalp": 0x4404_A000, "uadalp": 0x4405_A000},
        "_zpz",
    ),
    *rows(
        "sve-unary",
        "sve2",
        "{zd}.{t}, {pg}/m, {zn}.{t}",
        (z("zd", 0), esize(), p("pg", 10, 8), z("zn", 5)),
        {"sqabs": 0x4408_A000, "sqneg": 0x4409_A000},
        "_zpz",
    ),
    *rows(
        "sve-unary",
        "sve2",
        "{zd}.s, {pg}/m, {zn}.s",
        (z("zd", 0), p("pg", 10, 8), z("zn", 5)),
        {"urecpe": 0x4480_A000, "ursqrte": 0x4481_A000},
        "_zpz",
    ),
)

_UNPREDICATED = (
    *rows(
        "sve-lanewise",
        "sve2",
        _LANES,
        _ZZZ,
        {
            "mul": 0x0420_6000,
            "smulh": 0x0420_6800,
            "umulh": 0x0420_6C00,
            "sqdmulh": 0x0420_7000,
            "sqrdmulh": 0x0420_7400,
            "eorbt": 0x4500_9000,
            "eortb": 0x4500_9400,
        },
        "_zz",
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        "{zd}.b, {zn}.b, {zm}.b",
        (z("zd", 0), z("zn", 5), z("zm", 16)),
        {"pmul": 0x0420_6400},
        "_zz",
    ),
    *rows(
        "sve-lanewise",
        "bitperm",
        _LANES,
        _ZZZ,
        {"bext": 0x4500_B000, "bdep": 0x4500_B400, "bgrp": 0x4500_B800},
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        _ACCUMULATE,
        _ACC,
        {
            "saba": 0x4500_F800,
            "uaba": 0x4500_FC00,
            "sqrdmlah": 0x4400_7000,
            "sqrdmlsh": 0x4400_7400,
        },
        "_zz",
    ),
    *rows(
        "sve-bitwise",
        "sve2",
        "{zdn}.d, {zdn}.d, {zm}.d, {zk}.d",
        (z("zdn", 0), z("zm", 16), z("zk", 5)),
        {
            "eor3": 0x0420_3800,
            "bcax": 0x0460_3800,
            "bsl": 0x0420_3C00,
            "bsl1n": 0x0460_3C00,
            "bsl2n": 0x04A0_3C00,
            "nbsl": 0x04E0_3C00,
        },
        "_zzz",
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        "{zdn}.{t}, {zdn}.{t}, {zm}.{t}, #{rot}",
        (z("zdn", 0), esize(), z("zm", 5), choice("rot", {"90": 0, "270": 1}, 10)),
        {"cadd": 0x4500_D800, "sqcadd": 0x4501_D800},
        "_zz",
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        "{zda}.{t}, {zn}.{t}, {zm}.{t}, #{rot}",
        (*_ACC, choice("rot", {"0": 0, "90": 1, "180": 2, "270": 3}, 10)),
        {"cmla": 0x4400_2000, "sqrdcmlah": 0x4400_3000},
        "_zz",
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        "{zda}.{t}, {zn}.{t}, {zm}.{t}",
        (z("zda", 0), esize(22, "sd", place=lambda t: (t & 1) << 22), z("zn", 5), z("zm", 16)),
        {
            "adclb": 0x4500_D000,
            "adclt": 0x4500_D400,
            "sbclb": 0x4580_D000,
            "sbclt": 0x4580_D400,
        },
        "_zz",
    ),
)


def _bottom_top(stem: str, word: int) -> dict[str, int]:
    """An instruction on even elements and its twin on odd ones."""
    return {stem + "b": word, stem + "t": word + 0x400}


_WIDE = esize(names="hsd")

_WIDENING = (
    *rows(
        "sve-widen",
        "sve2",
        "{zd}.{t}, {zn}.{t.half}, {zm}.{t.half}",
        (z("zd", 0), _WIDE, z("zn", 5), z("zm", 16)),
        {
            **_bottom_top("saddl", 0x4500_0000),
            **_bottom_top("uaddl", 0x4500_0800),
            **_bottom_top("ssubl", 0x4500_1000),
            **_bottom_top("usubl", 0x4500_1800),
            **_bottom_top("sabdl", 0x4500_3000),
            **_bottom_top("uabdl", 0x4500_3800),
            **_bottom_top("sqdmull", 0x4500_6000),
            **_bottom_top("smull", 0x4500_7000),
            **_bottom_top("umull", 0x4500_7800),
            "saddlbt": 0x4500_8000,
            "ssublbt": 0x4500_8800,
            "ssubltb": 0x4500_8C00,
        },
    ),
    *rows(
        "sve-widen",
        "sve2",
        "{zd}.{t}, {zn}.{t.half}, {zm}.{t.half}",
        (z("zd", 0), esize(names="hd"), z("zn", 5), z("zm", 16)),
        _bottom_top("pmull", 0x4500_6800),
    ),
    *rows(
        "sve-widen",
        "sve2",
        "{zd}.{t}, {zn}.{t}, {zm}.{t.half}",
        (z("zd", 0), _WIDE, z("zn", 5), z("zm", 16)),
        {
            **_bottom_top("saddw", 0x4500_4000),
            **_bottom_top("uaddw", 0x4500_4800),
            **_bottom_top("ssubw", 0x4500_5000),
            **_bottom_top("usubw", 0x4500_5800),
        },
    ),
    *rows(
        "sve-widen",
        "sve2",
        "{zda}.{t}, {zn}.{t.half}, {zm}.{t.half}",
        (z("zda", 0), _WIDE, z("zn", 5), z("zm", 16)),
        {
            **_bottom_top("sabal", 0x4500_C000),
            **_bottom_top("uabal", 0x4500_C800),
            **_bottom_top("smlal", 0x4400_4000),
            **_bottom_top("umlal", 0x4400_4800),
            **_bottom_top("smlsl", 0x4400_5000),
            **_bottom_top("umlsl", 0x4400_5800),
            **_bottom_top("sqdmlal", 0x4400_6000),
            **_bottom_top("sqdmlsl", 0x4400_6800),
            "sqdmlalbt": 0x4400_0800,
            "sqdmlslbt": 0x4400_0C00,
        },
    ),
)

_NARROWING = (
    *rows(
        "sve-narrow",
        "sve2",
        "{zd}.{t.half}, {zn}.{t}, {zm}.{t}",
        (z("zd", 0), _WIDE, z("zn", 5), z("zm", 16)),
        {
            **_bottom_top("addhn", 0x4520_6000),
            **_bottom_top("raddhn", 0x4520_6800),
            **_bottom_top("subhn", 0x4520_7000),
            **_bottom_top("rsubhn", 0x4520_7800),
        },
    ),
    *rows(
        "sve-narrow",
        "sve2",
        "{zd}.{t}, {zn}.{t.wide}",
        (
            z("zd", 0),
            esize(names="bhs", place=lambda t: split((19, 2), (22, 1))(1 << t)),
            z("zn", 5),
        ),
        {
            **_bottom_top("sqxtn", 0x4520_4000),
            **_bottom_top("uqxtn", 0x4520_4800),
            **_bottom_top("sqxtun", 0x4520_5000),
        },
        "_z",
    ),
    *shift_rows(
        "sve-narrow",
        "sve2",
        "{zd}.{t}, {zn}.{t.wide}, #{imm}",
        (z("zd", 0), esize(names="bhs", place=nowhere), z("zn", 5), imm("imm", 0, 32, nowhere)),
        {
            **_bottom_top("sqshrun", 0x4520_0000),
            **_bottom_top("sqrshrun", 0x4520_0800),
            **_bottom_top("shrn", 0x4520_1000),
            **_bottom_top("rshrn", 0x4520_1800),
            **_bottom_top("sqshrn", 0x4520_2000),
            **_bottom_top("sqrshrn", 0x4520_2800),
            **_bottom_top("uqshrn", 0x4520_3000),
            **_bottom_top("uqrshrn", 0x4520_3800),
        },
        "_zi",
        UNPREDICATED_SHIFT,
        right=True,
    ),
)

_BY_IMM = (z("zd", 0), esize(place=nowhere), z("zn", 5), imm("imm", 0, 64, nowhere))
_BY_IMM_GOVERNED = (z("zdn", 0), esize(place=nowhere), p("pg", 10, 8), imm("imm", 0, 64, nowhere))

_SHIFTS = (
    *shift_rows(
        "sve-shift",
        "sve2",
        "{zd}.{t}, {zn}.{t}, #{imm}",
        _BY_IMM,
        {
            "ssra": 0x4500_E000,
            "usra": 0x4500_E400,
            "srsra": 0x4500_E800,
            "ursra": 0x4500_EC00,
            "sri": 0x4500_F000,
        },
        "_zi",
        UNPREDICATED_SHIFT,
        right=True,
    ),
    *shift_rows(
        "sve-shift",
        "sve2",
        "{zd}.{t}, {zn}.{t}, #{imm}",
        _BY_IMM,
        {"sli": 0x4500_F400},
        "_zi",
        UNPREDICATED_SHIFT,
        right=False,
    ),
    *shift_rows(
        "sve-shift",
        "sve2",
        "{zdn}.{t}, {zdn}.{t}, {zm}.{t}, #{imm}",
        (z("zdn", 0), esize(place=nowhere), z("zm", 5), imm("imm", 0, 64, nowhere)),
        {"xar": 0x0420_3400},
        "_zi",
        UNPREDICATED_SHIFT,
        right=True,
    ),
    *shift_rows(
        "sve-shift",
        "sve2",
        "{zdn}.{t}, {pg}/m, {zdn}.{t}, #{imm}",
        _BY_IMM_GOVERNED,
        {"srshr": 0x040C_8000, "urshr": 0x040D_8000},
        "_zpi",
        PREDICATED_SHIFT,
        right=True,
    ),
    *shift_rows(
        "sve-shift",
        "sve2",
        "{zdn}.{t}, {pg}/m, {zdn}.{t}, #{imm}",
        _BY_IMM_GOVERNED,
        {"sqshl": 0x0406_8000, "uqshl": 0x0407_8000, "sqshlu": 0x040F_8000},
        "_zpi",
        PREDICATED_SHIFT,
        right=False,
    ),
    *shift_rows(
        "sve-widen",
        "sve2",
        "{zd}.{t.wide}, {zn}.{t}, #{imm}",
        (z("zd", 0), esize(names="bhs", place=nowhere), z("zn", 5), imm("imm", 0, 31, nowhere)),
        {**_bottom_top("sshll", 0x4500_A000), **_bottom_top("ushll", 0x4500_A800)},
        "_zi",
        UNPREDICATED_SHIFT,
        right=False,
    ),
)

_SEARCH = (
    *rows(
        "sve-compare",
        "sve2",
        "{pd}.{t}, {pg}/z, {zn}.{t}, {zm}.{t}",
        (p("pd", 0), esize(names="bh"), p("pg", 10, 8), z("zn", 5), z("zm", 16)),
        {"match": 0x4520_8000, "nmatch": 0x4520_8010},
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        "{zd}.{t}, {pg}/z, {zn}.{t}, {zm}.{t}",
        (z("zd", 0), esize(names="sd"), p("pg", 10, 8), z("zn", 5), z("zm", 16)),
        {"histcnt": 0x4520_C000},
    ),
    *rows(
        "sve-lanewise",
        "sve2",
        "{zd}.b, {zn}.b, {zm}.b",
        (z("zd", 0), z("zn", 5), z("zm", 16)),
        {"histseg": 0x4520_A000},
    ),
)

FORMS: tuple[Form, ...] = (
    *_PREDICATED,
    *_UNPREDICATED,
    *_WIDENING,
    *_NARROWING,
    *_SHIFTS,
    *_SEARCH,
)
