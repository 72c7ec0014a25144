"""What two threads saw is explained by some order, or by none: as counting all orders out says."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpus.case import Case
from corpus.ops import CreateVcpu, GetMp, GetReg, Init, Op, RegList, Run, SetReg, Threads
from corpus.registers import REGISTERS
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.values import Pattern
from corpus.wire import (
    ASIDE_CODE_BASE,
    CODE_BASE,
    INTERVAL,
    RUN_NOT_RUNNABLE,
    RUN_TIMED_OUT,
    THREADS_DATA,
)
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.profile import Profile
from targets.spec import orders
from targets.spec.errno import EAGAIN, EBADF, EEXIST, EINTR, EINVAL, EOPNOTSUPP
from targets.spec.errors import Unpredictable
from targets.spec.judge import Choices, invent, observe
from targets.spec.model import Model
from targets.spec.orders import Done, Lists, some_order
from targets.spec.stepper import Stepper
from targets.spec.steps import STEPS
from targets.spec.steps.threads import Lead

MACHINE = Profile(threads=True, two_vms=True)
_VCPU = "create {0}\ninit {0} features=sve,psci_0_2\nfinalize {0}\n"
SETUP = parse_case(_VCPU.format("v0")).ops
OTHER = parse_case(_VCPU.format("v1")).ops
PROGRAM = """
    mov x1, #5
    hvc-loop #2
    mov x1, #7
"""
RUN, RUN_OTHER = parse_case(f"run v0 {{\n{PROGRAM}\n}}\nrun v1 {{\nmov x1, #9\n}}\n").ops
_REGS = tuple(REGISTERS[name].id for name in ("z0", "x1", "pc", "zcr_el1"))
_VALUES = st.builds(Pattern, st.just("int"), st.integers(0, 2))

_SLOTS = st.sampled_from((0, 0, 1))
calls: st.SearchStrategy[Op] = st.one_of(
    st.builds(GetReg, _SLOTS, st.sampled_from(_REGS)),
    st.builds(SetReg, _SLOTS, st.sampled_from(_REGS[:2]), _VALUES),
    st.sampled_from([Init(0, 0x14), GetMp(0), RegList(0, 0)]),
)


def started() -> Model:
    """Two vcpus that can run."""
    model = Model(MACHINE)
    for op in (*SETUP, *OTHER):
        invent(model.step(op), lambda _: 0)
    return model


def orders_of(first: int, second: int, base: int) -> Iterator[tuple[int, ...]]:
    """Every way to put two lists into one order, as places: the second list's from `base` on."""
    if not first and not second:
        yield ()
    if first:
        yield from ((*rest, first - 1) for rest in orders_of(first - 1, second, base))
    if second:
        last = base + second - 1
        yield from ((*rest, last) for rest in orders_of(first, second - 1, base))


def counted_out(model: Model, lists: Lists) -> bool:
    """Whether some order explains everything, by trying each. Raises Unpredictable."""
    done = [*lists.first, *lists.second]
    count = len(lists.first)

    def fits(order: Sequence[int]) -> bool:
        world = model.copy()
        for at, place in enumerate(order):
            one = done[place]
            if any(done[later].ended < one.began for later in order[at + 1 :]):
                return False
            lead = lists.leads.get(place)
            permitted = lead.enter(world) if lead else STEPS[type(one.op)](world, one.op)
            if observe(permitted, one.seen, Choices()):
                return False
        return True

    every = orders_of(count, len(lists.second), count)
    return any(fits(order) for order in every)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Model, Lists, tuple[int, ...]]:
    """Two lists of ops with what they saw in an order that is told as well; the times are as
    vague as threads' are."""
    first = draw(st.lists(calls, max_size=3))
    second = draw(st.lists(calls, max_size=3))
    model = started()
    leads: dict[int, Lead] = {}
    assert isinstance(RUN, Run)
    assert isinstance(RUN_OTHER, Run)
    if draw(st.booleans()):
        first = [RUN, *first]
        leads[0] = Lead.prepare(model, RUN)
    if draw(st.booleans()):
        second = [RUN_OTHER, *second]
        leads[len(first)] = Lead.prepare(model, RUN_OTHER, ASIDE_CODE_BASE)
    ops = [*first, *second]
    left = [0] * len(first) + [1] * len(second)
    turns = draw(st.permutations(left))
    places = [iter(range(len(first))), iter(range(len(first), len(ops)))]
    order = tuple(next(places[turn]) for turn in turns)
    world = model.copy()
    found: dict[int, Done] = {}
    last = [0, 0]
    for at, place in enumerate(order):
        lead = leads.get(place)
        permitted = lead.enter(world) if lead else STEPS[type(ops[place])](world, ops[place])
        try:
            seen = invent(permitted, lambda _: 0)
        except Unpredictable:
            assume(False)
            raise
        now = 10 * at + 10
        thread = int(place >= len(first))
        began = draw(st.integers(last[thread], now))
        last[thread] = draw(st.integers(now, now + 9))
        found[place] = Done(ops[place], seen, began, last[thread])
    done = [found[place] for place in range(len(ops))]
    return model, Lists(tuple(done[: len(first)]), tuple(done[len(first) :]), leads), order


