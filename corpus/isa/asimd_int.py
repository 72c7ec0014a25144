"""AdvSIMD integer arithmetic: same-size, widening, narrowing, pairwise, across, dot products."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.operands import arrangement, esize, q_fp, q_only, size_only, v
from corpus.isa.rows import rows

_BHSD = "8b 16b 4h 8h 2s 4s 2d"
_BHS = "8b 16b 4h 8h 2s 4s"
_HS = "4h 8h 2s 4s"
_B = "8b 16b"
_LOW = "8b 4h 2s"
_HIGH = "16b 8h 4s"

_SAME = "{vd}.{t}, {vn}.{t}, {vm}.{t}"
_Q = 1 << 30


def _three(names: str, table: dict[str, int]) -> tuple[Form, ...]:
    operands = (v("vd", 0), arrangement(names), v("vn", 5), v("vm", 16))
    return rows("asimd-3same", "fp", _SAME, operands, table, "_v")


_THREE_SAME = (
    *_three(
        _BHSD,
        {
            "sqadd": 0x0E20_0C00,
            "sqsub": 0x0E20_2C00,
            "cmgt": 0x0E20_3400,
            "cmge": 0x0E20_3C00,
            "sshl": 0x0E20_4400,
            "sqshl": 0x0E20_4C00,
            "srshl": 0x0E20_5400,
            "sqrshl": 0x0E20_5C00,
            "add": 0x0E20_8400,
            "cmtst": 0x0E20_8C00,
            "addp": 0x0E20_BC00,
            "uqadd": 0x2E20_0C00,
            "uqsub": 0x2E20_2C00,
            "cmhi": 0x2E20_3400,
            "cmhs": 0x2E20_3C00,
            "ushl": 0x2E20_4400,
            "uqshl": 0x2E20_4C00,
            "urshl": 0x2E20_5400,
            "uqrshl": 0x2E20_5C00,
            "sub": 0x2E20_8400,
            "cmeq": 0x2E20_8C00,
        },
    ),
    *_three(
        _BHS,
        {
            "shadd": 0x0E20_0400,
            "srhadd": 0x0E20_1400,
            "shsub": 0x0E20_2400,
            "smax": 0x0E20_6400,
            "smin": 0x0E20_6C00,
            "sabd": 0x0E20_7400,
            "saba": 0x0E20_7C00,
            "mla": 0x0E20_9400,
            "mul": 0x0E20_9C00,
            "smaxp": 0x0E20_A400,
            "sminp": 0x0E20_AC00,
            "uhadd": 0x2E20_0400,
            "urhadd": 0x2E20_1400,
            "uhsub": 0x2E20_2400,
            "umax": 0x2E20_6400,
            "umin": 0x2E20_6C00,
            "uabd": 0x2E20_7400,
            "uaba": 0x2E20_7C00,
            "mls": 0x2E20_9400,
            "umaxp": 0x2E20_A400,
            "uminp": 0x2E20_AC00,
        },
    ),
    *_three(_B, {"pmul": 0x2E20_9C00}),
    *_three(
        _HS,
        {
            "sqdmulh": 0x0E20_B400,
            "sqrdmulh": 0x2E20_B400,
            "sqrdmlah": 0x2E00_8400,
            "sqrdmlsh": 0x2E00_8C00,
        },
    ),
    *rows(
        "asimd-logic",
        "fp",
        _SAME,
        (v("vd", 0), arrangement(_B, place=q_only), v("vn", 5), v("vm", 16)),
        {
            "and": 0x0E20_1C00,
            "bic": 0x0E60_1C00,
            "orr": 0x0EA0_1C00,
            "orn": 0x0EE0_1C00,
            "eor": 0x2E20_1C00,
            "bsl": 0x2E60_1C00,
            "bit": 0x2EA0_1C00,
            "bif": 0x2EE0_1C00,
        },
        "_v",
    ),
)

_SCALAR = "{t}{vd}, {t}{vn}, {t}{vm}"


def _scalar_three(names: str, table: dict[str, int]) -> tuple[Form, ...]:
    operands = (esize(names=names), v("vd", 0, ""), v("vn", 5, ""), v("vm", 16, ""))
    return rows("asimd-scalar-3same", "fp", _SCALAR, operands, table, "_sc")


_SCALAR_THREE_SAME = (
    *_scalar_three(
        "d",
        {
            "cmgt": 0x5E20_3400,
            "cmge": 0x5E20_3C00,
            "sshl": 0x5E20_4400,
            "srshl": 0x5E20_5400,
            "add": 0x5E20_8400,
            "cmtst": 0x5E20_8C00,
            "cmhi": 0x7E20_3400,
            "cmhs": 0x7E20_3C00,
            "ushl": 0x7E20_4400,
            "urshl": 0x7E20_5400,
            "sub": 0x7E20_8400,
            "cmeq": 0x7E20_8C00,
        },
    ),
    *_scalar_three(
        "bhsd",
        {
            "sqadd": 0x5E20_0C00,
            "sqsub": 0x5E20_2C00,
            "sqshl": 0x5E20_4C00,
            "sqrshl": 0x5E20_5C00,
            "uqadd": 0x7E20_0C00,
            "uqsub": 0x7E20_2C00,
            "uqshl": 0x7E20_4C00,
            "uqrshl": 0x7E20_5C00,
        },
    ),
    *_scalar_three(
        "hs",
        {
            "sqdmulh": 0x5E20_B400,
            "sqrdmulh": 0x7E20_B400,
            "sqrdmlah": 0x7E00_8400,
            "sqrdmlsh": 0x7E00_8C00,
        },
    ),
)


def _both_halves(
    tail: str, table: dict[str, int], low: str = _LOW, high: str = _HIGH
) -> tuple[Form, ...]:
    """An operation on the low halves and its `2` twin on the high ones."""
    forms: tuple[Form, ...] = ()
    for names, two, q in ((low, "", 0), (high, "2", _Q)):
        operands = (v("vd", 0), arrangement(names, place=size_only), v("vn", 5), v("vm", 16))
        twins = {name + two: word | q for name, word in table.items()}
        forms += rows("asimd-3diff", "fp", tail, operands, twins, "_v")
    return forms


_THREE_DIFFERENT = (
    *_both_halves(
        "{vd}.{t.wide}, {vn}.{t}, {vm}.{t}",
        {
            "saddl": 0x0E20_0000,
            "ssubl": 0x0E20_2000,
            "sabal": 0x0E20_5000,
            "sabdl": 0x0E20_7000,
            "smlal": 0x0E20_8000,
            "smlsl": 0x0E20_A000,
            "smull": 0x0E20_C000,
            "uaddl": 0x2E20_0000,
            "usubl": 0x2E20_2000,
            "uabal": 0x2E20_5000,
            "uabdl": 0x2E20_7000,
            "umlal": 0x2E20_8000,
            "umlsl": 0x2E20_A000,
            "umull": 0x2E20_C000,
        },
    ),
    *_both_halves(
        "{vd}.{t.wide}, {vn}.{t.wide}, {vm}.{t}",
        {
            "saddw": 0x0E20_1000,
            "ssubw": 0x0E20_3000,
            "uaddw": 0x2E20_1000,
            "usubw": 0x2E20_3000,
        },
    ),
    *_both_halves(
        "{vd}.{t}, {vn}.{t.wide}, {vm}.{t.wide}",
        {
            "addhn": 0x0E20_4000,
            "subhn": 0x0E20_6000,
            "raddhn": 0x2E20_4000,
            "rsubhn": 0x2E20_6000,
        },
    ),
    *_both_halves(
        "{vd}.{t.wide}, {vn}.{t}, {vm}.{t}",
        {"sqdmlal": 0x0E20_9000, "sqdmlsl": 0x0E20_B000, "sqdmull": 0x0E20_D000},
        "4h 2s",
        "8h 4s",
    ),
    *_both_halves("{vd}.{t.wide}, {vn}.{t}, {vm}.{t}", {"pmull": 0x0E20_E000}, "8b", "16b"),
    *rows(
        "asimd-scalar-3diff",
        "fp",
        "{t.wide}{vd}, {t}{vn}, {t}{vm}",
        (v("vd", 0, ""), esize(names="hs"), v("vn", 5, ""), v("vm", 16, "")),
        {"sqdmlal": 0x5E20_9000, "sqdmlsl": 0x5E20_B000, "sqdmull": 0x5E20_D000},
        "_sc",
    ),
)


def _two(names: str, table: dict[str, int], tail: str = "{vd}.{t}, {vn}.{t}") -> tuple[Form, ...]:
    operands = (v("vd", 0), arrangement(names), v("vn", 5))
    return rows("asimd-2misc", "fp", tail, operands, table, "_v" if "#" not in tail else "_v0")


def _scalar_two(names: str, table: dict[str, int], zero: str = "") -> tuple[Form, ...]:
    operands = (esize(names=names), v("vd", 0, ""), v("vn", 5, ""))
    tail = "{t}{vd}, {t}{vn}" + zero
    return rows("asimd-scalar-2misc", "fp", tail, operands, table, "_sc0" if zero else "_sc")


_NARROW = {"xtn": 0x0E21_2800, "sqxtn": 0x0E21_4800, "sqxtun": 0x2E21_2800, "uqxtn": 0x2E21_4800}
_ZERO_COMPARES = {
    "cmgt": 0x0E20_8800,
    "cmeq": 0x0E20_9800,
    "cmlt": 0x0E20_A800,
    "cmge": 0x2E20_8800,
    "cmle": 0x2E20_9800,
}


def _narrowing() -> tuple[Form, ...]:
    forms: tuple[Form, ...] = ()
    for names, two, q in ((_LOW, "", 0), (_HIGH, "2", _Q)):
        operands = (v("vd", 0), arrangement(names, place=size_only), v("vn", 5))
        table = {name + two: word | q for name, word in _NARROW.items()}
        forms += rows("asimd-narrow", "fp", "{vd}.{t}, {vn}.{t.wide}", operands, table, "_v")
        tail = "{vd}.{t.wide}, {vn}.{t}, #{t.bits}"
        forms += rows("asimd-2misc", "fp", tail, operands, {f"shll{two}": 0x2E21_3800 | q}, "_v")
    return forms


_TWO = (
    *_two(_BHS, {"rev64": 0x0E20_0800, "cls": 0x0E20_4800, "clz": 0x2E20_4800}),
    *_two("8b 16b 4h 8h", {"rev32": 0x2E20_0800}),
    *_two(_B, {"rev16": 0x0E20_1800, "cnt": 0x0E20_5800, "not": 0x2E20_5800, "rbit": 0x2E60_5800}),
    *_two(
        _BHS,
        {
            "saddlp": 0x0E20_2800,
            "sadalp": 0x0E20_6800,
            "uaddlp": 0x2E20_2800,
            "uadalp": 0x2E20_6800,
        },
        "{vd}.{t.pair}, {vn}.{t}",
    ),
    *_two(
        _BHSD,
        {
            "suqadd": 0x0E20_3800,
            "sqabs": 0x0E20_7800,
            "abs": 0x0E20_B800,
            "usqadd": 0x2E20_3800,
            "sqneg": 0x2E20_7800,
            "neg": 0x2E20_B800,
        },
    ),
    *_two(_BHSD, _ZERO_COMPARES, "{vd}.{t}, {vn}.{t}, #0"),
    *rows(
        "asimd-2misc",
        "fp",
        "{vd}.{t}, {vn}.{t}",
        (v("vd", 0), arrangement("2s 4s", place=q_fp), v("vn", 5)),
        {"urecpe": 0x0EA1_C800, "ursqrte": 0x2EA1_C800},
        "_v",
    ),
    *_narrowing(),
    *_scalar_two("d", {"abs": 0x5E20_B800, "neg": 0x7E20_B800}),
    *_scalar_two("d", {name: word | 5 << 28 for name, word in _ZERO_COMPARES.items()}, ", #0"),
    *_scalar_two(
        "bhsd",
        {
            "suqadd": 0x5E20_3800,
            "sqabs": 0x5E20_7800,
            "usqadd": 0x7E20_3800,
            "sqneg": 0x7E20_7800,
        },
    ),
    *rows(
        "asimd-scalar-2misc",
        "fp",
        "{t}{vd}, {t.wide}{vn}",
        (esize(names="bhs"), v("vd", 0, ""), v("vn", 5, "")),
        {"sqxtn": 0x5E21_4800, "sqxtun": 0x7E21_2800, "uqxtn": 0x7E21_4800},
        "_sc",
    ),
    *rows(
        "asimd-scalar-pair",
        "fp",
        "{dd}, {vn}.2d",
        (v("dd", 0, "d"), v("vn", 5)),
        {"addp": 0x5EF1_B800},
        "_sc",
    ),
)

_ACROSS_NAMES = "8b 16b 4h 8h 4s"

_ACROSS = (
    *rows(
        "asimd-across",
        "fp",
        "{t.wletter}{vd}, {vn}.{t}",
        (v("vd", 0, ""), v("vn", 5), arrangement(_ACROSS_NAMES)),
        {"saddlv": 0x0E30_3800, "uaddlv": 0x2E30_3800},
        "_v",
    ),
    *rows(
        "asimd-across",
        "fp",
        "{t.letter}{vd}, {vn}.{t}",
        (v("vd", 0, ""), v("vn", 5), arrangement(_ACROSS_NAMES)),
        {
            "smaxv": 0x0E30_A800,
            "sminv": 0x0E31_A800,
            "addv": 0x0E31_B800,
            "umaxv": 0x2E30_A800,
            "uminv": 0x2E31_A800,
        },
        "_v",
    ),
)

_DOT = (
    *rows(
        "asimd-dot",
        "dotprod",
        "{vd}.{t.quad}, {vn}.{t}, {vm}.{t}",
        (v("vd", 0), arrangement(_B, place=q_only), v("vn", 5), v("vm", 16)),
        {"sdot": 0x0E80_9400, "udot": 0x2E80_9400},
        "_v",
    ),
    *rows(
        "asimd-dot",
        "i8mm-fp",
        "{vd}.{t.quad}, {vn}.{t}, {vm}.{t}",
        (v("vd", 0), arrangement(_B, place=q_only), v("vn", 5), v("vm", 16)),
        {"usdot": 0x0E80_9C00},
        "_v",
    ),
    *rows(
        "asimd-dot",
        "i8mm-fp",
        "{vd}.4s, {vn}.16b, {vm}.16b",
        (v("vd", 0), v("vn", 5), v("vm", 16)),
        {"smmla": 0x4E80_A400, "ummla": 0x6E80_A400, "usmmla": 0x4E80_AC00},
        "_v",
    ),
)

FORMS: tuple[Form, ...] = (
    *_THREE_SAME,
    *_SCALAR_THREE_SAME,
    *_THREE_DIFFERENT,
    *_TWO,
    *_ACROSS,
    *_DOT,
)
