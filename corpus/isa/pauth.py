"""FEAT_PAuth: pointers that are signed, authenticated and stripped, and codes of data."""

from __future__ import annotations

from corpus.domain import Choice
from corpus.isa.form import Args, Form, Operand
from corpus.isa.operands import imm, split, x, x_but_31, xsp
from corpus.isa.rows import rows

KEY_ENABLES: dict[str, int] = {"ia": 1 << 31, "ib": 1 << 30, "da": 1 << 27, "db": 1 << 13}
"""SCTLR_EL1.EnIA, EnIB, EnDA and EnDB, by the key that each is about (Arm ARM, SCTLR_EL1)."""
ALL_ENABLES = sum(KEY_ENABLES.values())
SIGN, AUTHENTICATE = "pac", "aut"

_OPCODES: dict[str, int] = {
    what + key: first + n
    for what, first in ((SIGN, 0), (AUTHENTICATE, len(KEY_ENABLES)))
    for n, key in enumerate(KEY_ENABLES)
}
_BY_REGISTER = {name: 0xDAC1_0000 | opcode << 10 for name, opcode in _OPCODES.items()}
_BY_ZERO = {
    f"{name[:-1]}z{name[-1]}": 0xDAC1_23E0 | opcode << 10 for name, opcode in _OPCODES.items()
}
_STRIPS = {"xpaci": 0xDAC1_43E0, "xpacd": 0xDAC1_47E0}


def _hint(number: int) -> int:
    return 0xD503_201F | number << 5


_HINTS: dict[str, int] = {
    "xpaclri": _hint(7),
    **{
        f"{what}i{ab}1716": _hint(8 + 4 * (what == AUTHENTICATE) + 2 * (ab == "b"))
        for what in (SIGN, AUTHENTICATE)
        for ab in "ab"
    },
    **{
        f"{what}i{ab}{by}": _hint(24 + 4 * (what == AUTHENTICATE) + 2 * (ab == "b") + (by == "sp"))
        for what in (SIGN, AUTHENTICATE)
        for ab in "ab"
        for by in ("z", "sp")
    },
}
"""Those that are NOPs on a CPU that knows nothing of them."""

ENABLE_KEYS = "enable_keys"
"""The form that has SCTLR_EL1 enable some keys, and no other."""
_SETS: dict[str, int] = {
    "+".join(key for n, key in enumerate(KEY_ENABLES) if chosen >> n & 1) or "none": sum(
        bit for n, bit in enumerate(KEY_ENABLES.values()) if chosen >> n & 1
    )
    for chosen in range(1 << len(KEY_ENABLES))
}
_HIGH_WORD, _LOW_WORD = 4, 5
"""Which instructions of the form have the upper and the lower half of the bits."""


def _place(enables: int) -> int:
    return (enables >> 16) << 32 * _HIGH_WORD + 5 | (enables & 0xFFFF) << 32 * _LOW_WORD + 5


_ENABLES = Operand(
    "keys",
    Choice(_SETS),
    _place,
    {
        "high": {bits: f"{bits >> 16:#x}" for bits in _SETS.values()},
        "low": {bits: f"{bits & 0xFFFF:#x}" for bits in _SETS.values()},
    },
)