@settings(max_examples=40)
@given(histories())
def test_what_one_order_gives_is_explained(history: tuple[Model, Lists, tuple[int, ...]]) -> None:
    model, lists, _ = history
    try:
        assert some_order(model, lists) is None
    except Unpredictable as stop:
        assume("beside others" not in str(stop))


@settings(max_examples=60)
@given(histories(), st.randoms(use_true_random=False))
def test_what_is_explained_is_so_by_counting_out(
    history: tuple[Model, Lists, tuple[int, ...]], rng: random.Random
) -> None:
    """Also where somebody saw what was seen at another time."""
    model, lists, _ = history
    done = [*lists.first, *lists.second]
    assume(len(done) > 1)
    at, other = rng.randrange(len(done)), rng.randrange(len(done))
    done[at] = replace(done[at], seen=done[other].seen)
    count = len(lists.first)
    changed = Lists(tuple(done[:count]), tuple(done[count:]), lists.leads)
    try:
        expected = counted_out(model, changed)
        found = some_order(model, changed)
    except orders.Parted:
        assert expected
    except Unpredictable:
        assume(False)
    else:
        assert (found is None) == expected


# -- whole cases ----------------------------------------------------------------------


def beside(first: str, second: str, after: str = "") -> Case:
    """Two lists on a vcpu that can run."""
    case = parse_case(f"threads {{\n{first}\n}} {{\n{second}\n}}\n{after}")
    return Case((*SETUP, *case.ops))


def history(case: Case, order: Sequence[int], times: Sequence[tuple[int, int]] = ()) -> Trace:
    """What a leg sees that does the ops of the lists in `order`; at once, where no times are
    given."""
    at, both = next((i, op) for i, op in enumerate(case.ops) if isinstance(op, Threads))
    ops = case.ops[at + 1 : at + 1 + both.span]
    model = Model(MACHINE)
    seen = [invent(model.step(op), lambda _: 0) for op in case.ops[:at]]
    leads = {
        place: Lead.prepare(model, run, base)
        for place, base in ((0, CODE_BASE), (both.first, ASIDE_CODE_BASE))
        if isinstance(run := ops[place], Run)
    }
    found: dict[int, Observation] = {}
    for place in order:
        step = leads[place].enter(model) if place in leads else model.step(ops[place])
        found[place] = invent(step, lambda _: 0)
    for place, lead in leads.items():
        lead.complete(model, found[place].data)
    told = b"".join(INTERVAL.pack(*time) for time in times or [(0, 1)] * len(ops))
    seen.append(Observation(0, 0, THREADS_DATA.pack(2, 1) + told))
    seen += [found[place] for place in range(len(ops))]
    seen += [invent(model.step(op), lambda _: 0) for op in case.ops[len(seen) :]]
    return Trace(tuple(seen))


def with_seen(trace: Trace, index: int, seen: Observation) -> Trace:
    """The same but for one observation."""
    return replace(
        trace, observations=(*trace.observations[:index], seen, *trace.observations[index + 1 :])
    )


RUNNING = beside(f"run v0 {{\n{PROGRAM}\n}}", "get v0 x1\nget v0 pc", "get v0 pc\nread-all v0\n")


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_calls_beside_a_run_are_before_or_behind_it(order: Sequence[int]) -> None:
    verdict = judge(RUNNING, history(RUNNING, order), MACHINE)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(RUNNING.ops)
    assert "threads.some-order" in verdict.rules


