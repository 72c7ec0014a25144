"""Builders of table rows: one syntax and operand list for many opcodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from corpus.isa.form import Args, Form, Operand


def rows(
    group: str,
    cap: str,
    tail: str,
    operands: tuple[Operand, ...],
    table: Mapping[str, int],
    suffix: str = "",
    *,
    valid: Callable[[Args], bool] | None = None,
    repair: Callable[[Args], Args] | None = None,
    joint: Callable[[Args], int] | None = None,
    tail_asm: str = "",
) -> tuple[Form, ...]:
    """One form per entry of `table` (mnemonic -> fixed bits), named mnemonic + suffix."""
    return tuple(
        Form(
            mnemonic + suffix,
            f"{mnemonic} {tail}".rstrip(),
            (word,),
            operands,
            group,
            cap,
            f"{mnemonic} {tail_asm}" if tail_asm else "",
            valid,
            repair,
            joint,
        )
        for mnemonic, word in table.items()
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """Keeps operand `index` inside the limits that the other operands set.

    `limits` gives the lowest and highest allowed value; `valid` and `repair` go into a Form.
    """

    index: int
    limits: Callable[[Args], tuple[int, int]]

    def valid(self, args: Args) -> bool:
        """True if the operand is within its limits."""
        lo, hi = self.limits(args)
        return lo <= args[self.index] <= hi

    def repair(self, args: Args) -> Args:
        """`args` with the operand folded into its limits."""
        lo, hi = self.limits(args)
        value = lo + (args[self.index] - lo) % (hi - lo + 1)
        return (*args[: self.index], value, *args[self.index + 1 :])


def _itself(value: int) -> int:
    return value


def shift_rows(
    group: str,
    cap: str,
    tail: str,
    operands: tuple[Operand, ...],
    table: Mapping[str, int],
    suffix: str,
    place: Callable[[int], int],
    *,
    right: bool,
    log2: Callable[[int], int] = _itself,
) -> tuple[Form, ...]:
    """Rows of shifts by an immediate; the operands must include `t` and `imm`.

    Element size and amount share one field, which `place` positions: size in bits + amount
    for left shifts (amount 0 to bits - 1), twice the size - amount for right shifts (1 to
    bits). `log2` gets the log2 of the element's bytes from the value of `t`.
    """
    names = [operand.name for operand in operands]
    t, amount = names.index("t"), names.index("imm")

    def limits(args: Args) -> tuple[int, int]:
        width = 8 << log2(args[t])
        return (1, width) if right else (0, width - 1)

    def joint(args: Args) -> int:
        width = 8 << log2(args[t])
        return place(2 * width - args[amount] if right else width + args[amount])

    bound = Bound(amount, limits)
    return rows(
        group,
        cap,
        tail,
        operands,
        table,
        suffix,
        valid=bound.valid,
        repair=bound.repair,
        joint=joint,
    )
