"""What goes on beside vcpus on real KVM: strangers strike, two threads meet, and nobody loses
anything."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from whole_runs import run_whole

from corpus.case import Case
from corpus.ops import Disturb, HostRun, Run, Threads
from corpus.text import parse_case
from corpus.trace import Ending, Observation
from corpus.wire import DISTURB_DATA, INTERVAL, RUN_LIMIT_MS, THREADS_DATA
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.base import Target
from targets.legs import open_leg
from targets.spec.errno import EINTR, EOPNOTSUPP

pytestmark = pytest.mark.lab

SETUP = """create v0
init v0 features=sve,psci_0_2
finalize v0
set v0 z3 0xab*
set v0 p3 0x55*
"""
GUEST = """
    movz x0, #0x33, lsl #16
    msr cpacr_el1, x0
    isb
    mov x0, #1
    msr zcr_el1, x0
    ptrue p0.b
    hvc-loop #200
    rdvl x5, #1
"""


@pytest.fixture(scope="module")
def leg() -> Iterator[Target]:
    """A stock kernel, which has no driver for softirqs, with two CPUs."""
    with open_leg("kvm:6.12:vhe:smp=2") as opened:
        yield opened


def case(*strangers: str, run: str = "run v0") -> Case:
    """A run that is left and entered often, in the blocks of `strangers`."""
    opening = "".join(f"disturb {stranger} {{\n" for stranger in strangers)
    return parse_case(
        f"{SETUP}{opening}{run} {{\n{GUEST}\n}}\n" + "}\n" * len(strangers) + "read-all v0"
    )


def struck(observation: Observation) -> tuple[int, int]:
    """How often, and how often to no avail."""
    fired, missed = DISTURB_DATA.unpack_from(observation.data)
    return fired, missed


@pytest.mark.parametrize(
    "stranger",
    [
        "thread after=300000 vl=32",
        "thread after=300000",
        "signal after=300000",
        "move after=300000",
    ],
)
@pytest.mark.parametrize("run", ["run v0", "host-run v0 vl=64"])
def test_a_stranger_in_the_middle_of_a_run_changes_nothing(
    leg: Target, stranger: str, run: str
) -> None:
    disturbed = case(stranger, run=run)
    plain = Case(tuple(op for op in disturbed.ops if not isinstance(op, Disturb)))
    trace, calm = leg.run(disturbed), leg.run(plain)
    assert isinstance(judge(disturbed, trace, leg.profile), Agree)
    seen = dict(zip(disturbed.ops, trace.observations, strict=True))
    (said,) = [seen.pop(op) for op in disturbed.ops if isinstance(op, Disturb)]
    assert struck(said) == (1, 0)
    alike = dict(zip(plain.ops, calm.observations, strict=True))
    for op in plain.ops:
        if not isinstance(op, HostRun):  # of the thread's own state some may go
            assert seen[op] == alike[op]


def test_a_stranger_that_comes_too_late_says_so(leg: Target) -> None:
    late = parse_case(SETUP + "disturb thread after=16000000 {\nget v0 z3\n}\nget v0 z3\n")
    told = set()
    for _ in range(5):  # on a busy machine even a GET may take that long
        trace = leg.run(late)
        assert isinstance(judge(late, trace, leg.profile), Agree)
        told.add(struck(trace.observations[5]))
        if (0, 1) in told:
            break
    assert (0, 1) in told


def test_each_instruction_of_a_guest_that_is_stepped_through_is_a_run(leg: Target) -> None:
    code = "mov x1, #1\nmov x2, #2\nhvc-loop #3\nbrk #5"
    stepped = parse_case(SETUP + f"disturb step {{\nrun v0 {{\n{code}\n}}\n}}\nread-all v0")
    trace = leg.run(stepped)
    # One before the loop of four, and the BRK, with which the debugger lets the guest go.
    assert struck(trace.observations[5]) == (2 + 1 + 3 * 4 + 1, 0)
    assert isinstance(judge(stepped, trace, leg.profile), Agree)
    plain = Case(tuple(op for op in stepped.ops if not isinstance(op, Disturb)))
    calm = leg.run(plain)
    assert trace.observations[6] == calm.observations[5]
    looped = case("step", run="host-run v0 vl=64")
    trace = leg.run(looped)
    assert struck(trace.observations[5]) == (400, 0)
    assert isinstance(judge(looped, trace, leg.profile), Agree)


def test_a_guest_that_is_stepped_through_may_wait(leg: Target) -> None:
    code = "".join(f"mov x{n % 9 + 1}, #{n}\n" for n in range(40))
    code += "movz x0, #1\nmovk x0, #0x8400, lsl #16\nhvc #0"  # CPU_SUSPEND
    waits = parse_case(SETUP + f"disturb step {{\nrun v0 {{\n{code}\n}}\n}}\nread-all v0")
    for _ in range(3):
        trace = leg.run(waits)
        assert trace.observations[6].err == EINTR
        assert isinstance(judge(waits, trace, leg.profile), Agree)


def test_many_strangers_at_once(leg: Target) -> None:
    crowd = case("thread after=100000 vl=16", "signal after=150000", "move after=200000", "step")
    for _ in range(20):
        trace = leg.run(crowd)
        assert trace.ending is Ending.OK
        assert isinstance(judge(crowd, trace, leg.profile), Agree)
    (run,) = [op for op in crowd.ops if isinstance(op, Run)]
    assert trace.observations[crowd.ops.index(run)].err == 0


def test_what_a_kernel_cannot_do_is_skipped_and_told(leg: Target) -> None:
    assert leg.profile.strangers == {"thread", "signal", "move", "step"}
    skipped = case("softirq after=100")
    trace = leg.run(skipped)
    assert trace.observations[5] == Observation(EOPNOTSUPP)
    assert isinstance(judge(skipped, trace, leg.profile), Agree)
    plain = leg.run(Case(tuple(op for op in skipped.ops if not isinstance(op, Disturb))))
    assert trace.observations[6:] == plain.observations[5:]


THREADS = """threads after={after} {{
    run v0 {{
        {guest}
        mov x5, #7
    }}
    get v0 pc
}} {{
    get v0 pc
    get v0 x5
    set v0 z3 0x11*
    reg-list v0
}}
get v0 pc
"""


def test_two_threads_at_work_see_what_one_would(leg: Target) -> None:
    """Whenever the second begins: sometimes in the middle of the run, which it then waits for."""
    assert leg.profile.threads
    met = 0
    for after in (0, 300_000, 1_000_000, 3_000_000, 10_000_000):
        both = parse_case(SETUP + THREADS.format(after=after, guest=GUEST) + "read-all v0\n")
        trace = run_whole(leg, both)
        told = trace.observations[5]
        assert THREADS_DATA.unpack_from(told.data) == (2, 1)
        run, _, first, *_ = INTERVAL.iter_unpack(told.data[THREADS_DATA.size :])
        assert all(began <= ended for began, ended in (run, first))
        assert first[0] >= after
        # Which of two that end together notes it first is chance.
        waits = 2 * (first[1] - first[0]) > run[1] - first[0]
        met += run[0] < first[0] < run[1] and waits
    assert met


def test_a_guest_returns_from_what_kvm_has_it_take(leg: Target) -> None:
    loop = parse_case(
        f"{SETUP}disturb thread after=300000 {{\nrun v0 {{\n{GUEST}\nundef-loop #100\n}}\n}}\n"
        "get v0 vbar_el1\nget v0 x28\nget v0 elr_el1\nread-all v0\n"
    )
    trace = leg.run(loop)
    verdict = judge(loop, trace, leg.profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(loop.ops)


def test_strangers_around_two_threads(leg: Target) -> None:
    lists = THREADS.format(after=200_000, guest=GUEST)
    crowd = parse_case(f"{SETUP}disturb signal after=300000 {{\n{lists}}}\nread-all v0\n")
    trace = leg.run(crowd)
    fired, missed = struck(trace.observations[5])
    assert fired >= 2  # beside the threads, and beside the op behind
    assert not missed
    assert THREADS_DATA.unpack_from(trace.observations[6].data)[1] in (1, 2)
    assert isinstance(judge(crowd, trace, leg.profile), Agree)
    assert len(trace.observations) == len(crowd.ops)


VCPUS = SETUP + SETUP.replace("v0", "v1").replace("0xab*", "0x12*").replace("0x55*", "0xff*")
BOTH = """threads after={after} {{
    run v0 {{
        {guest}
        lda x1, ram+0xc000
        str z3, [x1, #0, mul vl]
    }}
    get v0 z3
}} {{
    run v1 {{
        {guest}
        lda x1, ram+0xa000
        str z3, [x1, #0, mul vl]
    }}
    get v0 p3
    get v1 p3
}}
read-all v0
read-all v1
read-mem 0xc000
read-mem 0xa000
"""


def test_two_vcpus_that_run_at_once_do_what_each_does_alone(leg: Target) -> None:
    met = 0
    for after in (0, 100_000, 300_000, 1_000_000):
        both = parse_case(VCPUS + BOTH.format(after=after, guest=GUEST))
        trace = run_whole(leg, both)
        told = trace.observations[both.ops.index(next(o for o in both.ops if type(o) is Threads))]
        assert THREADS_DATA.unpack_from(told.data) == (2, 1)
        mine, _, its, *_ = INTERVAL.iter_unpack(told.data[THREADS_DATA.size :])
        met += mine[0] < its[1] and its[0] < mine[1]
    assert met


APART = BOTH.replace("v1", "v3").replace("0xa000", "0xc000").rpartition("read-mem")[0]


def test_two_vms_that_run_at_once_share_nothing(leg: Target) -> None:
    """They use the same addresses of RAM, each its own."""
    met = 0
    for after in (0, 100_000, 300_000, 1_000_000):
        both = parse_case(VCPUS.replace("v1", "v3") + APART.format(after=after, guest=GUEST))
        trace = run_whole(leg, both)
        assert trace.observations[-1].data[:16] == b"\xab" * 16  # of v0, not of v3
        told = trace.observations[both.ops.index(next(o for o in both.ops if type(o) is Threads))]
        mine, _, its, *_ = INTERVAL.iter_unpack(told.data[THREADS_DATA.size :])
        met += mine[0] < its[1] and its[0] < mine[1]
    assert met


def test_a_guest_whose_time_is_up_ends_whichever_thread_runs_it(leg: Target) -> None:
    waits = "movz x0, #1\nmovk x0, #0x8400, lsl #16\nhvc #0"  # CPU_SUSPEND
    for mine, its in (("isb", waits), (waits, "isb")):
        lists = f"threads {{\nrun v0 {{\n{mine}\n}}\n}} {{\nrun v1 {{\n{its}\n}}\n}}\n"
        case = parse_case(VCPUS + lists + "get v0 pc\n")
        trace = leg.run(case)
        errs = [trace.observations[index].err for index in (-3, -2, -1)]
        assert errs == [EINTR * (mine == waits), EINTR * (its == waits), 0]


def test_a_guest_that_an_init_came_before_ends_soon(leg: Target) -> None:
    """It is where no memory is, and would be there until its time is up."""
    lists = "init v0 features=sve,psci_0_2\n} {\nrun v0 {\nnop\n}\n"
    lost = parse_case(f"{SETUP}threads after=2000000 {{\n{lists}}}\nget v0 x1\n")
    took = []
    for _ in range(6):  # a busy machine has other things to do
        began = time.monotonic()
        trace = leg.run(lost)
        took.append(time.monotonic() - began)
    assert min(took) < RUN_LIMIT_MS / 1000 / 2
    assert [one.err for one in trace.observations[-3:]] == [0, EINTR, 0]
    verdict = judge(lost, trace, leg.profile)
    assert isinstance(verdict, Agree), verdict


def test_strangers_around_two_vcpus_strike_the_first(leg: Target) -> None:
    lists = BOTH.format(after=100_000, guest=GUEST)
    for stranger in (
        "signal after=300000",
        "thread after=300000 vl=32",
        "move after=300000",
        "step",
    ):
        crowd = parse_case(f"{VCPUS}disturb {stranger} {{\n{lists}}}\nread-all v1\n")
        trace = leg.run(crowd)
        assert struck(trace.observations[10])[0]
        assert trace.observations[14].err == 0
        assert isinstance(judge(crowd, trace, leg.profile), Agree)
        assert len(trace.observations) == len(crowd.ops)


LOOPS = ("wfi-loop #20", "undef-loop #20", "hvc-loop #20", "spin-loop #60")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_guest_stays_in_the_kernel_and_loses_nothing(leg: Target, loop: str) -> None:
    """Also where a stranger comes, and where the thread has vectors of its own."""
    guest = GUEST.replace("hvc-loop #200", loop)
    runs = f"run v0 {{\n{guest}\n}}\nread-all v0\nhost-run v0 vl=32 {{\n{guest}\n}}\n"
    for stranger in ("signal after=1000000", "step"):
        case = parse_case(f"{SETUP}disturb {stranger} {{\n{runs}}}\n{runs}read-all v0\n")
        trace = leg.run(case)
        verdict = judge(case, trace, leg.profile)
        assert isinstance(verdict, Agree)
        assert verdict.judged == len(case.ops)
        exits = [
            seen
            for op, seen in zip(case.ops, trace.observations, strict=True)
            if isinstance(op, Run)
        ]
        assert [seen.err for seen in exits] == [0, 0]


def test_a_guest_that_waits_for_its_timer_is_entered_anew(leg: Target) -> None:
    """Of its line KVM tells when it goes up and when it goes down."""
    lists = "threads {\nrun v0 {\nwfi-loop #10\n}\n} {\nrun v1 {\nwfi-loop #10\n}\n}\n"
    case = parse_case(VCPUS + lists + "read-all v0\nread-all v1\n")
    trace = leg.run(case)
    told = trace.observations[10].data
    assert THREADS_DATA.unpack_from(told)[1] >= 2 * 8  # now and then the timer is first
    (began, ended), _ = INTERVAL.iter_unpack(told[THREADS_DATA.size :])
    assert ended - began > 10 * 122_000
    assert isinstance(verdict := judge(case, trace, leg.profile), Agree)
    assert verdict.judged == len(case.ops)


def test_by_instructions_a_second_thread_begins_when_it_is_told_to() -> None:
    """And not when the first one's turn is over, which two CPUs take there."""
    delays = 200_000, 400_000, 1_000_000
    with open_leg("kvm:6.12:vhe:smp=2:icount=4") as counting:
        late = [min(_begins(counting, after) - after for _ in range(3)) for after in delays]
    assert max(late) - min(late) < 100_000, late


def _begins(leg: Target, after: int) -> int:
    """When the second list does, in ns from the beginning of both, where the first is a run."""
    lists = f"threads after={after} {{\nrun v0 {{\n{GUEST}}}\n}} {{\nget-mp v0\n}}\n"
    both = parse_case(SETUP + lists)
    seen = leg.run(both).observations[len(both.ops) - 3]
    _, (began, _ended) = INTERVAL.iter_unpack(seen.data[THREADS_DATA.size :])
    return int(began)
