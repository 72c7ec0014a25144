"""SVE2.1 loads and stores: of 128-bit elements, and of two or four vectors by a counter."""

from __future__ import annotations

from corpus.isa.form import Form, Operand
from corpus.isa.operands import ESIZE, bits, imm, p, pn, x, x_but_31, xsp, z, z_list
from corpus.isa.rows import rows
from corpus.isa.sve21 import CAP
from corpus.isa.sve_mem import MSIZE, register_list, scaled_index

LOAD, STORE = "sve21-quad-load", "sve21-quad-store"
GATHER, SCATTER = "sve21-quad-gather", "sve21-quad-scatter"
LOAD_STRUCTURE, STORE_STRUCTURE = "sve21-load-structure", "sve21-store-structure"
LOAD_MULTIPLE, STORE_MULTIPLE = "sve21-load-multiple", "sve21-store-multiple"


def _offset(count: int = 1) -> Operand:
    return imm("imm", -8 * count, 7 * count, bits(16, 4, scale=count), count)


def _both(
    mnemonic: str,
    group: str,
    head: str,
    operands: tuple[Operand, ...],
    words: tuple[int, int],
    offset: Operand,
    index: tuple[Operand, int],
    suffix: str = "",
) -> tuple[Form, ...]:
    """With an immediate offset and with a register. `words`: the fixed bits of both; `index`:
    the register, and the log2 of what it counts."""
    by_register = f"{head}, [{{xn}}, {scaled_index('xm', index[1])}]"
    base = xsp("xn", 5)
    return rows(
        group,
        CAP,
        f"{head}, [{{xn}}, #{{imm}}, mul vl]",
        (*operands, base, offset),
        {mnemonic: words[0]},
        f"{suffix}_i",
    ) + rows(
        group,
        CAP,
        by_register,
        (*operands, base, index[0]),
        {mnemonic: words[1]},
        f"{suffix}_r",
    )


def _quadwords() -> tuple[Form, ...]:
    """A word or a doubleword of memory for each 128 bits of a vector."""
    forms: tuple[Form, ...] = ()
    operands = (z("zt", 0), p("pg", 10, 8))
    for memory, load, store in (("w", 0xA500_0000, 0xE500_0000), ("d", 0xA580_0000, 0xE5C0_0000)):
        index = x_but_31("xm", 16), MSIZE[memory]
        head = "{{{zt}.q}}, {pg}"
        words = load | 0x10_2000, load | 0x8000
        forms += _both(f"ld1{memory}", LOAD, head + "/z", operands, words, _offset(), index, "_q")
        words = store | 0xE000, store | 0x4000
        forms += _both(f"st1{memory}", STORE, head, operands, words, _offset(), index, "_q")
    return forms


def _structures() -> tuple[Form, ...]:
    forms: tuple[Form, ...] = ()
    operands, index = (z("zt", 0), p("pg", 10, 8)), (x_but_31("xm", 16), 4)
    for count in (2, 3, 4):
        head = register_list(count).replace("{t}", "q") + ", {pg}"
        which = count - 1
        words = 0xA410_E000 | which << 23, 0xA420_8000 | which << 23
        load = f"ld{count}q", LOAD_STRUCTURE, head + "/z"
        forms += _both(*load, operands, words, _offset(count), index)
        words = 0xE400_0000 | which << 22, 0xE420_0000 | which << 22
        store = f"st{count}q", STORE_STRUCTURE, head
        forms += _both(*store, operands, words, _offset(count), index)
    return forms


_BY_VECTOR = (z("zt", 0), p("pg", 10, 8), z("zn", 5), x("xm", 16, default=31))

_SCATTERED = (
    *rows(
        GATHER, CAP, "{{{zt}.q}}, {pg}/z, [{zn}.d, {xm}]", _BY_VECTOR, {"ld1q": 0xC400_A000}, "_gd"
    ),
    *rows(
        SCATTER, CAP, "{{{zt}.q}}, {pg}, [{zn}.d, {xm}]", _BY_VECTOR, {"st1q": 0xE420_2000}, "_gd"
    ),
)


def _multiple() -> tuple[Form, ...]:
    """Two or four vectors in a row, of which a counter says how much."""
    forms: tuple[Form, ...] = ()
    for count in (2, 4):
        operands = (z_list("zt", 0, count), pn("pn", 10))
        for memory, msize in MSIZE.items():
            letter = next(name for name, size in ESIZE.items() if size == msize)
            head = register_list(count).replace("{t}", letter) + ", {pn}"
            for temporal, hint in (("", 0), ("nt", 1)):
                word = 0xA000_0000 | (count == 4) << 15 | msize << 13 | hint
                index = x("xm", 16), msize
                for name, group, tail, more in (
                    (f"ld{temporal}1{memory}", LOAD_MULTIPLE, "/z", 0),
                    (f"st{temporal}1{memory}", STORE_MULTIPLE, "", 0x20_0000),
                ):
                    words = word | more | 0x40_0000, word | more
                    forms += _both(
                        name,
                        group,
                        head + tail,
                        operands,
                        words,
                        _offset(count),
                        index,
                        f"_x{count}",
                    )
    return forms


FORMS: tuple[Form, ...] = (*_quadwords(), *_structures(), *_SCATTERED, *_multiple())
