"""Memory that is copied and set: what the three parts together leave."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from model_guest import DATA, guest, run

from corpus.case import Case
from corpus.isa.mops import FORMS, are_apart, is_part, make_apart
from corpus.isa.table import parse_insn
from corpus.ops import HostRun, Run
from corpus.wire import DATA_BASE, RAM_BASE, RAM_SIZE
from fuzz.generate import is_memory, memory_access
from fuzz.generate.copies import DOUBTFUL, are_doubtful, with_few
from targets.profile import Profile, lacking
from targets.spec.cpu import Cpu, access_check
from targets.spec.errors import UNDEFINED, GuestException, Unpredictable
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.sets import exact, unknown
from targets.spec.vcpu import Vcpu, Vm

N_AND_C, C = 0b1010, 0b0010
BYTES = bytes(range(1, 101))
ADDRESS = DATA - RAM_BASE


def _copied(text: str, to: int, source: int, size: int) -> Cpu:
    cpu = guest(1)
    cpu.mem.store(DATA, len(BYTES), int.from_bytes(BYTES, "little"))
    for n, value in enumerate((to, source, size)):
        cpu.vcpu.x[n] = exact(value)
    run(cpu, text)
    return cpu


def _bytes(cpu: Cpu, address: int, size: int) -> bytes:
    value, mask = cpu.mem.load(address, size)
    assert not mask
    return value.to_bytes(size, "little")


@pytest.mark.parametrize("text", ["cpyf-pme", "cpyf-pmewn", "cpyf-pmern", "cpyf-pmen"])
def test_forwards_the_registers_end_behind_what_was_copied(text: str) -> None:
    cpu = _copied(f"{text} [x0]!, [x1]!, x2!", DATA + 301, DATA + 3, 50)
    assert _bytes(cpu, DATA + 300, 53) == b"\0" + BYTES[3:53] + bytes(2)
    assert cpu.vcpu.x[:3] == [exact(DATA + 351), exact(DATA + 53), exact(0)]
    assert cpu.nzcv() == (0, C)


@pytest.mark.parametrize(
    ("to", "ends", "flags"),
    [(8, (0,), N_AND_C), (-8, (50,), C), (400, (50, 0), N_AND_C), (0, (50, 0), N_AND_C)],
)
def test_either_way_is_as_where_it_overlaps_says(
    to: int, ends: tuple[int, ...], flags: int
) -> None:
    cpu = _copied("cpy-pme [x0]!, [x1]!, x2!", DATA + to, DATA, 50)
    assert _bytes(cpu, DATA + to, 50) == BYTES[:50]
    for n, start in ((0, DATA + to), (1, DATA)):
        assert cpu.vcpu.x[n] == tuple((start + end, 0) for end in ends)
    assert cpu.vcpu.x[2] == exact(0)
    assert cpu.nzcv() == (0, flags)


def test_forwards_over_its_own_source_nothing_is_certain() -> None:
    cpu = _copied("cpyf-pme [x0]!, [x1]!, x2!", DATA + 8, DATA, 50)
    assert cpu.mem.load(DATA + 8, 50) == (0, (1 << 400) - 1)
    assert _bytes(cpu, DATA, 8) == BYTES[:8]
    assert _bytes(cpu, DATA + 58, 8) == BYTES[58:66]


def test_memory_is_set_to_the_lowest_byte() -> None:
    cpu = guest(1)
    cpu.vcpu.x[:3] = [exact(DATA + 1), unknown(0x1234, 0xF00), exact(70)]
    run(cpu, "set-pme [x0]!, x2!, x1")
    assert _bytes(cpu, DATA, 72) == b"\0" + b"\x34" * 70 + b"\0"
    assert cpu.vcpu.x[0] == exact(DATA + 71)
    assert (cpu.vcpu.x[2], cpu.nzcv()) == (exact(0), (0, C))
    cpu.vcpu.x[1], cpu.vcpu.x[2] = unknown(0, 0x81), exact(2)
    run(cpu, "set-pmen [x0]!, x2!, x1")
    assert cpu.mem.load(DATA + 71, 3) == (0, 0x8181)
    cpu.vcpu.x[2] = exact(1)
    run(cpu, "set-pme [x0]!, x2!, xzr")
    assert cpu.mem.load(DATA + 73, 1) == (0, 0)


def test_of_nothing_no_address_is_accessed() -> None:
    for text in (
        "cpy-pme [x0]!, [x1]!, x2!",
        "cpyf-pme [x0]!, [x1]!, x2!",
        "set-pme [x0]!, x2!, x1",
    ):
        cpu = _copied(text, 5, 7, 0)
        assert cpu.vcpu.x[:3] == [exact(5), exact(7), exact(0)]


@pytest.mark.parametrize(
    ("to", "source", "size"),
    [
        (DATA, RAM_BASE + RAM_SIZE - 8, 9),
        (RAM_BASE + RAM_SIZE - 8, DATA, 9),
        (DATA_BASE - 4, DATA, 9),
        (DATA, DATA + 64, 1 << 63),
    ],
)
def test_what_faults_or_is_the_guests_code_is_not_judged(to: int, source: int, size: int) -> None:
    with pytest.raises(Unpredictable):
        _copied("cpyf-pme [x0]!, [x1]!, x2!", to, source, size)


def test_what_is_not_known_is_not_judged() -> None:
    cpu = guest(1)
    cpu.vcpu.x[:3] = [exact(DATA), exact(DATA), unknown(0, 1)]
    with pytest.raises(Unpredictable, match="not known"):
        run(cpu, "cpy-pme [x0]!, [x1]!, x2!")


def test_it_is_undefined_at_el0_and_where_the_cpu_has_it_not() -> None:
    cpu = guest(1)
    cpu.el = 0
    with pytest.raises(GuestException) as raised:
        run(cpu, "set-pme [x0]!, x2!, x1")
    assert raised.value.esr == UNDEFINED
    assert "mops" in lacking({"id_aa64isar2": "0x12"})
    assert "mops" not in lacking({"id_aa64isar2": "0x110012"})
    vcpu = Vcpu(initialised=True)
    vcpu.reset()
    for profile, stops in (
        (Profile(lacks=frozenset({"mops"})), True),
        (Profile(), False),
    ):
        plain = Cpu(vcpu, profile, Memory(), set())
        if not stops:
            access_check(plain, memory_access(random.Random(1), FORMS[0])[-1])
            continue
        with pytest.raises(GuestException):
            access_check(plain, memory_access(random.Random(1), FORMS[0])[-1])


def test_an_older_hypervisor_may_keep_it_from_guests() -> None:
    code = "set-pme [x0]!, x2!, x1"
    for kernel, ways in (((6, 12), 2), ((7, 2), 1)):
        profile = replace(Profile(), mode="protected", kernel=kernel)
        for way in range(ways):
            vcpu = Vcpu(initialised=True)
            vcpu.reset()
            cpu = Cpu(vcpu, profile, Memory(), set(), forks=Forks((way,)))
            if not way:
                run(cpu, code, code)
                assert len(cpu.forks.taken) == ways - 1, "the answer holds for a run"
                continue
            with pytest.raises(GuestException):
                run(cpu, code)
            with pytest.raises(GuestException):
                run(cpu, ".inst 0x19c10440")


def test_a_protected_vm_has_none_of_it() -> None:
    profile = replace(Profile(), mode="protected", kernel=(7, 2))
    vcpu = Vcpu(initialised=True)
    vcpu.reset()
    cpu = Cpu(vcpu, profile, Memory(), set(), Vm({0: vcpu}, protected=True))
    with pytest.raises(GuestException):
        run(cpu, "set-pme [x0]!, x2!, x1")
    assert "protected.no-mops" in cpu.rules


def test_a_part_alone_is_undefined_or_not_judged() -> None:
    for form in FORMS:
        assert all(map(is_part, memory_access(random.Random(1), form)[-1].words()))
    assert not is_part(0x1901_0000)
    cpu = guest(1)
    with pytest.raises(Unpredictable, match="a part of a memory copy alone"):
        run(cpu, ".inst 0x19410440")
    cpu.lacks = frozenset({"mops"})
    with pytest.raises(GuestException):
        run(cpu, ".inst 0x19410440")


def test_no_register_is_named_twice() -> None:
    for args in ((3, 3, 3), (30, 30, 0), (5, 31, 5), (1, 2, 3)):
        made = make_apart(args)
        assert are_apart(made)
        assert made[0] == args[0]
    assert make_apart((1, 2, 3)) == (1, 2, 3)


def test_generated_copies_mostly_stay_in_ram() -> None:
    rng = random.Random(3)
    judged = 0
    for number in range(300):
        form = FORMS[number % len(FORMS)]
        assert is_memory(form)
        cpu = guest(1)
        try:
            run(cpu, *(insn.format() for insn in memory_access(rng, form)))
        except Unpredictable:
            continue
        judged += 1
    assert judged > 250


def test_few_are_drawn_where_guests_may_not_have_them() -> None:
    old, new = (Profile(kernel=kernel, mode="protected") for kernel in ((6, 12), (7, 2)))
    assert are_doubtful([Profile(kernel=(6, 12), mode="vhe"), old])
    assert not are_doubtful([new, Profile(kernel=(6, 12), mode="nvhe")])
    rng = random.Random(3)
    add, kept = parse_insn("add z0.d, z1.d, z2.d"), 0
    for number in range(300):
        copy = memory_access(rng, FORMS[number % len(FORMS)])
        case = Case((Run(0, 0, (add, *copy)), HostRun(0, 32, program=(*copy[-1:], add))))
        few = with_few(case)
        assert few == with_few(case)
        kept += few is case
        if few is not case:
            assert few.ops == (Run(0, 0, (add, *copy[:-1])), HostRun(0, 32, program=(add,)))
            assert with_few(few) is few
    assert 0.5 * DOUBTFUL < kept / 300 < 2 * DOUBTFUL
