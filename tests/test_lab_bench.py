"""Measuring: how figures are made of times, what the guest is asked for, and one real run."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from corpus.case import Case
from corpus.ops import CreateVcpu, Run
from corpus.wire import FLAG_REUSE_VM, Kind, WireOp, pack_request, unpack_response, with_flags
from fuzz.bench import measure as bench
from fuzz.bench.driver import Driver
from fuzz.bench.typical import typical_cases
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.worker.instrument import INSTRUMENTED
from fuzz.worker.runner import Mutators, Runner
from fuzz.worker.session import Session
from targets.base import WireTarget
from targets.kvm import legname, reuse
from targets.kvm.lab import qemu
from targets.kvm.lab.channel import batches
from targets.kvm.lab.transport import LabTransport
from targets.kvm.native import NativeTransport
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.transport import TransportError

pytestmark = pytest.mark.long


def test_rates_are_medians_and_the_ratio_is_of_turns() -> None:
    assert bench.pace([100.0, 300.0, 200.0], [50.0, 300.0, 150.0]) == bench.Pace(200, 150, 0.75)
    assert 5 < bench.rate(2, lambda: time.sleep(0.2)) <= 10


def test_the_peak_of_memory_is_read() -> None:
    assert bench.highest_rss_mib("VmPeak:\t99 kB\nVmHWM:\t  204800 kB\nVmRSS:\t1 kB\n") == 200.0


def test_cases_depend_on_the_seed_alone() -> None:
    first, again, other = (
        [case.id for case in bench.cases_of(bench.Plan([], [], cases=3, seed=seed))]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_typical_cases_have_one_shape_and_run_to_their_end() -> None:
    cases = typical_cases(40)
    assert [case.id for case in cases] == [case.id for case in typical_cases(40)]
    assert len({case.id for case in cases}) == 40
    leg = ModelTarget(Profile())
    whole = 0
    for case in cases:
        assert len(case.ops) == 15
        assert [len(op.program) for op in case.ops if isinstance(op, Run)] == [15]
        whole += len(leg.run(case).observations) == 15
    assert whole > 30


class Counted(Session):
    """A session that only notes what it is to execute."""

    def __init__(self) -> None:
        self.runner = Runner([])
        self.executed: list[bytes] = []

    def execute(self, data: bytes) -> None:
        self.executed.append(data)


def test_a_driver_has_each_turn_run_by_way_of_its_mutators() -> None:
    session = Counted()
    cases = cycle(bench.cases_of(bench.Plan([], [], cases=2)))
    took: list[float] = []
    reports: list[bench.Report] = []

    def script() -> bench.Script:
        for count in (3, 2):
            mutators = Mutators(session.runner, lambda _: next(cases))
            took.append((yield bench.Turn(session, mutators, count)))
        return bench.Report(0, 0, 0, 0, 0, 0, False, 0, 0, [], [])

    driver = Driver(script(), reports.append)
    driver.one_input(b"")
    driver.one_input(b"libFuzzer's own")
    assert len(session.executed) == 1
    for turn in range(5):
        assert not reports
        made = driver.crossover(b"", b"", 4096, turn) if turn % 2 else driver.mutate(b"", 4096, 1)
        driver.one_input(made)
        assert session.executed[-1] == made
    assert len(took) == 2
    assert min(took) > 0
    assert len(reports) == 1


def test_batches_hold_every_request_within_the_limit() -> None:
    made = list(batches([b"a" * 10, b"b" * 8, b"c" * 30], 7, 56))
    assert [len(batch) for batch in made] == [48, 48]
    assert all(struct.unpack_from("<II", batch) == (7, 0) for batch in made)
    assert made[0][8:40] == struct.pack("<II", 10, 0) + b"a" * 10 + bytes(6) + struct.pack(
        "<II", 8, 0
    )
    assert made[1][16:46] == b"c" * 30
    assert list(batches([], 1, 56)) == []


def test_flags_change_and_nothing_else() -> None:
    ops = [WireOp(Kind.CREATE_VCPU), WireOp(Kind.RUN, payload=b"\x1f\x20\x03\xd5")]
    assert with_flags(pack_request(ops), FLAG_REUSE_VM) == pack_request(ops, FLAG_REUSE_VM)
    assert with_flags(pack_request(ops, FLAG_REUSE_VM), 0) == pack_request(ops)


def test_a_leg_that_is_not_in_the_lab_has_no_floor() -> None:
    with pytest.raises(ValueError, match="kvm:native is not in the lab"):
        bench._lab(NativeTransport(), "kvm:native")


def test_bench_without_kvm() -> None:
    args = ["bench", "--json", "--legs", "model,mutant:finalize-twice", "--cases", "8"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["cases"] + told["left_out"] == 8
    assert [leg["name"] for leg in told["legs"]] == ["model", "mutant:finalize-twice"]
    assert all(leg["cases_per_second"] > 0 for leg in told["legs"])
    assert told["judged_per_second"] > 0
    assert told["model_typical_per_second"] > 0
    assert told["kvm"] == []


def test_a_leg_that_does_not_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(qemu.VARIABLE, "/nowhere/qemu")
    result = CliRunner().invoke(main, ["bench", "--legs", "kvm:6.12:vhe", "--cases", "1"])
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr.count("\n") == 1
    assert "/nowhere/qemu" in result.stderr


@pytest.fixture(scope="module")
def leg() -> Iterator[WireTarget]:
    name = "kvm:6.12:vhe"
    transport = legname.open_transport(legname.parse(name))
    with WireTarget(name, "kvm", transport, can_share=reuse.is_sound) as target:
        yield cast(WireTarget, target)


@pytest.mark.lab
def test_the_guest_repeats_by_itself(leg: WireTarget) -> None:
    lab = leg.transport
    assert isinstance(lab, LabTransport)
    request = Case((CreateVcpu(0),)).request
    began = time.monotonic()
    once, many = lab.repeat([request]), lab.repeat([request] * 5, 8)
    assert 0 < once < many <= time.monotonic() - began
    with pytest.raises(TransportError, match="could not execute all"):
        lab.repeat([request, b"nonsense"])
    large = pack_request([WireOp(Kind.WRITE_MEM, payload=bytes(200_000))])
    assert lab.repeat([large, large, large]) > 0


@pytest.mark.lab
def test_cases_share_a_vm_only_when_asked(leg: WireTarget) -> None:
    assert leg.shares
    case = Case((CreateVcpu(0),))
    fresh = leg.collect(leg.submit(case))
    assert leg.collect(leg.submit_shared(case)) == fresh
    lab = leg.transport
    assert isinstance(lab, LabTransport)
    answer = lab.collect(lab.submit(case.request)).response
    assert answer is not None
    assert unpack_response(answer) == fresh.observations


def test_nothing_is_instrumented_but_what_is_named() -> None:
    script = (
        "from fuzz.worker.instrument import traced_model; from targets.spec.model import Model\n"
        "from targets.spec import run; from targets.spec.steps import STEPS, registry\n"
        "traced = traced_model(); import targets.spec.run, targets.spec.model as after\n"
        "assert traced is not Model is after.Model and targets.spec.run is run\n"
        "assert registry.STEPS is STEPS and not set(STEPS.values()) & set(\n"
        "    traced.step.__globals__['STEPS'].values())"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    told = re.findall(r"Instrumenting ([\w.]+)", done.stdout + done.stderr)
    assert sorted(told) == sorted(INSTRUMENTED)
