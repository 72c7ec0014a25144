"""SVE permutes, selects, broadcasts and moves between vectors and other registers."""

from __future__ import annotations

from corpus.isa.bitmask import bitmask
from corpus.isa.form import Args, Form
from corpus.isa.operands import (
    bits,
    choice,
    esize,
    imm,
    nowhere,
    p,
    r,
    rsp,
    split,
    v,
    z,
)
from corpus.isa.rows import Bound, rows
from corpus.isa.sve_int import SHIFTED, shifted_repair, shifted_valid

_LANES = "{zd}.{t}, {zn}.{t}, {zm}.{t}"
_ZZZ = (z("zd", 0), esize(), z("zn", 5), z("zm", 16))
_INTERLEAVE = {"zip1": 0, "zip2": 1, "uzp1": 2, "uzp2": 3, "trn1": 4, "trn2": 5}


def _index_joint(args: Args) -> int:
    """imm2:tsz of DUP (indexed): the index above a one that marks the element size."""
    t, index = args[1], args[3]
    return split((16, 5), (22, 2))((2 * index + 1) << t)


_INDEX_BOUND = Bound(3, lambda args: (0, (64 >> args[1]) - 1))

_FROM_SCALARS = (
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, {t.r}{rn}",
        (z("zd", 0), esize(), rsp("rn", 5)),
        {"dup": 0x0520_3800},
        "_r",
    ),
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, #{imm}{sh}",
        (z("zd", 0), esize(), imm("imm", -128, 127, bits(5, 8)), SHIFTED),
        {"dup": 0x2538_C000},
        "_i",
        valid=shifted_valid,
        repair=shifted_repair,
    ),
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, {zn}.{t}[{imm}]",
        (z("zd", 0), esize(names="bhsdq", place=nowhere), z("zn", 5), imm("imm", 0, 63, nowhere)),
        {"dup": 0x0520_2000},
        "_zx",
        valid=_INDEX_BOUND.valid,
        repair=_INDEX_BOUND.repair,
        joint=_index_joint,
    ),
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, {pg}/m, {t.r}{rn}",
        (z("zd", 0), esize(), p("pg", 10, 8), rsp("rn", 5)),
        {"cpy": 0x0528_A000},
        "_r",
    ),
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, {pg}/m, {t}{vn}",
        (z("zd", 0), esize(), p("pg", 10, 8), v("vn", 5, "")),
        {"cpy": 0x0520_8000},
        "_v",
    ),
    *rows(
        "sve-move",
        "sve",
        "{zd}.{t}, {pg}/{mode}, #{imm}{sh}",
        (
            z("zd", 0),
            esize(),
            p("pg", 16),
            choice("mode", {"z": 0, "m": 1}, 14),
            imm("imm", -128, 127, bits(5, 8)),
            SHIFTED,
        ),
        {"cpy": 0x0510_0000},
        "_i",
        valid=shifted_valid,
        repair=shifted_repair,
    ),
    *rows(
        "sve-move",
        "sve",
        "{zdn}.{t}, {t.r}{rm}",
        (z("zdn", 0), esize(), r("rm", 5)),
        {"insr": 0x0524_3800},
        "_r",
    ),
    *rows(
        "sve-move",
        "sve",
        "{zdn}.{t}, {t}{vm}",
        (z("zdn", 0), esize(), v("vm", 5, "")),
        {"insr": 0x0534_3800},
        "_v",
    ),
    *rows(
        "sve-bitwise",
        "sve",
        "{zdn}.d, {zdn}.d, #{mask}",
        (z("zdn", 0), bitmask("mask", 5)),
        {"and": 0x0580_0000, "orr": 0x0500_0000, "eor": 0x0540_0000},
        "_zi",
    ),
    *rows(
        "sve-bitwise",
        "sve",
        "{zd}.d, #{mask}",
        (z("zd", 0), bitmask("mask", 5)),
        {"dupm": 0x05C0_0000},
    ),
)

_TO_SCALARS = (
    *rows(
        "sve-last",
        "sve",
        "{t.r}{rd}, {pg}, {zn}.{t}",
        (r("rd", 0), esize(), p("pg", 10, 8), z("zn", 5)),
        {"lasta": 0x0520_A000, "lastb": 0x0521_A000},
        "_r",
    ),
    *rows(
        "sve-last",
        "sve",
        "{t}{vd}, {pg}, {zn}.{t}",
        (v("vd", 0, ""), esize(), p("pg", 10, 8), z("zn", 5)),
        {"lasta": 0x0522_8000, "lastb": 0x0523_8000},
        "_v",
    ),
    *rows(
        "sve-last",
        "sve",
        "{t.r}{rdn}, {pg}, {t.r}{rdn}, {zm}.{t}",
        (r("rdn", 0), esize(), p("pg", 10, 8), z("zm", 5)),
        {"clasta": 0x0530_A000, "clastb": 0x0531_A000},
        "_r",
    ),
    *rows(
        "sve-last",
        "sve",
        "{t}{vdn}, {pg}, {t}{vdn}, {zm}.{t}",
        (v("vdn", 0, ""), esize(), p("pg", 10, 8), z("zm", 5)),
        {"clasta": 0x052A_8000, "clastb": 0x052B_8000},
        "_v",
    ),
    *rows(
        "sve-last",
        "sve",
        "{zdn}.{t}, {pg}, {zdn}.{t}, {zm}.{t}",
        (z("zdn", 0), esize(), p("pg", 10, 8), z("zm", 5)),
        {"clasta": 0x0528_8000, "clastb": 0x0529_8000},
        "_z",
    ),
)

