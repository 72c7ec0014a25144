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

FORMS: tuple[Form, ...] = (*_DOT, *_BY_ELEMENT)
