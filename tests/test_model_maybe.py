"""Memory accesses by a predicate that is not known in every bit: what is left covers each
predicate that it may be, and nothing more than need be."""

from __future__ import annotations

import random

import pytest
from model_guest import DATA, STOPS, aim, draw, guest, registers, run, shuffle

from corpus.isa.table import FORMS, parse_insn
from corpus.wire import RAM_BASE, RAM_SIZE
from targets.spec.cpu import Cpu
from targets.spec.errors import RunFailed, Unpredictable
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.semantics import SEMANTICS
from targets.spec.semantics.maybe import _GROUPS
from targets.spec.sets import exact, narrow

FORMS_HERE = [form for form in FORMS.values() if form.group in _GROUPS and "pg" in form.syntax]


def prepared(seed: int, vq: int) -> Cpu:
    cpu = guest(vq)
    shuffle(cpu, random.Random(seed))
    cpu.vcpu.ffr = [exact((1 << 256) - 1)]
    return cpu


def test_memory_that_may_be_either_of_two() -> None:
    one, other = Memory(), Memory()
    for at, size, value, mask in ((0, 4, 0x11223344, 0xFF), (RAM_SIZE - 1, 1, 0x80, 0)):
        one.store(RAM_BASE + at, size, value, mask)
    other.store(RAM_BASE, 4, 0x11220045, 0x0F00_0000)
    one.unite(other)
    assert one.load(RAM_BASE, 4) == (0x10220000, 0x0F0033FF)
    assert one.load(RAM_BASE + RAM_SIZE - 1, 1) == (0, 0x80)
    assert sorted(one.unknown) == [0, 1, 3, RAM_SIZE - 1]
    assert one.load(RAM_BASE + 4, 8) == other.load(RAM_BASE + 4, 8)


@pytest.mark.parametrize("group", sorted(_GROUPS))
def test_every_predicate_is_covered(group: str) -> None:
    rng = random.Random(group)
    forms = [form for form in FORMS_HERE if form.group == group]
    done = 0
    for form in rng.sample(forms, min(len(forms), 14)):
        seed, vq = rng.randrange(1000), rng.choice((1, 2, 3))
        unsure = prepared(seed, vq)
        insn = aim(unsure, draw(form, rng), rng)
        pg = insn.args[[o.name for o in form.operands].index("pg")]
        value, mask = rng.getrandbits(256), rng.getrandbits(256) & rng.getrandbits(256)
        unsure.vcpu.p[pg] = ((value & ~mask, mask),)
        sure = []
        for _ in range(4):
            one = prepared(seed, vq)
            one.vcpu.x[:], one.vcpu.z[:] = list(unsure.vcpu.x), list(unsure.vcpu.z)
            one.vcpu.p[pg] = exact(value & ~mask | rng.getrandbits(256) & mask)
            sure.append(one)
        try:
            SEMANTICS[form.name](unsure, *insn.args)
        except STOPS:
            continue
        done += 1
        wide = dict(registers(unsure))
        for one in sure:
            SEMANTICS[form.name](one, *insn.args)
            for name, candidates in registers(one):
                if name != f"p{pg}":
                    for known, unknown in candidates:
                        assert any(
                            not (known ^ v) & ~m and not unknown & ~m for v, m in wide[name]
                        ), (insn.format(), name)
            for at in range(0xB000, 0xD000):
                loose = unsure.mem.unknown.get(at, 0)
                assert not (one.mem.data[at] ^ unsure.mem.data[at]) & ~loose & 0xFF
    assert done


def test_only_the_lanes_in_question_are_unknown() -> None:
    cpu = guest(1)
    cpu.mem.store(DATA, 16, (1 << 128) - 1)
    cpu.set_x(1, DATA)
    cpu.vcpu.p[0] = ((0x00FF, 0x0100),)
    SEMANTICS["ld1b_i"](cpu, *parse_insn("ld1b (z1.b), p0/z, [x1, #0, mul vl]").args)
    assert cpu.z(1) == ((1 << 64) - 1, 0xFF << 64)
    assert cpu.vcpu.p[0] == ((0x00FF, 0x0100),)
    cpu.set_z(2, 0)
    SEMANTICS["st1b_i"](cpu, *parse_insn("st1b (z2.b), p0, [x1, #0, mul vl]").args)
    assert cpu.mem.load(DATA, 16) == (((1 << 56) - 1) << 72, 0xFF << 64)


