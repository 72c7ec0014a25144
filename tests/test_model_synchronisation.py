"""Controls that are written without a context synchronisation event: either value may apply."""

from __future__ import annotations

import pytest

from corpus.case import Case
from corpus.ops import Run
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import VECTOR_MMIO
from fuzz.followup.passes import drop_instructions, join_runs
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.profile import Profile
from targets.spec.errors import Unpredictable
from targets.spec.judge import invent
from targets.spec.model import Model
from targets.spec.permitted import Permitted

OPEN = "movz x0, #51, lsl #16\nmsr cpacr_el1, x0\n"
CLOSE = "mov x0, #0\nmsr cpacr_el1, x0\n"
ON = "set v0 cpacr_el1 0x330000\n"


def case_of(program: str, before: str = "", after: str = "get v0 esr_el1\nread-all v0") -> Case:
    start = f"create v0\ninit v0\nfinalize v0\n{before}"
    return parse_case(f"{start}run v0 {{\n{program}\n}}\n{after}")


def ways(case: Case) -> Permitted:
    """What the case's first run may show."""
    model = Model(Profile())
    for op in case.ops:
        permitted = model.step(op)
        if isinstance(op, Run):
            return permitted
        invent(permitted, lambda _: 0)
    raise AssertionError("no run")


def taking(case: Case, number: int, profile: Profile | None = None) -> Trace:
    """The trace of a machine that takes one of the outcomes of its first run."""
    model = Model(profile or Profile())
    seen: list[Observation] = []
    fresh = True
    for op in case.ops:
        permitted = model.step(op)
        if isinstance(op, Run) and fresh:
            fresh = False
            chosen = permitted.outcomes[number]
            permitted = Permitted(permitted.rule, (chosen,))
        seen.append(invent(permitted, lambda _: 0))
    return Trace(tuple(seen))


def exit_of(trace: Trace, case: Case) -> int:
    """The address of the run's MMIO exit."""
    index = next(i for i, op in enumerate(case.ops) if isinstance(op, Run))
    return int.from_bytes(trace.observations[index].data[8:16], "little")


@pytest.mark.parametrize(
    ("program", "before", "count"),
    [
        (OPEN + "rdvl x2, #1", "", 2),
        (OPEN + "isb\nrdvl x2, #1", "", 1),
        (OPEN + "nop\nisb", "", 1),
        (OPEN + "rdvl x2, #1", ON, 1),
        (CLOSE + "add z3.b, z1.b, z1.b", ON, 2),
        (CLOSE + "isb\nadd z3.b, z1.b, z1.b", ON, 1),
        (OPEN + "hvc #0\nrdvl x2, #1", "set v0 x0 0x84000000\n", 1),
        ("movz x0, #48, lsl #16\nmsr cpacr_el1, x0\nadd v1.2d, v2.2d, v3.2d", "", 2),
        ("movz x0, #3, lsl #16\nmsr cpacr_el1, x0\nadd v1.2d, v2.2d, v3.2d", "", 1),
    ],
)
def test_how_a_run_may_end(program: str, before: str, count: int) -> None:
    assert len(ways(case_of(program, before)).outcomes) == count


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("program", "before"),
    [
        (OPEN + "mov x1, #1\nmsr zcr_el1, x1\nrdvl x2, #1", ""),
        (CLOSE + "add z3.b, z1.b, z1.b", ON + "set v0 z1 noise:1\n"),
        (OPEN + "add v3.16b, v1.16b, v1.16b", "set v0 z1 noise:1\nset v0 zcr_el1 3\n"),
    ],
)
def test_both_outcomes_agree_and_what_follows_is_judged_by_the_one_seen(
    program: str, before: str, number: int
) -> None:
    case = case_of(program, before)
    trace = taking(case, number)
    verdict = judge(case, trace, Profile())
    assert isinstance(verdict, Agree)
    assert (verdict.judged, verdict.reason) == (len(case.ops), "")
    other = taking(case, 1 - number)
    assert exit_of(trace, case) != exit_of(other, case)
    mixed = Trace((*trace.observations[:-2], *other.observations[-2:]))
    assert isinstance(judge(case, mixed, Profile()), Diverge)


def test_with_isb_the_old_value_is_a_divergence() -> None:
    loose, exact = case_of(OPEN + "rdvl x2, #1"), case_of(OPEN + "isb\nrdvl x2, #1")
    traces = [taking(loose, n) for n in (0, 1)]
    trapped = next(t for t in traces if exit_of(t, loose) >= VECTOR_MMIO)
    assert isinstance(judge(exact, trapped, Profile()), Diverge)


@pytest.mark.parametrize("trap", [0, 1])
def test_paths_that_look_alike_are_one_outcome(trap: int) -> None:
    case = case_of(OPEN + "rdvl x2, #1\nbrk #1", after="get v0 esr_el1\nget v0 x2\nget v0 elr_el1")
    assert len(ways(case).outcomes) == 1
    model = Model(Profile())
    seen = [invent(model.step(op), lambda _: 0) for op in case.ops[:4]]
    esr = model.vm.vcpus[0].sys["esr_el1"]
    assert {value >> 26 for value, _ in esr} == {0x19, 0x3C}
    seen += [invent(model.step(op), lambda s: min(trap, len(s) - 1)) for op in case.ops[4:]]
    assert isinstance(judge(case, Trace(tuple(seen)), Profile()), Agree)


