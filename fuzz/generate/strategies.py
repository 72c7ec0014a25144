"""Hypothesis strategies for ops, programs and cases, from the same tables as the generator.

Every field is drawn through its domain, from integers that Hypothesis chooses: so it can make any
value that a fuzzer's bytes can, and what it shrinks towards is what a domain calls its first.
"""

from __future__ import annotations

from hypothesis import strategies as st

from corpus.blocks import BLOCKS
from corpus.case import MAX_OPS, Case
from corpus.isa.form import Insn
from corpus.isa.table import COMMON
from corpus.opfields import fields_of
from corpus.ops import (
    FEATURE_SVE,
    OPS,
    CreateVcpu,
    Finalize,
    Init,
    Op,
    ReadAll,
    Run,
    SetReg,
    SetVls,
)
from corpus.registers import REGISTERS
from corpus.stream import Source
from corpus.values import Pattern
from fuzz.generate.calls import CALLS, FAILING
from fuzz.generate.lives import on_vcpu
from fuzz.generate.programs import random_program
from fuzz.generate.registers import fill_registers

CPACR, ON = REGISTERS["cpacr_el1"].id, Pattern("int", 0x33 << 16)
"""FP and SVE are not trapped."""


class _Drawn(Source):
    """A source whose bytes Hypothesis chooses as they are asked for."""

    __slots__ = ("_draw",)

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(b"")
        self._draw = draw

    def u8(self) -> int:
        return self._draw(st.integers(0, 255))

    def uint(self, size: int) -> int:
        # As bytes: of long integers Hypothesis prefers short ones, and a tag names no number.
        return int.from_bytes(self.raw(size), "little")

    def raw(self, size: int) -> bytes:
        return self._draw(st.binary(min_size=size, max_size=size))


@st.composite
def ops_of(draw: st.DrawFn, kind: type[Op]) -> Op:
    """An op of one kind with any fields."""
    source = _Drawn(draw)
    return kind(*(field.domain.draw(source) for field in fields_of(kind)))


def ops() -> st.SearchStrategy[Op]:
    """Any op but those that have others in a block."""
    return st.sampled_from([kind for kind in OPS.values() if kind not in BLOCKS]).flatmap(ops_of)


@st.composite
def insns(draw: st.DrawFn) -> Insn:
    """Any instruction that most machines have, with any operands."""
    form = draw(st.sampled_from(list(COMMON.values())))
    return Insn(form, form.draw(_Drawn(draw)))


def programs() -> st.SearchStrategy[tuple[Insn, ...]]:
    """Any instructions, or such as the generator puts together: its vector units are on."""
    return st.one_of(
        st.lists(insns(), max_size=8).map(tuple),
        st.builds(random_program, _CHANCE, st.integers(0, 6)),
    )


_CHANCE = st.randoms(use_true_random=False)
"""Hypothesis decides what comes by chance, so that it can be made simpler, too."""


def runs() -> st.SearchStrategy[Op]:
    """A run of a program."""
    return st.builds(Run, st.just(0), st.just(0), programs())


def calls() -> st.SearchStrategy[list[Op]]:
    """What is done to vcpu 0, by class of call: such as succeed, and such as fail."""
    makers = [make for _, rows in (*CALLS[True], *FAILING) for _, make in rows]
    return st.sampled_from(makers).flatmap(
        lambda make: st.builds(make, _CHANCE, st.integers(0, 31))
    )


@st.composite
def lives(draw: st.DrawFn, slot: int = 0) -> list[Op]:
    """One vcpu from its creation on, sometimes with another INIT, with a look at the end."""
    sve = draw(st.integers(0, 7)) > 0
    again = Init(slot, FEATURE_SVE if sve else 0)
    life: list[Op] = [CreateVcpu(slot), again]
    if sve:
        life += draw(st.lists(ops_of(SetVls), max_size=1))
        life.append(Finalize(slot))
    if draw(st.integers(0, 3)):
        life.append(SetReg(slot, CPACR, ON))
    over: list[list[Op]] = [[again], [again, ReadAll(slot)], [Finalize(slot)]]
    step: st.SearchStrategy[list[Op]] = st.one_of(
        calls(), calls(), runs().map(_alone), ops().map(_alone), st.sampled_from(over)
    )
    if draw(st.booleans()):
        life += fill_registers(draw(_CHANCE), slot, sve)
    for made in draw(st.lists(step, max_size=10)):
        life += [on_vcpu(op, slot) for op in made]
    if draw(st.integers(0, 3)):
        life.append(ReadAll(slot))
    return life


def _alone(op: Op) -> list[Op]:
    return [op]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Lives of a vcpu or two, or any ops at all."""
    if not draw(st.integers(0, 9)):
        return Case(tuple(draw(st.lists(ops(), min_size=1, max_size=12))))
    made = draw(lives())
    if draw(st.integers(0, 5)) == 5:  # what is simpler has one life
        made += draw(lives(1))
    return Case(tuple(made[:MAX_OPS]))
