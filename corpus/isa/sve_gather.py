"""SVE gather loads and scatter stores."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.operands import ESIZE, choice, imm, p, x, xsp, z
from corpus.isa.rows import rows

_LOADS = {
    "ld1sb": (0, 0, 0),
    "ld1b": (0, 1, 0),
    "ld1sh": (1, 0, 0),
    "ld1h": (1, 1, 0),
    "ld1sw": (2, 0, 0),
    "ld1w": (2, 1, 0),
    "ld1d": (3, 1, 0),
}
"""log2 of the memory element's bytes, unsigned bit, first-fault bit."""
_LOADS |= {
    "ldff1" + name[3:]: (msize, unsigned, 1) for name, (msize, unsigned, _) in _LOADS.items()
}
_STORES = {"st1b": 0, "st1h": 1, "st1w": 2, "st1d": 3}


def _fits(name: str, msize: int, lane: str) -> bool:
    """Whether lanes of this size hold the memory element; a signed load must widen it."""
    widens = name.endswith(("sb", "sh", "sw"))
    return msize < ESIZE[lane] if widens else msize <= ESIZE[lane]


def _extend(position: int) -> Operand:
    return choice("extend", {"uxtw": 0, "sxtw": 1}, position)


def _row(
    name: str, word: int, tail: str, address: tuple[Operand, ...], suffix: str
) -> tuple[Form, ...]:
    load = name.startswith("ld")
    group = "sve-scatter" if not load else "ff-gather" if "ff" in name else "sve-gather"
    operands = (z("zt", 0), p("pg", 10, 8), *address)
    return rows(group, "sve", tail, operands, {name: word}, suffix)


def _addresses(
    name: str,
    msize: int,
    lane: str,
    words: dict[str, int],
    extend: tuple[int, int],
) -> tuple[Form, ...]:
    """The addressing modes of one access with one lane size.

    `words`: fixed bits of the modes ext (32-bit offsets), ext_scaled, d (64-bit offsets),
    d_scaled and imm. `extend`: where uxtw or sxtw is encoded, unscaled and scaled.
    """
    slash = "/z" if name.startswith("ld") else ""
    head = f"{{{{{{zt}}.{lane}}}}}, {{pg}}{slash}, "
    base, index = xsp("xn", 5), z("zm", 16)
    forms = _row(
        name,
        words["ext"],
        head + f"[{{xn}}, {{zm}}.{lane}, {{extend}}]",
        (base, index, _extend(extend[0])),
        f"_g{lane}_ext",
    )
    if msize:
        forms += _row(
            name,
            words["ext_scaled"],
            head + f"[{{xn}}, {{zm}}.{lane}, {{extend}} #{msize}]",
            (base, index, _extend(extend[1])),
            f"_g{lane}_exts",
        )
    if lane == "d":
        forms += _row(name, words["d"], head + "[{xn}, {zm}.d]", (base, index), "_gd")
        if msize:
            tail = head + f"[{{xn}}, {{zm}}.d, lsl #{msize}]"
            forms += _row(name, words["d_scaled"], tail, (base, index), "_gds")
    scale = 1 << msize
    offset = imm("imm", 0, 31 * scale, lambda value: value // scale << 16, scale)
    tail = head + f"[{{zn}}.{lane}, #{{imm}}]"
    forms += _row(name, words["imm"], tail, (z("zn", 5), offset), f"_g{lane}_imm")
    return forms


def _gathers() -> tuple[Form, ...]:
    forms: tuple[Form, ...] = ()
    for name, (msize, unsigned, first_fault) in _LOADS.items():
        common = msize << 23 | unsigned << 14 | first_fault << 13
        for lane, bank in (("s", 0x8400_0000), ("d", 0xC400_0000)):
            if not _fits(name, msize, lane):
                continue
            words = {
                "ext": bank | common,
                "ext_scaled": bank | 0x0020_0000 | common,
                "d": bank | 0x0040_8000 | common,
                "d_scaled": bank | 0x0060_8000 | common,
                "imm": bank | 0x0020_8000 | common,
            }
            forms += _addresses(name, msize, lane, words, (22, 22))
    return forms


def _scatters() -> tuple[Form, ...]:
    forms: tuple[Form, ...] = ()
    for name, msize in _STORES.items():
        for lane in ("s", "d"):
            if not _fits(name, msize, lane):
                continue
            lane_bit = 0x0040_0000 if lane == "s" else 0
            common = 0xE400_0000 | msize << 23
            words = {
                "ext": common | 0x8000 | lane_bit,
                "ext_scaled": common | 0x0020_8000 | lane_bit,
                "d": common | 0xA000,
                "d_scaled": common | 0x0020_A000,
                "imm": common | 0x0040_A000 | (0x0020_0000 if lane == "s" else 0),
            }
            forms += _addresses(name, msize, lane, words, (14, 14))
    return forms


def _non_temporal() -> tuple[Form, ...]:
    """LDNT1 and STNT1 of addresses in a vector, plus a register (SVE2)."""
    forms: tuple[Form, ...] = ()
    for lane, bank, store_bit, unsigned_at in (
        ("s", 0x8400_8000, 0x0040_0000, 13),
        ("d", 0xC400_8000, 0, 14),
    ):
        tail = f"{{{{{{zt}}.{lane}}}}}, {{pg}}%s, [{{zn}}.{lane}, {{xm}}]"
        operands = (z("zt", 0), p("pg", 10, 8), z("zn", 5), x("xm", 16, default=31))
        loads = {
            "ldnt1" + name[3:]: bank | msize << 23 | unsigned << unsigned_at
            for name, (msize, unsigned, first_fault) in _LOADS.items()
            if not first_fault and _fits(name, msize, lane)
        }
        stores = {
            "stnt1" + name[3:]: 0xE400_2000 | store_bit | msize << 23
            for name, msize in _STORES.items()
            if _fits(name, msize, lane)
        }
        suffix = f"_g{lane}_nt"
        forms += rows("sve-gather", "sve2", tail % "/z", operands, loads, suffix)
        forms += rows("sve-scatter", "sve2", tail % "", operands, stores, suffix)
    return forms


FORMS: tuple[Form, ...] = (*_gathers(), *_scatters(), *_non_temporal())
