"""Loads and stores of V registers: single, pairs, structures, lanes and replicating."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.operands import arrangement, at, bits, imm, split, v, x, x_but_31, xsp
from corpus.isa.rows import rows

_SIZES = {"b": 0, "h": 1, "s": 2, "d": 3, "q": 4}


def _scalar_word(log2: int, load: int) -> int:
    """size, opc of a single-register access; 128 bits use a bit of opc."""
    return (log2 & 3) << 30 | (log2 >> 2) << 23 | load << 22


def _single_registers() -> tuple[Form, ...]:
    forms: list[Form] = []
    for letter, log2 in _SIZES.items():
        size = 1 << log2
        vt = v("vt", 0, letter)
        base = xsp("xn", 5)
        shift = f", lsl #{log2}" if log2 else ""
        simm9 = imm("imm", -256, 255, bits(12, 9))
        for load in (1, 0):
            word = _scalar_word(log2, load)
            group = "asimd-load" if load else "asimd-store"
            scaled = imm("imm", 0, 4095 * size, bits(10, 12, scale=size), size)
            kind = "ldr" if load else "str"

            def row(
                mnemonic: str,
                tail: str,
                offset: Operand,
                fixed: int,
                suffix: str,
                *,
                group: str = group,
                head: tuple[Operand, ...] = (vt, base),
                word: int = word,
                letter: str = letter,
            ) -> tuple[Form, ...]:
                table = {mnemonic: word | fixed}
                return rows(group, "fp", tail, (*head, offset), table, f"_{letter}{suffix}")

            forms += row(kind, "{vt}, [{xn}, #{imm}]", scaled, 0x3D00_0000, "")
            forms += row("ldur" if load else "stur", "{vt}, [{xn}, #{imm}]", simm9, 0x3C00_0000, "")
            forms += row(
                kind, f"{{vt}}, [{{xn}}, {{xm}}{shift}]", x("xm", 16), _indexed(log2), "_r"
            )
            forms += row(kind, "{vt}, [{xn}], #{imm}", simm9, 0x3C00_0400, "_post")
            forms += row(kind, "{vt}, [{xn}, #{imm}]!", simm9, 0x3C00_0C00, "_pre")
    return tuple(forms)


def _indexed(log2: int) -> int:
    """Register offset, option LSL, shifted by the access size."""
    return 0x3C20_6800 | (1 << 12 if log2 else 0)


def _pairs() -> tuple[Form, ...]:
    forms: list[Form] = []
    for number, letter in enumerate("sdq"):
        size = 4 << number
        offset = imm("imm", -64 * size, 63 * size, bits(15, 7, scale=size), size)
        base = xsp("xn", 5)
        for mnemonic, load in (("ldp", 1), ("stp", 0)):
            group = "asimd-load" if load else "asimd-store"
            word = number << 30 | load << 22
            operands = (v("vt", 0, letter), v("vt2", 10, letter), base, offset)
            clash = load == 1
            temporary = mnemonic.replace("p", "np")
            for name, tail, fixed, suffix in (
                (mnemonic, "{vt}, {vt2}, [{xn}, #{imm}]", 0x2D00_0000, ""),
                (mnemonic, "{vt}, {vt2}, [{xn}], #{imm}", 0x2C80_0000, "_post"),
                (mnemonic, "{vt}, {vt2}, [{xn}, #{imm}]!", 0x2D80_0000, "_pre"),
                (temporary, "{vt}, {vt2}, [{xn}, #{imm}]", 0x2C00_0000, ""),
            ):
                forms += rows(
                    group,
                    "fp",
                    tail,
                    operands,
                    {name: word | fixed},
                    f"_{letter}{suffix}",
                    valid=_distinct if clash else None,
                    repair=_make_distinct if clash else None,
                )
    return tuple(forms)


def _distinct(args: tuple[int, ...]) -> bool:
    """LDP of one register twice is CONSTRAINED UNPREDICTABLE."""
    return args[0] != args[1]


def _make_distinct(args: tuple[int, ...]) -> tuple[int, ...]:
    return (args[0], args[0] ^ 1, *args[2:])


_FOLLOWERS = ("vt", "vt.next", "vt.next2", "vt.next3")


def _list(count: int, letter: str) -> str:
    return "{{" + ", ".join(f"{{{name}}}.{letter}" for name in _FOLLOWERS[:count]) + "}}"


def _q_size_10(a: int) -> int:
    return (a & 1) << 30 | (a >> 1) << 10


_ALL = "8b 16b 4h 8h 2s 4s 1d 2d"
_STRUCTURES = {
    ("1", 1): 0x7000,
    ("1", 2): 0xA000,
    ("1", 3): 0x6000,
    ("1", 4): 0x2000,
    ("2", 2): 0x8000,
    ("3", 3): 0x4000,
    ("4", 4): 0x0000,
}
"""opcode field by structure size and number of registers."""


def _multiple() -> tuple[Form, ...]:
    forms: list[Form] = []
    for (structure, count), opcode in _STRUCTURES.items():
        names = _ALL if structure == "1" else _ALL.replace("1d ", "")
        operands = (v("vt", 0), arrangement(names, place=_q_size_10), xsp("xn", 5))
        tail = _list(count, "{t}") + ", [{xn}]"
        for stem, load in (("ld", 1), ("st", 0)):
            group = "asimd-load" if load else "asimd-store"
            table = {stem + structure: 0x0C00_0000 | load << 22 | opcode}
            forms += rows(group, "fp", tail, operands, table, f"_m{count}")
            amount = {a: str((8 << (a & 1)) * count) for a in range(8)}
            after = arrangement(names, place=_q_size_10)
            after = Operand(after.name, after.domain, after.place, {"bytes": amount})
            post = stem + structure, 0x0C80_0000 | load << 22 | opcode
            first = (v("vt", 0), after, xsp("xn", 5))
            forms += _post_index(group, post, tail, "#{t.bytes}", first, f"_m{count}")
    return tuple(forms)


def _post_index(
    group: str,
    opcode: tuple[str, int],
    tail: str,
    amount: str,
    operands: tuple[Operand, ...],
    suffix: str,
) -> tuple[Form, ...]:
    """An access that then adds its size, or a register, to the base."""
    name, word = opcode
    by_size = rows(
        group, "fp", f"{tail}, {amount}", operands, {name: word | 31 << 16}, f"{suffix}_post"
    )
    by_register = (*operands, x_but_31("xm", 16))
    return by_size + rows(
        group, "fp", f"{tail}, {{xm}}", by_register, {name: word}, f"{suffix}_postr"
    )


_LANE_PLACES = {
    "b": (0x0000, split((10, 3), (30, 1))),
    "h": (0x4000, split((11, 2), (30, 1))),
    "s": (0x8000, split((12, 1), (30, 1))),
    "d": (0x8400, at(30)),
}
"""opcode and size bits by element, and where the lane number goes (Q:S:size)."""


def _lanes() -> tuple[Form, ...]:
    forms: list[Form] = []
    for letter, (opcode, place) in _LANE_PLACES.items():
        for count in (1, 2, 3, 4):
            selector = (count - 1 & 1) << 21 | (count - 1 >> 1) << 13
            operands = (
                v("vt", 0),
                imm("imm", 0, (16 >> _SIZES[letter]) - 1, place),
                xsp("xn", 5),
            )
            tail = _list(count, letter) + "[{imm}], [{xn}]"
            for stem, load in (("ld", 1), ("st", 0)):
                group = "asimd-load" if load else "asimd-store"
                table = {f"{stem}{count}": 0x0D00_0000 | load << 22 | opcode | selector}
                suffix = f"_lane_{letter}"
                forms += rows(group, "fp", tail, operands, table, suffix)
                post = f"{stem}{count}", 0x0D80_0000 | load << 22 | opcode | selector
                size = f"#{count << _SIZES[letter]}"
                forms += _post_index(group, post, tail, size, operands, suffix)
    return tuple(forms)


def _replicating() -> tuple[Form, ...]:
    forms: list[Form] = []
    for count in (1, 2, 3, 4):
        selector = (count - 1 & 1) << 21 | (count - 1 >> 1) << 13
        name, tail = f"ld{count}r", _list(count, "{t}") + ", [{xn}]"
        t = arrangement(_ALL, place=_q_size_10)
        t = Operand(
            t.name, t.domain, t.place, {"bytes": {a: str(count << (a >> 1)) for a in range(8)}}
        )
        operands = (v("vt", 0), t, xsp("xn", 5))
        forms += rows("asimd-load", "fp", tail, operands, {name: 0x0D40_C000 | selector}, "_v")
        post = name, 0x0DC0_C000 | selector
        forms += _post_index("asimd-load", post, tail, "#{t.bytes}", operands, "_v")
    return tuple(forms)


FORMS: tuple[Form, ...] = (
    *_single_registers(),
    *_pairs(),
    *_multiple(),
    *_lanes(),
    *_replicating(),
)
