"""Vcpus with EL2 in the model: any permitted behaviour is accepted, and what surely happens."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from corpus.case import Case
from corpus.ops import Init
from corpus.registers import EL2_NAMES
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import VECTOR_MMIO
from fuzz.generate import el2 as generate_el2
from fuzz.generate import random_case
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget, clear, keep
from targets.profile import Profile
from targets.spec.errno import ENOENT
from targets.spec.rules import RULES
from targets.spec.sets import Set

NESTED = Profile(features=0x1FF, kernel=(7, 2), mode="nested")
BEGIN = "create v0\ninit v0 features=sve,has_el2\nfinalize v0\n"
ON = "set v0 cptr_el2 0x330000\n"
EXIT = 0x5000_0000


def _nested_case(seed: int) -> Case:
    """A life of a vcpu with EL2."""
    rng = random.Random(seed)
    while True:
        case = random_case(rng)
        features = [op.features for op in case.ops if isinstance(op, Init)]
        if features and features[0] == generate_el2.HAS_EL2 | 0x10:
            return case


def _run(text: str, profile: Profile = NESTED) -> tuple[Observation, ...]:
    case = parse_case(BEGIN + text)
    trace = ModelTarget(profile).run(case)
    assert len(trace.observations) == len(case.ops), "the model gave up"
    return trace.observations


def _exit_address(seen: Observation) -> int:
    return int(struct.unpack_from("<Q", seen.data, 8)[0])


def _value(seen: Observation) -> int:
    assert seen.err == 0
    return int.from_bytes(seen.data, "little")


@settings(max_examples=40, deadline=None)
@given(seeds, seeds, st.sampled_from([1, 0b111, 0b10001011, 0xFFFF]), st.booleans())
def test_any_sequence_of_permitted_choices_is_accepted(
    case_seed: int, seed: int, vqs: int, old: bool
) -> None:
    case, rng = _nested_case(case_seed), random.Random(seed)
    profile = replace(NESTED, vqs=vqs, kernel=(6, 16) if old else (7, 2))

    def choose(candidates: Set) -> int:
        return rng.randrange(len(candidates))

    trace = ModelTarget(profile, choose=choose).run(case)
    verdict = judge(case, trace, profile)
    assert isinstance(verdict, Agree), verdict
    assert {r for r in verdict.rules if not r.startswith("isa.")} <= set(RULES)


@pytest.mark.parametrize("choose", [keep, clear])
@pytest.mark.parametrize(("zcr_el1", "zcr_el2"), [(3, 1), (1, 3), (15, 15), (0, 7), (7, 0)])
def test_the_length_below_el2_is_the_smaller_one(
    choose: object, zcr_el1: int, zcr_el2: int
) -> None:
    seen = _run(
        ON + f"set v0 zcr_el1 {zcr_el1}\nset v0 zcr_el2 {zcr_el2}\nset v0 cpacr_el1 0x330000\n"
        "run v0 {\n rdvl x1, #1\n eret-to el1h\n rdvl x2, #1\n eret-to el0t\n rdvl x3, #1\n}\n"
        "get v0 x1\nget v0 x2\nget v0 x3\n"
    )
    both = 16 * (min(zcr_el1, zcr_el2) + 1)
    assert [_value(o) for o in seen[-3:]] == [16 * (zcr_el2 + 1), both, both]


def test_names_of_el1_registers_mean_those_of_el2() -> None:
    seen = _run(
        ON + "run v0 {\n mov x0, #5\n msr zcr_el1, x0\n mov x0, #2\n msr zcr_el12, x0\n"
        " rdvl x1, #1\n mrs x2, zcr_el2\n}\nget v0 x1\nget v0 x2\nget v0 zcr_el1\nget v0 zcr_el2\n"
    )
    assert [_value(o) for o in seen[-4:]] == [96, 5, 2, 5]


@pytest.mark.parametrize(
    ("cptr", "insn", "syndrome"),
    [
        (0, "rdvl x0, #1", 0x6600_0000),
        (0x30_0000, "rdvl x0, #1", 0x6600_0000),
        (0x03_0000, "rdvl x0, #1", 0x1FE0_0000),
        (0x03_0000, "fmov d0, x1", 0x1FE0_0000),
        (0x33_0000, "hvc #7", 0x5A00_0007),
    ],
)
@pytest.mark.parametrize(("mode", "vector"), [(0x3C5, 8), (0x3C0, 8), (0x3C9, 4), (0x3C8, 0)])
def test_what_goes_to_el2(cptr: int, insn: str, syndrome: int, mode: int, vector: int) -> None:
    if insn.startswith("hvc") and mode == 0x3C0:
        return
    seen = _run(
        f"set v0 cptr_el2 {cptr:#x}\nset v0 cpacr_el1 0x330000\nset v0 pstate {mode:#x}\n"
        f"run v0 {{\n {insn}\n}}\nget v0 esr_el2\nget v0 spsr_el2\nget v0 elr_el2\n"
    )
    assert _exit_address(seen[-4]) == VECTOR_MMIO + 8 * vector
    returns = 0x4000_1004 if insn.startswith("hvc") else 0x4000_1000
    assert [_value(o) for o in seen[-3:]] == [syndrome, mode, returns]


def test_cpacr_el1_traps_before_cptr_el2() -> None:
    seen = _run("set v0 pstate 0x3c5\nrun v0 {\n rdvl x0, #1\n}\nget v0 esr_el1\n")
    assert _exit_address(seen[-2]) == VECTOR_MMIO + 8 * 4
    assert _value(seen[-1]) == 0x6600_0000


def test_el0_of_a_vhe_host_has_el2s_length_and_goes_to_el2() -> None:
    seen = _run(
        ON + "set v0 hcr_el2 0x8000000\nset v0 zcr_el2 3\nset v0 zcr_el1 0\n"
        "run v0 {\n eret-to el0t\n rdvl x1, #1\n svc #9\n}\nget v0 x1\nget v0 esr_el2\n"
    )
    assert _exit_address(seen[-3]) == VECTOR_MMIO + 8 * 8
    assert [_value(o) for o in seen[-2:]] == [64, 0x5600_0009]


@pytest.mark.parametrize(("mode", "vector"), [("el1h", 4), ("el1t", 4)])
def test_a_return_to_el1_of_a_vhe_host_is_illegal(mode: str, vector: int) -> None:
    seen = _run(
        ON + "set v0 hcr_el2 0x8000000\nset v0 zcr_el2 1\n"
        f"run v0 {{\n eret-el2-to {mode}\n rdvl x1, #1\n}}\n"
        "get v0 esr_el2\nget v0 elr_el2\nget v0 spsr_el2\nget v0 x1\n"
    )
    assert _exit_address(seen[-5]) == VECTOR_MMIO + 8 * vector
    esr, elr, spsr, x1 = (_value(o) for o in seen[-4:])
    assert (esr, elr, spsr & ~0xF000_03C0, x1) == (0x3A00_0000, 0x4000_1014, 0x10_0009, 0)


@pytest.mark.parametrize("features", ["sve,has_el2", "sve,has_el2,has_el2_e2h0"])
@pytest.mark.parametrize(
    ("mode", "vector", "esr"),
    [("el2h", 4, 0x5600_0002), ("el2t", 0, 0x5600_0002), ("el1h", 4, 0), ("el0t", 8, 0)],
)
def test_el2_returns_by_its_own_names(features: str, mode: str, vector: int, esr: int) -> None:
    case = parse_case(
        f"create v0\ninit v0 features={features}\nfinalize v0\n"
        f"run v0 {{\n eret-el2-to {mode}\n svc #2\n}}\nget v0 esr_el2\nget v0 elr_el2\n"
    )
    seen = ModelTarget(NESTED).run(case).observations
    assert _exit_address(seen[3]) == VECTOR_MMIO + 8 * vector
    assert _value(seen[4]) == esr
    assert _value(seen[5]) == (0x4000_1018 if esr else 0x4000_1014)


@pytest.mark.parametrize(
    ("insn", "syndrome"),
    [("mrs x9, cpacr_el1", 0x6234_0521), ("msr cpacr_el1, x7", 0x6234_04E0)],
)
@pytest.mark.parametrize("mode", [0x3C5, 0x3C4, 0x3C9])
def test_tcpac_traps_cpacr_el1_of_el1(insn: str, syndrome: int, mode: int) -> None:
    seen = _run(
        f"set v0 cptr_el2 0x80330000\nset v0 pstate {mode:#x}\n"
        f"run v0 {{\n {insn}\n}}\nget v0 esr_el2\n"
    )
    assert _value(seen[-1]) == (0 if mode == 0x3C9 else syndrome)


def test_zen_alone_governs_zcr_el2_at_el2() -> None:
    seen = _run(
        "set v0 cptr_el2 0x30000\nrun v0 {\n mov x0, #5\n msr zcr_el2, x0\n mrs x1, zcr_el2\n"
        " fmov d0, x1\n}\nget v0 x1\nget v0 esr_el2\n"
    )
    assert [_value(o) for o in seen[-2:]] == [5, 0x1FE0_0000]


def test_zcr_el2_is_raw_until_the_vm_has_run() -> None:
    seen = _run("set v0 zcr_el2 0xfff\nget v0 zcr_el2\nrun v0 {\n}\nget v0 zcr_el2\n")
    assert [_value(seen[i]) for i in (-3, -1)] == [0xFFF, 0xF]


@pytest.mark.parametrize("name", EL2_NAMES)
def test_without_el2_its_registers_are_unknown(name: str) -> None:
    case = parse_case(f"create v0\ninit v0\nget v0 {name}\nset v0 {name} 1\n")
    seen = ModelTarget(NESTED).run(case).observations
    assert [o.err for o in seen[2:]] == [ENOENT, ENOENT]


@pytest.mark.parametrize("name", ["zcr_el2", "zcr_el12", "cptr_el2", "hcr_el2", "tpidr_el2"])
@pytest.mark.parametrize("features", ["sve", "sve,has_el2"])
def test_below_el2_its_registers_are_undefined(name: str, features: str) -> None:
    case = parse_case(
        f"create v0\ninit v0 features={features}\nfinalize v0\nset v0 pstate 0x3c5\n"
        f"run v0 {{\n mrs x0, {name}\n}}\nget v0 esr_el1\n"
    )
    seen = ModelTarget(NESTED).run(case).observations
    assert _exit_address(seen[4]) == VECTOR_MMIO + 8 * 4
    assert _value(seen[5]) == 0x0200_0000


def test_bits_above_the_smaller_length_may_vanish_and_no_others() -> None:
    case = parse_case(
        BEGIN + ON + "set v0 zcr_el2 3\nset v0 zcr_el1 1\nset v0 cpacr_el1 0x330000\n"
        "set v0 z3 0xab*\nrun v0 {\n rdvl x0, #1\n eret-to el1h\n rdvl x0, #1\n}\nget v0 z3\n"
    )
    trace = ModelTarget(NESTED).run(case)
    for left in (16, 31, 32, 64, 256):
        value = b"\xab" * left + bytes(256 - left)
        changed = Trace((*trace.observations[:-1], Observation(0, 0, value)))
        verdict = judge(case, changed, NESTED)
        permitted = left in (32, 64, 256)
        assert isinstance(verdict, Agree if permitted else Diverge), left


@pytest.mark.parametrize("fpcr", [0x3D3, 0x3, 0x0])
def test_zcr_of_el1_from_el2_may_leave_what_was_stored_raw(fpcr: int) -> None:
    case = parse_case(
        BEGIN + f"set v0 fpcr 0x3d3\n{ON}run v0 {{\nmov x0, #6\nmsr zcr_el12, x0\n}}\nget v0 fpcr\n"
    )
    machine = replace(NESTED, fpcr_bits=0x3)
    trace = ModelTarget(machine).run(case)
    seen = Observation(0, data=fpcr.to_bytes(4, "little"))
    changed = Trace((*trace.observations[:-1], seen))
    assert isinstance(judge(case, changed, machine), Agree if fpcr else Diverge)


@pytest.mark.parametrize(
    ("features", "access", "off", "like"),
    [
        ("sve,has_el2", "mrs x7, zcr_el12", 0x300000, "rdvl x7, #1"),
        ("sve,has_el2", "msr zcr_el12, x7", 0x30000, "fmov d0, #1.0"),
        ("sve,has_el2,has_el2_e2h0", "mrs x7, zcr_el1", 0x100, "rdvl x7, #1"),
        ("sve,has_el2,has_el2_e2h0", "msr zcr_el1, x7", 0x400, "fmov d0, #1.0"),
    ],
)
def test_zcr_of_el1_traps_or_is_in_memory(features: str, access: str, off: int, like: str) -> None:
    """It traps as another instruction does, or does not."""
    case, other = (
        parse_case(
            f"create v0\ninit v0 features={features}\nfinalize v0\nset v0 cptr_el2 {off:#x}\n"
            f"set v0 esr_el2 0\nset v0 x7 3\nrun v0 {{\n{code}\n}}\nget v0 esr_el2\n"
        )
        for code in (access, like)
    )
    passed, trapped = (ModelTarget(NESTED).run(one) for one in (case, other))
    assert _value(passed.observations[-1]) == 0
    assert _value(trapped.observations[-1]) != 0
    for trace in (passed, trapped):
        verdict = judge(case, trace, NESTED)
        assert isinstance(verdict, Agree)
        assert "el2.zcr-in-memory" in verdict.rules
    *before, _ = trapped.observations
    assert isinstance(judge(case, Trace((*before, passed.observations[-1])), NESTED), Diverge)