def test_what_the_guest_has_in_the_middle_nobody_may_see() -> None:
    trace = history(RUNNING, (0, 1, 2))
    middle = with_seen(trace, 5, Observation(0, 0, (5).to_bytes(8, "little")))
    verdict = judge(RUNNING, middle, MACHINE)
    assert isinstance(verdict, Diverge)
    assert (verdict.op_word, verdict.rule, verdict.strict) == (
        "threads",
        "threads.some-order",
        True,
    )
    assert verdict.label == "x1"
    assert "no order fits; the furthest is +1, then +2 (get)" in verdict.explanation


def test_what_was_over_comes_first() -> None:
    trace = history(RUNNING, (1, 2, 0), times=[(0, 9), (2, 3), (4, 5)])
    assert isinstance(judge(RUNNING, trace, MACHINE), Agree)
    late = history(RUNNING, (1, 2, 0), times=[(0, 1), (2, 3), (4, 5)])
    assert isinstance(judge(RUNNING, late, MACHINE), Diverge)


SETS = beside("set v0 z3 1\nset v0 x2 1", "set v0 z3 2", "get v0 z3\nget v0 x2\nget v0 z3\n")


def test_who_came_last_shows_afterwards() -> None:
    for order, value in (((0, 1, 2), 2), ((2, 0, 1), 1)):
        trace = history(SETS, order)
        assert trace.observations[7].data[0] == value
        assert isinstance(judge(SETS, trace, MACHINE), Agree)
    torn = with_seen(history(SETS, (0, 1, 2)), 7, Observation(0, 0, (3).to_bytes(256, "little")))
    assert isinstance(judge(SETS, torn, MACHINE), Diverge)
    first, then = history(SETS, (0, 1, 2)), history(SETS, (2, 0, 1))
    changed = with_seen(first, 9, then.observations[9])
    assert isinstance(judge(SETS, changed, MACHINE), Diverge)


def test_an_init_before_a_run_takes_its_place_away() -> None:
    case = beside(f"run v0 {{\n{PROGRAM}\n}}", "init v0 features=sve,psci_0_2", "get v0 x1\n")
    behind = history(case, (0, 1))
    assert isinstance(verdict := judge(case, behind, MACHINE), Agree)
    assert verdict.judged == len(case.ops)
    lost = Observation(EINTR, 0, bytes(28) + RUN_TIMED_OUT.to_bytes(4, "little"))
    assert isinstance(verdict := judge(case, with_seen(behind, 4, lost), MACHINE), Agree)
    assert "leaves what nobody knows" in verdict.reason


@pytest.mark.parametrize("ready", [True, False])
def test_a_pmu_that_was_set_up_keeps_nobody_from_running_beside_an_init(ready: bool) -> None:
    init = "init v0 features=sve,psci_0_2,pmu_v3\n"
    life = f"create v0\n{init}finalize v0\n" + ready * "attr v0 set pmu attribute=1\n"
    case = parse_case(f"{life}threads {{\nrun v0 {{ }}\n}} {{\n{init}}}\n")
    model = Model(MACHINE)
    seen = [invent(model.step(op), lambda _: 0) for op in case.ops[:-3]]
    told = Observation(0, 0, THREADS_DATA.pack(2, 1) + INTERVAL.pack(0, 9) * 2)
    lost = Observation(EINTR, 0, bytes(28) + RUN_TIMED_OUT.to_bytes(4, "little"))
    refused = Observation(EINVAL, 0, bytes(32))
    for run, fine in ((lost, ready), (refused, not ready)):
        verdict = judge(case, Trace((*seen, told, run, Observation(0))), MACHINE)
        assert isinstance(verdict, Agree if fine else Diverge)


POWER = "init v0 features=sve,psci_0_2,power_off"


