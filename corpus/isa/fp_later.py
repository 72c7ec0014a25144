"""Floating point of later extensions: complex numbers, sums of half-precision products (FHM),
BF16, and rounding to numbers that fit an integer (FRINTTS)."""

from __future__ import annotations

from corpus.isa.asimd_fp import VECTOR
from corpus.isa.asimd_shift import INDEX_H, INDEX_S
from corpus.isa.form import Args, Form, Operand
from corpus.isa.fp import SCALAR_TWO
from corpus.isa.operands import arrangement, at, choice, imm, nowhere, q_fp, q_only, split, v, z
from corpus.isa.rows import Bound, rows

_Q = 1 << 30
_TURNS = {"0": 0, "90": 1, "180": 2, "270": 3}
_HALF_TURNS = {"90": 0, "270": 1}


def _three(names: str, letter_place: bool = False) -> tuple[Operand, ...]:
    t = arrangement(names) if letter_place else arrangement(names, place=q_only)
    return (v("vd", 0), t, v("vn", 5), v("vm", 16))


_COMPLEX_VECTOR = _three("4h 8h 2s 4s 2d", letter_place=True)
_COMPLEX = "{vd}.{t}, {vn}.{t}, {vm}.{t}, #{rot}"
_8H = 3
"""The value of arrangement 8h."""


def _pairs(args: Args) -> tuple[int, int]:
    """Complex numbers in the vector that one of half precision is taken from."""
    return 0, 3 if args[1] == _8H else 1


_PAIR_INDEX = Bound(4, _pairs)

_FCMA = (
    *rows(
        "asimd-fp-complex",
        "fcma",
        _COMPLEX,
        (*_COMPLEX_VECTOR, choice("rot", _TURNS, 11)),
        {"fcmla": 0x2E00_C400},
        "_v",
    ),
    *rows(
        "asimd-fp-complex",
        "fcma",
        _COMPLEX,
        (*_COMPLEX_VECTOR, choice("rot", _HALF_TURNS, 12)),
        {"fcadd": 0x2E00_E400},
        "_v",
    ),
    *rows(
        "asimd-fp-complex",
        "fcma",
        "{vd}.{t}, {vn}.{t}, {vm}.h[{imm}], #{rot}",
        (*_three("4h 8h"), imm("imm", 0, 3, INDEX_S), choice("rot", _TURNS, 13)),
        {"fcmla": 0x2F40_1000},
        "_eh",
        valid=_PAIR_INDEX.valid,
        repair=_PAIR_INDEX.repair,
    ),
    *rows(
        "asimd-fp-complex",
        "fcma",
        "{vd}.{t}, {vn}.{t}, {vm}.s[{imm}], #{rot}",
        (
            v("vd", 0),
            arrangement("4s", place=nowhere),
            *(v("vn", 5), v("vm", 16)),
            imm("imm", 0, 1, at(11)),
            choice("rot", _TURNS, 13),
        ),
        {"fcmla": 0x6F80_1000},
        "_es",
    ),
)

_FHM = (
    *rows(
        "asimd-fp-fmlal",
        "fhm",
        "{vd}.{t}, {vn}.{t.halves}, {vm}.{t.halves}",
        _three("2s 4s"),
        {
            "fmlal": 0x0E20_EC00,
            "fmlsl": 0x0EA0_EC00,
            "fmlal2": 0x2E20_CC00,
            "fmlsl2": 0x2EA0_CC00,
        },
        "_v",
    ),
    *rows(
        "asimd-fp-fmlal",
        "fhm",
        "{vd}.{t}, {vn}.{t.halves}, {vm}.h[{imm}]",
        (*_three("2s 4s")[:3], v("vm", 16, count=16), imm("imm", 0, 7, INDEX_H)),
        {
            "fmlal": 0x0F80_0000,
            "fmlsl": 0x0F80_4000,
            "fmlal2": 0x2F80_8000,
            "fmlsl2": 0x2F80_C000,
        },
        "_eh",
    ),
)

_WHOLE = (v("vd", 0), v("vn", 5), v("vm", 16))

