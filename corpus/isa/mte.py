"""FEAT_MTE and FEAT_MTE2: tags of addresses, and those of memory, 4 bits for 16 bytes each."""

from __future__ import annotations

from corpus.domain import IntRange
from corpus.isa.form import Args, Form, Operand
from corpus.isa.operands import at, bits, imm, x, xsp
from corpus.isa.rows import rows

GRANULE = 16
"""Bytes of memory that have a tag together."""
GROUP, MEMORY_GROUP = "mte", "mte-store"
BLOCKS = frozenset({"ldgm", "stgm", "stzgm"})
"""Forms that access the tags of a block, whose size is up to the CPU."""

_POST, _OFFSET, _PRE = "_post", "", "_pre"
_MODES = {_POST: 0x400, _OFFSET: 0x800, _PRE: 0xC00}
_PAIR_MODES = {_POST: 0x6880_0000, _OFFSET: 0x6900_0000, _PRE: 0x6980_0000}
_ADDRESS = {
    _POST: "[{xn}], #{imm}",
    _OFFSET: "[{xn}, #{imm}]",
    _PRE: "[{xn}, #{imm}]!",
}
_STORES = {"stg": 0xD920_0000, "stzg": 0xD960_0000, "st2g": 0xD9A0_0000, "stz2g": 0xD9E0_0000}

_TAG_OFFSET = Operand("tag", IntRange(0, 15), at(10))
_SIMM9 = imm("imm", -256 * GRANULE, 255 * GRANULE, bits(12, 9, scale=GRANULE), GRANULE)
_SIMM7 = imm("imm", -64 * GRANULE, 63 * GRANULE, bits(15, 7, scale=GRANULE), GRANULE)


def _is_apart(args: Args) -> bool:
    """No register that a pair is stored from is the base that is written back."""
    first, second, base, _ = args
    return base == 31 or base not in (first, second)


def _make_apart(args: Args) -> Args:
    first, second, base, offset = args
    free = base
    while free in (first, second):
        free = (free + 1) % 31
    return first, second, free, offset


FORMS: tuple[Form, ...] = (
    *rows(
        GROUP,
        "mte",
        "{xd}, {xn}, #{imm}, #{tag}",
        (
            *(xsp("xd", 0), xsp("xn", 5)),
            imm("imm", 0, 63 * GRANULE, bits(16, 6, scale=GRANULE), GRANULE),
            _TAG_OFFSET,
        ),
        {"addg": 0x9180_0000, "subg": 0xD180_0000},
    ),
    *rows(
        GROUP,
        "mte",
        "{xd}, {xn}, {xm}",
        (xsp("xd", 0), xsp("xn", 5), x("xm", 16, default=31)),
        {"irg": 0x9AC0_1000},
    ),
    *rows(
        GROUP,
        "mte",
        "{xd}, {xn}, {xm}",
        (x("xd", 0), xsp("xn", 5), x("xm", 16)),
        {"gmi": 0x9AC0_1400},
    ),
    *rows(
        GROUP,
        "mte",
        "{xd}, {xn}, {xm}",
        (x("xd", 0), xsp("xn", 5), xsp("xm", 16)),
        {"subp": 0x9AC0_0000, "subps": 0xBAC0_0000},
    ),
    *rows(
        MEMORY_GROUP,
        "mte",
        "{xt}, [{xn}, #{imm}]",
        (x("xt", 0), xsp("xn", 5), _SIMM9),
        {"ldg": 0xD960_0000},
    ),
    *(
        form
        for suffix, mode in _MODES.items()
        for form in rows(
            MEMORY_GROUP,
            "mte",
            f"{{xt}}, {_ADDRESS[suffix]}",
            (xsp("xt", 0), xsp("xn", 5), _SIMM9),
            {name: word | mode for name, word in _STORES.items()},
            suffix,
        )
    ),
    *(
        form
        for suffix, word in _PAIR_MODES.items()
        for form in rows(
            MEMORY_GROUP,
            "mte",
            f"{{xt1}}, {{xt2}}, {_ADDRESS[suffix]}",
            (x("xt1", 0), x("xt2", 10), xsp("xn", 5), _SIMM7),
            {"stgp": word},
            suffix,
            valid=_is_apart if suffix else None,
            repair=_make_apart if suffix else None,
        )
    ),
    *rows(
        MEMORY_GROUP,
        "mte",
        "{xt}, [{xn}]",
        (x("xt", 0), xsp("xn", 5)),
        {"ldgm": 0xD9E0_0000, "stgm": 0xD9A0_0000, "stzgm": 0xD920_0000},
    ),
    *rows(GROUP, "mte", "tco, #{imm}", (imm("imm", 0, 1, at(8)),), {"msr": 0xD503_409F}, "_tco"),
)
"""STGP's registers must not be the base that is written back, which nobody says is allowed."""
