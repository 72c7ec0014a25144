"""Attributes of vcpus and VMs, filters of hypercalls and capabilities, by the specification."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.ops import PMU, PMU_INIT, DeviceAttr, Init
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import Ask
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errno import (
    EBUSY,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOENT,
    ENOSYS,
    ENXIO,
)
from targets.spec.model import Model

MACHINE = Profile(kernel=(6, 12), features=Profile().features | 1 << 3)
LIFE = "create v0\ninit v0 features=sve,pmu_v3,psci_0_2\nfinalize v0\n"


def observed(text: str, machine: Profile = MACHINE) -> list[Observation]:
    """What the specification's own leg shows; it agrees with itself."""
    case = parse_case(text)
    trace = ModelTarget(machine).run(case)
    assert isinstance(judge(case, trace, machine), Agree)
    return list(trace.observations)


def rules(text: str, machine: Profile = MACHINE) -> frozenset[str]:
    case = parse_case(text)
    return judge(case, ModelTarget(machine).run(case), machine).rules


@pytest.mark.parametrize(
    ("text", "err", "rule"),
    [
        ("attr v0 get 0x5", ENXIO, "attr.group"),
        ("attr v0 has timer attribute=9", ENXIO, "attr.unknown"),
        ("attr v0 has timer attribute=3", 0, "attr.el2-timers"),
        ("attr v0 set timer value=0x17", EINVAL, "attr.timer-no-gic"),
        ("attr v0 set pvtime value=0x4000f020", EINVAL, "attr.pvtime-unaligned"),
        ("attr v0 set pvtime value=0x10000000000", EINVAL, "attr.pvtime-outside"),
        ("attr v0 set pvtime value=0x4000f000", 0, "attr.pvtime-set"),
        ("attr v0 set pvtime attribute=0x1", ENXIO, "attr.unknown"),
        ("attr v0 set pmu attribute=0x1", 0, "attr.pmu-init"),
        ("attr v0 set pmu value=0x17", EINVAL, "attr.pmu-no-gic"),
        ("attr v0 get pmu", EINVAL, "attr.pmu-no-gic"),
        ("attr v0 set pmu attribute=0x2", 0, "attr.pmu-other"),
        ("attr v1 get pmu", 9, "vcpu.missing"),
        ("enable-cap nisv_to_user flags=1", EINVAL, "enable.flags"),
        ("enable-cap eager_split", EINVAL, "enable.late-split"),
        ("enable-cap 0xffff", EINVAL, "enable.unknown"),
        ("filter 0x80000001", EEXIST, "filter.reserved"),
        ("filter 0xc2000000 count=0", EINVAL, "filter.malformed"),
        ("filter 0xffffffff count=0x10", EINVAL, "filter.malformed"),
        ("filter 0xc2000000 action=0x3", EINVAL, "filter.malformed"),
        ("filter 0xc2000000 count=0x10", 0, "filter.set"),
    ],
)
def test_what_a_call_answers(text: str, err: int, rule: str) -> None:
    assert observed(LIFE + text)[-1].err == err
    assert rule in rules(LIFE + text)


def test_a_strict_pmu_is_a_feature_of_7_3() -> None:
    def errs(features: str, machine: Profile, *more: str) -> list[int]:
        text = "\n".join(("create v0", f"init v0 features={features}", *more))
        return [seen.err for seen in observed(text, machine)]

    newer = replace(MACHINE, kernel=(7, 3))
    without = replace(newer, features=newer.features & ~(1 << 3))
    both = "pmu_v3,pmu_v3_strict"
    assert parse_case(f"create v0\ninit v0 features={both}").ops[1] == Init(0, 1 << 3 | 1 << 9)
    assert errs(both, newer) == [0, 0]
    assert errs("pmu_v3_strict", newer) == [0, EINVAL]
    assert errs(both, without) == [0, EINVAL]
    for older in ((6, 1), (6, 12), (7, 2)):
        assert errs(both, replace(newer, kernel=older)) == [0, ENOENT]
    assert errs(both, newer, "attr v0 set pmu attribute=1")[2] in (0, ENXIO)
    strict = Model(newer)
    for op in parse_case(f"create v0\ninit v0 features={both}").ops:
        strict.step(op)
    ready = strict.step(DeviceAttr(0, Ask.SET, PMU, PMU_INIT))
    assert (ready.rule, {one.err for one in ready.outcomes}) == ("attr.pmu-strict", {0, ENXIO})


def test_older_kernels_have_less() -> None:
    older = Profile(kernel=(6, 1))
    begin = "create v0\ninit v0\nfinalize v0\n"
    assert observed(begin + "filter 0xc2000000", older)[-1].err == EINVAL
    assert observed(begin + "attr v0 has timer attribute=3", older)[-1].err == ENXIO


