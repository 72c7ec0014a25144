"""Which buckets are taken for the same, by what they are and by what would explain both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from scripted import Scripted, sound

from corpus.case import MAX_OPS, Case
from corpus.ops import ReadAll
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from db.records import FindingRecord, SignatureRecord
from fuzz.followup import kinship
from fuzz.followup.hypotheses import HYPOTHESES
from fuzz.followup.kinship import Family, Kin, explains, permitted_given
from fuzz.oracle.everywhere import Everywhere
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.mutants.mutant import Make
from targets.profile import Profile
from targets.spec.model import Model

UP = "create v0\ninit v0\nfinalize v0\n"
CASE = parse_case(UP + "get v0 z1\n")
LEGS = Everywhere(
    [
        *(Scripted("kvm:a"), Scripted("kvm:b"), Scripted("emulator:e", kind="emulator")),
        *(Scripted("kvm:c"), Scripted("emulator:f", kind="emulator")),
    ]
)
BASE = SignatureRecord("conformance", "get", "sve.z", "z", "guest<vcpu=host", "kvm:a")


def found(
    deviating: tuple[str, ...] = ("kvm:a",),
    traced: tuple[str, ...] | None = None,
    case: Case = CASE,
    **signature: Any,
) -> FindingRecord:
    """A finding of that signature."""
    return FindingRecord(
        signature=replace(BASE, **signature),
        minimal=case,
        original=case,
        strict=True,
        op_index=len(case.ops) - 1,
        expected="0",
        observed="1",
        explanation="",
        reproduced=(3, 3),
        deviating=deviating,
        traces=dict.fromkeys(deviating if traced is None else traced, sound(case)),
    )


class Granting(Family):
    """A family in which all that may follow does, but for what `refused` says; and which keeps
    what it was asked: the case and the cause."""

    def __init__(
        self, refused: tuple[str, ...] = (), hypotheses: Mapping[str, Make] | None = None
    ) -> None:
        super().__init__(LEGS, hypotheses or {})
        self.refused = refused
        self.asked: list[tuple[str, str, str]] = []

    def _permitted_given(self, effect: FindingRecord, cause: SignatureRecord, name: str) -> bool:
        self.asked.append((effect.signature.op_kind, cause.op_kind, name))
        return not {cause.op_kind, cause.rule} & {*self.refused}


def reason(
    one: FindingRecord, other: FindingRecord, refused: tuple[str, ...] = ("get", "run", "init")
) -> str:
    """Why the second of two is taken for the first."""
    family = Granting(refused)
    assert family.relate(other) is None
    kin = family.relate(one)
    assert kin is None or (kin.one, kin.other) == (one.signature, other.signature)
    return kin.reason if kin else ""


# -- the same at the same op -------------------------------------------------------------------

ELSEWHERE = "the same goes wrong on other legs"
OF_OTHER_KINDS = "get goes wrong in the same way, on legs of other kinds, too"


@pytest.mark.parametrize(
    ("changed", "deviating", "told"),
    [
        ({"legs": "kvm:b"}, ("kvm:b",), ELSEWHERE),
        ({"legs": "every kvm"}, ("kvm:a", "kvm:b"), ELSEWHERE),
        ({"vl_relation": "-"}, ("kvm:a",), "the same goes wrong at other vector lengths"),
        ({"vl_relation": "-", "legs": "kvm:b"}, ("kvm:b",), ELSEWHERE),
        ({"legs": "emulator:e"}, ("emulator:e",), ""),
        ({"legs": "all"}, ("kvm:a", "emulator:e"), OF_OTHER_KINDS),
        ({"legs": "kvm:b", "oracle": "legs"}, ("kvm:b",), ""),
        ({"legs": "kvm:b", "op_kind": "run"}, ("kvm:b",), ""),
        ({"legs": "kvm:b", "rule": "sve.p"}, ("kvm:b",), ""),
        ({"legs": "kvm:b", "register_class": "p"}, ("kvm:b",), ""),
    ],
)
def test_the_same_on_legs_of_the_same_kinds(
    changed: dict[str, Any], deviating: tuple[str, ...], told: str
) -> None:
    other, one = found(), found(deviating, **changed)
    assert reason(one, other) == reason(other, one) == told


ANOTHER_RULE = "get goes wrong in the same way, by another rule"


@pytest.mark.parametrize(
    ("first", "second", "akin"),
    [
        ({}, {"rule": "core.x"}, True),
        ({}, {"rule": "core.x", "vl_relation": "-", "legs": "kvm:b"}, True),
        ({}, {"rule": "isa.add"}, False),
        ({"rule": "isa.add"}, {}, False),
        ({"rule": "isa.add"}, {"rule": "isa.sub"}, False),
        ({}, {"rule": "core.x", "op_kind": "run"}, False),
        ({}, {"rule": "core.x", "register_class": "p"}, False),
        ({"register_class": ""}, {"rule": "core.x", "register_class": ""}, False),
        ({"oracle": "legs"}, {"rule": "core.x", "oracle": "legs"}, False),
        ({}, {"rule": "core.x", "oracle": "legs"}, False),
        ({"oracle": "legs"}, {"rule": "core.x"}, False),
    ],
)
def test_the_same_by_another_rule(
    first: dict[str, Any], second: dict[str, Any], akin: bool
) -> None:
    assert reason(found(**second), found(**first)) == (ANOTHER_RULE if akin else "")


@pytest.mark.parametrize(
    ("deviating", "traced", "akin"),
    [
        (("kvm:a",), ("kvm:a",), True),
        (("kvm:a", "kvm:b"), ("kvm:b", "kvm:a"), True),
        (("kvm:b",), ("kvm:a", "kvm:b"), False),
        (("kvm:a",), (), False),
        (("kvm:a",), ("kvm:b",), False),
    ],
)
def test_another_rule_has_to_be_broken_by_a_leg_that_breaks_this(
    deviating: tuple[str, ...], traced: tuple[str, ...], akin: bool
) -> None:
    one, other = found(deviating, traced, rule="core.x"), found()
    assert bool(reason(one, other)) is bool(reason(other, one)) is akin


AT_ANOTHER_OP = "sve.z is broken in the same way, at get"


@pytest.mark.parametrize(
    ("both", "second", "akin"),
    [
        ({}, {}, True),
        ({"register_class": ""}, {}, False),
        ({"rule": "isa.add"}, {}, False),
        ({"rule": "keeps"}, {}, False),
        ({}, {"register_class": "p"}, False),
        ({"oracle": "legs"}, {}, False),
    ],
)
def test_the_same_at_another_op(both: dict[str, Any], second: dict[str, Any], akin: bool) -> None:
    changed: dict[str, Any] = {"op_kind": "set", **both, **second}
    one, other = found(**both), found(**changed)
    nothing = ("get", "set", "run", "init")
    assert (reason(other, one, nothing) == AT_ANOTHER_OP) is akin
    assert bool(reason(one, other, nothing)) is akin


@pytest.mark.parametrize(
    ("both", "what", "akin"),
    [
        ({}, "p", True),
        ({}, "vector", True),
        *(({}, what, False) for what in ("", "errno: EINVAL", "how it ends")),
        ({"rule": "isa.add"}, "p", False),
        ({"rule": "keeps"}, "p", False),
        ({"oracle": "legs"}, "p", False),
    ],
)
def test_the_same_of_another_register(both: dict[str, Any], what: str, akin: bool) -> None:
    one, other = found(**both), found(**{**both, "register_class": what})
    nothing = ("get", "set", "run", "init")
    told = "get breaks sve.z of another register"
    assert (reason(one, other, nothing) == told) is akin
    assert (reason(other, one, nothing) == told) is akin


PARTS = ("init", "finalize", "get", "set", "get-vls", "set-vls", "reg-list")


@pytest.mark.parametrize("part", PARTS)
def test_a_migration_holds_the_ops_that_it_is_made_of(part: str) -> None:
    def turned(op: str, what: str = "errno: ENOENT", **more: Any) -> FindingRecord:
        return found(op_kind=op, rule=f"{op}.x", register_class=what, **more)

    whole, one = turned("migrate"), turned(part)
    told = f"a migration holds such a {part}, and goes wrong as that does"
    assert reason(one, whole) == reason(whole, one) == told
    apart = replace(one, traces=dict.fromkeys(("kvm:b",), sound(CASE)))
    ends = turned("run")
    for first, second in (
        (turned(part, "errno: EINVAL"), whole),
        (turned(part, oracle="legs"), whole),
        (turned(part, "a b"), turned("migrate", "a b")),
        (apart, whole),
        (ends, whole),
        (ends, one),
    ):
        assert reason(first, second) == reason(second, first) == ""


# -- what follows from what an op spoils -------------------------------------------------------

KEEPS: dict[str, Any] = {"op_kind": "run", "rule": "keeps", "register_class": "vector"}


def told_of(op: str, what: str) -> str:
    return f"nothing is wrong there once what {op} makes of {what} is granted"


@pytest.mark.parametrize(
    ("cause", "effect", "follows"),
    [
        (KEEPS, {"op_kind": "migrate", "register_class": ""}, True),
        (KEEPS, {"op_kind": "run", "rule": "exception.svc", "register_class": "esr_el1"}, True),
        # what an instruction wrote is what the cause spoils
        *(
            (KEEPS, {"op_kind": "run", "rule": "isa.add", "register_class": what}, akin)
            for what, akin in (
                ("z", False),
                ("p", False),
                ("ffr", False),
                ("v", False),
                ("x", True),
            )
        ),
        (KEEPS, {"op_kind": "get", "rule": "isa.add", "register_class": "z"}, True),
        (KEEPS, {"op_kind": "run", "rule": "sve.z", "register_class": "z"}, True),
        # a rule about a register says that it is wrong, too
        ({"op_kind": "init", "rule": "reset.core", "register_class": "x"}, {"rule": "q"}, True),
        ({"op_kind": "init", "rule": "isa.add", "register_class": "x"}, {"rule": "q"}, False),
        ({"op_kind": "init", "rule": "keeps", "register_class": ""}, {"rule": "q"}, True),
        ({"op_kind": "init", "rule": "q", "register_class": ""}, {"rule": "sve.z"}, False),
        ({"op_kind": "init", "rule": "q", "register_class": "op:a->b"}, {}, False),
        ({"op_kind": "init", "rule": "q", "register_class": "mmio data"}, {}, False),
    ],
)
def test_what_may_follow_from_a_register_that_is_wrong(
    cause: dict[str, Any], effect: dict[str, Any], follows: bool
) -> None:
    first, second = found(**cause), found(**effect)
    op, what = first.signature.op_kind, first.signature.register_class
    only = tuple(sorted({"get", "run", "init", "migrate"} - {op}))
    for one, other in ((first, second), (second, first)):
        if second.signature.op_kind != op:
            assert reason(one, other, only) == (told_of(op, what) if follows else "")
        else:  # either may be the cause
            assert bool(reason(one, other, only)) is follows


def test_what_is_granted_is_not_just_what_is_wrong() -> None:
    vector: dict[str, Any] = {"op_kind": "run", "register_class": "vector"}
    pair = found(rule="keeps", **vector), found(rule="isa.add", **vector, legs="kvm:b")
    assert reason(*pair, ()) == ""
    other_op = found(rule="isa.add", op_kind="get", register_class="vector")
    assert reason(other_op, pair[0], ()) == told_of("run", "vector")
    of_one = found(rule="sve.z", op_kind="run")  # no instruction that went wrong
    assert reason(of_one, pair[0], ("sve.z",)) == told_of("run", "vector")


def test_either_may_follow_from_the_other_on_a_leg_that_did_both() -> None:
    cause, effect = found(**KEEPS), found(op_kind="migrate", rule="q", register_class="")
    for one, other in ((cause, effect), (effect, cause)):
        family = Granting()
        family.relate(other)
        assert family.relate(one) == Kin(one.signature, other.signature, told_of("run", "vector"))
        assert family.asked == [("migrate", "run", "kvm:a")]
    apart = found(("kvm:b",), op_kind="migrate", rule="q", register_class="", legs="kvm:b")
    assert reason(apart, cause, ()) == ""
    both = ("kvm:b", "kvm:a")
    family = Granting()
    family.relate(found(both, **KEEPS))
    family.relate(found(both, op_kind="migrate", rule="q", register_class=""))
    assert family.asked == [("migrate", "run", "kvm:a")]  # the first by name


def test_what_does_not_show_that_it_follows_does_not() -> None:
    cause, effect = found(**KEEPS), found(op_kind="migrate", rule="q", register_class="")
    assert reason(effect, cause, ("run",)) == ""


# -- one wrong specification -------------------------------------------------------------------

TWICE = MUTANTS["finalize-twice"]


def twice(more: str = "", **signature: Any) -> FindingRecord:
    """A second FINALIZE that succeeds."""
    case = parse_case(f"{UP}{more}finalize v0\n")
    trace = ModelTarget(Profile(), make=TWICE.make).run(case)
    return replace(found(case=case, op_kind="q", **signature), traces={"kvm:a": trace})


def test_both_follow_if_a_specification_that_is_wrong_permits_both() -> None:
    wrong: dict[str, Make] = {"nothing is": Model, "FINALIZE may": TWICE.make}
    first, second = twice(rule="a"), twice("get-mp v0\n", rule="b", register_class="p")
    family = Granting(("q", "get"), wrong)
    assert family.relate(first) is None
    kin = family.relate(second)
    assert kin is not None
    assert kin.reason == "both follow if FINALIZE may"
    for other in (
        replace(second, deviating=("kvm:b",)),
        replace(second, signature=replace(second.signature, oracle="legs")),
        replace(second, traces={"kvm:a": Trace((Observation(99),) * 5)}),
        replace(second, traces={"kvm:a": Trace(())}),
    ):
        for one, two in ((first, other), (other, first)):
            family = Granting(("q", "get"), wrong)
            family.relate(one)
            assert family.relate(two) is None


def test_a_specification_explains_what_it_permits_up_to_what_was_wrong() -> None:
    record = twice()
    trace, machine = record.traces["kvm:a"], Profile()
    assert explains(TWICE.make, record, trace, machine)
    assert not explains(Model, record, trace, machine)
    assert record.op_index == 3
    assert not explains(TWICE.make, replace(record, op_index=4), trace, machine)
    assert explains(TWICE.make, replace(record, op_index=2), trace, machine)


def test_what_may_be_wrong() -> None:
    lengths = {about for about in HYPOTHESES if about.startswith("the effective VL is ")}
    assert {mutant.about for mutant in MUTANTS.values()} | lengths <= HYPOTHESES.keys()
    text = (
        UP
        + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 {}\nrun v0 {{\n rdvl x3, #1\n}}\nget v0 x3\n"
    )

    def read(about: str, zcr: int, machine: Profile | None = None) -> int:
        case = parse_case(text.format(zcr))
        trace = ModelTarget(machine or Profile(), make=HYPOTHESES[about]).run(case)
        return int.from_bytes(trace.observations[-1].data, "little")

    short, most, least = (
        "the effective VL is one step too short",
        "the effective VL is the vcpu's maximum",
        "the effective VL is 128 bits",
    )
    assert [read(short, zcr) for zcr in (0, 1, 2, 15)] == [16, 16, 32, 240]
    assert [read(most, zcr) for zcr in (0, 3, 15)] == [256] * 3
    assert read(most, 0, Profile(vqs=0b11)) == 32
    assert [read(least, zcr) for zcr in (0, 3, 15)] == [16] * 3


# -- the family --------------------------------------------------------------------------------


def test_a_bucket_is_compared_with_the_first_ones_only() -> None:
    assert kinship.COMPARED == 40
    for count, akin in ((39, True), (40, False)):
        family = Granting(("get",))
        for n in range(count):
            family.relate(found(op_kind=f"op{n}", register_class=""))
        family.relate(found())
        assert (family.relate(found(legs="kvm:b")) is not None) is akin


def test_the_surest_reason_comes_first_and_then_the_earliest_bucket() -> None:
    family = Granting(("get",))
    family.relate(found(rule="core.x"))
    family.relate(found(legs="kvm:b", rule="sve.z"))
    family.relate(found(legs="kvm:c"))
    kin = family.relate(found(legs="kvm:d"))
    assert kin is not None
    assert (kin.other.legs, kin.reason) == ("kvm:b", ELSEWHERE)
    assert family.relate(found(legs="kvm:d")) is None  # it is a member now


# -- what is granted ---------------------------------------------------------------------------

CUT = MUTANTS["exit-cuts-registers"]
FILLED = UP + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 15\nset v0 z1 noise:1\n"
RUN = "run v0 {\n    rdvl x0, #1\n}\n"
SPOILS = replace(BASE, op_kind="run", rule="keeps", register_class="vector")


def granted(text: str, make: Make = CUT.make, cause: SignatureRecord = SPOILS) -> bool:
    case = parse_case(text)
    return permitted_given(
        case, ModelTarget(Profile(), make=make).run(case), Model(Profile()), cause
    )


@pytest.mark.parametrize("word", ["run", "host-run"])
def test_what_looks_show_behind_the_op_is_granted(word: str) -> None:
    run = RUN.replace("run v0", f"{word} v0")
    assert granted(FILLED + run + "read-all v0\n")
    assert granted(FILLED + run + "read-all v0\nread-all v0\nget v0 z1\n")
    assert granted(FILLED + run + "read-all v0\nmigrate v0\n")
    assert not granted(FILLED + run + "get v0 z1\n")  # no look
    assert not granted(FILLED + run + "get-mp v0\nread-all v0\n")  # not right behind it
    assert not granted(FILLED + "read-all v0\n")  # nothing is wrong
    assert not granted(FILLED + run + "read-all v0\n", Model)


def test_a_look_that_never_came_grants_nothing() -> None:
    case = parse_case(FILLED + RUN + "read-all v0\n")
    trace = ModelTarget(Profile(), make=CUT.make).run(case)
    short = replace(trace, observations=trace.observations[:-1])
    assert not permitted_given(case, short, Model(Profile()), SPOILS)


def test_looks_at_several_vcpus_follow_one_op() -> None:
    two = "create v1\ninit v1\nfinalize v1\n" + FILLED + RUN
    assert granted(two + "read-all v1\nread-all v0\n")
    assert not granted(two + "get-mp v0\nread-all v1\nread-all v0\n")


def test_only_registers_of_the_cause_s_class_are_granted() -> None:
    text = FILLED + RUN + "read-all v0\n"
    for what, akin in (("vector", True), ("z", True), ("x", False), ("", False), ("z:a", False)):
        assert granted(text, cause=replace(SPOILS, register_class=what)) is akin
    assert not granted(text, cause=replace(SPOILS, op_kind="init"))


def test_nothing_is_granted_where_the_specification_stops() -> None:
    text = FILLED + RUN + "read-all v0\n"
    assert granted(text + "get-mp v0\n")
    assert not granted(text + "set v0 sctlr_el1 0\nrun v0 {\n nop\n}\n")


def test_a_case_is_looked_at_behind_each_op_if_there_is_room() -> None:
    looked = kinship._looked_at(Case(parse_case("preferred-target\n" + UP).ops, 3))
    assert looked is not None
    assert [op.word for op in looked.ops] == [
        *("preferred-target", "create", "read-all", "init", "read-all", "finalize", "read-all"),
    ]
    assert looked.min_vq == 3
    two = kinship._looked_at(parse_case("create v1\nmigrate v1 to=v0\nget-mp v1\n"))
    assert two is not None
    slots = [op.vcpu for op in two.ops if isinstance(op, ReadAll)]
    assert slots == [1, 1, 0, 1, 0]
    fits = "create v0\n" * (MAX_OPS // 2)
    assert kinship._looked_at(parse_case(fits)) is not None
    assert kinship._looked_at(parse_case(fits + "create v0\n")) is None


def test_what_follows_is_tried_with_looks_on_the_leg() -> None:
    leg = ModelTarget(Profile(), "mutant:cut", make=CUT.make)
    leg.kind = "mutant"
    family = Family(Everywhere([leg]), {})
    cause = found(("mutant:cut",), **KEEPS)
    for text, akin in (
        (FILLED + RUN + "migrate v0\n", True),
        ("create v0\n" * (MAX_OPS // 2 + 1), False),
    ):
        effect = found(("mutant:cut",), case=parse_case(text), op_kind="migrate", rule="q")
        assert family._permitted_given(effect, cause.signature, "mutant:cut") is akin
