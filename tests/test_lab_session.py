"""A session judges what it must, and no trace twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.case import Case
from corpus.ops import CreateVcpu, Finalize, Init
from corpus.trace import Observation, Trace
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.cli.run import default_workers
from fuzz.oracle import conformance, everywhere
from fuzz.oracle.verdict import Verdict
from fuzz.worker.session import Session
from targets.base import Target
from targets.profile import Profile
from targets.spec.model import Model

CASE = Case((CreateVcpu(0), Init(0, 16, 5), Finalize(0, 4)))
DONE = Trace((Observation(0, 0, b""),) * 3)
REFUSED = Trace((*DONE.observations[:2], Observation(22, 0, b"")))


class Leg(Target):
    """A leg that answers one trace, and notes how it was asked."""

    def __init__(self, name: str, trace: Trace, profile: Profile) -> None:
        self.name, self.kind, self.profile = name, "emulator", profile
        self.fingerprint: dict[str, str] = {}
        self.trace = trace
        self.asked: list[str] = []

    def submit(self, case: Case) -> int:
        self.asked.append("fresh")
        return 1

    def submit_shared(self, case: Case) -> int:
        self.asked.append("shared")
        return 1

    def collect(self, ticket: int) -> Trace:
        return self.trace


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Trace, Profile]]:
    seen = []
    real = conformance.judge

    def judge(
        case: Case, trace: Trace, profile: Profile, make: Callable[[Profile], Model]
    ) -> Verdict:
        seen.append((trace, profile))
        return real(case, trace, profile, make)

    monkeypatch.setattr(everywhere, "judge", judge)
    return seen


def _session(
    legs: list[Leg], share_vms: bool = False, traced: Callable[[Profile], Model] = Model
) -> Session:
    def ignore(_: object) -> None:
        """Not looked at."""

    return Session(legs, None, ignore, ignore, ignore, share_vms=share_vms, traced=traced)


def test_equal_traces_of_equal_machines_are_judged_once(
    judged: list[tuple[Trace, Profile]],
) -> None:
    one, other = Profile(), replace(Profile(), kernel=(6, 1))
    legs = [Leg("a", DONE, one), Leg("b", DONE, one), Leg("c", DONE, other)]
    session = _session(legs)
    session.execute(CASE.encoded)
    assert [profile.kernel for _, profile in judged] == [(6, 1), (6, 12)]
    assert session.tally.executions == {"a": 1, "b": 1, "c": 1}
    assert session.tally.divergences == 0


def test_a_different_trace_is_judged_by_itself(judged: list[tuple[Trace, Profile]]) -> None:
    session = _session([Leg("a", DONE, Profile()), Leg("b", REFUSED, Profile())])
    session.execute(CASE.encoded)
    assert [trace for trace, _ in judged[:2]] == [REFUSED, DONE]
    assert session.tally.divergences == 1


def test_one_judgement_per_case_is_traced_and_the_model_is_not_judged(
    judged: list[tuple[Trace, Profile]],
) -> None:
    made = []

    def traced(profile: Profile) -> Model:
        made.append(profile)
        return Model(profile)

    model = Leg("model", DONE, Profile())
    model.kind = "model"
    legs = [model, Leg("a", DONE, Profile()), Leg("b", REFUSED, Profile())]
    session = _session(legs, traced=traced)
    for turn in range(1, 3):
        session.execute(CASE.encoded)
        assert len(made) == turn
    assert {id(trace) for trace, _ in judged} == {id(DONE), id(REFUSED)}
    assert session.tally.rules["vcpu.create"] == 4
    assert session.tally.divergences == 2
    alone = _session([model], traced=traced)
    alone.execute(CASE.encoded)
    assert len(made) == 3


def test_only_a_session_that_may_shares_vms() -> None:
    for share, first in ((False, "fresh"), (True, "shared")):
        leg = Leg("a", DONE, Profile())
        _session([leg], share).execute(CASE.encoded)
        assert leg.asked == [first]


def test_divergences_in_shared_vms_are_confirmed_in_fresh_ones() -> None:
    leg = Leg("a", REFUSED, Profile())
    session = _session([leg], share_vms=True)
    session.execute(CASE.encoded)
    assert session.tally.divergences == 1
    assert leg.asked[0] == "shared"
    assert set(leg.asked[1:]) == {"fresh"}


@pytest.mark.long
def test_a_campaign_may_share_vms_and_still_finds(tmp_path: Path) -> None:
    args = ["run", "--reuse-vms", "--cases", "300", "--legs", "model,mutant:finalize-twice"]
    place = ["--db", f"sqlite:///{tmp_path}/vf.db", "--json", str(tmp_path / "totals.json")]
    result = CliRunner().invoke(main, [*args, "--seed", "3", *place])
    assert result.exit_code == Exit.DIVERGENCE, result.output
    assert json.loads((tmp_path / "totals.json").read_text())["cases"] >= 300


@pytest.mark.parametrize(("cpus", "workers"), [(1, 1), (2, 1), (5, 2), (8, 4)])
def test_a_worker_per_two_cpus(monkeypatch: pytest.MonkeyPatch, cpus: int, workers: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cpus)))
    assert default_workers() == workers
