"""Cases that run before libFuzzer asks for them stay what they are: each result is its own."""

from __future__ import annotations

import pytest

from corpus.case import Case
from corpus.ops import CreateVcpu, Finalize, Init, ReadAll
from corpus.trace import Observation, Trace
from fuzz.worker.runner import AHEAD, Mutators, Runner
from targets.base import Target
from targets.profile import Profile
from targets.transport import TransportError


class Leg(Target):
    """Answers a case with its own encoding, and notes what it has to do."""

    def __init__(self, name: str, depth: int) -> None:
        self.name, self.kind, self.depth, self.profile = name, "kvm", depth, Profile()
        self.fingerprint: dict[str, str] = {}
        self.waiting: dict[int, Case] = {}
        self.submitted: list[Case] = []
        self.most = 0
        self.gone = False
        self.refused = 0

    def submit(self, case: Case) -> int:
        if self.gone:
            self.refused += 1
            raise TransportError("gone.")
        self.submitted.append(case)
        self.waiting[len(self.submitted)] = case
        self.most = max(self.most, len(self.waiting))
        return len(self.submitted)

    def collect(self, ticket: int) -> Trace:
        case = self.waiting.pop(ticket)
        self.blocks = [len(case.encoded)]
        return Trace((Observation(0, 0, case.encoded),))


CASES = [
    Case((CreateVcpu(0),)),
    Case((CreateVcpu(0), Init(0))),
    Case((CreateVcpu(0), Init(0), Finalize(0))),
    Case((CreateVcpu(0), Init(0), Finalize(0), ReadAll(0))),
]


def _results(runner: Runner, data: bytes) -> dict[str, bytes]:
    begun = runner.take(data)
    found = {leg.name: result for leg, result in runner.run(begun)}
    for result in found.values():
        assert list(result.blocks) == [len(begun.case.encoded)]
    return {name: result.trace.observations[0].data for name, result in found.items()}


def test_results_belong_to_the_case_that_libfuzzer_runs() -> None:
    slow, fast = Leg("slow", 3), Leg("fast", 1)
    runner = Runner([slow, fast])
    for case in CASES[:3]:
        runner.begin(case.encoded, case)
    assert slow.submitted == CASES[:3]
    assert fast.submitted == []
    for case in CASES[:3]:
        assert set(_results(runner, case.encoded).values()) == {case.encoded}
    assert slow.submitted == fast.submitted == CASES[:3]


def test_a_case_nobody_began_runs_beside_those_that_were() -> None:
    slow = Leg("slow", 3)
    runner = Runner([slow])
    for case in CASES[:2]:
        runner.begin(case.encoded, case)
    assert _results(runner, CASES[3].encoded) == {"slow": CASES[3].encoded}
    assert _results(runner, CASES[0].encoded) == {"slow": CASES[0].encoded}
    assert slow.most == 3


def test_a_case_that_is_not_wanted_gives_its_place_back() -> None:
    slow = Leg("slow", 3)
    runner = Runner([slow])
    for case in CASES[:3]:
        runner.begin(case.encoded, case)
    assert _results(runner, CASES[2].encoded) == {"slow": CASES[2].encoded}
    assert not slow.waiting


def test_settling_leaves_a_leg_idle_and_loses_nothing() -> None:
    slow = Leg("slow", 3)
    runner = Runner([slow])
    for case in CASES[:2]:
        runner.begin(case.encoded, case)
    runner.settle()
    assert not slow.waiting
    assert _results(runner, CASES[0].encoded) == {"slow": CASES[0].encoded}
    assert slow.submitted == CASES[:2]


@pytest.mark.parametrize(("depth", "ahead"), [(1, 0), (2, 1), (3, 2), (8, AHEAD)])
def test_mutators_run_ahead_as_far_as_a_leg_goes(depth: int, ahead: int) -> None:
    slow = Leg("slow", depth)
    runner = Runner([slow])
    made: list[Case] = []

    def swap(child: Case) -> Case:
        made.append(CASES[len(made) % len(CASES)])
        return made[-1]

    mutators = Mutators(runner, swap)
    handed = []
    for turn in range(8):
        data = mutators.mutate(b"", 4096, turn) if turn % 3 else mutators.crossover(b"", b"", 99, 1)
        assert len(slow.waiting) == (ahead + 1 if ahead else 0)
        assert _results(runner, data) == {"slow": data}
        handed.append(data)
    assert handed == [case.encoded for case in made[:8]]
    assert len(made) == 8 + ahead
    assert slow.most <= max(depth, 1)


def test_a_leg_that_is_gone_is_told_by_the_run_of_a_case() -> None:
    slow = Leg("slow", 3)
    runner = Runner([slow])
    mutators = Mutators(runner)
    slow.gone = True
    data = mutators.mutate(b"", 4096, 1)
    assert slow.refused == 1, "it is not asked for what would come next"
    with pytest.raises(TransportError, match="gone"):
        _results(runner, data)
