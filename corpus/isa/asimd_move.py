"""AdvSIMD moves, permutes, table lookups and modified immediates."""

from __future__ import annotations

from corpus.isa.form import Args, Form
from corpus.isa.fpimm import byte_mask, fp_immediate
from corpus.isa.operands import (
    arrangement,
    at,
    choice,
    esize,
    imm,
    log2_bytes,
    nowhere,
    q_only,
    r,
    split,
    v,
    w,
    x,
)
from corpus.isa.rows import Bound, rows

_BHSD = "8b 16b 4h 8h 2s 4s 2d"


def _marked(log2: int, index: int) -> int:
    """An element number above the one bit that marks the element size."""
    return (2 * index + 1) << log2


_LANE = (v("vn", 5), imm("imm", 0, 15, nowhere))


def _top(t: int) -> int:
    """The highest element number of a 128-bit vector with elements of 2**t bytes."""
    return (16 >> t) - 1


_DUP_BOUND = Bound(3, lambda args: (0, _top(log2_bytes(args[1]))))
_SCALAR_BOUND = Bound(3, lambda args: (0, _top(args[0])))
_MOV_BOUND = Bound(3, lambda args: (0, _top(args[2])))
_INS_BOUND = Bound(2, lambda args: (0, _top(args[1])))


def _element_rows(kind: str, sizes: str, table: dict[str, int], suffix: str) -> tuple[Form, ...]:
    """Moves of one element to a general register."""
    return rows(
        "asimd-to-general",
        "fp",
        f"{{{kind}d}}, {{vn}}.{{t}}[{{imm}}]",
        (
            (x if kind == "x" else w)(f"{kind}d", 0),
            v("vn", 5),
            esize(names=sizes, place=nowhere),
            imm("imm", 0, 15, nowhere),
        ),
        table,
        suffix,
        valid=_MOV_BOUND.valid,
        repair=_MOV_BOUND.repair,
        joint=lambda args: _marked(args[2], args[3]) << 16,
    )


def _insert_valid(args: Args) -> bool:
    _vd, t, to, _vn, come_from = args
    return to <= _top(t) and come_from <= _top(t)


def _insert_repair(args: Args) -> Args:
    vd, t, to, vn, come_from = args
    return vd, t, to & _top(t), vn, come_from & _top(t)


_COPIES = (
    *rows(
        "asimd-copy",
        "fp",
        "{vd}.{t}, {vn}.{t.letter}[{imm}]",
        (v("vd", 0), arrangement(_BHSD, place=q_only), *_LANE),
        {"dup": 0x0E00_0400},
        "_vx",
        valid=_DUP_BOUND.valid,
        repair=_DUP_BOUND.repair,
        joint=lambda args: _marked(log2_bytes(args[1]), args[3]) << 16,
    ),
    *rows(
        "asimd-copy",
        "fp",
        "{vd}.{t}, {t.r}{rn}",
        (
            v("vd", 0),
            arrangement(_BHSD, place=lambda a: q_only(a) | 1 << 16 + (a >> 1)),
            r("rn", 5),
        ),
        {"dup": 0x0E00_0C00},
        "_vr",
    ),
    *rows(
        "asimd-copy",
        "fp",
        "{t}{vd}, {vn}.{t}[{imm}]",
        (esize(place=nowhere), v("vd", 0, ""), *_LANE),
        {"mov": 0x5E00_0400},
        "_sc",
        valid=_SCALAR_BOUND.valid,
        repair=_SCALAR_BOUND.repair,
        joint=lambda args: _marked(args[0], args[3]) << 16,
    ),
    *_element_rows("w", "bh", {"smov": 0x0E00_2C00}, "_w"),
    *_element_rows("x", "bhs", {"smov": 0x4E00_2C00}, "_x"),
    *_element_rows("w", "bhs", {"umov": 0x0E00_3C00}, "_w"),
    *_element_rows("x", "d", {"umov": 0x4E00_3C00}, "_x"),
    *rows(
        "asimd-insert",
        "fp",
        "{vd}.{t}[{imm}], {t.r}{rn}",
        (v("vd", 0), esize(place=nowhere), imm("imm", 0, 15, nowhere), r("rn", 5)),
        {"ins": 0x4E00_1C00},
        "_r",
        valid=_INS_BOUND.valid,
        repair=_INS_BOUND.repair,
        joint=lambda args: _marked(args[1], args[2]) << 16,
    ),
    *rows(
        "asimd-insert",
        "fp",
        "{vd}.{t}[{imm}], {vn}.{t}[{imm2}]",
        (
            v("vd", 0),
            esize(place=nowhere),
            imm("imm", 0, 15, nowhere),
            v("vn", 5),
            imm("imm2", 0, 15, nowhere),
        ),
        {"ins": 0x6E00_0400},
        "_v",
        valid=_insert_valid,
        repair=_insert_repair,
        joint=lambda args: _marked(args[1], args[2]) << 16 | args[4] << args[1] << 11,
    ),
)

