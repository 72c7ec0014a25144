"""Dot products, matrix multiplications, and multiplications by an element of each segment."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.operands import at, choice, esize, imm, split, z
from corpus.isa.rows import rows

_THREE = (z("zda", 0), z("zn", 5), z("zm", 16))
_DOT_SIZE = esize(names="sd")

_DOT = (
    *rows(
        "sve-dot",
        "sve",
        "{zda}.{t}, {zn}.{t.quarter}, {zm}.{t.quarter}",
        (z("zda", 0), _DOT_SIZE, z("zn", 5), z("zm", 16)),
        {"sdot": 0x4400_0000, "udot": 0x4400_0400},
        "_zz",
    ),
    *rows(
        "sve-dot",
        "sve2",
        "{zda}.{t}, {zn}.{t.quarter}, {zm}.{t.quarter}, #{rot}",
        (
            z("zda", 0),
            _DOT_SIZE,
            z("zn", 5),
            z("zm", 16),
            choice("rot", {"0": 0, "90": 1, "180": 2, "270": 3}, 10),
        ),
        {"cdot": 0x4400_1000},
        "_zz",
    ),
    *rows("sve-dot", "i8mm", "{zda}.s, {zn}.b, {zm}.b", _THREE, {"usdot": 0x4480_7800}, "_zz"),
    *rows(
        "sve-dot",
        "i8mm",
        "{zda}.s, {zn}.b, {zm}.b",
        _THREE,
        {"smmla": 0x4500_9800, "usmmla": 0x4580_9800, "ummla": 0x45C0_9800},
        "_zz",
    ),
)


def _indexed(
    group: str, cap: str, letters: str, index: tuple[Operand, Operand], table: dict[str, int]
) -> tuple[Form, ...]:
    """An operation by one element of each 128-bit segment; `letters`: of zda, zn and zm."""
    da, n, m = list(letters)
    tail = f"{{zda}}.{da}, {{zn}}.{n}, {{zm}}.{m}[{{imm}}]"
    return rows(group, cap, tail, (z("zda", 0), z("zn", 5), *index), table, f"_z{da}x")


_INDEX_B = (z("zm", 16, 8), imm("imm", 0, 3, at(19)))
_INDEX_H = (z("zm", 16, 8), imm("imm", 0, 7, split((19, 2), (22, 1))))
_INDEX_D = (z("zm", 16, 16), imm("imm", 0, 1, at(20)))

_BY_ELEMENT = (
    *_indexed("sve-dot", "sve", "sbb", _INDEX_B, {"sdot": 0x44A0_0000, "udot": 0x44A0_0400}),
    *_indexed("sve-dot", "sve", "dhh", _INDEX_D, {"sdot": 0x44E0_0000, "udot": 0x44E0_0400}),
    *_indexed("sve-dot", "i8mm", "sbb", _INDEX_B, {"usdot": 0x44A0_1800, "sudot": 0x44A0_1C00}),
    *_indexed(
        "sve-mla",
        "sve2",
        "hhh",
        _INDEX_H,
        {"mla": 0x4420_0800, "mls": 0x4420_0C00, "mul": 0x4420_F800},
    ),
    *_indexed(
        "sve-mla",
        "sve2",
        "sss",
        _INDEX_B,
        {"mla": 0x44A0_0800, "mls": 0x44A0_0C00, "mul": 0x44A0_F800},
    ),
    *_indexed(
        "sve-mla",
        "sve2",
        "ddd",
        _INDEX_D,
        {"mla": 0x44E0_0800, "mls": 0x44E0_0C00, "mul": 0x44E0_F800},
    ),
)

_TURNS = choice("rot", {"0": 0, "90": 1, "180": 2, "270": 3}, 10)
_LONG_H = (z("zm", 16, 8), imm("imm", 0, 7, split((11, 1), (19, 2))))
_LONG_S = (z("zm", 16, 16), imm("imm", 0, 3, split((11, 1), (20, 1))))
_HIGH_PRODUCTS = {
    "sqdmulh": 0x4420_F000,
    "sqrdmulh": 0x4420_F400,
    "sqrdmlah": 0x4420_1000,
    "sqrdmlsh": 0x4420_1400,
}
_LONG_PRODUCTS = {
    "sqdmlal": 0x44A0_2000,
    "sqdmlsl": 0x44A0_3000,
    "smlal": 0x44A0_8000,
    "umlal": 0x44A0_9000,
    "smlsl": 0x44A0_A000,
    "umlsl": 0x44A0_B000,
    "smull": 0x44A0_C000,
    "umull": 0x44A0_D000,
    "sqdmull": 0x44A0_E000,
}


def _sized(letters: str, size: int, index: tuple[Operand, Operand]) -> tuple[Form, ...]:
    table = {name: word | size << 22 for name, word in _HIGH_PRODUCTS.items()}
    return _indexed("sve-element", "sve2", letters, index, table)


def _long(letters: str, size: int, index: tuple[Operand, Operand]) -> tuple[Form, ...]:
    table = {
        name + half: word | size << 22 | top
        for name, word in _LONG_PRODUCTS.items()
        for half, top in (("b", 0), ("t", 0x400))
    }
    return _indexed("sve-element", "sve2", letters, index, table)


def _complex(
    letters: str, index: tuple[Operand, Operand], table: dict[str, int]
) -> tuple[Form, ...]:
    da, n, m = list(letters)
    tail = f"{{zda}}.{da}, {{zn}}.{n}, {{zm}}.{m}[{{imm}}], #{{rot}}"
    operands = (z("zda", 0), z("zn", 5), *index, _TURNS)
    return rows("sve-element", "sve2", tail, operands, table, f"_z{da}x")


_SVE2_BY_ELEMENT = (
    *_sized("hhh", 0, _INDEX_H),
    *_sized("sss", 2, _INDEX_B),
    *_sized("ddd", 3, _INDEX_D),
    *_long("shh", 0, _LONG_H),
    *_long("dss", 1, _LONG_S),
    *_complex("sbb", _INDEX_B, {"cdot": 0x44A0_4000}),
    *_complex("dhh", _INDEX_D, {"cdot": 0x44E0_4000}),
    *_complex("hhh", _INDEX_B, {"cmla": 0x44A0_6000, "sqrdcmlah": 0x44A0_7000}),
    *_complex("sss", _INDEX_D, {"cmla": 0x44E0_6000, "sqrdcmlah": 0x44E0_7000}),
)

FORMS: tuple[Form, ...] = (*_DOT, *_BY_ELEMENT, *_SVE2_BY_ELEMENT)
