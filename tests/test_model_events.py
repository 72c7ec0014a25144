"""KVM_{GET,SET}_VCPU_EVENTS in the model, and an SError that a guest of the emulator takes."""

from __future__ import annotations

from dataclasses import replace
from errno import EINVAL, ENOEXEC

import pytest
from emulator_leg import (
    EXIT,
    PSTATE,
    SVE,
    Leg,
    create,
    exit_of,
    finalize,
    get,
    init,
    number,
    open_leg,
    put,
    run,
)

from corpus.ops import GetEvents, SetEvents
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import EVENTS, VECTOR_MMIO, Kind, WireOp
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget, keep
from targets.profile import Profile
from targets.spec.errors import Unpredictable
from targets.spec.judge import invent
from targets.spec.model import Model
from targets.spec.steps.events import ISS

UP = "create v0\ninit v0\nfinalize v0\n"
PENDS = UP + "set-events v0 serror=yes\n"
NESTED = Profile(features=0x1FF, mode="nested", kernel=(7, 2))
UNMASKED = "set v0 pstate 0x5\n"


def after(text: str, profile: Profile | None = None) -> Model:
    """The model once all ops of a case are done."""
    model = Model(profile or Profile())
    for op in parse_case(text).ops:
        invent(model.step(op), keep)
    return model


def told(pending: int, esr: int = 0, has_esr: int = 0) -> bytes:
    """What KVM_GET_VCPU_EVENTS writes."""
    return EVENTS.pack(pending, has_esr, 0, 0, 0, esr, *[0] * 12)


def verdict(text: str, *seen: Observation) -> Agree | Diverge:
    """How the last ops of a case are judged, those before having succeeded."""
    case = parse_case(text)
    before = (Observation(0),) * (len(case.ops) - len(seen))
    return judge(case, Trace((*before, *seen)), Profile())


@pytest.mark.parametrize(
    ("text", "err"),
    [
        (UP + "set-events v0 reserved=1\n", EINVAL),
        (UP + "set-events v0 serror=yes has_esr=yes esr=0x2000000\n", EINVAL),
    ],
)
def test_what_is_refused(text: str, err: int) -> None:
    assert isinstance(verdict(text, Observation(err)), Agree)
    wrong = verdict(text, Observation(0))
    assert isinstance(wrong, Diverge)
    assert wrong.label == "errno"


def test_before_init_kernels_differ() -> None:
    # 6.1 does not ask whether the vcpu was initialised.
    for seen in (Observation(ENOEXEC), Observation(0, 0, told(0))):
        assert isinstance(verdict("create v0\nget-events v0\n", seen), Agree)
    for err in (ENOEXEC, 0):
        assert isinstance(verdict("create v0\nset-events v0\n", Observation(err)), Agree)
    assert isinstance(verdict("create v0\nget-events v0\n", Observation(EINVAL)), Diverge)


def test_a_syndrome_without_a_serror_is_not_looked_at() -> None:
    text = UP + "set-events v0 has_esr=yes esr=0x2000000\nget-events v0\n"
    assert isinstance(verdict(text, Observation(0), Observation(0, 0, told(0))), Agree)


@pytest.mark.parametrize("then", ["", "set-events v0\n", "run v0 {\n eret-to el0t\n}\n"])
def test_an_serror_goes_on_pending(then: str) -> None:
    model = after(PENDS + then)
    (outcome,) = model.step(GetEvents(0)).outcomes
    assert outcome.parts[0].candidates == ((1, 0),)


NESTED_UP = "create v0\ninit v0 features=sve,has_el2\nfinalize v0\n"


@pytest.mark.parametrize("before", ["", "set v0 pstate 0x3c5\n", "set v0 hcr_el2 0x20\n"])
@pytest.mark.parametrize("then", ["", "set-events v0\n", "run v0 {\n eret-to el1h\n}\n"])
def test_an_serror_goes_on_pending_at_el2_and_below(before: str, then: str) -> None:
    if "hcr_el2" in before and "run" in then:
        return  # what is below EL2 then is not followed
    model = after(NESTED_UP + before + "set-events v0 serror=yes\n" + then, NESTED)
    (outcome,) = model.step(GetEvents(0)).outcomes
    assert outcome.parts[0].candidates == ((1, 0),)


