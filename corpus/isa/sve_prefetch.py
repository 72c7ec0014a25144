"""SVE prefetches. They change nothing and never fault, but trap as all SVE does."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.operands import bits, choice, imm, p, x_but_31, xsp, z
from corpus.isa.rows import rows

_KINDS = {"prfb": 0, "prfh": 1, "prfw": 2, "prfd": 3}
"""log2 of the element's bytes."""
_HINTS = {
    f"p{kind}l{level}{keep}": kind_bit << 3 | (level - 1) << 1 | keep_bit
    for kind, kind_bit in (("ld", 0), ("st", 1))
    for level in (1, 2, 3)
    for keep, keep_bit in (("keep", 0), ("strm", 1))
} | {f"#{number}": number for number in (6, 7, 14, 15)}
"""What is prefetched for what; numbers without a name mean nothing."""

_NUMBERS = {f"#{number}": number for number in range(16)}
_HINT, _PG, _XN = choice("hint", _HINTS, also=_NUMBERS), p("pg", 10, 8), xsp("xn", 5)


def _row(
    mnemonic: str, word: int, address: str, operands: tuple[Operand, ...], suffix: str
) -> Form:
    tail = "{hint}, {pg}, " + address
    return rows("sve-prefetch", "sve", tail, (_HINT, _PG, *operands), {mnemonic: word}, suffix)[0]


def _forms() -> tuple[Form, ...]:
    forms: list[Form] = []
    extend = choice("extend", {"uxtw": 0, "sxtw": 1}, 22)
    for name, log2 in _KINDS.items():
        lines = imm("imm", -32, 31, bits(16, 6))
        forms.append(
            _row(name, 0x85C0_0000 | log2 << 13, "[{xn}, #{imm}, mul vl]", (_XN, lines), "_i")
        )
        shift = f", lsl #{log2}" if log2 else ""
        by_register = (_XN, x_but_31("xm", 16))
        forms.append(
            _row(name, 0x8400_C000 | log2 << 23, f"[{{xn}}, {{xm}}{shift}]", by_register, "_r")
        )
        scale = 1 << log2
        offset = imm("imm", 0, 31 * scale, bits(16, 5, scale=scale), scale)
        scaled = f" #{log2}" if log2 else ""
        for lane, bank in (("s", 0x8400_0000), ("d", 0xC400_0000)):
            address = f"[{{zn}}.{lane}, #{{imm}}]"
            word = bank | 0xE000 | log2 << 23
            forms.append(_row(name, word, address, (z("zn", 5), offset), f"_g{lane}_imm"))
            address = f"[{{xn}}, {{zm}}.{lane}, {{extend}}{scaled}]"
            word = bank | 0x0020_0000 | log2 << 13
            forms.append(_row(name, word, address, (_XN, z("zm", 16), extend), f"_g{lane}_ext"))
        word = 0xC460_8000 | log2 << 13
        forms.append(_row(name, word, f"[{{xn}}, {{zm}}.d{shift}]", (_XN, z("zm", 16)), "_gd"))
    return tuple(forms)


FORMS: tuple[Form, ...] = _forms()