_BF16 = (
    *rows(
        "asimd-bf16",
        "bf16-fp",
        "{vd}.{t.pair}, {vn}.{t}, {vm}.{t}",
        _three("4h 8h"),
        {"bfdot": 0x2E40_FC00},
        "_v",
    ),
    *rows(
        "asimd-bf16",
        "bf16-fp",
        "{vd}.{t.pair}, {vn}.{t}, {vm}.2h[{imm}]",
        (*_three("4h 8h"), imm("imm", 0, 3, INDEX_S)),
        {"bfdot": 0x0F40_F000},
        "_eh",
    ),
    *rows(
        "asimd-bf16",
        "bf16-fp",
        "{vd}.4s, {vn}.8h, {vm}.8h",
        _WHOLE,
        {"bfmmla": 0x6E40_EC00, "bfmlalb": 0x2EC0_FC00, "bfmlalt": 0x6EC0_FC00},
        "_v",
    ),
    *rows(
        "asimd-bf16",
        "bf16-fp",
        "{vd}.4s, {vn}.8h, {vm}.h[{imm}]",
        (*_WHOLE[:2], v("vm", 16, count=16), imm("imm", 0, 7, INDEX_H)),
        {"bfmlalb": 0x0FC0_F000, "bfmlalt": 0x4FC0_F000},
        "_eh",
    ),
    *rows("asimd-bf16", "bf16-fp", "{vd}.4h, {vn}.4s", _WHOLE[:2], {"bfcvtn": 0x0EA1_6800}, "_v"),
    *rows("asimd-bf16", "bf16-fp", "{vd}.8h, {vn}.4s", _WHOLE[:2], {"bfcvtn2": 0x4EA1_6800}, "_v"),
)

_ZZZ = (z("zda", 0), z("zn", 5), z("zm", 16))
_INDEX_LONG = (z("zm", 16, 8), imm("imm", 0, 7, split((11, 1), (19, 2))))

_SVE = (
    *rows(
        "sve-bf16",
        "bf16",
        "{zda}.s, {zn}.h, {zm}.h",
        _ZZZ,
        {
            "bfdot": 0x6460_8000,
            "bfmmla": 0x6460_E400,
            "bfmlalb": 0x64E0_8000,
            "bfmlalt": 0x64E0_8400,
        },
        "_z",
    ),
    *rows(
        "sve-bf16",
        "bf16",
        "{zda}.s, {zn}.h, {zm}.h[{imm}]",
        (*_ZZZ[:2], z("zm", 16, 8), imm("imm", 0, 3, at(19))),
        {"bfdot": 0x6460_4000},
        "_zx",
    ),
    *rows(
        "sve-bf16",
        "bf16",
        "{zda}.s, {zn}.h, {zm}.h[{imm}]",
        (*_ZZZ[:2], *_INDEX_LONG),
        {"bfmlalb": 0x64E0_4000, "bfmlalt": 0x64E0_4400},
        "_zx",
    ),
    *rows(
        "sve-fp-fmlal",
        "sve2",
        "{zda}.s, {zn}.h, {zm}.h[{imm}]",
        (*_ZZZ[:2], *_INDEX_LONG),
        {
            "fmlalb": 0x64A0_4000,
            "fmlalt": 0x64A0_4400,
            "fmlslb": 0x64A0_6000,
            "fmlslt": 0x64A0_6400,
        },
        "_zx",
    ),
    *rows(
        "sve-fp-complex",
        "sve",
        "{zda}.h, {zn}.h, {zm}.h[{imm}], #{rot}",
        (*_ZZZ[:2], z("zm", 16, 8), imm("imm", 0, 3, at(19)), choice("rot", _TURNS, 10)),
        {"fcmla": 0x64A0_1000},
        "_zhx",
    ),
    *rows(
        "sve-fp-complex",
        "sve",
        "{zda}.s, {zn}.s, {zm}.s[{imm}], #{rot}",
        (*_ZZZ[:2], z("zm", 16, 16), imm("imm", 0, 1, at(20)), choice("rot", _TURNS, 10)),
        {"fcmla": 0x64E0_1000},
        "_zsx",
    ),
)

_FRINTTS = (
    *rows(
        "fp-unary",
        "frintts",
        "{t}{vd}, {t}{vn}",
        SCALAR_TWO,
        {
            "frint32z": 0x1E28_4000,
            "frint32x": 0x1E28_C000,
            "frint64z": 0x1E29_4000,
            "frint64x": 0x1E29_C000,
        },
        "_sc",
    ),
    *rows(
        "asimd-fp-2misc",
        "frintts",
        "{vd}.{t}, {vn}.{t}",
        (v("vd", 0), arrangement(VECTOR, place=q_fp), v("vn", 5)),
        {
            "frint32z": 0x0E21_E800,
            "frint32x": 0x2E21_E800,
            "frint64z": 0x0E21_F800,
            "frint64x": 0x2E21_F800,
        },
        "_v",
    ),
)

FORMS: tuple[Form, ...] = (*_FCMA, *_FHM, *_BF16, *_SVE, *_FRINTTS)