@pytest.mark.parametrize(
    ("before", "immediate", "beside_it", "flags"),
    [
        ("set-mp v0 stopped", "", "init v0 features=sve,psci_0_2", RUN_NOT_RUNNABLE),
        ("set-mp v0 stopped", "", "get-mp v0", RUN_NOT_RUNNABLE),
        ("set-mp v0 runnable", " immediate=yes", POWER, 0),
        ("set-mp v0 runnable", "", POWER, RUN_TIMED_OUT),
    ],
)
def test_whether_a_vcpu_runs_is_asked_before_the_others_begin(
    before: str, immediate: str, beside_it: str, flags: int
) -> None:
    lists = f"threads {{\nrun v0{immediate} {{ }}\n}} {{\n{beside_it}\n}}\n"
    case = Case((*SETUP, *parse_case(before).ops, *parse_case(lists).ops))
    model = Model(MACHINE)
    seen = [invent(model.step(op), lambda _: 0) for op in case.ops[:4]]
    told = THREADS_DATA.pack(2, 1) + INTERVAL.pack(0, 9) * 2
    run = Observation(EINTR, 0, bytes(28) + flags.to_bytes(4, "little"))
    data = bytes([5, 0, 0, 0]) if beside_it == "get-mp v0" else b""
    trace = Trace((*seen, Observation(0, 0, told), run, Observation(0, 0, data)))
    assert isinstance(judge(case, trace, MACHINE), Agree)
    other = Observation(EINTR, 0, bytes(28) + (flags ^ 3).to_bytes(4, "little"))
    assert isinstance(judge(case, with_seen(trace, 5, other), MACHINE), Diverge)


def test_a_vcpu_that_was_stopped_before_its_run_began_is_as_init_left_it() -> None:
    lists = f"threads {{\nrun v0 {{ mov x1, #7 }}\n}} {{\n{POWER}\n}}\n"
    looks = "get v0 x1\nget v0 pc\nget-mp v0\n"
    case = Case((*SETUP, *parse_case("set v0 x1 5\nset-mp v0 runnable\n" + lists + looks).ops))
    model = Model(MACHINE)
    seen = [invent(model.step(op), lambda _: 0) for op in case.ops[:5]]
    told = THREADS_DATA.pack(2, 1) + INTERVAL.pack(0, 9) * 2
    waited = Observation(EINTR, 0, bytes(28) + RUN_TIMED_OUT.to_bytes(4, "little"))
    zero, stopped = Observation(0, 0, bytes(8)), Observation(0, 0, bytes([5, 0, 0, 0]))
    after = (zero, zero, stopped)
    trace = Trace((*seen, Observation(0, 0, told), waited, Observation(0), *after))
    assert isinstance(verdict := judge(case, trace, MACHINE), Agree)
    assert (verdict.reason, verdict.judged) == ("", len(case.ops))
    for index in range(3):
        wrong = with_seen(trace, 8 + index, Observation(0, 0, bytes([9]) + bytes(7)))
        if index == 2:
            wrong = with_seen(trace, 10, Observation(0, 0, bytes(4)))
        assert isinstance(verdict := judge(case, wrong, MACHINE), Diverge)
        assert verdict.op_index == 8 + index


def test_what_sets_cannot_say_is_not_judged_any_more() -> None:
    case = Case(
        (*SETUP[:2], *parse_case("threads {\nset-vls v0 1\n} {\nfinalize v0\n}\nget-vls v0\n").ops)
    )
    model = Model(MACHINE)
    seen = [invent(model.step(op), lambda _: 0) for op in case.ops[:2]]
    told = THREADS_DATA.pack(1, 0) + INTERVAL.pack(0, 1) * 2
    first = [invent(model.step(op), lambda _: 0) for op in case.ops[3:]]
    trace = Trace((*seen, Observation(0, 0, told), *first))
    assert isinstance(verdict := judge(case, trace, MACHINE), Agree)
    assert verdict.judged == len(case.ops)


def test_where_more_than_sets_can_say_depends_on_who_came_last_the_rest_is_not_judged() -> None:
    case = beside(POWER, "init v0 features=sve,psci_0_2", "get-mp v0\n")
    trace = history(case, (0, 1))
    nonsense = with_seen(trace, 6, Observation(0, 0, bytes([77, 0, 0, 0])))
    for seen in (trace, nonsense):
        assert isinstance(verdict := judge(case, seen, MACHINE), Agree)
        assert verdict.reason == "what a vcpu is depends on which thread came first"
        assert verdict.judged == 6
    late = history(case, (0, 1), times=[(0, 1), (2, 3)])  # who came last is certain
    assert isinstance(verdict := judge(case, late, MACHINE), Agree)
    assert (verdict.reason, verdict.judged) == ("", 7)
    assert isinstance(judge(case, with_seen(late, 6, nonsense.observations[6]), MACHINE), Diverge)


