"""Values, registers and texts as C says them. Pure.

What a pattern means is in `parts/pattern.c`, which reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from corpus import registers as regs
from targets.spec.sets import Candidate

NUMBER = 8
"""Bytes of the longest value that is told as a number."""
ROW = 32
"""Bytes of a pattern in one line of C."""


def pattern(candidates: Sequence[Candidate], size: int) -> str:
    """The values (value, unknown bits) of `size` bytes that fit."""
    return " | ".join(_one(value, loose, size) for value, loose in candidates)


def pattern_of(data: bytes) -> str:
    """Just these bytes."""
    return _one(int.from_bytes(data, "little"), 0, len(data))


def _one(value: int, loose: int, size: int) -> str:
    if size <= NUMBER:
        if loose == (1 << 8 * size) - 1:
            return f"..*{size}"
        return f"{value:#x}/{loose:#x}" if loose else f"{value:#x}"
    cells = [_cell(value >> 8 * i & 0xFF, loose >> 8 * i & 0xFF) for i in range(size)]
    runs = [(cell, len(list(same))) for cell, same in groupby(cells)]
    words: list[str] = []
    plain = ""
    for cell, count in runs:
        if count > 3 or len(cell) > 2:
            words += [plain] if plain else []
            words.append(f"{cell}*{count}" if count > 1 else cell)
            plain = ""
        else:
            plain += cell * count
    return " ".join([*words, plain] if plain else words)


def _cell(value: int, loose: int) -> str:
    if loose == 0xFF:
        return ".."
    return f"{value:02x}/{loose:02x}" if loose else f"{value:02x}"


def string(text: str, indent: str = "\t\t") -> str:
    """A C string literal, in several lines where it is long."""
    pieces = list(_pieces(text))
    if len(pieces) == 1:
        return quoted(pieces[0])
    return f"\n{indent}".join(["", *map(quoted, pieces)])


def _pieces(text: str) -> Iterator[str]:
    """Parts of at most some characters, cut at spaces or between bytes."""
    most = 2 * ROW
    while len(text) > most:
        cut = text.rfind(" ", 0, most) + 1 or most
        yield text[:cut]
        text = text[cut:]
    yield text


def quoted(text: str) -> str:
    """One C string literal."""
    out = "".join(_ESCAPES.get(c) or (c if " " <= c <= "~" else "?") for c in text)
    return f'"{out}"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "; ", "\t": " "}


def comment(text: str) -> str:
    """Text that can stand in a C comment."""
    safe = text.replace("*/", "* /").replace("/*", "/ *")
    return "".join(c if " " <= c <= "~" else "?" for c in safe)


_CORE_FIELDS = {
    "sp": "regs.sp",
    "pc": "regs.pc",
    "pstate": "regs.pstate",
    "sp_el1": "sp_el1",
    "elr_el1": "elr_el1",
    **{f"spsr_{name}": f"spsr[{n}]" for n, name in enumerate(("el1", "abt", "und", "irq", "fiq"))},
    "fpsr": "fp_regs.fpsr",
    "fpcr": "fp_regs.fpcr",
}


def register(reg: int) -> str:
    """The id of a register, by the macros of `parts/ids.c` and of the kernel's headers where it
    has a name."""
    row = regs.BY_ID.get(reg)
    if row is None:
        return f"{reg:#x}ull"
    name = row.name
    if row.kind in ("z", "p", "v") or reg in regs.X_IDS:
        return f"{name[0].upper()}({name[1:]})"
    if name == "ffr":
        return "FFR"
    if name == "vls":
        return "KVM_REG_ARM64_SVE_VLS"
    if name in regs.SYSREG_ENCODINGS:
        return f"ARM64_SYS_REG({', '.join(map(str, regs.SYSREG_ENCODINGS[name]))})"
    size = "U32" if regs.size_of(reg) == 4 else "U64"
    return f"CORE({size}, {_CORE_FIELDS[name]})"
