"""The `kvm:native` leg as an arm64 machine has it: Debian's Python, cffi, a forked child.

It runs on real KVM in a lab guest with a userland, and has to agree with the model and with
the lab's own executor on kept cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_strangers_lab import BOTH, GUEST, THREADS, VCPUS, struck
from test_strangers_lab import case as disturbed
from whole_runs import run_whole

from corpus.case import Case
from corpus.kept import load_kept
from corpus.ops import Disturb, Migrate, Threads
from corpus.store import kept_files
from corpus.text import parse_case
from corpus.trace import Ending, Trace
from corpus.wire import INTERVAL, THREADS_DATA
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from fuzz.suites.replay import Outcome, replay
from targets.base import Target, WireTarget
from targets.kvm.lab.userland import leg
from targets.legs import open_leg

pytestmark = pytest.mark.lab

FILES = [path for folder in ("regressions", "seeds") for path in kept_files(folder)]


@pytest.fixture(scope="module")
def native() -> Iterator[Target]:
    """On two CPUs."""
    with WireTarget("kvm:native", "kvm", leg.open_transport(smp=2)) as target:
        yield target


def test_it_tells_the_machine_it_runs_on(native: Target) -> None:
    assert native.fingerprint["release"].startswith("6.12.")
    assert native.fingerprint["mode"] == "vhe"
    assert native.profile.max_vq == 16


@pytest.fixture(scope="module")
def lab() -> Iterator[Target]:
    with open_leg("kvm:6.12:vhe:smp=2") as target:
        yield target


_TIMED = (Migrate, Disturb, Threads)


def told(case: Case, trace: Trace) -> list[object]:
    """What two runs of a case have in common: all but the timers, which a migration reads, and
    when who came to what beside others."""
    return [
        (seen.err, seen.aux, len(seen.data))
        if isinstance(op, Migrate | Disturb | Threads)
        else seen
        for op, seen in zip(case.ops, trace.observations, strict=True)
    ]


def has_threads(case: Case) -> bool:
    """Whether two threads are at work."""
    return any(isinstance(op, Threads) for op in case.ops)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_kept_cases_behave_as_recorded_and_as_in_the_lab(
    path: Path, native: Target, lab: Target
) -> None:
    kept = load_kept(path)
    results = list(replay([kept], [native, lab]))
    assert len(results) == 2
    for result in results:
        assert result.outcome in (Outcome.OK, Outcome.KNOWN), (result.leg, result.explanation)
    # Else the two may well differ, as where two threads meet, in an order that is chance.
    if all(result.choices == (0, 0) for result in results) and not has_threads(kept.case):
        there = native.run(kept.case)
        assert there.ending is Ending.OK
        assert told(kept.case, there) == told(kept.case, lab.run(kept.case))


def test_it_has_strangers_and_threads(native: Target) -> None:
    """All but what takes the lab's driver; and another VM."""
    assert native.profile.strangers == {"thread", "signal", "move", "step"}
    assert native.profile.threads
    assert native.profile.two_vms


@pytest.mark.parametrize(
    "stranger", ["thread after=300000 vl=32", "signal after=300000", "move after=300000", "step"]
)
def test_strangers_strike_in_the_middle_of_a_run_and_change_nothing(
    stranger: str, native: Target
) -> None:
    case = disturbed(stranger)
    plain = Case(tuple(op for op in case.ops if not isinstance(op, Disturb)))
    at = next(index for index, op in enumerate(case.ops) if isinstance(op, Disturb))
    trace, calm = native.run(case), native.run(plain)
    assert isinstance(verdict := judge(case, trace, native.profile), Agree)
    assert verdict.judged == len(case.ops)
    fired, missed = struck(trace.observations[at])
    assert fired >= 1
    assert not missed
    assert (*trace.observations[:at], *trace.observations[at + 1 :]) == calm.observations


@pytest.mark.parametrize("life", [THREADS, BOTH], ids=["a-run-and-calls", "two-runs"])
def test_two_threads_do_at_once_what_one_would_in_some_order(life: str, native: Target) -> None:
    met = 0
    for after in (0, 300_000, 1_000_000, 3_000_000):
        case = parse_case(VCPUS + life.format(after=after, guest=GUEST))
        trace = run_whole(native, case)
        at = next(index for index, op in enumerate(case.ops) if isinstance(op, Threads))
        told = trace.observations[at].data
        assert THREADS_DATA.unpack_from(told)[0] == 2
        times = list(INTERVAL.iter_unpack(told[THREADS_DATA.size :]))
        both = case.ops[at]
        assert isinstance(both, Threads)
        (began, ended), (its, over) = times[0], times[both.first]
        met += began < over and its < ended
    assert met


def test_there_are_cases_and_nothing_was_started_again(native: Target) -> None:
    assert FILES
    assert native.executions >= len(FILES)
    assert native.restarts == 0
