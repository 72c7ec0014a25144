"""SVE contiguous memory accesses: fill and spill, loads and stores, first-fault, no-fault,
broadcasts and structures."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.operands import ESIZE, bits, esize, imm, p, split, x, x_but_31, xsp, z
from corpus.isa.rows import rows

_BASE_IMM9 = (xsp("xn", 5), imm("imm", -256, 255, split((10, 3), (16, 6))))

_FILL_SPILL = (
    *rows(
        "sve-load",
        "sve",
        "{zt}, [{xn}, #{imm}, mul vl]",
        (z("zt", 0), *_BASE_IMM9),
        {"ldr": 0x8580_4000},
        "_z",
    ),
    *rows(
        "sve-load",
        "sve",
        "{pt}, [{xn}, #{imm}, mul vl]",
        (p("pt", 0), *_BASE_IMM9),
        {"ldr": 0x8580_0000},
        "_p",
    ),
    *rows(
        "sve-store",
        "sve",
        "{zt}, [{xn}, #{imm}, mul vl]",
        (z("zt", 0), *_BASE_IMM9),
        {"str": 0xE580_4000},
        "_z",
    ),
    *rows(
        "sve-store",
        "sve",
        "{pt}, [{xn}, #{imm}, mul vl]",
        (p("pt", 0), *_BASE_IMM9),
        {"str": 0xE580_0000},
        "_p",
    ),
)

MSIZE = {"b": 0, "h": 1, "w": 2, "d": 3}
"""Memory element sizes by mnemonic suffix: log2 of the size in bytes."""

_LOADS: dict[str, dict[str, int]] = {
    "b": {"b": 0, "h": 1, "s": 2, "d": 3},
    "h": {"h": 5, "s": 6, "d": 7},
    "w": {"s": 10, "d": 11},
    "d": {"d": 15},
    "sb": {"d": 12, "s": 13, "h": 14},
    "sh": {"d": 8, "s": 9},
    "sw": {"d": 4},
}
"""dtype field (bits 24:21) of contiguous loads, by memory type and element size."""


def scaled_index(register: str, msize: int) -> str:
    """The index part of an address whose index counts elements of 2**msize bytes."""
    return f"{{{register}}}, lsl #{msize}" if msize else f"{{{register}}}"


def _offset(count: int = 1) -> tuple[int, int, int]:
    """Lowest, highest and step of a four-bit offset in multiples of `count` vectors."""
    return -8 * count, 7 * count, count


def register_list(count: int) -> str:
    """The registers of a list that begins with zt, their elements of size `t`."""
    names = ("zt", "zt.next", "zt.next2", "zt.next3")[:count]
    return "{{" + ", ".join(f"{{{name}}}.{{t}}" for name in names) + "}}"


def _by_imm(
    mnemonic: str, word: int, group: str, sizes: str, place: dict[str, int], count: int = 1
) -> tuple[Form, ...]:
    by_log2 = {ESIZE[name]: field for name, field in place.items()}
    lo, hi, step = _offset(count)
    operands = (
        z("zt", 0),
        esize(names=sizes, place=lambda t: by_log2[t] << 21),
        p("pg", 10, 8),
        xsp("xn", 5),
        imm("imm", lo, hi, bits(16, 4, scale=count), step),
    )
    slash = "/z" if "load" in group else ""
    tail = f"{register_list(count)}, {{pg}}{slash}, [{{xn}}, #{{imm}}, mul vl]"
    return rows(group, "sve", tail, operands, {mnemonic: word}, "_i")


def _by_register(
    mnemonic: str, word: int, group: str, place: dict[str, int], msize: int, count: int = 1
) -> tuple[Form, ...]:
    by_log2 = {ESIZE[name]: field for name, field in place.items()}
    operands = (
        z("zt", 0),
        esize(names="".join(place), place=lambda t: by_log2[t] << 21),
        p("pg", 10, 8),
        xsp("xn", 5),
        x("xm", 16, default=31) if group == "ff-load" else x_but_31("xm", 16),
    )
    slash = "/z" if "load" in group else ""
    index = scaled_index("xm", msize)
    tail = f"{register_list(count)}, {{pg}}{slash}, [{{xn}}, {index}]"
    return rows(group, "sve", tail, operands, {mnemonic: word}, "_r")


def _contiguous_loads() -> tuple[Form, ...]:
    forms: list[Form] = []
    for memory, dtypes in _LOADS.items():
        msize = MSIZE[memory[-1]]
        sizes = "".join(dtypes)
        forms += _by_imm(f"ld1{memory}", 0xA400_A000, "sve-load", sizes, dtypes)
        forms += _by_register(f"ld1{memory}", 0xA400_4000, "sve-load", dtypes, msize)
        forms += _by_register(f"ldff1{memory}", 0xA400_6000, "ff-load", dtypes, msize)
        forms += _by_imm(f"ldnf1{memory}", 0xA410_A000, "nf-load", sizes, dtypes)
    return tuple(forms)


def _contiguous_stores() -> tuple[Form, ...]:
    forms: list[Form] = []
    for memory, msize in MSIZE.items():
        place = {name: log2 for name, log2 in ESIZE.items() if msize <= log2 <= 3}
        sizes = "".join(place)
        word = msize << 23
        forms += _by_imm(f"st1{memory}", 0xE400_E000 | word, "sve-store", sizes, place)
        forms += _by_register(f"st1{memory}", 0xE400_4000 | word, "sve-store", place, msize)
    return tuple(forms)


def _structures() -> tuple[Form, ...]:
    """Non-temporal accesses and structures of two to four registers."""
    forms: list[Form] = []
    for (memory, msize), size in zip(MSIZE.items(), "bhsd", strict=True):
        for count in (1, 2, 3, 4):
            word = msize << 23 | (count - 1) << 21
            place = {size: 0}
            load = f"ld{count}{memory}" if count > 1 else f"ldnt1{memory}"
            store = f"st{count}{memory}" if count > 1 else f"stnt1{memory}"
            kind = "sve-load" if count == 1 else "sve-load-structure"
            forms += _by_imm(load, 0xA400_E000 | word, kind, size, place, count)
            forms += _by_register(load, 0xA400_C000 | word, kind, place, msize, count)
            kind = "sve-store" if count == 1 else "sve-store-structure"
            forms += _by_imm(store, 0xE410_E000 | word, kind, size, place, count)
            forms += _by_register(store, 0xE400_6000 | word, kind, place, msize, count)
    return tuple(forms)


def _broadcasts() -> tuple[Form, ...]:
    forms: list[Form] = []
    for memory, dtypes in _LOADS.items():
        msize = MSIZE[memory[-1]]
        by_log2 = {ESIZE[name]: dtype for name, dtype in dtypes.items()}
        forms += rows(
            "sve-load-broadcast",
            "sve",
            "{{{zt}.{t}}}, {pg}/z, [{xn}, #{imm}]",
            (
                z("zt", 0),
                esize(
                    names="".join(dtypes),
                    place=lambda t, d=by_log2: d[t] >> 2 << 23 | (d[t] & 3) << 13,  # type: ignore[misc]
                ),
                p("pg", 10, 8),
                xsp("xn", 5),
                imm("imm", 0, 63 << msize, bits(16, 6, scale=1 << msize), 1 << msize),
            ),
            {f"ld1r{memory}": 0x8440_8000},
            "_i",
        )
    for (memory, msize), size in zip(MSIZE.items(), "bhsd", strict=True):
        for kind, width, cap in (("q", 16, "sve"), ("o", 32, "f64mm")):
            word = msize << 23 | (width == 32) << 21
            head = f"{{{{{{zt}}.{size}}}}}, {{pg}}/z, "
            forms += rows(
                "sve-load-broadcast",
                cap,
                head + "[{xn}, #{imm}]",
                (
                    z("zt", 0),
                    p("pg", 10, 8),
                    xsp("xn", 5),
                    imm("imm", -8 * width, 7 * width, bits(16, 4, scale=width), width),
                ),
                {f"ld1r{kind}{memory}": 0xA400_2000 | word},
                "_i",
            )
            forms += rows(
                "sve-load-broadcast",
                cap,
                head + f"[{{xn}}, {scaled_index('xm', msize)}]",
                (z("zt", 0), p("pg", 10, 8), xsp("xn", 5), x_but_31("xm", 16)),
                {f"ld1r{kind}{memory}": 0xA400_0000 | word},
                "_r",
            )
    return tuple(forms)


FORMS: tuple[Form, ...] = (
    *_FILL_SPILL,
    *_contiguous_loads(),
    *_contiguous_stores(),
    *_structures(),
    *_broadcasts(),
)
