"""The `kvm:native` leg as an arm64 machine has it: Debian's Python, cffi, a forked child.

It runs on real KVM in a lab guest with a userland, and has to agree with the model and with
the lab's own executor on kept cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.case import Case
from corpus.kept import load_kept
from corpus.ops import Disturb, Migrate, Threads
from corpus.store import kept_files
from corpus.trace import Ending, Trace
from fuzz.suites.replay import Outcome, replay
from targets.base import Target, WireTarget
from targets.kvm.lab.userland import leg
from targets.legs import open_leg

pytestmark = pytest.mark.lab

FILES = [path for folder in ("regressions", "seeds") for path in kept_files(folder)]


@pytest.fixture(scope="module")
def native() -> Iterator[Target]:
    with WireTarget("kvm:native", "kvm", leg.open_transport()) as target:
        yield target


def test_it_tells_the_machine_it_runs_on(native: Target) -> None:
    assert native.fingerprint["release"].startswith("6.12.")
    assert native.fingerprint["mode"] == "vhe"
    assert native.profile.max_vq == 16


@pytest.fixture(scope="module")
def lab() -> Iterator[Target]:
    with open_leg("kvm:6.12:vhe") as target:
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_kept_cases_behave_as_recorded_and_as_in_the_lab(
    path: Path, native: Target, lab: Target
) -> None:
    kept = load_kept(path)
    results = list(replay([kept], [native, lab]))
    assert len(results) == 2
    for result in results:
        assert result.outcome in (Outcome.OK, Outcome.KNOWN), (result.leg, result.explanation)
    if all(result.choices == (0, 0) for result in results):  # else the two may well differ
        there = native.run(kept.case)
        assert there.ending is Ending.OK
        assert told(kept.case, there) == told(kept.case, lab.run(kept.case))


def test_there_are_cases_and_nothing_was_started_again(native: Target) -> None:
    assert FILES
    assert native.executions >= len(FILES)
    assert native.restarts == 0
