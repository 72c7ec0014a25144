"""How twins differ becomes a finding if it stays, from the campaign to `replay`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from faultykernel import FaultyKernel

from corpus.case import Case
from corpus.kept import load_kept
from corpus.ops import RegList
from corpus.text import format_case, parse_case
from corpus.trace import Observation, Trace
from db.records import FindingRecord, LegRecord
from db.store import Store
from fuzz.cli import execute
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.followup.disagreement import steady_difference
from fuzz.oracle.everywhere import Everywhere, Seen
from fuzz.suites.replay import Outcome, replay
from fuzz.worker.session import Session
from targets.base import Target
from targets.kvm.lab import kernels
from targets.legs import open_legs
from targets.model.target import ModelTarget
from targets.profile import Profile

RELEASE = "small-6.12" if kernels.cached("small-6.12") else "6.12"

CASE = parse_case(
    """
    create v0
    create v1
    init v0 features=el1_32bit
    get-mp v0
    run v0 {
        nop
    }
    get-mp v0
    reg-list v0
    get-mp v0
    """
)
LIST = 6

Spoil = Callable[[int], Observation]


def _sound(turn: int) -> Observation:
    return Observation(7)


def _other(turn: int) -> Observation:
    return Observation(22)


def _unsteady(turn: int) -> Observation:
    return Observation(22 if turn % 2 else 7)


class Twin(ModelTarget):
    """The model, going on where it cannot predict; how REG_LIST ends there is made up."""

    def __init__(self, name: str, lists: Spoil = _sound) -> None:
        super().__init__(Profile(), name)
        self.kind = "kvm"
        self.fingerprint = {"lab.qemu": "7.2", "lab.kernel_sha256": "0", "mode": "vhe"}
        self.lists = lists
        self.turn = self.restarted = 0

    def submit(self, case: Case) -> int:
        ticket = super().submit(case)
        done = self._traces[ticket].observations
        rest = [
            self.lists(self.turn) if isinstance(op, RegList) else Observation(0)
            for op in case.ops[len(done) :]
        ]
        self.turn += 1
        self._traces[ticket] = Trace((*done, *rest))
        return ticket

    def restart(self) -> None:
        self.restarted += 1


def _campaign(
    legs: Sequence[Target], times: int = 1, case: Case = CASE
) -> tuple[Session, list[FindingRecord], int]:
    found: list[FindingRecord] = []
    again: list[object] = []
    session = Session(legs, None, found.append, again.append, lambda _: None)
    for _ in range(times):
        session.execute(case.encoded)
    return session, found, len(again)


def test_a_difference_that_stays_becomes_a_lenient_finding_of_both() -> None:
    legs = [Twin("kvm:a"), Twin("kvm:b", _other)]
    session, found, again = _campaign(legs, times=4)
    assert session.tally.compared_legs == 4
    assert (len(found), again) == (2, 2)
    (record, *_) = found
    signature = record.signature
    assert (signature.oracle, signature.rule, signature.op_kind) == (
        *("legs", "legs.agree", "reg-list"),
    )
    assert (signature.register_class, signature.legs) == ("op:E2BIG->EINVAL", "kvm:a,kvm:b")
    assert record.deviating == ("kvm:a", "kvm:b")
    assert not record.strict
    assert record.reproduced == (3, 3)
    assert [op.word for op in record.minimal.ops] == ["create", "init", "run", "reg-list"]
    assert record.op_index == 3
    assert set(record.traces) == {"kvm:a", "kvm:b"}
    assert record.explanation == (
        "op 3 (reg-list): errno is E2BIG on kvm:a; EINVAL on kvm:b; the model predicts nothing"
        " there (AArch32 guests are not modelled), but legs on one machine should agree"
    )
    assert all(leg.restarted for leg in legs)


def test_of_three_legs_the_odd_one_is_the_bucket() -> None:
    _, (record,), _ = _campaign([Twin("kvm:a"), Twin("kvm:b"), Twin("kvm:c", _other)])
    assert record.signature.legs == "kvm:c"
    assert record.deviating == ("kvm:c",)
    assert set(record.traces) == {"kvm:a", "kvm:b", "kvm:c"}


def test_a_leg_that_does_not_always_do_the_same_is_not_reported_nor_asked_for_ever() -> None:
    legs = [Twin("kvm:a"), Twin("kvm:b", _unsteady)]
    _, found, again = _campaign(legs, times=20)
    assert (found, again) == ([], 0)
    assert legs[1].restarted <= 4


def test_legs_that_agree_or_are_no_twins_are_no_finding() -> None:
    session, found, _ = _campaign([Twin("kvm:a"), Twin("kvm:b")])
    assert (session.tally.compared_legs, found) == (1, [])
    stranger = Twin("kvm:c", _other)
    stranger.fingerprint = {**stranger.fingerprint, "lab.qemu": "10"}
    session, found, _ = _campaign([Twin("kvm:a"), stranger])
    assert (session.tally.compared_legs, found) == (0, [])


@pytest.mark.parametrize("record", [False, True])
def test_replay_knows_a_recorded_difference(record: bool, tmp_path: Path) -> None:
    path = tmp_path / "differs.case"
    path.write_text("# diverges: kvm legs.agree\n" * record + format_case(CASE))
    kept = [load_kept(path)]

    def outcomes(*legs: Target) -> set[Outcome]:
        return {result.outcome for result in replay(kept, legs)}

    sound, other = Twin("kvm:a"), Twin("kvm:b", _other)
    assert outcomes(sound, other) == {Outcome.KNOWN if record else Outcome.REGRESSION}
    assert outcomes(sound, Twin("kvm:b")) == {Outcome.GONE if record else Outcome.OK}
    assert outcomes(sound) == {Outcome.NOT_RUN if record else Outcome.OK}


HALVES = parse_case(
    """
    create v0
    init v0
    finalize v0
    set v0 z1 0x01*
    set v0 z2 0xff*
    set v0 fpcr 0x80000
    set v0 sp_el1 0x4000c008
    run v0 {
        movz x0, #0x33, lsl #16
        msr cpacr_el1, x0
        isb
        ldr x2, [sp, #0]
        fadd z3.h, z1.h, z1.h
    }
    get v0 z2
    get v0 z3
    """
)
"""FPCR.FZ16 makes zero of denormal halves. The model stops before: at an SP that is not aligned,
where QEMU goes on."""

MSR_FPCR, ANY_SOURCE = 0xD51B_4400, 0xFFFF_FFE0


@pytest.mark.lab
def test_a_mode_that_loses_fpcr_is_found_where_the_model_is_silent(tmp_path: Path) -> None:
    kernel = FaultyKernel(RELEASE)
    kernel.erase("__kvm_nvhe___sve_restore_state", MSR_FPCR, ANY_SOURCE)
    image = kernel.write(tmp_path / "Image")
    sound, faulty = f"kvm:{image}:vhe", f"kvm:{image}:nvhe"
    legs = open_legs([sound, faulty, f"kvm:{RELEASE}:vhe"])
    try:
        _, (record,), _ = _campaign(legs, case=HALVES)
    finally:
        for leg in legs:
            leg.close()
    assert record.signature.parts == ("legs", "get", "legs.agree", "vector", "-", faulty)
    # Where the model stops, the CPU decides whether SP has to be set, and so what is said.
    words = [op.word for op in record.minimal.ops]
    assert [word for word in words if word != "set"] == ["create", "init", "finalize", "run", "get"]
    assert words.count("set") <= 3
    assert record.reproduced == (3, 3)
    stops = ("sp is not aligned", "FPCR is not known")
    assert any(reason in record.explanation for reason in stops)
    for part in ("z3 is", f"on {faulty}; [0..15]=00 on {sound}, kvm:"):
        assert part in record.explanation


@pytest.mark.lab
def test_two_modes_of_a_kernel_go_on_alike_where_the_model_stops() -> None:
    legs = open_legs([f"kvm:{RELEASE}:vhe", f"kvm:{RELEASE}:nvhe"])
    try:
        both = Everywhere(legs)
        seen = both.look(CASE)
        assert len(both.compare(CASE, seen).legs) == 2
        assert not steady_difference(CASE, seen, both)
        name = legs[1].name
        observations = list(seen.traces[name].observations)
        observations[LIST] = _other(0)
        spoilt = replace(seen.traces[name], observations=tuple(observations))
        tampered = Seen({**seen.traces, name: spoilt}, seen.verdicts)
        assert set(both.compare(CASE, tampered).suspects) == set(seen.traces)
        # A trace that was tampered with cannot be had again.
        assert not steady_difference(CASE, tampered, both)
    finally:
        for leg in legs:
            leg.close()


@pytest.fixture
def twins_for_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(names: Sequence[str]) -> list[Target]:
        spoilt = {"kvm:6.12:vhe": _sound, "kvm:6.12:nvhe": _other}
        return [Twin(name, spoilt[name]) for name in names]

    monkeypatch.setattr(execute, "open_legs", opened)


BOTH = "kvm:6.12:vhe,kvm:6.12:nvhe"


@pytest.mark.usefixtures("twins_for_cli")
@pytest.mark.parametrize("command", ["exec", "diff"])
def test_one_more_line_says_how_legs_differ(command: str, tmp_path: Path) -> None:
    path = tmp_path / "differs.case"
    path.write_text(format_case(CASE))
    result = CliRunner().invoke(main, [command, str(path), "--legs", BOTH])
    assert result.exit_code == Exit.DIVERGENCE, result.output
    (line,) = [line for line in result.output.splitlines() if "DIFFER" in line]
    assert line.startswith("kvm:6.12:nvhe, kvm:6.12:vhe: DIFFER (lenient): op 6 (reg-list): errno")
    alone = CliRunner().invoke(main, [command, str(path), "--legs", "kvm:6.12:vhe"])
    assert alone.exit_code == Exit.OK, alone.output
    assert "DIFFER" not in alone.output


@pytest.mark.usefixtures("twins_for_cli")
def test_a_stored_difference_is_shown_and_run_on_all_that_it_is_about(tmp_path: Path) -> None:
    legs = [Twin("kvm:6.12:vhe"), Twin("kvm:6.12:nvhe", _other)]
    _, (record,), _ = _campaign(legs)
    url = f"sqlite:///{tmp_path}/t.db"
    with Store.open(url) as store:
        known = [LegRecord(leg.name, leg.kind, leg.fingerprint) for leg in legs]
        campaign = store.begin_campaign(7, known, {})
        # As if a third one had agreed with the first.
        store.add_finding(campaign, replace(record, deviating=("kvm:6.12:nvhe",)))
    shown = CliRunner().invoke(main, ["triage", "show", "B1", "--db", url])
    for part in ("legs.agree: reg-list op:EINVAL->E2BIG", "lenient", record.explanation):
        assert part in shown.output
    again = CliRunner().invoke(main, ["repro", "F1", "--db", url])
    assert again.exit_code == Exit.DIVERGENCE, again.output
    assert "F1 diverges again on kvm:6.12:nvhe, kvm:6.12:vhe." in again.output