@pytest.mark.parametrize(
    ("before", "kernel"),
    [
        ("set v0 pstate 0x3c5\nset v0 hcr_el2 0x20\n", (7, 2)),
        ("set v0 pstate 0x2c5\n", (7, 2)),
        ("set v0 0x603000000013e092 8\n", (7, 2)),  # HCRX_EL2
        ("", (6, 16)),
    ],
)
def test_one_that_may_go_to_el2_is_not_judged(before: str, kernel: tuple[int, int]) -> None:
    model = after(NESTED_UP + before, replace(NESTED, kernel=kernel))
    with pytest.raises(Unpredictable, match="SError"):
        model.step(SetEvents(0, 1))


def test_init_of_a_vcpu_with_el2_may_leave_one_that_never_ran() -> None:
    model = after(NESTED_UP + "set-events v0 serror=yes\ninit v0 features=sve,has_el2\n", NESTED)
    seen = [one.known_parts[0].candidates for one in model.step(GetEvents(0)).outcomes]
    assert seen == [((0, 0),), ((1, 0),)]


def test_init_forgets_it() -> None:
    model = after(PENDS + "init v0\n")
    (outcome,) = model.step(GetEvents(0)).outcomes
    assert outcome.parts[0].candidates == ((0, 0),)


def test_init_after_a_run_may_leave_it() -> None:
    text = PENDS + "run v0 { }\ninit v0\nget-events v0\n"
    run = Model(Profile())
    for op in parse_case(text).ops[:-1]:
        invent(run.step(op), keep)
    seen = [one.known_parts[0].candidates for one in run.step(GetEvents(0)).outcomes]
    assert seen == [((0, 0),), ((1, 0),)]
    invent(run.step(GetEvents(0)), keep)  # what was seen binds
    (outcome,) = run.step(GetEvents(0)).outcomes
    assert outcome.known_parts[0].candidates == ((0, 0),)


def test_a_host_without_ras_takes_no_syndrome_and_keeps_none() -> None:
    text = UP + "set-events v0 serror=yes has_esr=yes esr=0x2a\nget-events v0\n"
    without = verdict(text, Observation(EINVAL), Observation(0, 0, told(0)))
    with_ras = verdict(text, Observation(0), Observation(0, 0, told(1, 0x2A, 1)))
    assert isinstance(without, Agree)
    assert isinstance(with_ras, Agree)
    lost = verdict(text, Observation(0), Observation(0, 0, told(1, 0x2B, 1)))
    assert isinstance(lost, Diverge)
    assert (lost.label, lost.rule) == ("serror_esr", "events.get")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (UP + UNMASKED + "set-events v0 serror=yes\n", "vhe"),
        (PENDS + UNMASKED + "run v0 { }\n", "vhe"),
        (PENDS + "run v0 {\n .inst 0xd50344ff\n}\n", "vhe"),  # msr daifclr, #4
        (PENDS + "run v0 { }\n", "protected"),
        (UP + "set-events v0 abort=yes\n", "vhe"),
    ],
)
def test_what_may_be_taken_is_not_judged(text: str, mode: str) -> None:
    *before, last = parse_case(text).ops
    model = Model(Profile(mode=mode, kernel=(6, 19)))
    for op in before:
        invent(model.step(op), keep)
    with pytest.raises(Unpredictable):
        model.step(last)


@pytest.mark.parametrize("kernel", [(6, 12), (7, 2)])
def test_what_is_masked_goes_on_pending_in_protected_mode_too(kernel: tuple[int, int]) -> None:
    machine = Profile(mode="protected", kernel=kernel)
    case = parse_case(PENDS + "run v0 { }\nget-events v0\n")
    trace = ModelTarget(machine).run(case)
    assert trace.observations[-1].data[0] == 1
    found = judge(case, trace, machine)
    assert isinstance(found, Agree)
    assert not found.reason


