"""Buckets that probably have one cause are told, and those that have not are left apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.text import parse_case
from corpus.trace import Observation
from db.records import FindingRecord
from fuzz.followup.hypotheses import HYPOTHESES
from fuzz.followup.investigate import record
from fuzz.followup.kinship import Family, explains, permitted_given
from fuzz.followup.suspicion import Confirmed, Departure, Shown
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile
from targets.spec.adopt import adopt
from targets.spec.judge import Choices, observe
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Part, Permitted
from targets.spec.sets import exact

UP = "create v0\ninit v0\nfinalize v0\n"
ON = UP + "set v0 cpacr_el1 0x330000\n"


def legs_with(*names: str) -> Everywhere:
    legs = []
    for name in names:
        leg = ModelTarget(Profile(), f"mutant:{name}", make=MUTANTS[name].make)
        leg.kind = "mutant"
        legs.append(leg)
    return Everywhere(legs)


def finding(legs: Everywhere, name: str, text: str) -> FindingRecord:
    """What a case shows on a leg, at face value."""
    case = parse_case(text)
    seen = legs.look(case)
    verdict = seen.verdicts[name]
    assert isinstance(verdict, Diverge), "the case shows nothing"
    shown = Shown(case, verdict, seen.traces, seen.verdicts)
    return record(Departure(case, name, verdict), Confirmed(shown, 3, 3), case, legs)


CUT, TWICE, PSTATE = "exit-cuts-registers", "finalize-twice", "pstate-unchecked"


def test_the_same_by_another_rule_is_akin() -> None:
    legs = legs_with(PSTATE)
    family = Family(legs, {})
    name = f"mutant:{PSTATE}"
    assert family.relate(finding(legs, name, "create v0\ninit v0\nset v0 pstate 0x3c9\n")) is None
    kin = family.relate(finding(legs, name, "create v0\ninit v0\nset v0 pstate 1\n"))
    assert kin is not None
    assert kin.other.rule == "core.pstate-el2-refused"
    assert "another rule" in kin.reason


def test_a_bucket_is_not_akin_to_itself() -> None:
    legs = legs_with(TWICE)
    family = Family(legs)
    twice = finding(legs, f"mutant:{TWICE}", UP + "finalize v0\n")
    assert family.relate(twice) is None
    assert family.relate(twice) is None


def test_the_same_on_other_legs_is_akin() -> None:
    legs = legs_with(TWICE)
    family = Family(legs, {})
    twice = finding(legs, f"mutant:{TWICE}", UP + "finalize v0\n")
    family.relate(twice)
    kin = family.relate(replace(twice, signature=replace(twice.signature, legs="every mutant")))
    assert kin is not None
    assert "other legs" in kin.reason


@pytest.mark.parametrize(
    ("rule", "one", "other", "akin"),
    [
        *(("vls.get", "finalize errno", "get-vls errno", True),),
        *((rule, "finalize errno", "get-vls errno", False) for rule in ("keeps", "isa.add_x")),
        *(("reset.fp-control", "init fpsr", "init fpcr", True),),
        *((rule, "init fpsr", "init fpcr", False) for rule in ("keeps", "isa.msr")),
    ],
)
def test_one_rule_at_another_op_or_register_is_akin_unless_it_says_little(
    rule: str, one: str, other: str, akin: bool
) -> None:
    legs = legs_with(TWICE)
    twice = finding(legs, f"mutant:{TWICE}", UP + "finalize v0\n")
    family, kin = Family(legs, {}), None
    for word, what in (one.split(), other.split()):
        bucket = replace(twice.signature, rule=rule, op_kind=word, register_class=what)
        kin = family.relate(replace(twice, signature=bucket))
    assert (kin is not None) is akin


def test_a_machine_that_is_another_than_it_says_explains_what_follows() -> None:
    legs = legs_with(TWICE)
    (about,) = (about for about in HYPOTHESES if "longer than KVM says" in about)
    short = replace(Profile(), vqs=Profile().vqs >> 1)
    text = ON + "set v0 zcr_el1 15\nrun v0 {\n    rdvl x0, #1\n}\nget v0 x0\n"
    case = parse_case(text)
    trace = ModelTarget(Profile()).run(case)
    found = replace(finding(legs, f"mutant:{TWICE}", UP + "finalize v0\n"), minimal=case)
    assert not explains(Model, found, trace, short)
    assert explains(HYPOTHESES[about], found, trace, short)


def test_what_follows_from_a_call_without_effect_is_akin() -> None:
    (about,) = (about for about in HYPOTHESES if about.startswith("set-vls returns 0"))
    leg = ModelTarget(Profile(), "kvm", make=HYPOTHESES[about])
    leg.kind = "kvm"
    legs = Everywhere([leg])
    family = Family(legs, {about: HYPOTHESES[about]})
    up = "create v0\ninit v0\nset-vls v0 1\nfinalize v0\n"
    run = "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 15\nrun v0 {\n    rdvl x0, #1\n}\nget v0 x0\n"
    assert family.relate(finding(legs, "kvm", up + "get-vls v0\n")) is None
    kin = family.relate(finding(legs, "kvm", up + run))
    assert kin is not None
    assert kin.reason == "both follow if set-vls returns 0 and does nothing"


@pytest.mark.parametrize(
    "about", ["ZCR_EL1 is lost at the first vector access", "an exit loses bit 3 of ZCR_EL1"]
)
def test_what_follows_from_a_spoilt_zcr_is_akin(about: str) -> None:
    leg = ModelTarget(Profile(), "kvm", make=HYPOTHESES[about])
    leg.kind = "kvm"
    legs = Everywhere([leg])
    family = Family(legs, {about: HYPOTHESES[about]})
    run = "run v0 {\n    rdvl x0, #1\n}\n"
    up = ON + "set v0 zcr_el1 15\n" + run
    assert family.relate(finding(legs, "kvm", up + "get v0 zcr_el1\n")) is None
    kin = family.relate(finding(legs, "kvm", up + run + "get v0 x0\n"))
    assert kin is not None
    assert kin.reason == f"both follow if {about}"


def test_a_migration_that_fails_as_a_part_of_it_is_akin() -> None:
    name = "vls-shortest-only"
    legs = legs_with(name)
    family = Family(legs, {})
    alone = "create v0\ninit v0\nset-vls v0 1-16\n"
    assert family.relate(finding(legs, f"mutant:{name}", alone)) is None
    part = finding(legs, f"mutant:{name}", alone)
    whole = replace(
        part, signature=replace(part.signature, op_kind="migrate", rule="migrate.saves")
    )
    kin = family.relate(whole)
    assert kin is not None
    assert kin.reason == "a migration holds such a set-vls, and goes wrong as that does"
    other = replace(part.signature, op_kind="migrate", register_class="op:success->ENOENT")
    assert family.relate(replace(part, signature=other)) is None


def test_what_follows_from_a_spoilt_register_is_akin() -> None:
    legs = legs_with(CUT)
    name = f"mutant:{CUT}"
    filled = ON + "set v0 zcr_el1 15\nset v0 z1 noise:1\nrun v0 {\n    rdvl x0, #1\n}\n"
    seen = finding(legs, name, filled + "read-all v0\n")
    cause = replace(
        seen,
        signature=replace(seen.signature, op_kind="run", rule="keeps", register_class="vector"),
    )
    effect = finding(legs, name, filled + "migrate v0\n")
    family = Family(legs, {})
    assert family.relate(cause) is None
    kin = family.relate(effect)
    assert kin is not None
    assert kin.other == cause.signature
    assert kin.reason == "nothing is wrong there once what run makes of vector is granted"


@pytest.mark.parametrize(("op", "is_cause"), [("run", True), ("init", False)])
def test_only_what_the_cause_spoils_is_granted(op: str, is_cause: bool) -> None:
    legs = legs_with(CUT)
    leg = legs.legs[0]
    case = parse_case(
        ON + "set v0 zcr_el1 15\nset v0 z1 noise:1\nrun v0 {\n    rdvl x0, #1\n}\nread-all v0\n"
    )
    cause = finding(
        legs,
        leg.name,
        UP + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 15\n"
        "set v0 z1 noise:1\nrun v0 {\n    rdvl x0, #1\n}\nread-all v0\n",
    ).signature
    cause = replace(cause, rule="keeps", op_kind=op, register_class="vector")
    found = permitted_given(case, leg.run(case), Model(leg.profile), cause)
    assert found is is_cause


def test_two_defects_are_not_akin() -> None:
    legs = legs_with(CUT, TWICE)
    family = Family(legs)
    assert family.relate(finding(legs, f"mutant:{TWICE}", UP + "finalize v0\n")) is None
    text = ON + "set v0 zcr_el1 15\nset v0 z1 noise:1\nrun v0 {\n    rdvl x0, #1\n}\nget v0 z1\n"
    assert family.relate(finding(legs, f"mutant:{CUT}", text)) is None


def test_what_one_wrong_specification_permits_is_akin() -> None:
    name = "zcr-off-by-one"
    legs = legs_with(name)
    family = Family(legs)
    lines = ("index z1.b, #1, #1", "ptrue p1.b")
    first, second = (
        finding(legs, f"mutant:{name}", ON + f"run v0 {{\n    {line}\n}}\nread-all v0\n")
        for line in lines
    )
    assert family.relate(first) is None
    kin = family.relate(second)
    assert kin is not None
    assert "one step too long" in kin.reason


RUN = "run v0 { }\n"


@pytest.mark.parametrize(
    ("about", "first", "second"),
    [
        (
            "a refused SET_MP_STATE stops the vcpu",
            "set-mp v0 1\nget-mp v0\n",
            f"set-mp v0 7\n{RUN}",
        ),
        (
            "a refused SET_MP_STATE makes the vcpu run",
            *("set-mp v0 5\nset-mp v0 1\nget-mp v0\n", f"set-mp v0 5\nset-mp v0 1\n{RUN}"),
        ),
        (
            "INIT does not power off",
            "init v0 features=power_off,sve\nget-mp v0\n",
            f"init v0 features=power_off,sve\n{RUN}",
        ),
        (
            "a refused SVE_VLS leaves the shortest length",
            "set-vls v0 none\nget-vls v0\n",
            "set-vls v0 none\nfinalize v0\nset v0 z1 0xff*\nget v0 z1\n",
        ),
    ],
)
def test_what_a_refused_call_does_all_the_same_is_akin(about: str, first: str, second: str) -> None:
    leg = ModelTarget(Profile(), "mutant:x", make=HYPOTHESES[about])
    leg.kind = "mutant"
    legs = Everywhere([leg])
    up = "create v0\ninit v0\n" if "vls" in first else UP
    one, other = (finding(legs, leg.name, up + text) for text in (first, second))
    assert one.signature != other.signature
    alone = Family(legs, {about: HYPOTHESES[about]})
    assert alone.relate(one) is None
    kin = alone.relate(other)
    assert kin is not None
    assert about in kin.reason
    assert Family(Everywhere([leg])).relate(one) is None


@pytest.mark.parametrize("about", [about for about in HYPOTHESES if "effective VL is" in about])
def test_no_hypothesis_permits_what_another_defect_does(about: str) -> None:
    legs = legs_with(TWICE)
    twice = finding(legs, f"mutant:{TWICE}", UP + "finalize v0\n")
    assert not explains(
        HYPOTHESES[about], twice, twice.traces[f"mutant:{TWICE}"], legs.legs[0].profile
    )


def test_what_is_granted_is_what_the_model_goes_on_with() -> None:
    home: dict[str, object] = {"a": exact(1), "b": exact(2)}
    parts = (Part("a", 8, exact(1), (home, "a")), Part("b", 8, exact(2), (home, "b")))
    permitted = Permitted("rule", (Outcome(known_parts=parts),))
    seen = Observation(0, 0, (7).to_bytes(8, "little") + (2).to_bytes(8, "little"))
    assert observe(permitted, seen, Choices()) is not None
    adopted = adopt(permitted, seen, lambda label: label == "a")
    assert adopted.changed == 1
    assert observe(adopted.permitted, seen, Choices()) is None
    assert home == {"a": exact(7), "b": exact(2)}
    assert adopt(permitted, seen, lambda label: label == "b").changed == 0