_BETWEEN_FILES = (
    *rows(
        "fp-move", "fp", "{sd}, {wn}", (v("sd", 0, "s"), w("wn", 5)), {"fmov": 0x1E27_0000}, "_sw"
    ),
    *rows(
        "fp-move", "fp", "{dd}, {xn}", (v("dd", 0, "d"), x("xn", 5)), {"fmov": 0x9E67_0000}, "_dx"
    ),
    *rows(
        "asimd-insert",
        "fp",
        "{vd}.d[1], {xn}",
        (v("vd", 0), x("xn", 5)),
        {"fmov": 0x9EAF_0000},
        "_v1x",
    ),
    *rows(
        "asimd-to-general",
        "fp",
        "{wd}, {sn}",
        (w("wd", 0), v("sn", 5, "s")),
        {"fmov": 0x1E26_0000},
        "_ws",
    ),
    *rows(
        "asimd-to-general",
        "fp",
        "{xd}, {dn}",
        (x("xd", 0), v("dn", 5, "d")),
        {"fmov": 0x9E66_0000},
        "_xd",
    ),
    *rows(
        "asimd-to-general",
        "fp",
        "{xd}, {vn}.d[1]",
        (x("xd", 0), v("vn", 5)),
        {"fmov": 0x9EAE_0000},
        "_xv1",
    ),
    *rows(
        "fp-move", "fp16", "{hd}, {wn}", (v("hd", 0, "h"), w("wn", 5)), {"fmov": 0x1EE7_0000}, "_hw"
    ),
    *rows(
        "asimd-to-general",
        "fp16",
        "{wd}, {hn}",
        (w("wd", 0), v("hn", 5, "h")),
        {"fmov": 0x1EE6_0000},
        "_wh",
    ),
    *rows(
        "fp-move",
        "fp",
        "{t}{vd}, {t}{vn}",
        (esize(names="sd", place=lambda t: t - 2 << 22), v("vd", 0, ""), v("vn", 5, "")),
        {"fmov": 0x1E20_4000},
        "_sc",
    ),
    *rows(
        "fp-move",
        "fp16",
        "{hd}, {hn}",
        (v("hd", 0, "h"), v("hn", 5, "h")),
        {"fmov": 0x1EE0_4000},
        "_h",
    ),
    *rows(
        "fp-move",
        "fp",
        "{t}{vd}, #{imm}",
        (
            esize(names="sd", place=lambda t: t - 2 << 22),
            v("vd", 0, ""),
            fp_immediate("imm", at(13)),
        ),
        {"fmov": 0x1E20_1000},
        "_sci",
    ),
)

_THREE = (v("vd", 0), arrangement(_BHSD), v("vn", 5), v("vm", 16))
_EXT_BOUND = Bound(4, lambda args: (0, 15 if args[1] & 1 else 7))
_EXT_OPERANDS = (
    v("vd", 0),
    arrangement("8b 16b", place=q_only),
    v("vn", 5),
    v("vm", 16),
    imm("imm", 0, 15, at(11)),
)

