"""What is drawn at the ends of ranges is a case like any other."""

from __future__ import annotations

import random

import pytest

from corpus.case import Case, decode
from corpus.isa.table import insn
from corpus.ops import CreateVcpu, Run
from corpus.text import format_case, parse_case
from corpus.wire import Stranger
from fuzz.generate.copies import copied
from fuzz.generate.mutate import fresh, mutated_case
from fuzz.generate.strangers import Beside, accompanied


class _Ends(random.Random):
    """Draws the least and the greatest of a range more often than others."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        every = range(start) if stop is None else range(start, stop, step)
        which = self.random()
        if which < 0.3:
            return every[0 if which < 0.15 else -1]
        return super().randrange(start, stop, step)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_drawn_can_be_written_down(seed: int) -> None:
    rng, beside = _Ends(seed), Beside(tuple(Stranger), threads=True, sme=True, protected=True)
    for _ in range(40):
        case = accompanied(rng, fresh(rng), beside)
        case = mutated_case(case, rng) if rng.random() < 0.5 else case
        assert decode(case.encoded) == case
        assert parse_case(format_case(case)) == case


def test_copies_are_within_ram() -> None:
    rng = _Ends(1)
    for _ in range(1000):
        program = tuple(copied(rng, insn("cpy_pmen", 0, 7, 28), 49152))
        case = Case((CreateVcpu(0), Run(0, 0, program)))
        assert decode(case.encoded) == case