def test_of_first_fault_loads_it_stays_open() -> None:
    cpu = guest(1)
    cpu.set_x(1, 0x1000)
    cpu.vcpu.p[0] = ((0, 1),)
    insn = parse_insn("ldff1b (z1.b), p0/z, [x1, xzr]")
    with pytest.raises(Unpredictable, match="predicate"):
        SEMANTICS[insn.form.name](cpu, *insn.args)


def test_elements_of_a_scatter_that_share_an_address_may_each_be_there() -> None:
    cpu = guest(2)
    cpu.vcpu.z[1] = exact(0x88 << 192 | 0x44 << 128 | 0x22 << 64 | 0x11)
    cpu.vcpu.z[2] = exact(DATA << 192 | DATA << 128 | DATA << 64 | DATA)
    cpu.vcpu.p[0] = ((0x00_00_00_01, 0x01_00_01_00),)  # the first is stored, second and last may be
    run(cpu, "st1b {z1.d}, p0, [z2.d]")
    assert cpu.mem.load(DATA, 1) == (0, 0x11 ^ 0x22 | 0x11 ^ 0x88)
    cpu.vcpu.p[0] = ((0x01_00_00_00, 0x00_01_00_01),)  # the last one surely is
    run(cpu, "st1b {z1.d}, p0, [z2.d]")
    assert cpu.mem.load(DATA, 1) == (0x88, 0)


def test_what_is_known_is_as_before() -> None:
    assert narrow(((3, 4),), 7) == 0
    cpu = guest(1)
    cpu.set_x(1, DATA)
    cpu.set_p(0, 0xFFFF)
    SEMANTICS["ld1b_i"](cpu, *parse_insn("ld1b (z1.b), p0/z, [x1, #0, mul vl]").args)
    assert cpu.z(1) == (0, 0)


LOAD, STORE = "ld1b {z5.b}, p0/z, [x1]", "st1b {z5.b}, p0, [x1]"


def at_the_end_of_ram(predicate: tuple[int, int], script: tuple[int, ...]) -> Cpu:
    """A guest of which 16 of 32 bytes from X1 on are RAM, on a path that `script` says."""
    cpu = guest(2)
    cpu.forks = Forks(script)
    cpu.mem.store(RAM_BASE + RAM_SIZE - 16, 16, (1 << 128) - 1)
    cpu.set_x(1, RAM_BASE + RAM_SIZE - 16)
    cpu.vcpu.p[0] = (predicate,)
    cpu.vcpu.z[5] = exact(0)
    return cpu


@pytest.mark.parametrize("text", [LOAD, STORE])
def test_an_unsure_element_outside_ram_is_a_choice(text: str) -> None:
    cpu = at_the_end_of_ram((0x00FF, 0x3_8000), (1,))
    with pytest.raises(RunFailed):
        run(cpu, text)
    assert cpu.forks.taken == [(1, 2)]
    assert cpu.vcpu.p[0] == ((0x00FF, 0x3_8000),)


def test_where_it_was_not_accessed_the_rest_was() -> None:
    cpu = at_the_end_of_ram((0x00FF, 0x3_8000), ())
    run(cpu, LOAD)
    assert cpu.forks.taken == [(0, 2)]
    assert cpu.z(5) == ((1 << 64) - 1, 0xFF << 120)
    cpu = at_the_end_of_ram((0x00FF, 0x3_8000), ())
    run(cpu, STORE)
    known = ((1 << 56) - 1) << 64
    assert cpu.mem.load(RAM_BASE + RAM_SIZE - 16, 16) == (known, 0xFF << 120)


def test_of_a_store_that_may_have_aborted_any_byte_may_be_there() -> None:
    cpu = at_the_end_of_ram((0x00FF, 0x3_8000), (1,))
    with pytest.raises(RunFailed):
        run(cpu, STORE)
    unknown = 0xFF << 120 | (1 << 64) - 1
    assert cpu.mem.load(RAM_BASE + RAM_SIZE - 16, 16) == (((1 << 128) - 1) & ~unknown, unknown)


@pytest.mark.parametrize("text", [LOAD, STORE])
def test_a_sure_element_outside_ram_leaves_no_choice(text: str) -> None:
    cpu = at_the_end_of_ram((1 << 20, 1), ())
    with pytest.raises(RunFailed):
        run(cpu, text)
    assert not cpu.forks.taken