def test_zcr_without_fpen_may_trap() -> None:
    on = "set v0 cpacr_el1 0x30000\n"
    assert len(ways(case_of("mov x1, #3\nmsr zcr_el1, x1", on)).outcomes) == 2


def test_many_paths_are_not_followed() -> None:
    ways(case_of(OPEN + "rdvl x2, #1\n" * 40))
    turns = "msr cpacr_el1, x0\nrdvl x2, #1\nmsr cpacr_el1, x5\nrdvl x2, #1\n"
    program = f"return-vectors\nmov x5, #0\n{OPEN}{turns * 5}"
    with pytest.raises(Unpredictable, match="synchronised"):
        ways(case_of(program))


def test_minimising_keeps_the_isb_that_makes_a_verdict_exact() -> None:
    case = case_of(OPEN + "nop\nisb\nrdvl x2, #1")
    programs = [
        tuple(insn.format() for insn in op.program)
        for simpler in drop_instructions(case)
        for op in simpler.ops
        if isinstance(op, Run)
    ]
    assert ("movz x0, #51, lsl #16", "msr cpacr_el1, x0", "isb", "rdvl x2, #1") in programs
    assert ("movz x0, #51, lsl #16", "msr cpacr_el1, x0", "nop", "isb") in programs
    assert ("movz x0, #51, lsl #16", "msr cpacr_el1, x0", "nop", "rdvl x2, #1") not in programs
    assert ("movz x0, #51, lsl #16", "isb", "rdvl x2, #1") in programs
    loose = case_of(OPEN + "nop\nrdvl x2, #1")
    shorter = [op.program for c in drop_instructions(loose) for op in c.ops if isinstance(op, Run)]
    assert any(len(program) == 3 for program in shorter)


def test_runs_are_joined_with_the_isb_that_their_exit_was() -> None:
    case = parse_case(
        f"create v0\ninit v0\nfinalize v0\nrun v0 {{\n{OPEN}\n}}\nrun v0 {{\nrdvl x2, #1\n}}"
    )
    (joined,) = join_runs(case)
    (program,) = [op.program for op in joined.ops if isinstance(op, Run)]
    assert [insn.format() for insn in program[1:]] == ["msr cpacr_el1, x0", "isb", "rdvl x2, #1"]
    plain = parse_case("create v0\nrun v0 {\nnop\n}\nrun v0 {\nnop\n}\nrun v1 { }")
    assert [
        len(op.program) for c in join_runs(plain) for op in c.ops[1:2] if isinstance(op, Run)
    ] == [
        *(2, 3),
    ]


def test_an_access_to_zcr_sees_either_value() -> None:
    loose = case_of(OPEN + "mov x1, #3\nmsr zcr_el1, x1")
    exact = case_of(OPEN + "isb\nmov x1, #3\nmsr zcr_el1, x1")
    assert loose not in list(drop_instructions(exact))


OPEN_WITHOUT_FP = "movz x0, #35, lsl #16\nmsr cpacr_el1, x0\nisb\nmov x1, #1\nmsr zcr_el1, x1"


def _one_of_two_lengths(x2: int, zcr: int) -> tuple[Case, Trace]:
    """A guest whose write of ZCR_EL1 may have trapped, and then one that asks for its VL."""
    again = "set v0 cpacr_el1 0x330000\nrun v0 {\nrdvl x2, #1\n}\nget v0 x2\nget v0 zcr_el1\n"
    case = case_of(OPEN_WITHOUT_FP + "\nfmov d1, d2", "set v0 zcr_el1 3\n", again)
    model, seen = Model(Profile()), []
    for op in case.ops[:-2]:
        seen.append(invent(model.step(op), lambda _: 0))
    values = (x2.to_bytes(8, "little"), zcr.to_bytes(8, "little"))
    return case, Trace((*seen, *(Observation(0, 0, value) for value in values)))


@pytest.mark.parametrize(
    ("x2", "zcr", "wrong"),
    [(64, 3, None), (32, 1, None), (32, 3, None), (48, 3, "x2"), (32, 2, "zcr_el1")],
)
def test_a_guest_goes_by_either_length_that_it_may_have_asked_for(
    x2: int, zcr: int, wrong: str | None
) -> None:
    """That it was the one which ZCR_EL1 then holds is not followed so far."""
    case, trace = _one_of_two_lengths(x2, zcr)
    verdict = judge(case, trace, Profile())
    if wrong is None:
        assert isinstance(verdict, Agree)
        assert (verdict.reason, verdict.judged) == ("", len(case.ops))
    else:
        assert isinstance(verdict, Diverge)
        assert verdict.label == wrong
