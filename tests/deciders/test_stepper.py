"""Stepping along a trace, the verdict on it, what decides where it stops, and the state behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from model_guest import guest, run
from scripted import sound, wrong

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.isa.form import Insn
from corpus.isa.system import LOOPS
from corpus.isa.table import FORMS, parse_insn
from corpus.kept import FPSR_RULE, Effect
from corpus.ops import CreateVcpu, HostRun, Op, Run
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.wire import OTHER_SLOT
from fuzz.generate import random_insn
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.profile import Profile
from targets.spec import defects
from targets.spec.cpu import FPCR_STATEFUL, FPSR_STATEFUL, ZCR_LEN, Cpu
from targets.spec.decided import decided
from targets.spec.errors import UNDEFINED, Decides, GuestException, Unpredictable
from targets.spec.model import Model
from targets.spec.permitted import Context, Permitted, fails
from targets.spec.semantics import SEMANTICS
from targets.spec.sets import Set, exact, unknown
from targets.spec.stepper import MISSING, Stepper
from targets.spec.steps.strangers import SINGLE_STEP
from targets.spec.vcpu import Vcpu
from targets.spec.world import World, each_vm

CASE = parse_case("create v0\ninit v0\nfinalize v0\nget v0 z3\n")
UNKNOWN = parse_case("create v0\ninit v0 features=el1_32bit\nrun v0 { }\nget-mp v0\n")


def steps(case: Case, trace: Trace) -> Stepper:
    """A stepper at its end."""
    stepper = Stepper(Model(Profile()), case, trace)
    while permitted := stepper.permitted():
        if stepper.narrow(permitted):
            break
    return stepper


# -- the stepper -----------------------------------------------------------------------------


def test_a_permitted_trace_is_stepped_to_its_end() -> None:
    stepper = steps(CASE, sound(CASE))
    assert (stepper.judged, stepper.stopped, stepper.decides) == (4, "", Decides.NOTHING)
    assert stepper.permitted() is None


def test_the_op_that_is_wrong_stays_and_nothing_more_is_judged() -> None:
    trace = wrong(CASE, 1)
    stepper = Stepper(Model(Profile()), CASE, trace)
    first = stepper.permitted()
    assert first
    assert (stepper.op, stepper.seen) == (CASE.ops[0], trace.observations[0])
    assert stepper.narrow(first) is None
    second = stepper.permitted()
    assert second
    assert stepper.narrow(second)
    assert (stepper.judged, stepper.op, stepper.seen) == (1, CASE.ops[1], Observation(99))
    assert stepper.permitted() is None


def test_a_leg_that_ended_well_owes_an_observation_for_every_op() -> None:
    short = Trace(sound(CASE).observations[:2])
    stepper = steps(CASE, short)
    assert (stepper.judged, stepper.seen) == (2, None)
    stepper = Stepper(Model(Profile()), CASE, Trace(()))
    permitted = stepper.permitted()
    assert permitted
    assert stepper.narrow(permitted) is MISSING
    assert stepper.permitted() is None
    verdict = judge(CASE, short, Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.op_index, verdict.label, verdict.expected, verdict.observed) == (
        *(2, "observation", "one", "none"),
    )


def test_a_leg_that_broke_owes_only_what_it_told() -> None:
    seen = sound(CASE).observations[:2]
    stepper = steps(CASE, Trace(seen, Ending.CRASH))
    assert stepper.judged == 2
    assert stepper.permitted() is None


def test_more_observations_than_ops_are_not_looked_at() -> None:
    trace = Trace((*sound(CASE).observations, Observation(99)))
    assert steps(CASE, trace).judged == 4
    assert isinstance(judge(CASE, trace, Profile()), Agree)
    broke = steps(CASE, replace(trace, ending=Ending.CRASH))
    assert (broke.judged, broke.permitted()) == (4, None)


def test_the_stepper_stops_where_the_specification_does() -> None:
    done = sound(UNKNOWN).observations
    seen = (*done, Observation(0), Observation(0))
    stepper = steps(UNKNOWN, Trace(seen))
    assert (stepper.judged, stepper.decides) == (2, Decides.KERNEL)
    assert "AArch32" in stepper.stopped
    assert stepper.permitted() is None
    unseen = steps(UNKNOWN, Trace(done, Ending.CRASH))
    assert (unseen.judged, unseen.stopped, unseen.decides) == (2, "", Decides.NOTHING)
    owed = steps(UNKNOWN, Trace(done))
    assert "AArch32" in owed.stopped
    assert owed.decides is Decides.NOTHING


def test_where_the_specification_stopped_it_is_not_asked_again() -> None:
    class Once(Model):
        def step(self, op: Op) -> Permitted:
            asked.append(op)
            if len(asked) == 2:
                raise Unpredictable("so")
            return super().step(op)

    asked: list[Op] = []
    stepper = Stepper(Once(Profile()), CASE, sound(CASE))
    first = stepper.permitted()
    assert first
    assert stepper.narrow(first) is None
    assert [stepper.permitted() for _ in range(3)] == [None] * 3
    assert (asked, stepper.stopped) == ([*CASE.ops[:2]], "so")


# -- the verdict -----------------------------------------------------------------------------


def test_a_verdict_says_what_was_judged_and_by_which_rules() -> None:
    verdict = judge(CASE, sound(CASE), Profile())
    assert isinstance(verdict, Agree)
    assert (verdict.judged, verdict.reason) == (4, "")
    assert {"vcpu.create", "ending.ok", "sve.z"} <= verdict.rules
    stopped = judge(
        UNKNOWN, Trace((*sound(UNKNOWN).observations, *[Observation(0)] * 2)), Profile()
    )
    assert isinstance(stopped, Agree)
    assert (stopped.judged, stopped.decides) == (2, Decides.KERNEL)
    assert "AArch32" in stopped.reason


def test_a_divergence_says_what_was_wrong_where() -> None:
    verdict = judge(CASE, wrong(CASE, 3, Observation(0, 0, b"\1" + bytes(255))), Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.oracle, verdict.op_index, verdict.op_word) == ("conformance", 3, "get")
    assert (verdict.rule, verdict.label, verdict.detail) == ("reset.vectors", "z3", "byte 0")
    assert (verdict.expected, verdict.observed) == ("[0..255]=00", "[0]=01 [1..255]=00")
    assert verdict.wrong == 1
    assert verdict.context
    assert verdict.context.vcpu == 256
    assert verdict.strict
    assert {"vcpu.create", "sve.z"} <= verdict.rules
    assert verdict.fault is None
    assert verdict.explanation == (
        "op 3 (get): rule reset.vectors permits z3 = [0..255]=00,"
        " observed [0]=01 [1..255]=00 (byte 0)"
        f" [{verdict.context}]"
    )
    bare = replace(verdict, detail="", context=None)
    assert bare.explanation.endswith("observed [0]=01 [1..255]=00")


LENIENT = parse_case("create v0\ninit v0\nfinalize v0\nget v0 0x6030000000100001\n")


def test_a_rule_that_only_kernels_follow_is_lenient() -> None:
    verdict = judge(LENIENT, wrong(LENIENT, 3), Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.rule, verdict.strict) == ("core.hole", False)


PROGRAM = parse_case(
    "create v0\ninit v0\nfinalize v0\nset v0 cpacr_el1 0x330000\nset v0 z1 0x3c*\nset v0 z2 0x3d*\n"
    "run v0 {\n add z3.d, z1.d, z2.d\n fadd z4.h, z1.h, z2.h\n}\n"
    "get v0 z3\nget v0 z4\nget v0 fpsr\n"
    "get v0 z1\n"
)


@pytest.mark.parametrize(
    ("index", "rule"),
    [(7, "isa.add_"), (8, "isa.fadd_"), (9, FPSR_RULE), (10, "sve.z")],
)
def test_a_wrong_value_is_the_fault_of_the_instruction_that_wrote_it(index: int, rule: str) -> None:
    seen = sound(PROGRAM).observations[index]
    flipped = bytes([seen.data[0] ^ 1]) + seen.data[1:]
    verdict = judge(PROGRAM, wrong(PROGRAM, index, replace(seen, data=flipped)), Profile())
    assert isinstance(verdict, Diverge)
    assert verdict.rule.startswith(rule)
    assert verdict.op_index == index


FAULT = Fault(FaultKind.WARN, "f", True, "WARNING: here")


@pytest.mark.parametrize("ending", [Ending.CRASH, Ending.HANG, Ending.HOST_LOG, Ending.LOST])
def test_a_bad_ending_is_a_strict_divergence_that_carries_its_fault(ending: Ending) -> None:
    trace = Trace(sound(CASE).observations, ending, fault=FAULT, at=1)
    verdict = judge(CASE, trace, Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.oracle, verdict.rule, verdict.label) == ("ending", "ending.ok", "ending")
    assert (verdict.expected, verdict.observed, verdict.strict) == ("ok", ending.value, True)
    assert (verdict.op_index, verdict.op_word, verdict.fault) == (1, "init", FAULT)
    assert verdict.detail == "warn in f: WARNING: here"
    assert "vcpu.create" in verdict.rules
    silent = judge(CASE, Trace((), ending), Profile())
    assert isinstance(silent, Diverge)
    assert (silent.detail, silent.fault) == ("", None)


RUN_ONCE = parse_case("create v0\nrun v0 { }\nget-mp v0\n")
RUNS = parse_case("create v0\nrun v0 { }\nrun v0 { }\nget-mp v0\n")


@pytest.mark.parametrize(
    ("case", "observed", "at", "index"),
    [
        *((CASE, 0, 0, 0), (CASE, 0, 3, 3), (CASE, 0, 4, 0), (CASE, 2, 3, 3)),
        *((CASE, 2, None, 1), (CASE, 4, None, 3), (CASE, 0, None, 0)),
        *(
            (RUN_ONCE, 0, None, 1),
            (RUNS, 0, None, 2),
            (RUNS, 1, None, 0),
            (RUNS, 3, None, 2),
            (RUNS, 0, 9, 2),
        ),
    ],
)
def test_the_op_under_way_is_told_or_the_likeliest(
    case: Case, observed: int, at: int | None, index: int
) -> None:
    trace = Trace(sound(case).observations[:observed], Ending.CRASH, at=at)
    verdict = judge(case, trace, Profile())
    assert isinstance(verdict, Diverge)
    assert verdict.op_index == index
    assert verdict.op_word == case.ops[index].word


def test_an_empty_case_can_break_too() -> None:
    verdict = judge(Case(()), Trace((), Ending.HANG), Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.op_index, verdict.op_word) == (0, "")


def test_what_was_wrong_before_it_broke_comes_first() -> None:
    trace = Trace((Observation(99),), Ending.CRASH, fault=FAULT)
    verdict = judge(CASE, trace, Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.oracle, verdict.label) == ("conformance", "errno")


# -- what decides ----------------------------------------------------------------------------

SVE_RUN = "create v0\ninit v0\nfinalize v0\nset v0 cpacr_el1 0x330000\nset v0 zcr_el1 0x1\n"
STOP = Unpredictable("so")


def world_of(text: str = SVE_RUN) -> World:
    """A model after some ops."""
    case = parse_case(text)
    model = Model(Profile())
    stepper = Stepper(model, case, sound(case))
    while permitted := stepper.permitted():
        assert stepper.narrow(permitted) is None
    return model


def a_run(text: str = "nop") -> Run:
    (op,) = parse_case(f"run v0 {{\n {text}\n}}").ops
    assert isinstance(op, Run)
    return op


def test_the_processor_decides_where_all_is_known() -> None:
    assert decided(world_of(), a_run(), STOP) is Decides.CPU
    assert decided(world_of(), a_run(), Unpredictable("so", Decides.KERNEL)) is Decides.KERNEL
    assert decided(world_of(), a_run(), Unpredictable("so", Decides.NOTHING)) is Decides.NOTHING
    (get,) = parse_case("get-mp v0").ops
    assert decided(world_of(), get, STOP) is Decides.CPU


def test_nothing_decides_for_a_vcpu_that_is_not_there_or_not_followed() -> None:
    assert decided(world_of("create v1\ninit v1\n"), a_run(), STOP) is Decides.NOTHING
    assert decided(world_of("create v0\n"), a_run(), STOP) is Decides.NOTHING
    world = world_of()
    world.vm.vcpus[0].el2 = True
    assert decided(world, a_run(), STOP) is Decides.NOTHING
    (other,) = parse_case("run v1 { }").ops
    assert decided(world_of(), other, STOP) is Decides.NOTHING


@pytest.mark.parametrize(
    ("program", "left", "decides"),
    [
        *(
            ("nop", None, Decides.CPU),
            ("hvc", None, Decides.KERNEL),
            *((loop, None, Decides.KERNEL) for loop in sorted(LOOPS)),
            ("mrs x1, zcr_el1", None, Decides.KERNEL),
        ),
        *(("msr zcr_el1, x0", None, Decides.NOTHING), ("msr cpacr_el1, x0", None, Decides.NOTHING)),
        *(("msr fpcr, x0", None, Decides.CPU), ("msr fpsr, x0", None, Decides.CPU)),
        *(("msr nzcv, x0", None, Decides.CPU), ("msr tpidr_el0, x0", None, Decides.CPU)),
        *(("msr tpidr_el1, x0", None, Decides.CPU),),
        *(("eret_to", None, Decides.NOTHING),),
        *((".inst 0xd50344ff", None, Decides.NOTHING), (".inst 0x0400ffff", None, Decides.CPU)),
        *(("msr zcr_el1, x0", "", Decides.CPU), ("nop", "msr zcr_el1, x0", Decides.NOTHING)),
        *(("nop", "hvc", Decides.KERNEL), ("hvc", "", Decides.CPU)),
    ],
)
def test_what_is_left_of_the_program_matters(
    program: str, left: str | None, decides: Decides
) -> None:
    def insns(text: str) -> tuple[Insn, ...]:
        if not text:
            return ()
        form = FORMS.get(text)
        return (random_insn(random.Random(1), form) if form else parse_insn(text),)

    stop = Unpredictable("so")
    stop.left = None if left is None else insns(left)
    op = replace(a_run(), program=insns(program))
    assert decided(world_of(), op, stop) is decides


def test_a_host_run_is_a_run_too() -> None:
    (op,) = parse_case("host-run v0 vl=16 {\n msr zcr_el1, x0\n}").ops
    assert isinstance(op, HostRun)
    assert decided(world_of(), op, STOP) is Decides.NOTHING


def test_without_sve_or_in_a_32_bit_guest_there_is_no_length_to_change() -> None:
    plain = "create v0\ninit v0 features=none\nset v0 cpacr_el1 0x330000\n"
    change = a_run("msr cpacr_el1, x0")
    assert decided(world_of(plain), change, STOP) is Decides.CPU
    world = world_of()
    world.vm.vcpus[0].core["pstate"] = exact(0x1D3)
    assert decided(world, change, STOP) is Decides.CPU


def spoil(change: Callable[[Vcpu], None]) -> Decides:
    world = world_of()
    change(world.vm.vcpus[0])
    return decided(world, a_run(), STOP)


def _set(group: str, key: object, candidates: Set) -> Callable[[Vcpu], None]:
    def change(vcpu: Vcpu) -> None:
        getattr(vcpu, group)[key] = candidates

    return change


TWO_KNOWN_LOW = ((1 << 300 | 5, 0), (5, 0))
"""Differs above 256 bits, which a guest with VL 32 does not see."""


@pytest.mark.parametrize(
    ("group", "key", "candidates", "decides"),
    [
        ("z", 3, unknown(0, 1), Decides.NOTHING),
        ("z", 31, unknown(0, 1 << 255), Decides.NOTHING),
        ("z", 3, unknown(0, 1 << 256), Decides.CPU),
        ("z", 3, TWO_KNOWN_LOW, Decides.CPU),
        ("z", 3, ((1, 0), (0, 0)), Decides.NOTHING),
        ("p", 0, unknown(0, 1 << 31), Decides.NOTHING),
        ("p", 15, unknown(0, 1 << 32), Decides.CPU),
        ("ffr", 0, unknown(0, 1 << 31), Decides.NOTHING),
        ("ffr", 0, unknown(0, 1 << 32), Decides.CPU),
        ("x", 30, unknown(0, 1 << 63), Decides.NOTHING),
        ("core", "sp", unknown(0, 1), Decides.NOTHING),
        ("core", "sp_el1", unknown(0, 1 << 63), Decides.NOTHING),
        ("core", "fpcr", unknown(0, FPCR_STATEFUL & -FPCR_STATEFUL), Decides.NOTHING),
        ("core", "fpcr", unknown(0, 1), Decides.CPU),
        ("core", "fpsr", unknown(0, 1), Decides.CPU),
        ("core", "pstate", unknown(0x3C5, 1 << 28), Decides.NOTHING),
        ("core", "pstate", unknown(0x3C5, 1 << 31), Decides.NOTHING),
        ("core", "pstate", unknown(0x3C5, 1 << 27), Decides.CPU),
        ("sys", "cpacr_el1", unknown(0x330000, 1 << 20), Decides.NOTHING),
        ("sys", "cpacr_el1", unknown(0x330000, 1), Decides.CPU),
        ("sys", "zcr_el1", unknown(1, 2), Decides.NOTHING),
        ("sys", "zcr_el1", unknown(1, ZCR_LEN + 1), Decides.CPU),
        ("sys", "zcr_el1", exact(15), Decides.CPU),
        ("sys", "esr_el1", unknown(0, 1), Decides.CPU),
    ],
)
def test_nothing_decides_where_the_guest_sees_what_nobody_knows(
    group: str, key: object, candidates: Set, decides: Decides
) -> None:
    assert spoil(_set(group, key, candidates)) is decides


def test_the_length_that_counts_is_the_guests() -> None:
    def longer(vcpu: Vcpu) -> None:
        vcpu.sys["zcr_el1"] = exact(2)
        vcpu.z[3] = unknown(0, 1 << 256)

    assert spoil(longer) is Decides.NOTHING
    world = world_of("create v0\ninit v0 features=none\n")
    world.vm.vcpus[0].z[3] = unknown(0, 1 << 127)
    assert decided(world, a_run(), STOP) is Decides.NOTHING
    world.vm.vcpus[0].z[3] = unknown(0, 1 << 128)
    assert decided(world, a_run(), STOP) is Decides.CPU


def test_an_op_of_the_vm_is_about_its_first_vcpu() -> None:
    (op,) = parse_case("read-mem 0x8000").ops
    assert decided(world_of(), op, STOP) is Decides.CPU
    assert decided(world_of("create v1\ninit v1\n"), op, STOP) is Decides.NOTHING


def test_memory_that_nobody_knows_decides_nothing() -> None:
    world = world_of()
    world.mem.unknown[0] = 1
    assert decided(world, a_run(), STOP) is Decides.NOTHING


# -- going on behind a recorded defect -------------------------------------------------------


def spoiled(effect: Effect, *texts: str, rule: str = "isa.x") -> Cpu:
    """A CPU at VL 32 that executed the last of `texts` as its leg is known to get wrong."""
    cpu = guest(2)
    run(cpu, *texts[:-1])
    insn = parse_insn(texts[-1])
    cpu.rule = rule
    defects.spoiled(cpu, effect, SEMANTICS[insn.form.name], insn)
    return cpu


FILL = ("mov x1, #5", "dup z1.d, x1", "dup z2.d, x1")
ADD = "add z3.d, z1.d, z2.d"


def test_a_wrong_result_makes_what_is_written_unknown() -> None:
    cpu = spoiled(Effect.RESULT, *FILL, ADD)
    width = cpu.vcpu.vector_bits
    assert cpu.vcpu.z[3] == unknown(0, (1 << width) - 1)
    assert cpu.vcpu.z[1] == exact(int.from_bytes(b"\5\0\0\0\0\0\0\0" * 4, "little"))
    assert all(
        mask == 0 for group in (cpu.vcpu.p, cpu.vcpu.x, cpu.vcpu.ffr) for ((_, mask),) in group
    )


@pytest.mark.parametrize(
    ("text", "may_set"), [("fadd z3.s, z1.s, z2.s", True), ("fadd s3, s1, s2", True), (ADD, False)]
)
def test_a_wrong_result_of_floating_point_may_have_set_any_flag(text: str, may_set: bool) -> None:
    cpu, held = guest(2), 0x0800_0001
    run(cpu, *FILL)
    cpu.vcpu.core["fpsr"] = exact(held)
    insn = parse_insn(text)
    defects.spoiled(cpu, Effect.RESULT, SEMANTICS[insn.form.name], insn)
    others = FPSR_STATEFUL & ~held
    assert cpu.vcpu.core["fpsr"] == (unknown(held, others) if may_set else exact(held))


def test_what_was_not_written_or_not_known_before_stays_so() -> None:
    cpu = spoiled(Effect.RESULT, "setffr", *FILL, ADD)
    assert cpu.vcpu.ffr[0] == exact((1 << 32) - 1)
    cpu, above = guest(2), 1 << 20
    assert not above & FPSR_STATEFUL
    run(cpu, *FILL)
    cpu.vcpu.core["fpsr"] = unknown(1, above)
    cpu.vcpu.z[1] = unknown(5, 2)
    for text, effect in (
        ("fadd z3.s, z2.s, z2.s", Effect.RESULT),
        ("mov v4.16b, v1.16b", Effect.TAIL),
    ):
        insn = parse_insn(text)
        defects.spoiled(cpu, effect, SEMANTICS[insn.form.name], insn)
    assert cpu.vcpu.core["fpsr"] == unknown(1, above | FPSR_STATEFUL & ~1)
    assert cpu.vcpu.z[4] == unknown(5, 2 | (1 << 256) - (1 << 128))


def test_a_wrong_tail_leaves_the_low_quadword() -> None:
    cpu = spoiled(Effect.TAIL, *FILL, "add v3.2d, v1.2d, v2.2d")
    low = 10 | 10 << 64
    assert cpu.vl == 32
    assert cpu.vcpu.z[3] == unknown(low, (1 << 256) - (1 << 128))


@pytest.mark.parametrize(
    ("text", "group", "index", "bits"),
    [
        ("ptrue p3.b, all", "p", 3, 256),
        ("mov x7, #9", "x", 7, 64),
        ("setffr", "ffr", 0, 256),
    ],
)
def test_every_kind_of_register_can_be_a_wrong_result(
    text: str, group: str, index: int, bits: int
) -> None:
    cpu = spoiled(Effect.RESULT, text)
    assert getattr(cpu.vcpu, group)[index] == unknown(0, (1 << bits) - 1)
    untouched = spoiled(Effect.FPSR, text)
    ((_, mask),) = getattr(untouched.vcpu, group)[index]
    assert mask == 0


def test_flags_are_unknown_only_if_they_were_written() -> None:
    flags = 15 << 28
    cpu = spoiled(Effect.RESULT, "ptrue p1.b, all", "ptrues p3.b, all")
    ((_, mask),) = cpu.vcpu.core["pstate"]
    assert mask == flags
    plain = spoiled(Effect.RESULT, "ptrue p3.b, all")
    ((_, mask),) = plain.vcpu.core["pstate"]
    assert mask == 0
    tail = spoiled(Effect.TAIL, "ptrues p3.b, all")
    ((_, mask),) = tail.vcpu.core["pstate"]
    assert mask == 0


def test_what_may_also_trap_ends_the_judging() -> None:
    with pytest.raises(Unpredictable, match=r"isa\.x is a known defect of this leg") as caught:
        spoiled(Effect.STOP, *FILL, ADD)
    assert caught.value.decides is Decides.NOTHING


def test_an_instruction_that_should_trap_and_may_not_ends_the_judging() -> None:
    def traps(cpu: Cpu, *args: object) -> None:
        raise GuestException(0)

    cpu = guest(2)
    cpu.rule = "isa.x"
    with pytest.raises(Unpredictable, match="known defect") as caught:
        defects.spoiled(cpu, Effect.TAIL, traps, parse_insn(ADD))
    assert caught.value.decides is Decides.NOTHING


def test_an_instruction_that_is_undefined_here_is_judged_as_such() -> None:
    def undefined(cpu: Cpu, *args: object) -> None:
        raise GuestException(UNDEFINED)

    for effect in (Effect.TAIL, Effect.RESULT, Effect.FPSR):
        with pytest.raises(GuestException) as caught:
            defects.spoiled(guest(2), effect, undefined, parse_insn(ADD))
        assert caught.value.esr == UNDEFINED


def test_a_wrong_result_that_was_stored_ends_the_judging() -> None:
    def stores(cpu: Cpu, *args: object) -> None:
        cpu.vcpu.origins["ram"] = cpu.rule

    cpu = guest(2)
    cpu.rule = "isa.x"
    insn = parse_insn(ADD)
    with pytest.raises(Unpredictable, match="stored to RAM") as caught:
        defects.spoiled(cpu, Effect.RESULT, stores, insn)
    assert caught.value.decides is Decides.NOTHING
    defects.spoiled(cpu, Effect.TAIL, stores, insn)
    cpu.vcpu.origins["ram"] = "isa.another"
    defects.spoiled(cpu, Effect.RESULT, lambda *_: None, insn)


@pytest.mark.parametrize(
    ("effects", "fpcr", "text", "worst"),
    [
        ({Effect.FPSR, Effect.TAIL}, 0, ADD, Effect.TAIL),
        ({Effect.RESULT, Effect.STOP, Effect.FPSR}, 0, ADD, Effect.STOP),
        (set(), 0, ADD, None),
        ({Effect.MODES}, 0, ADD, None),
        ({Effect.MODES}, 1 << 24, ADD, Effect.RESULT),
        ({Effect.MODES, Effect.FPSR}, 0, ADD, Effect.FPSR),
        ({Effect.INPLACE}, 0, ADD, None),
        ({Effect.INPLACE}, 0, "add z3.d, z3.d, z2.d", Effect.RESULT),
        ({Effect.INPLACE}, 0, "add z3.d, z1.d, z3.d", Effect.RESULT),
        ({Effect.INPLACE, Effect.TAIL}, 0, ADD, Effect.TAIL),
        ({Effect.INPLACE, Effect.MODES}, 1 << 24, ADD, Effect.RESULT),
        ({Effect.MODES, Effect.STOP}, 1 << 24, ADD, Effect.STOP),
        ({Effect.INPLACE}, 0, "ptrue p3.b, all", None),
        ({Effect.INPLACE}, 0, "nop", None),
        ({Effect.INPLACE}, 0, "add v3.2d, v3.2d, v2.2d", Effect.RESULT),
        ({Effect.INPLACE}, 0, "and p3.b, p1/z, p2.b, p3.b", Effect.RESULT),
        ({Effect.INPLACE}, 0, "and p3.b, p3/z, p2.b, p1.b", Effect.RESULT),
        ({Effect.INPLACE}, 0, "and p3.b, p1/z, p2.b, p4.b", None),
        ({Effect.INPLACE}, 0, "add x3, x1, #3", None),
        ({Effect.INPLACE}, 0, "add x3, x1, x3", Effect.RESULT),
        ({Effect.INPLACE}, 0, "dup z3.d, x3", None),
        ({Effect.INPLACE}, 0, "add z3.b, p0/m, z3.b, z2.b", None),
        ({Effect.INPLACE}, 0, "add z3.b, p0/m, z3.b, z3.b", Effect.RESULT),
        ({Effect.INPLACE}, 0, "fmadd d3, d1, d2, d3", Effect.RESULT),
        ({Effect.INPLACE}, 0, "fmadd d3, d1, d2, d0", None),
        ({Effect.INPLACE}, 0, "fadd s3, s3, s2", Effect.RESULT),
        ({Effect.INPLACE}, 0, "eor3 v3.16b, v1.16b, v2.16b, v3.16b", Effect.RESULT),
        ({Effect.INPLACE}, 0, "str x3, [x3, #0]", None),
        ({Effect.INPLACE}, 0, "cmpeq p3.b, p1/z, z3.b, z2.b", None),
        ({Effect.TAIL, Effect.RESULT}, 0, ADD, Effect.RESULT),
        ({Effect.ODD}, 0, ADD, None),
        ({Effect.SHORT}, 0, ADD, None),
        ({Effect.SP}, 0, ADD, None),
        ({Effect.SP}, 0, "add x3, x1, #3", None),
        ({Effect.SP}, 0, "add x3, sp, #3", Effect.STOP),
    ],
)
def test_the_worst_effect_is_that_of_here_and_now(
    effects: set[Effect], fpcr: int, text: str, worst: Effect | None
) -> None:
    cpu = guest(2)
    cpu.vcpu.core["fpcr"] = exact(fpcr)
    assert defects.worst(cpu, frozenset(effects), parse_insn(text)) is worst


@pytest.mark.parametrize(
    ("vq", "effect", "worst"),
    [
        *((n, Effect.ODD, Effect.RESULT) for n in range(1, 17, 2)),
        *((n, Effect.ODD, None) for n in range(2, 17, 2)),
        *((1, Effect.SHORT, Effect.STOP), (2, Effect.SHORT, None), (3, Effect.SHORT, None)),
        *((n, Effect.UNEVEN, None) for n in (1, 2, 4, 8, 16)),
        *((n, Effect.UNEVEN, Effect.RESULT) for n in (3, 5, 6, 7, 9, 12, 15)),
    ],
)
def test_some_defects_show_at_some_lengths(vq: int, effect: Effect, worst: Effect | None) -> None:
    cpu = guest(vq)
    assert defects.worst(cpu, frozenset({effect}), parse_insn(ADD)) is worst


# -- the world -------------------------------------------------------------------------------


def test_a_slot_without_a_vcpu_is_a_bad_descriptor() -> None:
    world = World(Profile())
    assert world.vcpu(0) == fails("vcpu.missing", 9)
    world.vm.add(0)
    assert isinstance(world.vcpu(0), Vcpu)
    assert isinstance(world.vcpu(1), Permitted)


def test_a_reset_that_another_vcpu_asked_for_is_done_once() -> None:
    world = World(Profile(vqs=3))
    vcpu = Vcpu(initialised=True, sve=True)
    world.settle(vcpu)
    assert world.rules == set()
    assert vcpu.max_vq == 1
    vcpu.reset_requested = True
    vcpu.x[3] = exact(7)
    world.settle(vcpu)
    assert world.rules == {"psci.reset-before-access"}
    assert (vcpu.reset_requested, vcpu.x[3], vcpu.max_vq) == (False, exact(0), 2)
    vcpu.x[3] = exact(7)
    world.settle(vcpu)
    assert vcpu.x[3] == exact(7)


def test_a_stranger_that_stays_about_is_about_a_vm_that_is_made_later() -> None:
    world = World(Profile())
    world.vm.signalled, world.vm.stepped = True, SINGLE_STEP
    world.turn()
    assert (world.vm.signalled, world.vm.stepped) == (True, SINGLE_STEP)


def test_what_lies_beyond_the_model_is_remembered() -> None:
    world = World(Profile())
    assert world.beyond is False
    world.go_beyond()
    assert world.beyond is True


def test_both_vms_are_turned_to_in_turn_if_any_world_has_two() -> None:
    def two_vms(turned: bool) -> World:
        world = World(Profile())
        world.turn_to(CreateVcpu(OTHER_SLOT))
        if not turned:
            world.turn_to(CreateVcpu(0))
        assert world.other == turned
        return world

    for worlds in ((World(Profile()), two_vms(True)), (two_vms(False), World(Profile()))):
        seen = [tuple(world.other for world in worlds) for _ in each_vm(*worlds)]
        assert seen == [(False, False), (True, True)]
    alone = World(Profile()), World(Profile())
    assert [tuple(world.other for world in alone) for _ in each_vm(*alone)] == [(False, False)]
    assert [alone[0].other for _ in each_vm(alone[0])] == [False]


@pytest.mark.parametrize("stepped", [0, 1 << 21])
def test_what_a_debugger_left_unknown_is_so_in_the_other_vm_too(stepped: int) -> None:
    world = World(Profile())
    world.vm.stepped = stepped
    world.turn_to(CreateVcpu(OTHER_SLOT))
    assert (world.other, world.vm.stepped) == (True, stepped)


def vcpu_with(**sys: Set) -> Vcpu:
    vcpu = Vcpu(initialised=True, finalised=True, sve=True, max_vq=8)
    vcpu.reset()
    vcpu.sys.update(sys)
    return vcpu


def test_the_context_gives_the_length_that_the_guest_has() -> None:
    world = World(Profile(vqs=0b10001011))
    assert world.context(Vcpu()) == Context(None, 0, 0)
    context = world.context(vcpu_with(zcr_el1=exact(2)))
    assert (context.guest, context.vcpu, context.host, context.zcr) == (
        32,
        128,
        128,
        (("zcr_el1", 2),),
    )
    unsure = world.context(vcpu_with(zcr_el1=unknown(0, 1)))
    assert (unsure.guest, unsure.zcr) == (None, ())
    both = vcpu_with(zcr_el1=exact(7), zcr_el2=exact(1))
    both.el2 = True
    context = world.context(both)
    assert (context.guest, context.zcr) == (32, (("zcr_el1", 7), ("zcr_el2", 1)))
    both.sys["zcr_el2"] = unknown(0, 1)
    assert world.context(both).guest is None
    both.sys["zcr_el2"], both.sys["zcr_el1"] = exact(7), exact(0)
    assert world.context(both).guest == 16
