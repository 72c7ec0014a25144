"""Protected VMs, by the specification."""

from __future__ import annotations

import random

import pytest

from corpus.case import Case
from corpus.ops import CreateVm
from corpus.text import parse_case
from corpus.trace import Observation
from fuzz.generate import random_case
from fuzz.generate.strangers import NOTHING, Beside, sometimes
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errno import EEXIST, EFAULT, EINVAL

PROTECTED = Profile(kernel=(7, 2), mode="protected")
LIFE = "create-vm protected\ncreate v0\ninit v0\nfinalize v0\n"
ON = "movz x0, #0x33, lsl #16\nmsr cpacr_el1, x0\nisb\n"


def shown(text: str, machine: Profile = PROTECTED) -> tuple[list[Observation], frozenset[str]]:
    """What the specification's own leg shows, which agrees with itself, and the rules used."""
    case = parse_case(text)
    trace = ModelTarget(machine).run(case)
    verdict = judge(case, trace, machine)
    assert isinstance(verdict, Agree)
    assert not verdict.reason
    return list(trace.observations), verdict.rules


def errors(text: str, machine: Profile = PROTECTED) -> list[int]:
    return [seen.err for seen in shown(text, machine)[0]]


def program(*lines: str) -> str:
    return "run v0 {\n" + "\n".join(lines) + "\n}\n"


def value(seen: Observation) -> int:
    return int.from_bytes(seen.data, "little")


@pytest.mark.parametrize(
    ("machine", "err"),
    [
        (PROTECTED, 0),
        (Profile(kernel=(6, 12), mode="protected"), EINVAL),
        (Profile(kernel=(7, 2), mode="nvhe"), EINVAL),
        (Profile(kernel=(0, 0)), EINVAL),
    ],
)
def test_the_mode_and_the_kernel_decide_whether_there_is_one(machine: Profile, err: int) -> None:
    assert errors("create-vm protected\ncreate v0\n", machine) == [err, 0]


def test_between_the_known_kernels_both_is_permitted() -> None:
    case = parse_case("create-vm protected\nfilter 0xc2000000\n")
    machine = Profile(kernel=(6, 19), mode="protected")
    for leg in (PROTECTED, Profile(kernel=(6, 12))):
        assert isinstance(judge(case, ModelTarget(leg).run(case), machine), Agree)


def test_a_vm_is_made_before_its_vcpus_and_with_a_type_that_there_is() -> None:
    assert errors("create-vm reserved\ncreate v0\ncreate-vm protected\n") == [EINVAL, 0, EEXIST]


def test_what_belongs_to_the_vm_is_refused() -> None:
    refused = errors("create-vm protected\nfilter 0xc2000000\nenable-cap nisv_to_user\n")
    assert refused == [0, EINVAL, EINVAL]


def test_memory_is_the_guests_from_its_first_run_on() -> None:
    text = "write-mem 0x8000 0x1\nread-mem 0x8000\n"
    assert errors(LIFE + text + program() + text)[-5:] == [0, 0, 0, EFAULT, EFAULT]


def test_its_guest_has_v_registers_that_user_space_does_not_see() -> None:
    first = program(ON, "movi v3.16b, #5")
    second = program(ON, "umov x2, v3.d[0]")
    seen, rules = shown(LIFE + "set v0 z3 0xab*\n" + first + second + "get v0 x2\nget v0 z3\n")
    assert value(seen[-2]) == 0x0505_0505_0505_0505
    assert seen[-1].data == b"\xab" * 256
    assert "protected.no-sve" in rules


def test_init_clears_them() -> None:
    first, second = program(ON, "movi v3.16b, #5"), program(ON, "umov x2, v3.d[0]")
    seen, _ = shown(LIFE + first + "init v0\n" + second + "get v0 x2\n")
    assert value(seen[-1]) == 0


@pytest.mark.parametrize("insn", ["rdvl x1, #1", "mrs x1, zcr_el1", "ptrue p0.b"])
def test_sve_is_undefined_there(insn: str) -> None:
    seen, _ = shown(LIFE + program(ON, insn) + "get v0 esr_el1\n")
    assert value(seen[-1]) == 1 << 25


def test_without_sve_the_v_registers_are_one() -> None:
    life = LIFE.replace("init v0\nfinalize v0", "init v0 features=psci_0_2")
    seen, rules = shown(life + "set v0 v3 0x5\n" + program(ON, "umov x2, v3.d[0]") + "get v0 x2\n")
    assert value(seen[-1]) == 5
    assert "protected.no-sve" not in rules


def test_an_access_without_syndrome_is_the_guests_own_affair() -> None:
    access = program(ON, "movz x1, #0x6000, lsl #16", "ld1 {v0.16b}, [x1]")
    seen, rules = shown(LIFE + access + "get v0 esr_el1\n")
    assert value(seen[-1]) == 0x25 << 26 | 1 << 25 | 0x10
    assert "protected.external-abort" in rules


def test_programs_lie_one_behind_the_other() -> None:
    seen, _ = shown(LIFE + program() + "get v0 pc\n" + program("nop") + "get v0 pc\n")
    assert [value(seen[n]) for n in (5, 7)] == [0x4000_1008, 0x4000_104C]


def _wants_protection(case: Case) -> bool:
    return any(isinstance(op, CreateVm) for op in case.ops)


def test_cases_ask_for_one_where_a_leg_has_such_alone() -> None:
    rng = random.Random(5)
    assert Beside.of([PROTECTED]).protected
    assert not Beside.of([Profile()]).protected
    cases = [sometimes(rng, random_case(rng), Beside(protected=True)) for _ in range(300)]
    assert 4 <= sum(map(_wants_protection, cases)) <= 24
    assert not any(_wants_protection(sometimes(rng, random_case(rng), NOTHING)) for _ in range(99))


def test_a_guest_of_a_protected_vm_that_waits_is_not_judged() -> None:
    for vm, judged in (("create-vm protected\n", 4), ("", 4)):
        case = parse_case(f"{vm}create v0\ninit v0\nfinalize v0\nrun v0 {{\nwfi-loop #3\n}}\n")
        verdict = judge(case, ModelTarget(PROTECTED).run(case), PROTECTED)
        assert isinstance(verdict, Agree)
        assert verdict.judged == judged
        assert bool(verdict.reason) == bool(vm)