_PERMUTES = (
    *rows(
        "sve-permute",
        "sve",
        _LANES,
        _ZZZ,
        {name: 0x0520_6000 | number << 10 for name, number in _INTERLEAVE.items()},
        "_zz",
    ),
    *rows(
        "sve-permute",
        "f64mm",
        "{zd}.q, {zn}.q, {zm}.q",
        (z("zd", 0), z("zn", 5), z("zm", 16)),
        {
            name: 0x05A0_0000 | (number + 2 * (number > 3)) << 10
            for name, number in _INTERLEAVE.items()
        },
        "_q",
    ),
    *rows(
        "sve-permute",
        "sve",
        "{zd}.{t}, {{{zn}.{t}}}, {zm}.{t}",
        _ZZZ,
        {"tbl": 0x0520_3000},
        "_zz",
    ),
    *rows(
        "sve-permute",
        "sve2",
        "{zd}.{t}, {{{zn}.{t}, {zn.next}.{t}}}, {zm}.{t}",
        _ZZZ,
        {"tbl": 0x0520_2800},
        "_zz2",
    ),
    *rows("sve-permute", "sve2", _LANES, _ZZZ, {"tbx": 0x0520_2C00}, "_zz"),
    *rows(
        "sve-permute",
        "sve",
        "{zd}.{t}, {zn}.{t}",
        (z("zd", 0), esize(), z("zn", 5)),
        {"rev": 0x0538_3800},
        "_z",
    ),
    *rows(
        "sve-permute",
        "sve",
        "{zd}.{t}, {zn}.{t.half}",
        (z("zd", 0), esize(names="hsd"), z("zn", 5)),
        {
            "sunpklo": 0x0530_3800,
            "sunpkhi": 0x0531_3800,
            "uunpklo": 0x0532_3800,
            "uunpkhi": 0x0533_3800,
        },
    ),
    *rows(
        "sve-permute",
        "sve",
        "{zdn}.b, {zdn}.b, {zm}.b, #{imm}",
        (z("zdn", 0), z("zm", 5), imm("imm", 0, 255, split((10, 3), (16, 5)))),
        {"ext": 0x0520_0000},
        "_zz",
    ),
    *rows(
        "sve-permute",
        "sve2",
        "{zd}.b, {{{zn}.b, {zn.next}.b}}, #{imm}",
        (z("zd", 0), z("zn", 5), imm("imm", 0, 255, split((10, 3), (16, 5)))),
        {"ext": 0x0560_0000},
        "_zz2",
    ),
    *rows(
        "sve-permute",
        "sve",
        "{zdn}.{t}, {pg}, {zdn}.{t}, {zm}.{t}",
        (z("zdn", 0), esize(), p("pg", 10, 8), z("zm", 5)),
        {"splice": 0x052C_8000},
        "_zz",
    ),
    *rows(
        "sve-permute",
        "sve2",
        "{zd}.{t}, {pg}, {{{zn}.{t}, {zn.next}.{t}}}",
        (z("zd", 0), esize(), p("pg", 10, 8), z("zn", 5)),
        {"splice": 0x052D_8000},
        "_zz2",
    ),
    *rows(
        "sve-permute",
        "sve",
        "{zd}.{t}, {pg}, {zn}.{t}",
        (z("zd", 0), esize(names="sd"), p("pg", 10, 8), z("zn", 5)),
        {"compact": 0x0521_8000},
    ),
    *rows(
        "sve-permute",
        "sve",
        "{zd}.{t}, {pg}, {zn}.{t}, {zm}.{t}",
        (z("zd", 0), esize(), p("pg", 10), z("zn", 5), z("zm", 16)),
        {"sel": 0x0520_C000},
        "_zz",
    ),
)

_SHIFTS = {"": 0, ", lsl #1": 1, ", lsl #2": 2, ", lsl #3": 3}
_EXTEND_SHIFTS = {"": 0, " #1": 1, " #2": 2, " #3": 3}

_ADDRESSES = (
    *rows(
        "sve-address",
        "sve",
        "{zd}.{t}, [{zn}.{t}, {zm}.{t}{shift}]",
        (
            z("zd", 0),
            esize(names="sd", place=lambda t: (t & 1) << 22),
            z("zn", 5),
            z("zm", 16),
            choice("shift", _SHIFTS, 10, {", lsl #0": 0}),
        ),
        {"adr": 0x04A0_A000},
        "_lsl",
    ),
    *rows(
        "sve-address",
        "sve",
        "{zd}.d, [{zn}.d, {zm}.d, {extend}{shift}]",
        (
            z("zd", 0),
            z("zn", 5),
            z("zm", 16),
            choice("extend", {"sxtw": 0, "uxtw": 1}, 22),
            choice("shift", _EXTEND_SHIFTS, 10, {" #0": 0}),
        ),
        {"adr": 0x0420_A000},
        "_ext",
    ),
)

FORMS: tuple[Form, ...] = (*_FROM_SCALARS, *_TO_SCALARS, *_PERMUTES, *_ADDRESSES)