def test_lists_that_were_not_seen_to_their_end_end_the_judging() -> None:
    whole = history(SETS, (0, 1, 2))
    for count in range(4, 7):  # the op itself, and not all of the lists
        broke = Trace(whole.observations[:count], Ending.CRASH)
        stepper = Stepper(Model(MACHINE), SETS, broke)
        while permitted := stepper.permitted():
            assert stepper.narrow(permitted) is None
        assert (stepper.judged, stepper.stopped) == (4, "")
        assert isinstance(
            verdict := judge(SETS, replace(broke, ending=Ending.OK), MACHINE), Diverge
        )
        assert (verdict.op_index, verdict.label) == (3, "observation")


def test_what_is_wrong_with_the_op_itself_is_told_first() -> None:
    trace = history(SETS, (0, 1, 2))
    for seen in (trace.observations[3], Observation(0, 0, b"")):
        wrong = with_seen(trace, 3, replace(seen, aux=1))
        assert isinstance(verdict := judge(SETS, wrong, MACHINE), Diverge)
        assert (verdict.op_index, verdict.label) == (3, "aux")


ASIDE = """threads {{
    run v0 {{
        lda x1, ram+0xc000
        str x1, [x1]
        {call}
        mov x5, #1
    }}
    get v0 x5
}} {{
    run {other} {{
        lda x1, ram+0xc000
        ldr x2, [x1]
        mov x5, #2
    }}
    get {other} x2
    get v0 x5
}}
read-all v0
read-all {other}
read-mem 0xc000
"""


@pytest.mark.parametrize(
    ("other", "call", "reason"),
    [
        ("v3", "", ""),
        ("v3", "hvc #0", ""),
        ("v1", "", "beside others: guests that reach what the other one stores"),
        ("v1", "hvc #0", "a guest that may act on vcpus that others look at"),
    ],
)
def test_of_two_vms_nothing_is_shared(other: str, call: str, reason: str) -> None:
    life = _VCPU.format("v0") + _VCPU.format(other)
    case = parse_case(life + ASIDE.format(other=other, call=call))
    for order in ((0, 1, 2, 3, 4), (2, 3, 0, 4, 1)):
        trace = history(case, order)
        assert isinstance(verdict := judge(case, trace, MACHINE), Agree)
        assert (verdict.reason, verdict.judged) == (reason, 7 if reason else len(case.ops))
        if other == "v3":
            assert trace.observations[10].data == bytes(8)  # what is there is not in its RAM
            wrong = with_seen(trace, 10, Observation(0, 0, bytes([1] * 8)))
            assert isinstance(judge(case, wrong, MACHINE), Diverge)


def test_a_vcpu_of_another_vm_is_created_and_missing_there() -> None:
    case = parse_case("get-mp v3\ncreate v3\ncreate v3\nget-mp v3\ninit v3\nget-mp v3\n")
    model, one = Model(MACHINE), Model(Profile(threads=True))
    errs = [invent(model.step(op), lambda _: 0).err for op in case.ops]
    assert errs == [EBADF, 0, EEXIST, 0, 0, 0]
    assert not model.copy().vms[1].vcpus
    assert invent(one.step(case.ops[1]), lambda _: 0).err == EOPNOTSUPP
    assert invent(one.step(case.ops[3]), lambda _: 0).err == EBADF


def test_what_a_vm_is_of_two_is_copied_and_taken_over() -> None:
    model = Model(MACHINE)
    for op in parse_case(_VCPU.format("v3") + _VCPU.format("v0")).ops:
        invent(model.step(op), lambda _: 0)
    other = model.copy()
    invent(other.step(parse_case("set v3 x1 5\n").ops[0]), lambda _: 0)
    look = parse_case("get v3 x1\n").ops[0]
    for world, value in ((model, 0), (other, 5)):
        assert invent(world.step(look), lambda _: 0).data[0] == value
    model.become(other)
    assert invent(model.step(look), lambda _: 0).data[0] == 5
    assert set(model.vm.vcpus) == {3}


