"""A stored finding run again: what each leg's run of it is called, and how those are summed up."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import Scripted, agree, diverge, sound, wrong

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.text import format_case, parse_case
from corpus.trace import Observation, Trace
from db.records import Earlier, FindingView
from fuzz.followup.retest import (
    ABSENT,
    OTHER,
    PASSES,
    SHOWS,
    UNJUDGED,
    Again,
    Tried,
    affected,
    matrix,
    retest,
)
from fuzz.followup.same import is_it
from fuzz.oracle import agreement
from targets.profile import Profile

CASE = parse_case("create v0\ninit v0 features=sve\nfinalize v0\nfinalize v0\nset v0 x1 7\n")


def finding(**changed: Any) -> FindingView:
    """Of the second FINALIZE, unless told otherwise."""
    fields: dict[str, Any] = {
        "oracle": "conformance",
        "rule": "finalize.twice",
        "op_index": 3,
        "minimal": CASE,
        "preceding": (),
        "culprit": "",
    }
    fields |= changed
    return FindingView(
        *(1, 1, 1, fields["minimal"], fields["minimal"], format_case(fields["minimal"]), True),
        *(fields["oracle"], fields["rule"], fields["op_index"], "EPERM", "success", "it differs"),
        *((3, 3), ("kvm:a",), datetime(2026, 1, 1, tzinfo=UTC), fields["preceding"], False),
        fields["culprit"],
    )


def finalized(case: Case, _turn: int) -> Trace:
    return wrong(case, 3, Observation(0)) if case == CASE else sound(case)


def set_wrong(case: Case, _turn: int) -> Trace:
    return wrong(case, 4, Observation(99))


# -- is it the same? ---------------------------------------------------------------------------


def test_outcomes_are_kept_by_these_words() -> None:
    """In databases there are."""
    words = ("shows", "passes", "other", "unjudged", "absent")
    assert words == (SHOWS, PASSES, OTHER, UNJUDGED, ABSENT)


def test_the_same_is_of_the_same_oracle_rule_and_op() -> None:
    one = finding()
    assert is_it(one, "conformance", "finalize.twice", 3)
    assert not is_it(one, "agreement", "finalize.twice", 3)
    assert not is_it(one, "conformance", "finalize.what", 3)
    assert not is_it(one, "conformance", "finalize.twice", 2)


def places(one: FindingView) -> list[int]:
    """The ops at which a divergence is the one that was found."""
    return [at for at in range(12) if is_it(one, "conformance", "finalize.twice", at)]


def test_what_is_done_many_times_in_a_row_is_the_same_each_time() -> None:
    once = "disturb softirq {\n    get v0 z3\n}\nget v0 z3\n"
    row = parse_case(f"create v0\n{once * 3}")
    assert places(finding(minimal=row, op_index=2)) == [2, 5, 8], "not the other op of its kind"
    assert places(finding(minimal=row, op_index=7)) == [1, 4, 7], "nor past the end"
    apart = finding(minimal=parse_case(f"create v0\n{once * 2}get v0 z4\n"), op_index=2)
    assert places(apart) == [2]
    assert places(finding(minimal=parse_case(f"get v0 z3\n{once}"), op_index=0)) == [0]


def test_what_a_verdict_names_comes_before_the_rule_of_the_bucket() -> None:
    one = finding(rule="the.cause", culprit="finalize.twice")
    assert is_it(one, "conformance", "finalize.twice", 3)
    assert not is_it(one, "conformance", "the.cause", 3)


@pytest.mark.parametrize("culprit", ["ending.oops@kvm_arm_set_reg", "ending.oops@other"])
def test_a_fault_is_the_same_wherever_in_the_case_but_at_its_place(culprit: str) -> None:
    one = finding(rule="ending.oops@kvm_arm_set_reg")
    assert is_it(one, "conformance", culprit, 1) == culprit.endswith("set_reg")
    assert is_it(finding(rule="ending.oops"), "conformance", culprit, 1)
    assert not is_it(finding(rule="ending.panic"), "conformance", culprit, 1)


def test_a_fault_is_no_rule_and_a_rule_no_fault() -> None:
    assert not is_it(finding(rule="ending.oops"), "conformance", "finalize.twice", 3)
    assert is_it(finding(rule="ending.oops"), "conformance", "ending.oops", 9)
    assert not is_it(finding(rule="ending.oops@here"), "conformance", "ending.oops", 9)


def test_a_hang_may_be_caught_anywhere() -> None:
    hang = f"ending.{FaultKind.HANG}"
    one = finding(rule=f"{hang}@loop")
    assert is_it(one, "conformance", f"{hang}@elsewhere", 1)
    assert not is_it(one, "conformance", "ending.oops@loop", 1)


# -- one run ----------------------------------------------------------------------------------


def test_each_leg_is_told_what_it_did() -> None:
    legs = [
        Scripted("kvm:shows", finalized),
        Scripted("kvm:passes"),
        Scripted("kvm:other", set_wrong),
    ]
    tried = Again(finding()).run(legs)
    assert {name: one.outcome for name, one in tried.items()} == {
        "kvm:shows": SHOWS,
        "kvm:passes": PASSES,
        "kvm:other": OTHER,
    }
    assert tried["kvm:passes"].said == ""
    assert "finalize.twice" in tried["kvm:shows"].said
    assert "observed EADDRNOTAVAIL" in tried["kvm:other"].said
    assert all(len(leg.ran) == 1 for leg in legs)


def test_a_leg_too_short_for_the_case_is_absent_and_does_not_run() -> None:
    longer = Case(CASE.ops, min_vq=4)
    short = Scripted("kvm:short", profile=Profile(vqs=0b111))
    enough = Scripted("kvm:enough", profile=Profile(vqs=0b1111))
    tried = Again(finding(minimal=longer)).run([short, enough])
    assert tried == {"kvm:short": Tried(ABSENT, "needs vq>=4"), "kvm:enough": Tried(PASSES)}
    assert not short.ran


def test_a_leg_that_breaks_is_absent_and_the_others_run() -> None:
    gone, here = Scripted("kvm:gone"), Scripted("kvm:here", finalized)
    gone.gone = True
    tried = Again(finding()).run([gone, here])
    assert tried["kvm:gone"] == Tried(ABSENT, "kvm:gone is gone.")
    assert tried["kvm:here"].outcome == SHOWS


def test_what_ran_before_runs_before_it_again() -> None:
    first = parse_case("create v0\n")
    one = finding(preceding=(Earlier(first, True),))
    leg, gone = Scripted("kvm:a", finalized), Scripted("kvm:gone")
    gone.gone = True
    tried = Again(one).run([leg, gone])
    assert (tried["kvm:a"].outcome, tried["kvm:gone"].outcome) == (SHOWS, ABSENT)
    assert leg.ran == [first, CASE]
    assert leg.shared == [first, CASE]


def test_where_judging_stops_before_the_op_it_is_not_judged() -> None:
    stops = "create v0\ninit v0 features=sve\nset v0 0x6030000000138010 1\nget v0 x1\nget v0 x2\n"
    case = parse_case(stops)
    reason = Again(finding(minimal=case))._tried(agree(3, "a reason"))
    assert reason == Tried(UNJUDGED, "a reason")
    assert Again(finding(minimal=case))._tried(agree(4, "a reason")) == Tried(PASSES)
    assert Again(finding(minimal=case))._tried(agree(3)) == Tried(PASSES)
    legs_apart = finding(minimal=case, oracle=agreement.ORACLE)
    assert Again(legs_apart)._tried(agree(3, "a reason")) == Tried(PASSES)


def test_legs_are_compared_only_for_a_finding_that_came_of_it() -> None:
    case = parse_case("create v0\ninit v0 features=el1_32bit\nrun v0 { }\nget-mp v0\n")

    def leg(number: int, err: int) -> Scripted:
        rest = Observation(0), Observation(err)
        return Scripted(f"kvm:{number}", lambda c, _: Trace((*sound(c).observations, *rest)))

    legs = [leg(1, 5), leg(2, 5), leg(3, 6)]
    alone = Again(finding(minimal=case)).run(legs)
    assert [one.outcome for one in alone.values()] == [UNJUDGED] * 3
    apart = Again(finding(minimal=case, oracle=agreement.ORACLE, rule=agreement.RULE)).run(legs)
    assert [one.outcome for one in apart.values()] == [PASSES, PASSES, SHOWS]


# -- many runs --------------------------------------------------------------------------------


class Told(Again):
    """A finding whose runs are told beforehand."""

    def __init__(self, *runs: dict[str, Tried]) -> None:
        super().__init__(finding())
        self._runs = list(runs)

    def run(self, legs: object) -> dict[str, Tried]:
        return self._runs.pop(0)


def retested(*runs: Tried) -> Any:
    leg = Scripted("kvm:a")
    (record,) = retest(Told(*({"kvm:a": one} for one in runs)), [leg], len(runs), {})
    assert record.leg is not None
    assert (record.leg.name, record.leg.kind) == ("kvm:a", "kvm")
    assert record.leg.fingerprint == leg.fingerprint
    return record


def test_how_often_it_shows_is_counted_of_the_runs_that_there_were() -> None:
    show, passes = Tried(SHOWS, "differs"), Tried(PASSES)
    record = retested(show, passes, show, Tried(ABSENT, "gone"))
    assert (record.seen, record.tried, record.said, record.judged) == (2, 3, "gone", True)
    record = retested(passes, passes)
    assert (record.seen, record.tried, record.said, record.judged) == (0, 2, "", True)


@pytest.mark.parametrize("outcome", [OTHER, UNJUDGED])
def test_what_does_not_get_as_far_is_no_pass(outcome: str) -> None:
    record = retested(Tried(PASSES), Tried(outcome, "why"), Tried(outcome, "why"), Tried(PASSES))
    assert (record.seen, record.tried, record.said, record.judged) == (0, 4, "why", False)


def test_the_most_frequent_reason_is_said() -> None:
    often, seldom = Tried(OTHER, "often"), Tried(UNJUDGED, "seldom")
    assert retested(seldom, often, often).said == "often"


def test_legs_that_could_not_be_had_have_no_runs() -> None:
    leg = Scripted("kvm:a")
    records = retest(Told({"kvm:a": Tried(SHOWS)}), [leg], 1, {"kvm:b": "there is none"})
    assert [(r.name, r.seen, r.tried, r.said) for r in records] == [
        ("kvm:a", 1, 1, ""),
        ("kvm:b", 0, 0, "there is none"),
    ]


def test_a_matrix_has_a_cell_of_each_leg() -> None:
    legs = [
        Scripted("kvm:a", finalized, fingerprint={"release": "1"}),
        Scripted("model", kind="model", fingerprint={"release": "2"}),
    ]
    cells = list(matrix(Again(finding()), legs, {"kvm:c": "no kernel"}))
    assert [(c.name, c.outcome) for c in cells] == [
        ("kvm:a", SHOWS),
        ("model", PASSES),
        ("kvm:c", ABSENT),
    ]
    assert [c.leg.fingerprint if c.leg else None for c in cells] == [
        {"release": "1"},
        {"release": "2"},
        None,
    ]
    assert [c.leg.kind for c in cells if c.leg] == ["kvm", "model"]
    assert cells[2].said == "no kernel"


def test_those_that_deviated_are_affected() -> None:
    votes = {"kvm:a": {"deviated": 2}, "kvm:b": {"deviated": 0}, "emulator": {"deviated": 1}}

    def bucket(oracle: str) -> Any:
        return SimpleNamespace(signature=SimpleNamespace(oracle=oracle), votes=votes)

    assert affected(bucket("conformance")) == ("kvm:a", "emulator")
    assert affected(bucket(agreement.ORACLE)) == ("kvm:a", "kvm:b")


def test_a_fault_that_shows_again_is_recognised() -> None:
    fault = Fault(FaultKind.OOPS, "kvm_arm_set_reg", line="Oops")
    verdict = diverge(rule="ending.oops", fault=fault, op_index=1)
    tried = Again(finding(rule="ending.oops@kvm_arm_set_reg", op_index=4))._tried(verdict)
    assert tried.outcome == SHOWS
