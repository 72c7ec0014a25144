"""What recorded defects mean for a leg: what is not judged, avoided, shown, and explained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from scripted import Scripted, diverge

from corpus.case import Case
from corpus.domain import TextError
from corpus.fault import Fault, FaultKind
from corpus.headers import KINDS
from corpus.isa.table import FORMS
from corpus.kept import (
    ABORT_RULE,
    FORGETS_ABORTS_RULE,
    FPSR_RULE,
    SYNDROME_RULE,
    Effect,
    Example,
    KeptCase,
    Known,
    load_kept,
)
from corpus.text import parse_case
from db.records import LegRecord
from fuzz.oracle.knowledge import NOTHING, Knowledge
from targets.profile import Profile
from targets.spec.rules import RULES

ONE = parse_case("create v0\ninit v0\n")
TWO = parse_case("create v0\ninit v0\nfinalize v0\nrun v0 {\n ptrue p0.b, all\n}\n")
PTRUE = TWO.ops[3].program[0].form.name  # type: ignore[attr-defined]
KVM_612 = LegRecord("of any name", "kvm", {"release": "6.12.9", "mode": "vhe"})
KVM_72 = LegRecord("kvm:6.12:vhe", "kvm", {"release": "7.2.1", "mode": "vhe"})
EMULATOR = LegRecord("emulator:keep", "emulator", {"vixl": "5.1.0"})


def kept(
    *known: Known,
    case: Case = ONE,
    machine: Sequence[tuple[str, str]] = (),
    avoid: Sequence[Known] = (),
    name: str = "one",
) -> KeptCase:
    return KeptCase(Path(f"{name}.case"), case, known, name, tuple(machine), tuple(avoid))


def test_nothing_is_known_of_nothing() -> None:
    assert NOTHING.spoiled(EMULATOR) == {}
    assert NOTHING.avoided(EMULATOR) == frozenset()
    assert NOTHING.explanation([EMULATOR], "isa.xtn") is None
    assert list(NOTHING.shown_by([Scripted("kvm:a")])) == []


def test_what_a_defect_spoils_is_looked_up_by_pattern_and_adds_up() -> None:
    knowledge = Knowledge(
        [
            kept(Known("emulator", "isa.xtn*", Effect.TAIL)),
            kept(
                Known("emulator", "isa.xtn2_v", Effect.MODES),
                Known("emulator", FPSR_RULE, Effect.FPSR),
            ),
            kept(Known("emulator", "sve.z")),
            kept(Known("kvm", "isa.ptrue*")),
        ]
    )
    spoiled = knowledge.spoiled(EMULATOR)
    xtn = {f"isa.{form}" for form in FORMS if form.startswith("xtn")}
    assert xtn
    assert set(spoiled) == xtn | {FPSR_RULE}
    assert spoiled["isa.xtn2_v"] == {Effect.TAIL, Effect.MODES}
    assert spoiled["isa.xtn_v"] == {Effect.TAIL}
    assert spoiled[FPSR_RULE] == {Effect.FPSR}
    assert all(rule.startswith("isa.ptrue") for rule in knowledge.spoiled(KVM_612))


def test_what_a_defect_spoils_beside_instructions_are_rules() -> None:
    every = Knowledge([kept(Known("emulator", "*", Effect.FPSR))]).spoiled(EMULATOR)
    others = {rule for rule in every if not rule.startswith("isa.")}
    assert others == {FPSR_RULE, SYNDROME_RULE, ABORT_RULE, FORGETS_ABORTS_RULE}
    assert others <= set(RULES)


def test_what_is_recorded_of_aborts_is_not_held_against_a_leg_again() -> None:
    knowledge = Knowledge.shipped()
    for release, rules in (
        ("6.1.176-1", {ABORT_RULE, FORGETS_ABORTS_RULE}),
        ("6.12.107", {FORGETS_ABORTS_RULE}),
        ("7.2.1", set()),
    ):
        leg = Example("kvm", {"release": release, "mode": "vhe"})
        assert {ABORT_RULE, FORGETS_ABORTS_RULE} & knowledge.spoiled(leg).keys() == rules


def test_a_leg_is_known_by_what_it_is_and_not_by_its_name() -> None:
    machine = [("release", "6.12.*"), ("mode", "vhe")]
    knowledge = Knowledge([kept(Known("kvm", "sve.z"), machine=machine)])
    assert knowledge.explanation([KVM_612], "sve.z")
    assert not knowledge.explanation([KVM_72], "sve.z")
    assert not knowledge.explanation(
        [LegRecord("kvm:6.12:vhe", "kvm", {"release": "6.12.9"})], "sve.z"
    )
    assert not knowledge.explanation([LegRecord("x", "emulator", KVM_612.fingerprint)], "sve.z")


def test_one_record_has_to_explain_all_the_legs() -> None:
    machine = [("release", "6.12.*")]
    narrow = kept(Known("kvm", "sve.z"), machine=machine, name="narrow")
    wide = kept(Known("kvm", "sve.*"), name="wide")
    assert Knowledge([narrow]).explanation([KVM_612, KVM_72], "sve.z") is None
    assert Knowledge([narrow, wide]).explanation([KVM_612, KVM_72], "sve.z") is wide
    assert Knowledge([narrow, wide]).explanation([KVM_612], "sve.z") is narrow
    assert Knowledge([narrow, wide]).explanation([KVM_612], "core.hole") is None
    assert Knowledge([wide]).explanation([], "sve.z") is None
    assert Knowledge([wide]).explanation(iter([KVM_612]), "sve.z") is wide


def test_the_record_of_this_very_case_explains_first() -> None:
    other, own = kept(Known("kvm", "sve.z"), name="other"), kept(Known("kvm", "sve.z"), case=TWO)
    knowledge = Knowledge([other, own])
    assert knowledge.explains(KVM_612, TWO, diverge()) is own
    assert knowledge.explains(KVM_612, parse_case("create v1"), diverge()) is other
    assert knowledge.explains(KVM_612, TWO, diverge(rule="sve.p")) is None
    assert knowledge.explains(EMULATOR, TWO, diverge()) is None


def test_what_is_explained_is_the_responsible_rule() -> None:
    knowledge = Knowledge([kept(Known("kvm", f"isa.{PTRUE}")), kept(Known("kvm", "ending.warn@f"))])
    ended = diverge(rule="run.exit", op_index=3)
    assert knowledge.explains(KVM_612, TWO, ended) is knowledge.kept[0]
    at_f = diverge(rule="ending.ok", op_index=3, fault=Fault(FaultKind.WARN, "f", True))
    assert knowledge.explains(KVM_612, TWO, at_f) is knowledge.kept[1]
    at_g = diverge(rule="ending.ok", op_index=3, fault=Fault(FaultKind.WARN, "g", True))
    assert knowledge.explains(KVM_612, TWO, at_g) is None  # a known WARN hides no other


def test_what_must_be_avoided_depends_on_the_machine() -> None:
    late = Known("kvm", "run.late")
    knowledge = Knowledge(
        [
            kept(machine=[("mode", "vhe")], avoid=[late, Known("emulator", "x")]),
            kept(avoid=[Known("kvm", "y")]),
        ]
    )
    assert knowledge.avoided(KVM_612) == {"run.late", "y"}
    assert knowledge.avoided(LegRecord("k", "kvm", {"mode": "nvhe"})) == {"y"}
    assert knowledge.avoided(EMULATOR) == frozenset()
    assert knowledge.spoiled(KVM_612) == {}


def test_a_machine_is_judged_by_what_its_defects_leave() -> None:
    knowledge = Knowledge([kept(Known("kvm", "isa.xtn_v"), avoid=[Known("kvm", "y")])])
    leg = Scripted("kvm:a", profile=Profile(vqs=3))
    machine = knowledge.machine(leg)
    assert machine.vqs == 3
    assert machine.defects == {"isa.xtn_v": {Effect.RESULT}}
    assert machine.avoid == {"y"}
    assert leg.profile.defects == {}
    assert leg.profile.avoid == frozenset()


def test_each_recorded_case_comes_with_the_legs_that_have_the_defect() -> None:
    first = kept(Known("kvm", "sve.z"), name="first")
    second = kept(Known("emulator", "sve.z"), avoid=[Known("kvm", "y")], name="second")
    third = kept(avoid=[Known("kvm", "y")], name="third")
    a, b = Scripted("kvm:a"), Scripted("kvm:b")
    shown = list(Knowledge([first, second, third]).shown_by(iter([a, b])))
    assert shown == [(first, [a, b])]


def test_what_is_shipped_is_what_the_folder_holds() -> None:
    shipped = Knowledge.shipped()
    assert {item.path.parent.name for item in shipped.kept} == {"known"}
    assert all(item.known or item.avoid for item in shipped.kept)


# -- case files ----------------------------------------------------------------------------


def load(folder: Path, head: str) -> KeptCase:
    path = folder / "x.case"
    path.write_text(f"{head}create v0\n")
    return load_kept(path)


def test_comment_lines_say_what_is_known(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "# It is wrong\n#diverges: kvm sve.z\n# diverges:  emulator isa.xtn* tail\n# and why.\n"
        "# machine: lab.qemu=7.*\n# machine: mode=vhe\n# avoid: kvm run.late\n# requires: vq>=2\n",
    )
    assert found.known == (Known("kvm", "sve.z"), Known("emulator", "isa.xtn*", Effect.TAIL))
    assert found.machine == (("lab.qemu", "7.*"), ("mode", "vhe"))
    assert found.avoid == (Known("kvm", "run.late"),)
    assert found.about == "It is wrong and why."
    assert found.case.min_vq == 2


def test_only_the_comments_on_top_count(tmp_path: Path) -> None:
    path = tmp_path / "x.case"
    path.write_text("# about\ncreate v0\n# more\n")
    assert load_kept(path).about == "about"
    path.write_text("# about\ncreate v0\n# diverges: kvm sve.z\n")
    with pytest.raises(TextError, match="belongs before the first op"):
        load_kept(path)


@pytest.mark.parametrize("effect", Effect)
def test_an_effect_is_a_word(tmp_path: Path, effect: Effect) -> None:
    (known,) = load(tmp_path, f"# diverges: kvm isa.x {effect}\n").known
    assert known.effect is effect


def test_the_effects_are_in_order() -> None:
    assert [effect.rank for effect in Effect] == list(range(14))
    assert min(Effect, key=lambda effect: effect.rank) is Effect.FPSR
    assert Effect.FPSR.rank < Effect.INPLACE.rank < Effect.MODES.rank < Effect.TAIL.rank
    assert list(Effect)[-4:] == [Effect.TAIL, Effect.RESULT, Effect.TAGS, Effect.STOP]
    assert KINDS == ("kvm", "emulator")
    assert Known("kvm", "x").effect is Effect.RESULT


def test_an_effect_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"x\.case: line 1: 'much' is none of fpsr, inplace"):
        load(tmp_path, "# diverges: kvm isa.x much\n")


def test_a_kept_case_expects_on_a_leg_of_its_kind_and_machine() -> None:
    item = kept(
        Known("kvm", "sve.z"),
        Known("emulator", "p"),
        machine=[("release", "6.12.*"), ("mode", "vhe")],
    )
    assert item.recorded(KVM_612) == (Known("kvm", "sve.z"),)
    assert item.recorded(KVM_72) == ()
    assert item.recorded(EMULATOR) == ()
    assert item.covers(KVM_612, "sve.z")
    assert not item.covers(KVM_612, "sve.zz")
    assert not item.covers(KVM_72, "sve.z")
    several = kept(Known("kvm", "a"), Known("kvm", "b*"))
    assert several.covers(KVM_72, "bee")
    assert kept(Known("kvm", "a"), machine=[("absent", "*")]).covers(KVM_72, "a")