def test_too_many_orders_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MOST_STEPS", 2)
    assert isinstance(verdict := judge(RUNNING, history(RUNNING, (0, 1, 2)), MACHINE), Agree)
    assert verdict.judged == len(SETUP) + 1
    assert "more orders than are followed" in verdict.reason


def test_a_run_that_a_signal_divided_is_not_judged() -> None:
    trace = history(RUNNING, (0, 1, 2))
    told = trace.observations[3].data[THREADS_DATA.size :]
    divided = with_seen(trace, 3, Observation(0, 0, THREADS_DATA.pack(2, 2) + told))
    middle = with_seen(divided, 5, Observation(0, 0, (5).to_bytes(8, "little")))
    assert isinstance(verdict := judge(RUNNING, middle, MACHINE), Agree)
    assert "in parts" in verdict.reason


def test_parts_of_a_run_do_not_matter_where_nobody_else_is_at_work_on_its_vcpu() -> None:
    for access, looked_at, judged in (("isb", "v0", True), ("isb", "v1", False)):
        case = two_runs("0x8000", "0x8008", access)
        at = len(SETUP) + len(OTHER)
        ops = (*case.ops[:at], Threads(0, 3, 2), case.ops[at + 1], GetMp(int(looked_at[1])))
        both = Case((*ops, *case.ops[at + 2 :]))
        trace = history(both, (0, 1, 2))
        told = trace.observations[at].data[THREADS_DATA.size :]
        divided = with_seen(trace, at, Observation(0, 0, THREADS_DATA.pack(2, 4) + told))
        assert isinstance(verdict := judge(both, divided, MACHINE), Agree)
        assert (verdict.judged == len(both.ops)) == judged


def test_what_a_guest_does_to_a_vcpu_that_another_thread_looks_at_is_not_judged() -> None:
    lists = "threads {{\nrun v0 {{\n{call}\n}}\n}} {{\nget-mp v1\n}}\n"
    for call, judged in (("hvc #0", False), ("isb", True)):
        case = Case((*SETUP, CreateVcpu(1), *parse_case(lists.format(call=call)).ops))
        if judged:
            assert isinstance(verdict := judge(case, history(case, (0, 1)), MACHINE), Agree)
            assert verdict.judged == len(case.ops)
            continue
        told = Observation(0, 0, THREADS_DATA.pack(2, 1) + INTERVAL.pack(0, 1) * 2)
        trace = Trace((*[Observation(0)] * 4, told, Observation(0), Observation(0)))
        assert isinstance(verdict := judge(case, trace, MACHINE), Agree)
        assert "act on vcpus" in verdict.reason


def test_long_lists_that_commute_are_judged() -> None:
    many = "get v0 x1\nget v0 z3\nget-mp v0\nget v0 pc\nget v0 sp\nget v0 z4"
    case = beside(many, many, "get v0 x1\n")
    assert isinstance(verdict := judge(case, history(case, range(12)), MACHINE), Agree)
    assert verdict.judged == len(case.ops)


def test_where_ops_are_done_in_turn_each_is_judged_alone() -> None:
    trace = history(RUNNING, (0, 1, 2))
    in_turn = [*trace.observations[:3], Observation(EAGAIN)]
    model = Model(MACHINE)
    for op in RUNNING.ops[:3]:
        invent(model.step(op), lambda _: 0)
    in_turn += [invent(model.step(op), lambda _: 0) for op in RUNNING.ops[4:]]
    assert isinstance(verdict := judge(RUNNING, Trace(tuple(in_turn)), MACHINE), Agree)
    assert verdict.judged == len(RUNNING.ops)
    none = with_seen(Trace(tuple(in_turn)), 3, Observation(EOPNOTSUPP))
    assert isinstance(judge(RUNNING, none, replace(MACHINE, threads=False)), Agree)
    assert isinstance(judge(RUNNING, none, MACHINE), Diverge)


def test_a_trace_that_ends_among_them_owes_the_rest() -> None:
    trace = history(RUNNING, (0, 1, 2))
    short = replace(trace, observations=trace.observations[:5])
    assert isinstance(verdict := judge(RUNNING, short, MACHINE), Diverge)
    assert verdict.label == "observation"
    broken = judge(RUNNING, replace(short, ending=Ending.CRASH), MACHINE)
    assert isinstance(broken, Diverge)
    assert broken.oracle == "ending"


