"""FEAT_MOPS: memory that is copied or set, by a prologue, a main part and an epilogue.

The three belong together (Arm ARM, CPYP, CPYM, CPYE), and what one of them leaves for the next
is up to the CPU, so that each row here has all of them, three words long.
"""

from __future__ import annotations

from corpus.isa.form import Args, Form, Operand
from corpus.isa.operands import x, x_but_31

GROUP = "mops-store"
FORWARDS, EITHER_WAY, SET = "cpyf", "cpy", "set"

_PARTS = "pme"
_COPY_STEP, _SET_STEP = 1 << 22, 1 << 14
_OPCODES = {FORWARDS: 0x1900_0400, EITHER_WAY: 0x1D00_0400, SET: 0x19C0_0400}
_COPY_HINTS = {"": 0, "wn": 0x4000, "rn": 0x8000, "n": 0xC000}
_SET_HINTS = {"": 0, "n": 0x2000}
"""Accesses that are said to be non-temporal: writes, reads, both."""


def _in_each(operand: Operand) -> Operand:
    """An operand that stands in all three words."""
    place = operand.place
    return Operand(
        operand.name,
        operand.domain,
        lambda value: sum(place(value) << 32 * part for part in range(len(_PARTS))),
    )


def is_part(word: int) -> bool:
    """Whether a word is in the space that prologues, main parts and epilogues have to themselves,
    and those that set tags (Arm ARM, Memory Copy and Memory Set)."""
    return word & 0xFB20_0C00 == 0x1900_0400


def are_apart(args: Args) -> bool:
    """No register is named twice, which is CONSTRAINED UNPREDICTABLE."""
    return len(set(args)) == len(args)


def make_apart(args: Args) -> Args:
    """The same with other registers for those that were named before."""
    made: list[int] = []
    for number in args:
        free = number
        while free in made:
            free = (free + 1) % 31
        made.append(free)
    return tuple(made)


def _rows(kind: str, step: int, hints: dict[str, int], tail: str, source: Operand) -> list[Form]:
    operands = tuple(map(_in_each, (x_but_31("xd", 0), source, x_but_31("xc", 5))))
    return [
        Form(
            f"{kind}_{_PARTS}{hint}",
            f"{kind}-{_PARTS}{hint} {tail}",
            tuple(_OPCODES[kind] | bits | n * step for n in range(len(_PARTS))),
            operands,
            GROUP,
            "mops",
            "\n".join(f"{kind}{part}{hint} {tail}" for part in _PARTS),
            are_apart,
            make_apart,
        )
        for hint, bits in hints.items()
    ]


_COPY = "[{xd}]!, [{xs}]!, {xc}!"

FORMS: tuple[Form, ...] = (
    *_rows(FORWARDS, _COPY_STEP, _COPY_HINTS, _COPY, x_but_31("xs", 16)),
    *_rows(EITHER_WAY, _COPY_STEP, _COPY_HINTS, _COPY, x_but_31("xs", 16)),
    *_rows(SET, _SET_STEP, _SET_HINTS, "[{xd}]!, {xc}!, {xs}", x("xs", 16)),
)
"""But for accesses as by EL0, and those that set tags."""
