"""SVE2.1 instructions on predicates: pairs of them, and predicates as counters.

A counter says how many elements of up to four vectors are active, the first ones or all but the
first ones, of which size (Arm ARM, CounterToPredicate).
"""

from __future__ import annotations

from corpus.domain import Choice, IntRange
from corpus.isa.form import Args, Form, Operand
from corpus.isa.operands import at, esize, imm, nowhere, p, p_pair, pn, split, x
from corpus.isa.rows import Bound, rows
from corpus.isa.sve21 import CAP

GROUP = "sve21-pred"

_VECTORS = {"vlx2": 2, "vlx4": 4}
"""How many vectors a counter is for."""


def _vectors(position: int) -> Operand:
    return Operand("vectors", Choice(_VECTORS), lambda n: (n == 4) << position)


def _select_joint(args: Args) -> int:
    """i1:tszh:tszl: the index above a one that marks the element size."""
    t, index = args[3], args[5]
    return split((18, 3), (22, 2))((2 * index + 1) << t)


_SELECT_INDEX = Bound(5, lambda args: (0, (16 >> args[3]) - 1))

_CONDITIONS = ("ge", "gt", "lt", "le", "hs", "hi", "lo", "ls")
"""By their code: unsigned, upwards, and one bit that stands elsewhere in the two kinds."""


def _while(word: int, last_bit: int) -> dict[str, int]:
    return {
        f"while{name}": word | (code >> 1) << 10 | (code & 1) << last_bit
        for code, name in enumerate(_CONDITIONS)
    }


FORMS: tuple[Form, ...] = (
    *rows(
        GROUP,
        CAP,
        "{pd}, {pn}, {pm}.{t}[{wv}, #{imm}]",
        (
            p("pd", 0),
            p("pn", 10),
            p("pm", 5),
            esize(place=nowhere),
            Operand("wv", IntRange(12, 15, prefix="w"), lambda n: n - 12 << 16),
            imm("imm", 0, 15, nowhere),
        ),
        {"psel": 0x2520_4000},
        valid=_SELECT_INDEX.valid,
        repair=_SELECT_INDEX.repair,
        joint=_select_joint,
    ),
    *rows(
        GROUP,
        CAP,
        "{pd}.{t}, {pn}[{imm}]",
        (p("pd", 0), esize(), pn("pn", 5), imm("imm", 0, 3, at(8))),
        {"pext": 0x2520_7010},
    ),
    *rows(
        GROUP,
        CAP,
        "{{{pd}.{t}, {pd.next}.{t}}}, {pn}[{imm}]",
        (p("pd", 0), esize(), pn("pn", 5), imm("imm", 0, 1, at(8))),
        {"pext": 0x2520_7410},
        "_pair",
    ),
    *rows(GROUP, CAP, "{pn}.{t}", (pn("pn", 0), esize()), {"ptrue": 0x2520_7810}, "_pn"),
    *rows(
        GROUP,
        CAP,
        "{xd}, {pn}.{t}, {vectors}",
        (x("xd", 0), Operand("pn", IntRange(0, 15, prefix="pn"), at(5)), esize(), _vectors(10)),
        {"cntp": 0x2520_8200},
        "_pn",
    ),
    *rows(
        GROUP,
        CAP,
        "{pn}.{t}, {xn}, {xm}, {vectors}",
        (pn("pn", 0), esize(), x("xn", 5), x("xm", 16), _vectors(13)),
        _while(0x2520_4010, 3),
        "_pn",
    ),
    *rows(
        GROUP,
        CAP,
        "{{{pd}.{t}, {pd.next}.{t}}}, {xn}, {xm}",
        (p_pair("pd", 0), esize(), x("xn", 5), x("xm", 16)),
        _while(0x2520_5010, 0),
        "_pair",
    ),
)