# -- two vcpus at once ----------------------------------------------------------------

BOTH = """threads {{
    run v0 {{
        lda x1, ram+{mine}
        mov x2, #5
        str x2, [x1]
        eret-to el1h
    }}
}} {{
    run v1 {{
        lda x1, ram+{its}
        {access}
        eret-to el1h
    }}
}}
get v0 x30
get v0 pc
get v1 x1
get v1 elr_el1
read-all v0
read-all v1
read-mem 0x8000
"""


def two_runs(mine: str, its: str, access: str) -> Case:
    """Two guests at once, on two vcpus."""
    case = parse_case(BOTH.format(mine=mine, its=its, access=access))
    return Case((*SETUP, *OTHER, *case.ops))


@pytest.mark.parametrize("access", ["str x2, [x1]", "ldr x3, [x1]", "isb"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_guests_at_once_do_what_each_does_alone(order: Sequence[int], access: str) -> None:
    case = two_runs("0x8000", "0x8008", access)
    trace = history(case, order)
    verdict = judge(case, trace, MACHINE)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(case.ops)
    for index, size in ((7, 32), (8, 32), (11, 8), (12, 8)):
        seen = trace.observations[index]
        wrong = Observation(0, 0, bytes([seen.data[0] ^ 4]) + seen.data[1:size])
        assert isinstance(judge(case, with_seen(trace, index, wrong), MACHINE), Diverge)


def test_each_of_two_guests_has_a_place_for_its_code() -> None:
    trace = history(two_runs("0x8000", "0x8008", "isb"), (0, 1))
    exits = [int.from_bytes(trace.observations[index].data, "little") for index in (10, 12)]
    assert [place & ~0xFFF for place in exits] == [CODE_BASE, ASIDE_CODE_BASE]


@pytest.mark.parametrize("access", ["str x2, [x1]", "ldr x3, [x1]"])
@pytest.mark.parametrize("its", ["0x8000", "0x8007"])
def test_guests_that_reach_what_the_other_one_stores_are_not_judged(its: str, access: str) -> None:
    case = two_runs("0x8000", its, access)
    verdict = judge(case, history(case, (0, 1)), MACHINE)
    assert isinstance(verdict, Agree)
    assert verdict.judged == 7
    assert "reach what the other one stores" in verdict.reason


def test_both_may_put_the_same_handler_where_handlers_are() -> None:
    handlers = "threads {\nrun v0 {\nundef-loop #2\n}\n} {\nrun v1 {\nundef-loop #3\n}\n}\n"
    case = Case((*SETUP, *OTHER, *parse_case(handlers).ops))
    assert isinstance(verdict := judge(case, history(case, (0, 1)), MACHINE), Agree)
    assert verdict.judged == len(case.ops)


def test_a_guest_that_calls_its_hypervisor_beside_another_is_not_judged() -> None:
    lists = "threads {{\nrun v0 {{\n{}\n}}\n}} {{\nrun v1 {{\n{}\n}}\n}}\n"
    for programs in (("hvc #0", "isb"), ("isb", "hvc #0")):
        case = Case((*SETUP, *OTHER, *parse_case(lists.format(*programs)).ops))
        assert isinstance(verdict := judge(case, history(case, (0, 1)), MACHINE), Agree)
        assert "act on vcpus" in verdict.reason


@pytest.mark.parametrize(("kind", "judged"), [("signal", False), ("thread", True)])
def test_a_guest_that_waits_goes_on_when_a_signal_comes(kind: str, judged: bool) -> None:
    machine = Profile(strangers=frozenset({"signal", "thread"}))
    life = "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
    waits = "mov x0, #1\nmovk x0, #33792, lsl #16\nhvc #0\n"
    case = parse_case(f"{life}disturb {kind} {{\nrun v0 {{\n{waits}}}\n}}\n")
    model = Model(machine)
    for op in case.ops[:4]:
        invent(model.step(op), lambda _: 0)
    if judged:
        assert model.step(case.ops[4]).rule == "psci.waits"
    else:
        with pytest.raises(Unpredictable, match="a wait that a signal may end"):
            model.step(case.ops[4])
