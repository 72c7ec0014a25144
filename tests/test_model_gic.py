"""VMs with an interrupt controller that KVM serves, and guests that read it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.ops import HostRun, Run
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import GIC_DIST, MMIO_BASE, RUN_DATA, VECTOR_MMIO, Stage
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.model.target import ModelTarget, foreseen
from targets.profile import Profile
from targets.spec.errno import EBUSY, EEXIST, ENODEV

MACHINE = Profile()
LIFE = "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
ON = "movz x0, #51, lsl #16\nmsr cpacr_el1, x0\nisb\nmov x0, #0\nmsr zcr_el1, x0\n"
_MMIO = 6


def told(text: str, machine: Profile = MACHINE) -> tuple[Agree, list[Observation]]:
    """What the specification says of a case, and what its own leg shows, which agrees."""
    case = parse_case(text)
    trace = ModelTarget(machine).run(case)
    verdict = judge(case, trace, machine)
    assert isinstance(verdict, Agree)
    return verdict, list(trace.observations)


def errors(text: str, machine: Profile = MACHINE) -> list[int]:
    verdict, seen = told(text, machine)
    assert not verdict.reason
    return [one.err for one in seen]


def judged(text: str, changed: int, data: bytes, err: int = 0, aux: int = 0) -> Verdict:
    """What is said of the case where op `changed` shows this."""
    case = parse_case(text)
    seen = list(ModelTarget(MACHINE).run(case).observations)
    seen[changed] = Observation(err, aux, data)
    return judge(case, Trace(tuple(seen)), MACHINE)


def exited(seen: Observation) -> tuple[int, ...]:
    """Reason, whether it is a write, address, value, length, flags."""
    return RUN_DATA.unpack_from(seen.data)


def program(*lines: str) -> str:
    return "run v0 {\n" + "\n".join(lines) + "\n}\n"


def value(seen: Observation) -> int:
    return int.from_bytes(seen.data, "little")


def test_there_is_one_where_the_machine_has_such_and_before_a_run() -> None:
    assert errors("create-gic\ncreate v0\n") == [0, EBUSY]
    assert errors(f"{LIFE}create-gic\ncreate-gic\ncreate v1\n")[3:] == [0, EEXIST, EBUSY]
    assert errors(f"{LIFE}{program('nop')}create-gic\ncreate v1\n")[4:] == [EBUSY, 0]
    assert errors(f"{LIFE}run v0 immediate=yes {{ }}\ncreate-gic\n")[-1] == EBUSY
    none = replace(MACHINE, gic=False)
    assert errors(f"{LIFE}create-gic\ncreate-gic\ncreate v1\n", none)[3:] == [ENODEV, ENODEV, 0]


def test_a_machine_that_was_not_asked_may_have_it_or_not() -> None:
    case = parse_case("create-gic\ncreate v0\n")
    asked = replace(MACHINE, gic=None)
    for here in (True, False):
        trace = ModelTarget(replace(MACHINE, gic=here)).run(case)
        assert isinstance(judge(case, trace, asked), Agree)
    assert isinstance(judge(case, Trace((Observation(0), Observation(0))), asked), Diverge)


def test_another_vm_is_without() -> None:
    other = "create v3\ninit v3\nfinalize v3\nrun v3 {\nmmio-loop #3\n}\n"
    _, seen = told(f"create-gic\n{other}", replace(MACHINE, two_vms=True))
    assert exited(seen[-1])[2] == GIC_DIST + 4


def test_one_of_a_vm_that_is_replaced_goes_with_it() -> None:
    protected = replace(MACHINE, kernel=(7, 2), mode="protected")
    text = "create-gic\ncreate-vm protected\ncreate v0\n"
    assert errors(text, protected) == [0, 0, 0]
    assert errors("create-gic\ncreate-vm protected\ncreate v0\n")[2] == EBUSY


def test_a_guest_that_reads_it_stays_in_the_kernel_and_keeps_all_but_two_registers() -> None:
    run = program("mmio-loop #9", "mov x5, #5")
    text = f"{LIFE}set v0 x0 7\nset v0 x1 8\ncreate-gic\n{run}"
    verdict, seen = told(text + "".join(f"get v0 x{n}\n" for n in (0, 1, 5, 28)))
    assert "gic.serves" in verdict.rules
    assert exited(seen[6])[:3] == (_MMIO, 1, MMIO_BASE)
    assert [value(one) for one in seen[7:]] == [0, 8, 5, 0]
    wrong = judged(f"{text}get v0 x0\n", 7, GIC_DIST.to_bytes(8, "little"))
    assert isinstance(wrong, Diverge)
    assert "isa.mmio_loop" in wrong.rule


def test_that_it_goes_to_user_space_all_the_same_is_wrong() -> None:
    left = RUN_DATA.pack(_MMIO, 0, GIC_DIST + 4, 0, 4, 0)
    assert isinstance(judged(f"{LIFE}create-gic\n{program('mmio-loop #9')}", 4, left), Diverge)
    assert isinstance(judged(f"{LIFE}{program('mmio-loop #9')}", 3, left), Agree)


def test_where_nobody_serves_it_the_first_read_goes_to_user_space() -> None:
    text = f"{LIFE}set v0 x0 7\n{program('mmio-loop #9', 'mov x5, #5')}"
    verdict, seen = told(f"{text}get v0 x0\nget v0 x28\nget v0 x5\nget v0 pc\n")
    assert "run.mmio-load" in verdict.rules
    assert exited(seen[4]) == (_MMIO, 0, GIC_DIST + 4, 0, 4, 0)
    assert [value(one) for one in seen[5:]] == [0, 9, 0, 0x4000_1000 + 3 * 4]


@pytest.mark.parametrize("gic", ["create-gic\n", ""])
def test_behind_stage_1_it_is_not_mapped(gic: str) -> None:
    verdict, seen = told(f"{LIFE}{gic}{program('stage-1-on', 'mmio-loop #9')}get v0 far_el1\n")
    assert "exception.data-abort" in verdict.rules
    assert exited(seen[-2])[2] == VECTOR_MMIO + 8 * 4
    assert value(seen[-1]) == GIC_DIST + 4


def test_el0_reads_it_as_well() -> None:
    verdict, seen = told(f"{LIFE}create-gic\n{program('eret-to el0t', 'mmio-loop #9')}")
    assert not verdict.reason
    assert exited(seen[-1])[2] == MMIO_BASE


def test_what_it_costs_the_bits_above_the_length_is_left_open() -> None:
    text = f"{LIFE}set v0 z3 0xab*\ncreate-gic\n{program(ON, 'mmio-loop #9')}get v0 z3\n"
    low, tail = b"\xab" * 16, b"\xab" * 240
    for data, fine in ((low + tail, True), (low + bytes(240), True), (bytes(256), False)):
        assert isinstance(judged(text, 6, data), Agree if fine else Diverge)


def test_a_protected_vm_may_have_one() -> None:
    machine = replace(MACHINE, kernel=(7, 2), mode="protected")
    verdict, _ = told(f"create-vm protected\n{LIFE}create-gic\n{program('mmio-loop #9')}", machine)
    assert not verdict.reason
    assert "gic.serves" in verdict.rules


def test_its_id_register_is_open_when_it_comes_and_then_stays() -> None:
    life = "create v0\ninit v0\nfinalize v0\nget v0 id_aa64pfr0_el1\ncreate-gic\n"
    look = "get v0 id_aa64pfr0_el1\n"
    case = parse_case(life + look + program("nop") + look + look)
    seen = list(ModelTarget(MACHINE).run(case).observations)
    sve = 1 << 32

    def shown(*values: int) -> Verdict:
        now = list(seen)
        for at, field in zip((3, 5, 7, 8), values, strict=True):
            now[at] = Observation(0, 0, (sve | field << 24).to_bytes(8, "little"))
        return judge(case, Trace(tuple(now)), MACHINE)

    assert isinstance(shown(0, 1, 1, 1), Agree)
    assert isinstance(shown(1, 1, 1, 1), Agree)
    assert isinstance(shown(0, 1, 1, 0), Diverge)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("init v0 features=sve,has_el2\nfinalize v0\ncreate-gic\n", "beside EL2"),
        ("create-gic\ninit v0 features=sve,has_el2\nfinalize v0\nrun v0 { }\n", "beside EL2"),
        (
            "init v0\nfinalize v0\ncreate-gic\nattr v0 set timer value=0x17\nrun v0 { }\n",
            "interrupts of their own",
        ),
        (
            "init v0 features=sve,pmu_v3\nfinalize v0\nattr v0 set pmu attribute=1\ncreate-gic\n"
            "run v0 { }\n",
            "a PMU beside",
        ),
        (
            "init v0 features=sve,pmu_v3\nfinalize v0\nrun v0 { }\ncreate-gic\n",
            "a run that was refused",
        ),
        (
            "init v0\nfinalize v0\ncreate-gic\nrun v0 {\nwfi-loop #3\n}\n",
            "waits beside an interrupt",
        ),
        (
            "init v0\nfinalize v0\ncreate-gic\nrun v0 {\nmovz x1, #0x800, lsl #16\n"
            "ldr x2, [x1]\n}\n",
            "outside guest RAM",
        ),
        (
            "init v0 features=sve,has_el2\nfinalize v0\nrun v0 {\nmmio-loop #3\n}\n",
            "that no create-gic made",
        ),
    ],
)
def test_what_is_not_judged(text: str, says: str) -> None:
    machine = Profile(kernel=(7, 1), features=0xFF, mode="nested")
    case = parse_case(f"create v0\n{text}")
    seen = list(ModelTarget(machine).run(case).observations)
    chosen = [Observation(0, one.aux, one.data) if not one.err else one for one in seen]
    if "set timer" in text:
        chosen[4] = Observation(0)
    if "pmu attribute" in text:
        chosen[3] = Observation(0)
    verdict = judge(case, Trace(tuple(chosen)), machine)
    assert isinstance(verdict, Agree)
    assert says in verdict.reason


def test_a_migration_finds_no_vcpu_to_go_to() -> None:
    _, seen = told(f"{LIFE}create-gic\nmigrate v0 to=v2\n")
    assert (seen[-1].err, seen[-1].aux) == (EBUSY, Stage.CREATE)
    _, seen = told(f"create v2\n{LIFE}create-gic\nmigrate v0 to=v2\n")
    assert (seen[-1].err, seen[-1].aux) == (EEXIST, Stage.CREATE)


def test_a_host_thread_runs_such_guests_too() -> None:
    case = parse_case(f"{LIFE}create-gic\nhost-run v0 vl=32 {{\nmmio-loop #9\n}}\nget v0 x28\n")
    assert isinstance(case.ops[4], HostRun)
    assert not isinstance(case.ops[4], Run)
    trace = ModelTarget(MACHINE).run(case)
    verdict = judge(case, trace, MACHINE)
    assert isinstance(verdict, Agree)
    assert not verdict.reason
    assert value(trace.observations[5]) == 0


@pytest.mark.parametrize(
    ("life", "slot", "warns"),
    [
        ("create v2\ninit v2\nfinalize v2\ncreate-gic\n", 2, True),
        ("create v2\ninit v2\nfinalize v2\ncreate v0\ncreate-gic\n", 2, True),
        ("create v1\ninit v1\nfinalize v1\ncreate v0\ncreate-gic\n", 1, False),
        ("create v2\ninit v2\nfinalize v2\n", 2, False),
    ],
)
def test_an_id_that_there_are_too_few_vcpus_for_is_foreseen(
    life: str, slot: int, warns: bool
) -> None:
    case = parse_case(f"{life}run v{slot} {{ }}\n")
    assert ("gic.any-id" in foreseen(case, replace(MACHINE, kernel=(6, 1)))) == warns
