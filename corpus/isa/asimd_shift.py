"""AdvSIMD shifts by immediate and multiplications by one element."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.operands import (
    arrangement,
    at,
    esize,
    imm,
    log2_bytes,
    nowhere,
    q_only,
    size_only,
    split,
    v,
)
from corpus.isa.rows import rows, shift_rows

_BHSD = "8b 16b 4h 8h 2s 4s 2d"
_Q = 1 << 30
_FIELD = at(16)

_RIGHT = {
    "sshr": 0x0F00_0400,
    "ssra": 0x0F00_1400,
    "srshr": 0x0F00_2400,
    "srsra": 0x0F00_3400,
    "ushr": 0x2F00_0400,
    "usra": 0x2F00_1400,
    "urshr": 0x2F00_2400,
    "ursra": 0x2F00_3400,
    "sri": 0x2F00_4400,
}
_LEFT = {"shl": 0x0F00_5400, "sli": 0x2F00_5400}
_SATURATING_LEFT = {"sqshl": 0x0F00_7400, "sqshlu": 0x2F00_6400, "uqshl": 0x2F00_7400}
_NARROWING = {
    "shrn": 0x0F00_8400,
    "rshrn": 0x0F00_8C00,
    "sqshrn": 0x0F00_9400,
    "sqrshrn": 0x0F00_9C00,
    "sqshrun": 0x2F00_8400,
    "sqrshrun": 0x2F00_8C00,
    "uqshrn": 0x2F00_9400,
    "uqrshrn": 0x2F00_9C00,
}
_SCALAR_BIT = 5 << 28
"""What turns the encoding of a vector shift into that of the scalar one."""


def _vector(table: dict[str, int], *, right: bool) -> tuple[Form, ...]:
    return shift_rows(
        "asimd-shift",
        "fp",
        "{vd}.{t}, {vn}.{t}, #{imm}",
        (v("vd", 0), arrangement(_BHSD, place=q_only), v("vn", 5), imm("imm", 0, 64, nowhere)),
        table,
        "_vi",
        _FIELD,
        right=right,
        log2=log2_bytes,
    )


def _scalar(table: dict[str, int], sizes: str, *, right: bool, narrow: bool) -> tuple[Form, ...]:
    source = "{t.wide}" if narrow else "{t}"
    return shift_rows(
        "asimd-scalar-shift",
        "fp",
        f"{{t}}{{vd}}, {source}{{vn}}, #{{imm}}",
        (
            esize(names=sizes, place=nowhere),
            v("vd", 0, ""),
            v("vn", 5, ""),
            imm("imm", 0, 64, nowhere),
        ),
        {name: word | _SCALAR_BIT for name, word in table.items()},
        "_sci",
        _FIELD,
        right=right,
    )


def _half(names: str, q: int, two: str) -> tuple[Form, ...]:
    operands = (
        v("vd", 0),
        arrangement(names, place=nowhere),
        v("vn", 5),
        imm("imm", 0, 64, nowhere),
    )
    narrow = {name + two: word | q for name, word in _NARROWING.items()}
    long = {f"sshll{two}": 0x0F00_A400 | q, f"ushll{two}": 0x2F00_A400 | q}
    return shift_rows(
        "asimd-narrow",
        "fp",
        "{vd}.{t}, {vn}.{t.wide}, #{imm}",
        operands,
        narrow,
        "_vi",
        _FIELD,
        right=True,
        log2=log2_bytes,
    ) + shift_rows(
        "asimd-shift-long",
        "fp",
        "{vd}.{t.wide}, {vn}.{t}, #{imm}",
        operands,
        long,
        "_vi",
        _FIELD,
        right=False,
        log2=log2_bytes,
    )


_SCALAR_NARROWING = {name: word for name, word in _NARROWING.items() if "q" in name}

_SHIFTS = (
    *_vector(_RIGHT, right=True),
    *_vector(_LEFT | _SATURATING_LEFT, right=False),
    *_scalar(_RIGHT, "d", right=True, narrow=False),
    *_scalar(_LEFT, "d", right=False, narrow=False),
    *_scalar(_SATURATING_LEFT, "bhsd", right=False, narrow=False),
    *_scalar(_SCALAR_NARROWING, "bhs", right=True, narrow=True),
    *_half("8b 4h 2s", 0, ""),
    *_half("16b 8h 4s", _Q, "2"),
)

INDEX_H = split((20, 1), (21, 1), (11, 1))
INDEX_S = split((21, 1), (11, 1))
INDEX_D = at(11)
"""Where the element number of a multiplication by element goes: H:L:M, H:L or H."""

_BY_ELEMENT = {
    "mul": 0x0F00_8000,
    "sqdmulh": 0x0F00_C000,
    "sqrdmulh": 0x0F00_D000,
    "mla": 0x2F00_0000,
    "mls": 0x2F00_4000,
    "sqrdmlah": 0x2F00_D000,
    "sqrdmlsh": 0x2F00_F000,
}
_LONG_BY_ELEMENT = {
    "smlal": 0x0F00_2000,
    "sqdmlal": 0x0F00_3000,
    "smlsl": 0x0F00_6000,
    "sqdmlsl": 0x0F00_7000,
    "smull": 0x0F00_A000,
    "sqdmull": 0x0F00_B000,
    "umlal": 0x2F00_2000,
    "umlsl": 0x2F00_6000,
    "umull": 0x2F00_A000,
}


def _elements(letter: str) -> tuple[Form, ...]:
    count, top, place = (16, 7, INDEX_H) if letter == "h" else (32, 3, INDEX_S)
    element = (v("vm", 16, count=count), imm("imm", 0, top, place))
    low, high = ("4h", "8h") if letter == "h" else ("2s", "4s")
    suffix = "_e" + letter

    def size(names: str) -> tuple[Form, ...]:
        operands = (v("vd", 0), arrangement(names, place=_q_and_size), v("vn", 5), *element)
        tail = f"{{vd}}.{{t}}, {{vn}}.{{t}}, {{vm}}.{letter}[{{imm}}]"
        return rows("asimd-element", "fp", tail, operands, _BY_ELEMENT, suffix)

    def long(names: str, q: int, two: str) -> tuple[Form, ...]:
        operands = (v("vd", 0), arrangement(names, place=size_only), v("vn", 5), *element)
        tail = f"{{vd}}.{{t.wide}}, {{vn}}.{{t}}, {{vm}}.{letter}[{{imm}}]"
        table = {name + two: word | q for name, word in _LONG_BY_ELEMENT.items()}
        return rows("asimd-element", "fp", tail, operands, table, suffix)

    size_bits = (1 if letter == "h" else 2) << 22
    wide = "s" if letter == "h" else "d"
    scalars = (v("vd", 0, letter), v("vn", 5, letter), *element)
    same = {
        name: word | _SCALAR_BIT | size_bits
        for name, word in _BY_ELEMENT.items()
        if name.startswith("sq")
    }
    longer = {
        name: word | _SCALAR_BIT | size_bits
        for name, word in _LONG_BY_ELEMENT.items()
        if name.startswith("sq")
    }
    tail = f"{{vd}}, {{vn}}, {{vm}}.{letter}[{{imm}}]"
    return (
        *size(f"{low} {high}"),
        *long(low, 0, ""),
        *long(high, _Q, "2"),
        *rows("asimd-scalar-element", "fp", tail, scalars, same, f"_sc{suffix}"),
        *rows(
            "asimd-scalar-element",
            "fp",
            tail,
            (v("vd", 0, wide), *scalars[1:]),
            longer,
            f"_sc{suffix}",
        ),
    )


def _q_and_size(a: int) -> int:
    return q_only(a) | size_only(a)


_DOT_BY_ELEMENT = tuple(
    form
    for cap, table in (
        ("dotprod", {"sdot": 0x0F80_E000, "udot": 0x2F80_E000}),
        ("i8mm-fp", {"sudot": 0x0F00_F000, "usdot": 0x0F80_F000}),
    )
    for form in rows(
        "asimd-element",
        cap,
        "{vd}.{t.quad}, {vn}.{t}, {vm}.4b[{imm}]",
        (
            v("vd", 0),
            arrangement("8b 16b", place=q_only),
            v("vn", 5),
            v("vm", 16),
            imm("imm", 0, 3, INDEX_S),
        ),
        table,
        "_eb",
    )
)

FORMS: tuple[Form, ...] = (*_SHIFTS, *_elements("h"), *_elements("s"), *_DOT_BY_ELEMENT)
