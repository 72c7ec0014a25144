"""What a kept case says of legs: what they do wrong, and what they must be spared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from corpus.domain import TextError
from corpus.kept import load_kept
from corpus.text import parse_case
from db.records import LegRecord
from fuzz.oracle.conformance import judge
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Agree
from targets.model.target import ModelTarget, foreseen, is_avoided
from targets.profile import Profile

LATE = "run.late-vcpu-in-protected-mode"
VCPU = "create v{0}\ninit v{0}\nfinalize v{0}\nrun v{0} {{ }}\n"


def kept(folder: Path, head: str) -> Path:
    path = folder / "one.case"
    path.write_text(head + VCPU.format(0))
    return path


def test_what_a_leg_must_be_spared_depends_on_its_machine(tmp_path: Path) -> None:
    text = f"# machine: release=6.12.*\n# machine: mode=protected\n# avoid: kvm {LATE}\n"
    knowledge = Knowledge([load_kept(kept(tmp_path, text))])

    def avoided(kind: str, release: str, mode: str) -> frozenset[str]:
        leg = LegRecord("of any name", kind, {"release": release, "mode": mode})
        return knowledge.avoided(leg)

    assert avoided("kvm", "6.12.9", "protected") == {LATE}
    assert not avoided("kvm", "7.2.1", "protected")
    assert not avoided("kvm", "6.12.9", "vhe")
    assert not avoided("emulator", "6.12.9", "protected")


@pytest.mark.parametrize(
    ("head", "mode", "kernel", "warns"),
    [
        ("create-vm protected\n", "protected", (7, 2), True),
        ("create-vm protected\n", "protected", (6, 12), False),
        ("create-vm protected\n", "vhe", (7, 2), False),
        ("", "protected", (7, 2), False),
    ],
)
def test_counters_of_a_protected_vcpu_are_foreseen(
    head: str, mode: str, kernel: tuple[int, int], warns: bool
) -> None:
    case = parse_case(f"{head}create v0\ninit v0\nfinalize v0\nmigrate v0\n")
    foresees = foreseen(case, Profile(mode=mode, kernel=kernel))
    assert ("migrate.counters-of-a-protected-vcpu" in foresees) == warns


@pytest.mark.parametrize(
    ("hcr", "pstate", "warns"),
    [
        ("0x8", "0x3c5", True),
        ("0x10", "0x3c0", True),
        ("0x18", "0x3c5", False),
        ("0x0", "0x3c5", False),
        ("0x8", "0x3c9", False),
        ("0x20", "0x3c5", False),
    ],
)
def test_one_kind_of_interrupts_that_goes_to_el2_is_foreseen_below_it(
    hcr: str, pstate: str, warns: bool
) -> None:
    text = f"set v0 hcr_el2 {hcr}\nset v0 pstate {pstate}\nrun v0 {{ }}\n"
    case = parse_case(f"create v0\ninit v0 features=sve,has_el2\nfinalize v0\n{text}")
    machine = Profile(features=0x1FF, mode="nested", kernel=(7, 2))
    foresees = foreseen(case, machine)
    assert ("el2.one-of-irq-and-fiq" in foresees) == warns


def test_what_cannot_be_predicted_hides_nothing_that_comes_behind_it() -> None:
    """Neither a register that is not modelled, which may be there or not, nor an op like that."""
    behind = "set v0 pstate 0x3c5\nset v0 hcr_el2 0x8\nrun v0 { }\n"
    up = "create v0\ninit v0 features=sve,has_el2\nfinalize v0\n"
    machine = Profile(features=0x1FF, mode="nested", kernel=(7, 2))
    for before in ("set v0 0x603000000013d080 1\n", "set-events v0 serror=yes\n"):
        assert "el2.one-of-irq-and-fiq" in foreseen(parse_case(up + before + behind), machine)
    avoiding = replace(machine, avoid=frozenset({"el2.one-of-irq-and-fiq"}))
    assert is_avoided(parse_case(up + behind), avoiding)
    assert not is_avoided(parse_case(up), avoiding)
    assert not is_avoided(parse_case(up + behind), machine)


def test_where_a_guest_comes_to_it_by_a_way_that_was_not_foreseen_judging_ends() -> None:
    """Whether an exception is taken may be the CPU's choice: EL0 may not write keys, EL1 may."""
    rule = "pauth.in-protected-mode"
    up = "create v0\ninit v0 features=ptrauth_address,ptrauth_generic\n"
    machine = Profile(features=0x7F, mode="protected", kernel=(6, 12), avoid=frozenset({rule}))
    ways = {
        mode: parse_case(f"{up}set v0 pstate {mode:#x}\nrun v0 {{\nmsr apgakeylo_el1, x0\n}}\n")
        for mode in (0x3C0, 0x3C5)
    }
    assert [is_avoided(case, machine) for case in ways.values()] == [False, True]
    for mode, case in ways.items():
        known = judge(case, ModelTarget(replace(machine, avoid=frozenset())).run(case), machine)
        assert isinstance(known, Agree)
        assert (known.judged, rule in known.reason) == ((4, False) if mode == 0x3C0 else (3, True))


@pytest.mark.parametrize(
    ("ops", "stops"),
    [
        ("init v0 features=pmu_v3\nrun v0 { }\ninit v0 features=pmu_v3\n", True),
        ("init v0\nrun v0 { }\ninit v0\n", False),
        ("init v0 features=pmu_v3\nget v0 x0\ninit v0 features=pmu_v3\n", False),
    ],
)
def test_another_init_behind_a_run_that_a_pmu_forbade_is_foreseen(ops: str, stops: bool) -> None:
    foresees = foreseen(parse_case(f"create v0\n{ops}"), Profile(kernel=(6, 1)))
    assert ("init.stops-timers" in foresees) == stops


@pytest.mark.parametrize(
    "line",
    [
        *("# avoid: kvm", "# avoid:", "# diverges: model", "# machine: x"),
        *("# diverges: kvm:6.12:* isa.x", "# diverges: mutant isa.x"),
    ],
)
def test_a_line_that_is_not_understood_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(TextError, match="write"):
        load_kept(kept(tmp_path, line + "\n"))


@pytest.mark.parametrize(
    ("mode", "kernel", "text", "late"),
    [
        ("protected", (6, 12), VCPU.format(0) + VCPU.format(1), True),
        ("protected", (6, 1), VCPU.format(0) + VCPU.format(1), False),
        ("vhe", (6, 12), VCPU.format(0) + VCPU.format(1), False),
        ("protected", (6, 12), "create v1\n" + VCPU.format(0) + "run v1 { }\n", False),
    ],
)
def test_a_late_vcpu_is_foreseen(mode: str, kernel: tuple[int, int], text: str, late: bool) -> None:
    profile = Profile(mode=mode, kernel=kernel)
    assert (LATE in foreseen(parse_case(text), profile)) == late
