"""Programs that write a control without an ISB behind it."""

from __future__ import annotations

import random

from corpus.isa.system import unsynchronised
from corpus.isa.table import FORMS, insn
from fuzz.generate.programs import random_insn, synchronised_soon


def test_a_control_is_mostly_synchronised_soon() -> None:
    rng = random.Random(4)
    code = [
        insn("movz16", 0, 0x33),
        insn("msr", FORMS["msr"].operands[0].domain.parse("cpacr_el1"), 0),
        *(random_insn(rng, FORMS["add_zz"]) for _ in range(20)),
    ]
    loose = [unsynchronised(synchronised_soon(rng, code)) for _ in range(200)]
    assert set(loose) == {1, 2, 3, 20}
    assert 5 < loose.count(20) < 40
    assert synchronised_soon(rng, code[2:]) == code[2:]
