"""Real faults of real kernels: what is said of them, and what they needed to happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faultykernel import LOOP, UDF, FaultyKernel

from corpus.case import Case
from corpus.fault import Fault
from corpus.text import parse_case
from corpus.trace import Ending, Trace
from db.records import FindingRecord
from fuzz.followup.breakage import Breakage
from fuzz.followup.inquest import inquire
from fuzz.followup.investigate import Investigator
from fuzz.oracle.conformance import judge
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.base import WireTarget
from targets.kvm import legname
from targets.kvm.lab import kernels, pace

pytestmark = pytest.mark.lab

RELEASE = "small-6.12" if kernels.cached("small-6.12") else "6.12"

GET_MP = "kvm_arch_vcpu_ioctl_get_mpstate"
UP = "create v0\ninit v0\nfinalize v0\n"
HARMLESS = parse_case(UP)
TRIGGER = parse_case(UP + "get-mp v0\n")
RUN = parse_case(UP + "run v0 {\n    isb\n}\n")


@contextmanager
def faulty(kernel: FaultyKernel, path: Path, mode: str = "vhe") -> Iterator[WireTarget]:
    """A leg of that kernel."""
    image = kernel.write(path / "Image")
    name = f"kvm:{image}:{mode}"
    leg = WireTarget(name, "kvm", legname.open_transport(legname.parse(name)))
    try:
        yield leg
    finally:
        leg.close()


@pytest.fixture
def kernel() -> FaultyKernel:
    return FaultyKernel(RELEASE)


def fault(trace: Trace) -> Fault:
    assert trace.fault is not None
    return trace.fault


def test_an_oops_is_found_in_its_function(kernel: FaultyKernel, tmp_path: Path) -> None:
    kernel.plant(GET_MP, UDF)
    with faulty(kernel, tmp_path) as leg:
        assert leg.run(HARMLESS).ending is Ending.OK
        trace = leg.run(TRIGGER)
        assert trace.ending is Ending.CRASH
        assert (fault(trace).kind, fault(trace).place) == ("oops", GET_MP)
        (incident,) = leg.incidents()
        assert incident.case == TRIGGER
        assert [ran.case for ran in incident.preceding] == [HARMLESS]
        assert leg.run(HARMLESS).ending is Ending.OK


def test_the_op_at_fault_is_known(kernel: FaultyKernel, tmp_path: Path) -> None:
    kernel.plant(GET_MP, UDF)
    case = parse_case(UP + "get v0 x3\nget-mp v0\nget v0 x4\nrun v0 {\n    isb\n}\n")
    with faulty(kernel, tmp_path) as leg:
        trace = leg.run(case)
        assert trace.at == 4
        verdict = judge(case, trace, leg.profile)
    assert isinstance(verdict, Diverge)
    assert (verdict.op_index, verdict.op_word) == (4, "get-mp")


def test_a_finding_of_an_oops_is_minimal_and_sorted_by_its_function(
    kernel: FaultyKernel, tmp_path: Path
) -> None:
    kernel.plant(GET_MP, UDF)
    notes: list[str] = []
    with faulty(kernel, tmp_path) as leg:
        trace = leg.run(TRIGGER)
        verdict = judge(TRIGGER, trace, leg.profile)
        assert isinstance(verdict, Diverge)
        suspicion = Breakage(TRIGGER, leg.name, verdict, trace)
        record = Investigator(Everywhere([leg]), notes.append, 20.0).follow(suspicion)
    assert isinstance(record, FindingRecord)
    assert [op.word for op in record.minimal.ops] == ["create", "get-mp"]
    assert record.signature.title == f"ending.oops: {GET_MP} ({leg.name})"
    assert record.reproduced == (3, 3)
    assert "Undefined instruction" in record.traces[leg.name].log
    assert GET_MP in record.explanation


@pytest.mark.parametrize(
    ("mode", "function", "case", "level"),
    [("vhe", GET_MP, TRIGGER, "EL2"), ("nvhe", "__kvm_nvhe___kvm_vcpu_run", RUN, "EL2")],
)
def test_a_hang_is_found_in_its_function(
    kernel: FaultyKernel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    function: str,
    case: Case,
    level: str,
) -> None:
    kernel.plant(function, LOOP)
    with faulty(kernel, tmp_path, mode) as leg:
        assert leg.run(HARMLESS).ending is Ending.OK
        monkeypatch.setattr(pace, "FLOOR_S", 2.0)
        monkeypatch.setattr(pace, "CEILING_S", 2.0)
        trace = leg.run(case)
        assert trace.ending is Ending.HANG
        assert (fault(trace).kind, fault(trace).place) == ("hang", function)
        assert f"({level})" in trace.log
        monkeypatch.undo()
        assert leg.run(HARMLESS).ending is Ending.OK


def test_a_panic_of_the_hypervisor_is_found_in_its_function(
    kernel: FaultyKernel, tmp_path: Path
) -> None:
    function = "__kvm_nvhe___kvm_vcpu_run"
    kernel.plant(function, UDF)
    with faulty(kernel, tmp_path, "nvhe") as leg:
        trace = leg.run(RUN)
        assert trace.ending is Ending.CRASH
        assert (fault(trace).kind, fault(trace).place) == ("hyp-panic", function)
        # The panic itself tells only the hypervisor's own address.
        told = next(line for line in trace.log.splitlines() if " PC:" in line)
        assert f"({function}+0x0/" in told


def test_the_cases_a_fault_needs_are_found(kernel: FaultyKernel, tmp_path: Path) -> None:
    count = 5
    kernel.plant_counted(GET_MP, count)
    with faulty(kernel, tmp_path) as leg:
        sent = 0
        trace = Trace(())
        while trace.ending is Ending.OK:
            sent += 1
            trace = leg.run(TRIGGER if sent % 3 == 0 else HARMLESS)
        assert sent == 3 * count
        (incident,) = leg.incidents()
        assert len(incident.preceding) == sent - 1
        found = inquire(leg, TRIGGER, trace, incident.preceding, seconds=300)
        assert (found.seen, found.tried) == (3, 3)
        triggers = [ran.case for ran in found.preceding].count(TRIGGER)
        assert (triggers, len(found.preceding)) == (count - 1, 3 * (count - 1))
        assert fault(found.trace).place == "vgic_its_save_tables_v0"


def test_a_restart_is_no_incident(kernel: FaultyKernel, tmp_path: Path) -> None:
    with faulty(kernel, tmp_path) as leg:
        assert leg.run(HARMLESS).ending is Ending.OK
        assert leg.boots == 1
        leg.restart()
        assert leg.run(HARMLESS).ending is Ending.OK
        assert leg.boots == 2
        assert leg.incidents() == []
