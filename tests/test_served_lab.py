"""Guests that read a device which KVM serves, on real KVM: they stay in the kernel for long, and
lose nothing to what goes on beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from whole_runs import run_whole

from corpus.case import Case
from corpus.isa.system import MMIO_LOOP
from corpus.journey import parse_journey
from corpus.ops import Disturb, HostRun, Run
from corpus.store import kept_cases
from corpus.text import parse_case
from corpus.wire import DISTURB_DATA, INTERVAL, MMIO_BASE, RUN_DATA, THREADS_DATA
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.suites.journey import restore, save
from targets.base import Target, WireTarget
from targets.kvm.lab import kernels
from targets.legs import open_leg

pytestmark = pytest.mark.lab

RELEASE = "small-6.12" if kernels.cached("small-6.12") else "6.12"
LIFE = """create v0
create v1
init v0 features=sve,psci_0_2
finalize v0
init v1 features=sve,psci_0_2
finalize v1
create-gic
set v0 z3 0xab*
set v0 p3 0x55*
"""
GUEST = """
    movz x0, #0x33, lsl #16
    msr cpacr_el1, x0
    isb
    mov x0, #1
    msr zcr_el1, x0
    add z4.b, z3.b, z3.b
    mmio-loop #200
    add z5.b, z4.b, z3.b
    rdvl x5, #1
"""


@pytest.fixture(
    scope="module",
    params=[f"kvm:{RELEASE}:vhe", f"kvm:{RELEASE}:nvhe", f"kvm:{RELEASE}:protected"],
)
def leg(request: pytest.FixtureRequest) -> Iterator[Target]:
    with open_leg(request.param) as opened:
        yield opened


def _forms(case: Case) -> set[str]:
    runs = (op for op in case.ops if isinstance(op, Run | HostRun))
    return {each.form.name for run in runs for each in run.program}


def test_the_seeds_do_what_is_permitted(leg: Target) -> None:
    assert leg.profile.gic
    seeds = [case for case in kept_cases("seeds") if MMIO_LOOP in _forms(case)]
    assert len(seeds) >= 2
    for case in seeds:
        verdict = judge(case, leg.run(case), leg.profile)
        assert isinstance(verdict, Agree)
        assert verdict.judged == len(case.ops)


@pytest.mark.parametrize("stranger", ["softirq", "signal", "thread", "step"])
def test_a_stranger_around_the_reads_changes_nothing(leg: Target, stranger: str) -> None:
    """Where the kernel has the driver for it, also one in an interrupt."""
    if stranger not in leg.profile.strangers:
        assert stranger == "softirq"
        return
    after = "" if stranger == "step" else " after=1000000"
    runs = f"run v0 {{\n{GUEST}\n}}\nread-all v0\nhost-run v0 vl=32 {{\n{GUEST}\n}}\n"
    case = parse_case(f"{LIFE}disturb {stranger}{after} {{\n{runs}}}\nread-all v0\n")
    trace = leg.run(case)
    verdict = judge(case, trace, leg.profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(case.ops)
    for op, seen in zip(case.ops, trace.observations, strict=True):
        if isinstance(op, Disturb):
            fired, missed = DISTURB_DATA.unpack_from(seen.data)
            assert fired > missed
        if isinstance(op, Run | HostRun):
            assert RUN_DATA.unpack_from(seen.data)[2] == MMIO_BASE


def test_two_guests_read_at_once_and_stay_for_long(leg: Target) -> None:
    lists = "threads {\nrun v0 {\nmmio-loop #200\n}\n} {\nrun v1 {\nmmio-loop #200\n}\n}\n"
    case = parse_case(f"{LIFE}{lists}read-all v0\nread-all v1\n")
    trace = run_whole(leg, case)
    told = trace.observations[9].data
    (began, ended), _ = INTERVAL.iter_unpack(told[THREADS_DATA.size :])
    assert ended - began > 200 * 5_000  # as an exit and an entry take


def test_a_vcpu_goes_on_in_a_vm_that_has_one_as_well(leg: Target) -> None:
    guest = "run v0 {\nmmio-loop #20\n}\n"
    journey = parse_journey(f"{LIFE}{guest}migrate v0 to=kvm:{RELEASE}:vhe\n{guest}get v0 x28\n")
    assert isinstance(leg, WireTarget)
    saved = save(leg, journey)
    assert saved.gic
    arrival = restore(leg, journey, saved)
    assert (arrival.wrong, arrival.refused) == ((), "")
    assert isinstance(arrival.after, Agree)
    assert (arrival.after.judged, arrival.after.reason) == (2, "")
    assert "gic.serves" in arrival.after.rules
