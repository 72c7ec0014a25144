"""Hypervisor calls in the model: what a guest and the other vcpus see of PSCI."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.domain import TextError
from corpus.ops import GetMp, Init, ReadAll, Run
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget, keep
from targets.profile import Profile
from targets.spec.errno import ENOENT
from targets.spec.errors import Unpredictable
from targets.spec.judge import invent
from targets.spec.model import Model

ON, OFF, UNKNOWN = 0, -4, -2
ALONE = "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
OLD = "create v0\ninit v0 features=sve\nfinalize v0\n"
PAIR = ALONE + "create v1\ninit v1 features=sve,psci_0_2,power_off\nfinalize v1\nset v1 z7 0xff*\n"


def call(function: int, *arguments: int) -> str:
    """A run whose only deed is a hypervisor call with constant arguments."""
    lines = []
    for register, value in enumerate((function, *arguments)):
        lines.append(f"mov x{register}, #{value & 0xFFFF}")
        lines += [
            f"movk x{register}, #{value >> shift & 0xFFFF}, lsl #{shift}"
            for shift in (16, 32, 48)
            if value >> shift & 0xFFFF
        ]
    return "run v0 {\n" + "\n".join([*lines, "hvc #0"]) + "\n}\n"


def after(text: str, profile: Profile | None = None) -> Model:
    """The model once all ops of a case are done."""
    model = Model(profile or Profile())
    for op in parse_case(text).ops:
        invent(model.step(op), keep)
    return model


def x0(model: Model) -> int:
    ((value, mask),) = model.vm.vcpus[0].x[0]
    assert mask == 0
    return value - (1 << 64) if value >> 63 else value


@pytest.mark.parametrize(
    ("setup", "function", "arguments", "answer"),
    [
        (ALONE, 0x8400_0000, (), 0x1_0001),
        (ALONE, 0x8000_0000, (), 0x1_0001),
        (ALONE, 0xC400_0003, (0, 0, 0), OFF),
        (ALONE, 0xC400_0003, (5, 0, 0), UNKNOWN),
        (ALONE, 0xC400_0003, (1 << 31, 0, 0), UNKNOWN),
        (PAIR, 0xC400_0003, (1, 0x4000_2000, 9), ON),
        (PAIR, 0xC400_0004, (1, 0), 1),
        (PAIR, 0xC400_0004, (0, 0), 0),
        (PAIR, 0xC400_0004, (1, 1), 0),
        (PAIR, 0xC400_0004, (1, 4), UNKNOWN),
        (ALONE, 0x8400_0006, (), 2),
        (ALONE, 0x8400_000A, (0x8400_0002,), 0),
        (ALONE, 0x8400_000A, (0x8400_00FF,), -1),
        (ALONE, 0x8400_0012, (7,), UNKNOWN),
        (ALONE, 0x8400_00FF, (), -1),
        (ALONE, 0x0000_0001, (), -1),
        (OLD, 0x8400_0000, (), -1),
        (OLD, 0x95C1_BA60, (0,), UNKNOWN),
    ],
)
def test_the_answer(setup: str, function: int, arguments: tuple[int, ...], answer: int) -> None:
    model = after(setup + call(function, *arguments))
    assert x0(model) == answer
    assert all(model.vm.vcpus[0].x[n] == ((0, 0),) for n in (1, 2, 3))


def test_the_version_follows_the_kernel() -> None:
    text = ALONE + call(0x8400_0000)
    assert x0(after(text, Profile(kernel=(7, 2)))) == 0x1_0003


def test_a_vcpu_that_is_turned_on_starts_from_reset_at_its_next_access() -> None:
    model = after(PAIR + call(0xC400_0003, 1, 0x4000_2000, 77))
    target = model.vm.vcpus[1]
    assert target.stopped == 0
    assert target.z[7] != ((0, 0),)
    model.step(ReadAll(1))
    assert target.z[7] == ((0, 0),)
    assert target.core["pc"] == ((0x4000_2000, 0),)
    assert target.x[0] == ((77, 0),)


def test_init_takes_the_entry_but_leaves_the_request() -> None:
    model = after(PAIR + call(0xC400_0003, 1, 0x4000_2000, 77))
    model.step(Init(1, 0x14))
    assert model.vm.vcpus[1].core["pc"] == ((0x4000_2000, 0),)
    model.step(ReadAll(1))
    assert model.vm.vcpus[1].core["pc"] == ((0, 0),)


@pytest.mark.parametrize("function", [0x8400_0008, 0x8400_0009, 0x8400_0012])
def test_a_system_event_stops_every_vcpu(function: int) -> None:
    model = after(ALONE + "create v1\ninit v1 features=sve,psci_0_2\n" + call(function))
    assert [v.stopped for v in model.vm.vcpus.values()] == [5, 5]
    assert x0(model) == -6
    assert model.step(GetMp(1)).outcomes[0].parts[0].candidates == ((5, 0),)
    assert model.step(Run(0)).rule == "run.stopped"


def test_a_late_init_leaves_kvms_table_of_affinities_behind() -> None:
    text = ALONE + "create v1\nrun v0 { }\ninit v1 features=sve,psci_0_2,power_off\n"
    case = parse_case(text + call(0xC400_0003, 1, 0, 0))
    model = Model(Profile())
    traces = [invent(model.step(op), keep) for op in case.ops[:-1]]
    from corpus.trace import Trace  # noqa: PLC0415

    verdict = judge(case, Trace(tuple(traces)), Profile())
    assert isinstance(verdict, Agree)
    assert "MPIDR" in verdict.reason


def test_a_call_at_el0_is_undefined() -> None:
    model = after(ALONE + "run v0 {\neret-to el0t\nhvc #0\n}\n")
    assert model.vm.vcpus[0].sys["esr_el1"] == ((1 << 25, 0),)
    assert "exception.from-el0" in model.rules


@pytest.mark.parametrize("function", [0x8000_0001, 0xC400_0053, 0x8600_FF01, 0x8400_000E])
def test_what_some_kernel_answers_changes_four_registers(function: int) -> None:
    model = after(ALONE + "set v0 x4 0x77\nset v0 x9 0x99\n" + call(function, 1))
    x = model.vm.vcpus[0].x
    assert [one[0][1] for one in x[:4]] == [(1 << 64) - 1] * 4
    assert (x[4], x[9]) == (((0x77, 0),), ((0x99, 0),))
    assert "smccc.answers" in model.rules


def test_a_call_that_may_end_the_run_is_not_judged() -> None:
    with pytest.raises(Unpredictable, match="0x84000015"):
        after(ALONE + call(0x8400_0015, 0))


IDS = "get v0 id_aa64pfr1_el1\n"


def test_the_guest_reads_id_registers_as_user_space_does() -> None:
    model = Model(Profile())
    for op in parse_case(ALONE + "run v0 {\n mrs x1, id_aa64zfr0_el1\n}\n").ops:
        invent(model.step(op), keep)
    assert model.vm.vcpus[0].x[1] == ((0, (1 << 64) - 1),)  # the host's, not known yet
    seen = 0x0021
    case = parse_case(ALONE + IDS + "run v0 {\n mrs x1, id_aa64pfr1_el1\n}\nget v0 x1\n")
    ran = ModelTarget(Profile()).run(case).observations
    for answer, fine in ((seen, True), (seen + 1, False)):
        one = Observation(0, 0, seen.to_bytes(8, "little"))
        other = Observation(0, 0, answer.to_bytes(8, "little"))
        verdict = judge(case, Trace((*ran[:3], one, ran[4], other)), Profile())
        assert isinstance(verdict, Agree) is fine
        assert isinstance(verdict, Agree) or verdict.rule == "id.guest-reads"


def test_writing_an_id_register_is_no_instruction_of_the_table() -> None:
    with pytest.raises(TextError):
        parse_case(ALONE + "run v0 {\n msr id_aa64pfr0_el1, x0\n}\n")


def test_an_id_register_below_el1_is_not_judged() -> None:
    with pytest.raises(Unpredictable, match="ID register"):
        after(ALONE + "run v0 {\n eret-to el0t\n mrs x1, id_aa64pfr0_el1\n}\n")


FPMR = "set v0 fpmr 0x49\nrun v0 {\n movz x0, #0x33, lsl #16\n msr cpacr_el1, x0\n isb\n"
FPMR += " mrs x3, fpmr\n mov x4, #9\n msr fpmr, x4\n}\nget v0 fpmr\nget v0 x3\n"


def test_fpmr_reaches_the_guest_and_comes_back() -> None:
    machine = replace(Profile(), fpmr=True)
    case = parse_case(ALONE + FPMR)
    trace = ModelTarget(machine).run(case)
    assert [int.from_bytes(seen.data, "little") for seen in trace.observations[-2:]] == [9, 0x49]
    lost = Trace((*trace.observations[:-1], Observation(0, data=bytes(8))))
    assert isinstance(judge(case, trace, machine), Agree)
    assert isinstance(judge(case, lost, machine), Diverge)


def test_protected_kvm_may_keep_fpmr_from_guests() -> None:
    machine = replace(Profile(), fpmr=True, mode="protected")
    case = parse_case(ALONE + FPMR)
    verdict = judge(case, ModelTarget(replace(machine, fpmr=False)).run(case), machine)
    assert isinstance(verdict, Diverge)  # its register is there to SET all the same
    ran = ModelTarget(machine).run(case)
    verdict = judge(case, ran, machine)
    assert isinstance(verdict, Agree)
    assert "FPMR where KVM may keep it from guests" in verdict.reason
    later = replace(machine, kernel=(7, 2))
    verdict = judge(case, ModelTarget(later).run(case), later)
    assert isinstance(verdict, Agree)
    assert not verdict.reason


@pytest.mark.parametrize(("pfr2", "fpmr"), [("0x0", False), ("0x100000000", True), (None, None)])
def test_whether_there_is_fpmr_is_told_by_the_id_register(
    pfr2: str | None, fpmr: bool | None
) -> None:
    probe = {} if pfr2 is None else {"id_aa64pfr2": pfr2}
    assert Profile.from_probe({"release": "6.12", **probe}).fpmr is fpmr


def test_without_fpmr_its_id_is_nobodys() -> None:
    case = parse_case(ALONE + "set v0 fpmr 1\nget v0 fpmr\n")
    trace = ModelTarget(Profile()).run(case)
    assert [seen.err for seen in trace.observations[-2:]] == [ENOENT, ENOENT]