@pytest.mark.parametrize(("kernel", "err"), [((6, 1), ENODEV), ((6, 12), 0)])
def test_a_vcpu_without_init_has_the_pmu_of_its_vm_since_features_are_the_vms(
    kernel: tuple[int, int], err: int
) -> None:
    machine = replace(MACHINE, kernel=kernel)
    text = "create v0\ncreate v1\ninit v1 features=sve,pmu_v3\n"
    assert observed(text + "attr v0 set pmu attribute=1", machine)[-1].err == err
    assert observed(text + "attr v1 set pmu attribute=1", machine)[-1].err == 0
    assert observed(text + "attr v0 has pmu attribute=1", machine)[-1].err == (ENXIO if err else 0)


def test_a_pmu_is_set_up_once_and_then_the_vcpu_runs() -> None:
    ready = "attr v0 set pmu attribute=0x1\n"
    assert observed(LIFE + "run v0 { }")[-1].err == EINVAL
    first, second, run = observed(LIFE + ready + ready + "run v0 { }")[-3:]
    assert (first.err, second.err, run.err) == (0, EBUSY, 0)
    without = "create v0\ninit v0\nfinalize v0\n" + ready
    assert observed(without)[-1].err == ENODEV
    again = observed(LIFE + ready + "init v0 features=sve,pmu_v3,psci_0_2\nrun v0 { }")
    assert [seen.err for seen in again[-2:]] == [0, 0]


def test_stolen_time_is_set_once_and_told() -> None:
    put = "attr v0 set pvtime value=0x4000f000\n"
    before, _, told, twice = observed(
        "create v0\nattr v0 get pvtime\n" + put + "attr v0 get pvtime\n" + put
    )[1:]
    assert before.data == b"\xff" * 8
    assert int.from_bytes(told.data, "little") == 0x4000_F000
    assert twice.err == EEXIST


def test_an_abort_without_syndrome_is_user_spaces_where_it_asked() -> None:
    load = "set v0 cpacr_el1 0x330000\nset v0 x1 0x50000000\nrun v0 {\nptrue p0.b\n"
    load = "create v0\ninit v0\nfinalize v0\n" + load + "ld1b {z3.b}, p0/z, [x1]\n}\n"
    assert observed(load)[-1].err == ENOSYS
    told = observed("enable-cap nisv_to_user\n" + load)[-1]
    assert (told.err, told.data[0]) == (0, 28)


def test_filters_meet_no_others_and_come_before_the_first_run() -> None:
    life = "create v0\ninit v0\nfinalize v0\nfilter 0xc2000000 count=0x10\n"
    assert observed(life + "filter 0xc200000f action=forward")[-1].err == EEXIST
    assert observed(life + "filter 0xc2000010 action=forward")[-1].err == 0
    assert observed(life + "run v0 { }\nfilter 0xc6000000")[-1].err == EBUSY


def test_a_host_counts_stolen_time_or_does_not() -> None:
    case = parse_case("create v0\nattr v0 has pvtime\nattr v0 get pvtime\n")
    here, absent = Observation(0), Observation(ENXIO)
    address = Observation(0, data=b"\xff" * 8)
    ways = (absent, absent, True), (absent, address, False), (here, absent, False)
    for first, second, fine in ways:
        verdict = judge(case, Trace((here, first, second)), MACHINE)
        assert isinstance(verdict, Agree if fine else Diverge)


@pytest.mark.parametrize(
    "text",
    [
        "filter 0xc2000000 action=forward\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
        "run v0 {\nmovz x0, #0xc200, lsl #16\nhvc #0\n}",
        "enable-cap system_suspend\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
        "run v0 {\nmovz x0, #0x8400, lsl #16\nmovk x0, #0xe\nhvc #0\n}",
        "attr v0 set pvtime value=0x4000f000\ninit v0\nfinalize v0\nrun v0 { }",
    ],
)
def test_runs_that_user_space_has_a_say_in_are_not_judged(text: str) -> None:
    case = parse_case("create v0\n" + text)
    verdict = judge(case, ModelTarget(MACHINE).run(case), MACHINE)
    assert isinstance(verdict, Agree)
    assert verdict.reason


def test_where_there_is_no_kernel_there_need_be_no_such_devices() -> None:
    case = parse_case("create v0\nattr v0 has timer\nfilter 0xc2000000\nenable-cap nisv_to_user")
    for machine, fine in ((Profile(kernel=(0, 0)), True), (MACHINE, False)):
        seen = Observation(0), Observation(ENXIO), Observation(ENXIO), Observation(EINVAL)
        verdict = judge(case, Trace(seen), machine)
        assert isinstance(verdict, Agree if fine else Diverge)