def _leg_with_an_serror(leg: Leg, pstate: int) -> tuple[Observation, ...]:
    pend = WireOp(Kind.SET_EVENTS, 0, 0, 0, EVENTS.pack(1, 0, 0, 0, 0, 0, *[0] * 12))
    ops = (create(), init(SVE), finalize(), put(PSTATE, pstate), pend, run(*EXIT))
    return leg.do(*ops, WireOp(Kind.GET_EVENTS), get(PSTATE))


def test_a_guest_of_the_emulator_takes_it_once_it_is_unmasked() -> None:
    with open_leg("emulator:keep") as leg:
        masked = _leg_with_an_serror(leg, 0x3C5)
        assert exit_of(masked[5]).address != VECTOR_MMIO + 8 * 7
        assert masked[6].data[0] == 1
        taken = _leg_with_an_serror(leg, 0x2C5)
        assert exit_of(taken[5]).address == VECTOR_MMIO + 8 * 7  # SError, from EL1h
        assert taken[6].data[0] == 0
        assert number(taken[7]) & 0x3C0 == 0x3C0


def test_an_external_abort_is_taken_at_once() -> None:
    abort = SetEvents(0, abort=1).lower()
    with open_leg("emulator:keep") as leg:
        pc = 0x6030_0000_0010_0040
        seen = leg.do(create(), init(SVE), finalize(), put(pc, 0x4000), abort, get(pc), get(PSTATE))
    assert number(seen[5]) == 0x200
    assert number(seen[6]) & 0x1F == 5


def test_an_abort_beside_a_syndrome_that_is_refused_may_be_taken_all_the_same() -> None:
    text = "set-events v0 serror=yes has_esr=yes esr=0x2000000"
    for kernel in ((0, 0), (6, 1), (6, 12)):
        refused = SetEvents(0, 1, 1, ISS + 1, 1)
        assert after(UP, Profile(kernel=kernel)).step(refused).rule == "events.wide-syndrome"
    for kernel in ((7, 2), (7, 3)):
        model = after(UP, Profile(kernel=kernel))
        with pytest.raises(Unpredictable, match="an abort that user space injects"):
            model.step(SetEvents(0, 1, 1, ISS + 1, 1))
        assert "events.taken-before-first-run" in model.rules
        alone = parse_case(UP + text).ops[-1]
        assert after(UP, Profile(kernel=kernel)).step(alone).rule == "events.wide-syndrome"


@pytest.mark.parametrize(
    ("hcr", "pstate", "event", "goes"),
    [
        (1 << 5, 0x3C5, SetEvents(0, 1), True),
        (1 << 5, 0x3C0, SetEvents(0, 1), True),
        (1 << 37, 0x3C5, SetEvents(0, abort=1), True),
        (1 << 37, 0x3C5, SetEvents(0, 1), False),
        (1 << 5, 0x3C5, SetEvents(0, abort=1), False),
        (1 << 5, 0x3C9, SetEvents(0, 1), False),
        (1 << 27 | 1 << 5, 0x3C0, SetEvents(0, 1), False),  # EL0 of a host is not below EL2
        (0, 0x3C5, SetEvents(0, 1), False),
    ],
)
def test_an_exception_that_goes_to_el2_is_foreseen(
    hcr: int, pstate: int, event: SetEvents, goes: bool
) -> None:
    up = "create v0\ninit v0 features=sve,has_el2\nfinalize v0\nrun v0 { }\n"
    model = after(up + f"set v0 pstate {pstate:#x}\nset v0 hcr_el2 {hcr:#x}\n", NESTED)
    if goes or event.abort:
        with pytest.raises(Unpredictable):
            model.step(event)
    else:
        assert model.step(event).rule == "events.serror"
    assert ("events.goes-to-el2" in model.rules) == goes
    fresh = after(up.replace("run v0 { }\n", "") + f"set v0 hcr_el2 {hcr:#x}\n", NESTED)
    if event.abort:
        with pytest.raises(Unpredictable):
            fresh.step(event)
    else:
        assert fresh.step(event).rule == "events.serror"
    assert "events.goes-to-el2" not in fresh.rules
