"""What user space has PSTATE hold: not its flags and modes alone."""

from __future__ import annotations

import random

from corpus import registers as regs
from corpus.ops import SetReg
from fuzz.generate.mutate import fresh
from fuzz.generate.registers import random_pstate, unusual_masks
from targets.spec.vcpu import OPTIONAL_PSTATE, PSTATE_IL

MASKS = 0x3C0
FLAGS = 0xF000_0000
DRAWN = 4000


def _drawn() -> list[int]:
    rng = random.Random(5)
    return [int.from_bytes(random_pstate(rng).expand(8), "little") for _ in range(DRAWN)]


def test_every_bit_with_a_meaning_is_set_and_each_mask_is_open() -> None:
    values = _drawn()
    wanted = FLAGS | OPTIONAL_PSTATE | PSTATE_IL
    ever = masked = 0
    for value in values:
        ever |= value
        masked |= ~value & MASKS
    assert ever & ~0x1F == wanted | MASKS
    assert masked == MASKS


def test_most_guests_come_to_their_program_with_all_masked() -> None:
    values = _drawn()
    assert 0.02 < sum(bool(value & PSTATE_IL) for value in values) / DRAWN < 0.08
    assert 0.1 < sum(value & MASKS != MASKS for value in values) / DRAWN < 0.2
    assert 0.15 < sum(bool(value & OPTIONAL_PSTATE) for value in values) / DRAWN < 0.25


def test_one_mask_is_open_at_a_time() -> None:
    rng = random.Random(1)
    opened = {MASKS ^ unusual_masks(rng) for _ in range(400)}
    assert opened == {0, 1 << 6, 1 << 7, 1 << 8, 1 << 9}


def test_cases_of_much_at_once_have_them_too() -> None:
    rng, seen, opened = random.Random(3), 0, 0
    for _ in range(400):
        for op in fresh(rng).ops:
            if isinstance(op, SetReg) and op.reg == regs.REGISTERS["pstate"].id:
                value = int.from_bytes(op.value.expand(8), "little")
                seen |= value
                opened |= ~value & MASKS
    assert seen & OPTIONAL_PSTATE == OPTIONAL_PSTATE
    assert opened == MASKS