def _offset(value: int) -> int:
    return split((12, 9), (22, 1))(value // 8 & 0x3FF)


_LOAD = (x("xt", 0), xsp("xn", 5), imm("imm", -4096, 4088, _offset, 8))


def _are_apart(args: Args) -> bool:
    """The register that is loaded is not the one that is written back."""
    return args[0] != args[1] or args[1] == 31


LOADS = (
    *rows(
        "pauth",
        "pauth",
        "{xt}, [{xn}, #{imm}]",
        _LOAD,
        {"ldraa": 0xF820_0400, "ldrab": 0xF8A0_0400},
    ),
    *rows(
        "pauth",
        "pauth",
        "{xt}, [{xn}, #{imm}]!",
        _LOAD,
        {"ldraa": 0xF820_0C00, "ldrab": 0xF8A0_0C00},
        "_pre",
        valid=_are_apart,
        repair=lambda args: ((args[0] + 1) % 31, *args[1:]),
    ),
)
"""Loads by a pointer to data, with zero as modifier."""

EL1H = 0x3C5
"""What SPSR_EL1 holds for an exception return to EL1 with its own stack pointer."""
_ADR, _TO_NEXT, NOP = 0x1000_0000, 12 << 3, 0xD503_201F


def _in_words(operand: Operand, *positions: int) -> Operand:
    """An operand at these bits of all words, 32 of each."""
    return Operand(
        operand.name, operand.domain, lambda value: sum(value << position for position in positions)
    )


def _branches() -> tuple[Form, ...]:
    """A pointer to what comes next is made and signed, and branched to with the same key and
    modifier, so that a program goes on behind. Behind a branch stands a NOP, which ends
    PSTATE.BTYPE, that branches set."""
    forms: list[Form] = []
    pointer = _in_words(x_but_31("xn", 0), 0, 32, 64 + 5)
    modifier = _in_words(xsp("xm", 0), 32 + 5, 64)
    for n, letter in enumerate("ab"):
        for branch, opcode in (("br", 0xD61F_0800), ("blr", 0xD63F_0800)):
            name, last = f"{branch}a{letter}", opcode | n << 10
            forms += [
                Form(
                    f"{name}_next",
                    f"{name}-next {{xn}}, {{xm}}",
                    (_ADR | _TO_NEXT, 0xDAC1_0000 | n << 10, last | 0x0100_0000, NOP),
                    (pointer, modifier),
                    "pauth",
                    "base",
                    f"adr {{xn}}, .+12\npaci{letter} {{xn}}, {{xm}}\n{name} {{xn}}, {{xm}}\nnop",
                    lambda args: args[0] != args[1],
                    lambda args: (args[0], (args[1] + 1) % 32),
                ),
                Form(
                    f"{name}z_next",
                    f"{name}z-next {{xn}}",
                    (_ADR | _TO_NEXT, 0xDAC1_23E0 | n << 10, last | 0x1F, NOP),
                    (pointer,),
                    "pauth",
                    "base",
                    f"adr {{xn}}, .+12\npaciz{letter} {{xn}}\n{name}z {{xn}}\nnop",
                ),
            ]
        forms.append(
            Form(
                f"reta{letter}_next",
                f"reta{letter}-next",
                (_ADR | _TO_NEXT | 30, 0xD503_233F | n << 6, 0xD65F_0BFF | n << 10, NOP),
                (),
                "pauth",
                "base",
                f"adr x30, .+12\npaci{letter}sp\nreta{letter}\nnop",
            )
        )
        forms.append(
            Form(
                f"ereta{letter}_next",
                f"ereta{letter}-next",
                (
                    *(_ADR | 24 << 3 | 30, 0xD503_233F | n << 6, 0xD518_403E),
                    *(0xD280_001E | EL1H << 5, 0xD518_401E, 0xD69F_0BFF | n << 10),
                ),
                (),
                "pauth",
                "base",
                f"adr x30, .+24\npaci{letter}sp\nmsr elr_el1, x30\nmovz x30, #{EL1H:#x}\n"
                f"msr spsr_el1, x30\nereta{letter}",
            )
        )
    return tuple(forms)


BRANCHES = _branches()
FLOW = frozenset(form.name for form in (*LOADS, *BRANCHES))
"""Forms that mean something only behind what signs their pointers, which `fuzz.generate.signing`
puts there."""

FORMS: tuple[Form, ...] = (
    *rows("pauth", "pauth", "{xd}, {xn}", (x("xd", 0), xsp("xn", 5)), _BY_REGISTER),
    *rows("pauth", "pauth", "{xd}", (x("xd", 0),), _BY_ZERO | _STRIPS),
    *rows(
        "pauth",
        "pauth",
        "{xd}, {xn}, {xm}",
        (x("xd", 0), x("xn", 5), xsp("xm", 16)),
        {"pacga": 0x9AC0_3000},
    ),
    *rows("pauth", "base", "", (), _HINTS),
    Form(
        ENABLE_KEYS,
        "enable-keys {keys}",
        (
            *(0xD538_101D, 0xD2B9_001E, 0xF284_001E, 0x8A3E_03BD),
            *(0xD2A0_001E, 0xF280_001E, 0xAA1E_03BD, 0xD518_101D, 0xD503_3FDF),
        ),
        (_ENABLES,),
        "pauth",
        "base",
        asm=f"""mrs x29, sctlr_el1
movz x30, #{ALL_ENABLES >> 16:#x}, lsl #16
movk x30, #{ALL_ENABLES & 0xFFFF:#x}
bic x29, x29, x30
movz x30, #{{keys.high}}, lsl #16
movk x30, #{{keys.low}}
orr x29, x29, x30
msr sctlr_el1, x29
isb""",
    ),
    *LOADS,
    *BRANCHES,
)
