"""Who is blamed: which verdicts are the same divergence, who shows it, and the word for them."""

from __future__ import annotations

import pytest
from scripted import agree, diverge

from corpus.fault import BY_KERNEL, Fault, FaultKind
from fuzz.oracle.attribution import ALL_BUT_THE_MODEL, alike, deviating, pattern
from fuzz.oracle.verdict import Diverge, Verdict
from targets.kind import KINDS, Kind

WARN_F = Fault(FaultKind.WARN, "f", True)
WARN_G = Fault(FaultKind.WARN, "g", True)
HANG_F = Fault(FaultKind.HANG, "f")
HANG_G = Fault(FaultKind.HANG, "g")
CRASH = Fault(FaultKind.CRASH)
BASE = diverge()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (BASE, True),
        (diverge(label="z4", expected="7", observed="8", op_index=5, detail="d"), True),
        (diverge(strict=False, told="so"), True),
        (diverge(oracle="legs"), False),
        (diverge(rule="sve.p"), False),
        (diverge(op_word="run"), False),
        (agree(), False),
        (diverge(fault=WARN_F), True),  # only where both have a named fault do faults decide
        (diverge(fault=CRASH), True),
    ],
)
def test_alike_is_oracle_rule_and_op(other: Verdict, same: bool) -> None:
    assert alike(other, BASE) is same
    if isinstance(other, Diverge):
        assert alike(BASE, other) is same


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (WARN_F, WARN_F, True),
        (WARN_F, WARN_G, False),
        (WARN_F, Fault(FaultKind.BUG, "f"), False),
        (WARN_F, HANG_F, False),
        (HANG_F, WARN_F, False),
        (HANG_F, HANG_G, True),  # caught elsewhere in its loop
        (WARN_F, Fault(FaultKind.WARN, "f", False, "another line"), True),
    ],
)
def test_named_faults_are_alike_by_kind_and_place_whatever_the_case_was(
    a: Fault, b: Fault, same: bool
) -> None:
    one = diverge(fault=a, op_word="run", rule="x")
    assert alike(one, diverge(fault=b, op_word="get", rule="y")) is same


def test_a_fault_without_a_name_goes_by_the_case() -> None:
    one = diverge(fault=CRASH, rule="ending.ok")
    assert alike(one, diverge(fault=CRASH, rule="ending.ok"))
    assert not alike(one, diverge(fault=CRASH, rule="ending.ok", op_word="run"))
    assert not alike(one, diverge(fault=WARN_F, rule="ending.ok", op_word="run"))
    assert not alike(diverge(fault=WARN_F, rule="a"), diverge(fault=CRASH, rule="b"))
    assert alike(diverge(fault=WARN_F), diverge(fault=CRASH))
    assert alike(diverge(fault=CRASH), diverge(fault=WARN_F))


@pytest.mark.parametrize("kind", FaultKind)
def test_what_a_fault_is_called(kind: FaultKind) -> None:
    nowhere, somewhere = Fault(kind), Fault(kind, "f", line="l")
    assert nowhere.named is (kind in BY_KERNEL)
    assert somewhere.named
    assert (nowhere.rule, nowhere.rule_at) == (f"ending.{kind.value}", f"ending.{kind.value}@-")
    assert somewhere.rule_at == f"ending.{kind.value}@f"
    assert str(nowhere) == kind.value
    word = ": f" if kind is FaultKind.LOST else " in f"
    assert str(somewhere) == kind.value + word
    assert {FaultKind.HANG, FaultKind.LOST, FaultKind.CRASH}.isdisjoint(BY_KERNEL)
    assert len(BY_KERNEL) == len(FaultKind) - 3


def test_only_legs_that_do_this_very_thing_deviate() -> None:
    verdicts: dict[str, Verdict] = {
        "d": BASE,
        "c": diverge(observed="other"),
        "b": diverge(label="z4"),
        "a": agree(),
        "e": diverge(rule="sve.p"),
    }
    assert deviating(BASE, verdicts) == ("c", "d")
    fault = diverge(fault=WARN_F, label="ending")
    broke = {"b": fault, "a": diverge(fault=WARN_F, label="another"), "c": diverge(fault=WARN_G)}
    assert deviating(fault, broke) == ("a", "b")