_PERMUTES = (
    *rows(
        "asimd-permute",
        "fp",
        "{vd}.{t}, {vn}.{t}, {vm}.{t}",
        _THREE,
        {
            "uzp1": 0x0E00_1800,
            "trn1": 0x0E00_2800,
            "zip1": 0x0E00_3800,
            "uzp2": 0x0E00_5800,
            "trn2": 0x0E00_6800,
            "zip2": 0x0E00_7800,
        },
        "_v",
    ),
    *rows(
        "asimd-permute",
        "fp",
        "{vd}.{t}, {vn}.{t}, {vm}.{t}, #{imm}",
        _EXT_OPERANDS,
        {"ext": 0x2E00_0000},
        "_v",
        valid=_EXT_BOUND.valid,
        repair=_EXT_BOUND.repair,
    ),
    *(
        form
        for count in (1, 2, 3, 4)
        for form in rows(
            "asimd-permute",
            "fp",
            "{vd}.{t}, {{"
            + ", ".join(("{vn}.16b", "{vn.next}.16b", "{vn.next2}.16b", "{vn.next3}.16b")[:count])
            + "}}, {vm}.{t}",
            (v("vd", 0), arrangement("8b 16b", place=q_only), v("vn", 5), v("vm", 16)),
            {"tbl": 0x0E00_0000 | count - 1 << 13, "tbx": 0x0E00_1000 | count - 1 << 13},
            f"_v{count}",
        )
    ),
)

_IMM8 = split((5, 5), (16, 3))
_ANY_BYTE = imm("imm", 0, 255, _IMM8)
_UNSHIFTED = {", lsl #0": 0}
_SHIFT_H = choice("sh", {"": 0, ", lsl #8": 1}, 13, _UNSHIFTED)
_SHIFTS_S = {"": 0, ", lsl #8": 1, ", lsl #16": 2, ", lsl #24": 3}
_SHIFT_S = choice("sh", _SHIFTS_S, 13, _UNSHIFTED)
_SHIFT_ONES = choice("sh", {", msl #8": 0, ", msl #16": 1}, 12)


def _immediates(names: str, shift: str, table: dict[str, int], suffix: str) -> tuple[Form, ...]:
    shifts = {"h": (_SHIFT_H,), "s": (_SHIFT_S,), "ones": (_SHIFT_ONES,), "": ()}[shift]
    operands = (v("vd", 0), arrangement(names, place=q_only), _ANY_BYTE, *shifts)
    tail = "{vd}.{t}, #{imm}" + ("{sh}" if shifts else "")
    return rows("asimd-imm", "fp", tail, operands, table, suffix)


_MODIFIED_IMMEDIATES = (
    *_immediates("8b 16b", "", {"movi": 0x0F00_E400}, "_b"),
    *_immediates(
        "4h 8h",
        "h",
        {"movi": 0x0F00_8400, "mvni": 0x2F00_8400, "orr": 0x0F00_9400, "bic": 0x2F00_9400},
        "_hi",
    ),
    *_immediates(
        "2s 4s",
        "s",
        {"movi": 0x0F00_0400, "mvni": 0x2F00_0400, "orr": 0x0F00_1400, "bic": 0x2F00_1400},
        "_si",
    ),
    *_immediates("2s 4s", "ones", {"movi": 0x0F00_C400, "mvni": 0x2F00_C400}, "_ones"),
    *rows(
        "asimd-imm",
        "fp",
        "{dd}, #{imm}",
        (v("dd", 0, "d"), byte_mask("imm", _IMM8)),
        {"movi": 0x2F00_E400},
        "_d",
    ),
    *rows(
        "asimd-imm",
        "fp",
        "{vd}.2d, #{imm}",
        (v("vd", 0), byte_mask("imm", _IMM8)),
        {"movi": 0x6F00_E400},
        "_2d",
    ),
    *rows(
        "asimd-imm",
        "fp",
        "{vd}.{t}, #{imm}",
        (v("vd", 0), arrangement("2s 4s", place=q_only), fp_immediate("imm", _IMM8)),
        {"fmov": 0x0F00_F400},
        "_vi",
    ),
    *rows(
        "asimd-imm",
        "fp",
        "{vd}.2d, #{imm}",
        (v("vd", 0), fp_immediate("imm", _IMM8)),
        {"fmov": 0x6F00_F400},
        "_2d",
    ),
    *rows(
        "asimd-imm",
        "fp16",
        "{vd}.{t}, #{imm}",
        (v("vd", 0), arrangement("4h 8h", place=q_only), fp_immediate("imm", _IMM8)),
        {"fmov": 0x0F00_FC00},
        "_vh",
    ),
)

FORMS: tuple[Form, ...] = (*_COPIES, *_BETWEEN_FILES, *_PERMUTES, *_MODIFIED_IMMEDIATES)