KVM = ("kvm:6.1:vhe", "kvm:6.12:vhe", "kvm:7.2:vhe")
EMULATORS = ("emulator:keep", "emulator:zero")
KIND_OF = {
    name: KINDS[name.partition(":")[0]]
    for name in (*KVM, *EMULATORS, "model", "mutant:x", "mutant:y")
}


@pytest.mark.parametrize(
    ("wrong", "right", "word"),
    [
        (KVM[:1], (*KVM[1:], "model"), "kvm:6.1:vhe"),
        (("model",), KVM, "model"),
        (KVM, (*EMULATORS, "model"), "every kvm"),
        (KVM[:2], (), "every kvm"),
        (KVM[:2], (KVM[2], *EMULATORS), "kvm:6.12:vhe,kvm:6.1:vhe"),
        (tuple(reversed(KVM[:2])), (KVM[2],), "kvm:6.12:vhe,kvm:6.1:vhe"),
        (EMULATORS, KVM, "emulator"),
        (EMULATORS, (), "emulator"),
        (("mutant:x", "mutant:y"), ("model",), "mutant:x,mutant:y"),
        ((*KVM, *EMULATORS), ("model",), ALL_BUT_THE_MODEL),
        ((KVM[0], EMULATORS[0]), (), ALL_BUT_THE_MODEL),
        ((KVM[0], EMULATORS[0]), (KVM[1],), ALL_BUT_THE_MODEL),
        ((KVM[0], "mutant:x"), ("emulator:keep",), "kvm:6.1:vhe,mutant:x"),
        ((KVM[0], EMULATORS[0], "mutant:x"), (), "emulator:keep,kvm:6.1:vhe,mutant:x"),
    ],
)
def test_the_pattern_of_legs_names_the_suspect(
    wrong: tuple[str, ...], right: tuple[str, ...], word: str
) -> None:
    verdicts: dict[str, Verdict] = {name: agree() for name in right}
    verdicts |= dict.fromkeys(wrong, BASE)
    assert pattern(wrong, verdicts, KIND_OF) == word


def test_a_leg_that_is_wrong_otherwise_is_not_right() -> None:
    verdicts = {KVM[0]: BASE, KVM[1]: BASE, KVM[2]: diverge(rule="sve.p")}
    assert pattern(KVM[:2], verdicts, KIND_OF) == "every kvm"


def test_all_but_the_model_are_all_that_there_are() -> None:
    third = {**KIND_OF, "board": Kind("board", 9, own=True)}
    wrong = (KVM[0], EMULATORS[0])
    verdicts: dict[str, Verdict] = {KVM[0]: BASE, EMULATORS[0]: BASE, "board": agree()}
    assert pattern(wrong, verdicts, third) == "emulator:keep,kvm:6.1:vhe"
    verdicts["board"] = BASE
    assert pattern((*wrong, "board"), verdicts, third) == ALL_BUT_THE_MODEL


def test_what_kinds_of_legs_there_are() -> None:
    assert all(name == kind.name for name, kind in KINDS.items())
    in_turn = sorted(KINDS.values(), key=lambda kind: kind.turn)
    assert [kind.name for kind in in_turn] == ["kvm", "emulator", "mutant", "model"]
    assert len({kind.turn for kind in in_turn}) == len(in_turn)
    assert [kind.name for kind in KINDS.values() if kind.own] == ["kvm", "emulator"]
    assert [kind.name for kind in KINDS.values() if kind.lends] == ["kvm", "mutant"]
    assert [kind.name for kind in KINDS.values() if kind.reference] == ["model"]
    assert [kind.name for kind in KINDS.values() if kind.kernel] == ["kvm"]
