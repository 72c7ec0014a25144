"""Lives of vcpus whose rules differ between kernels."""

from __future__ import annotations

import pytest

from corpus.case import Case
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errno import E2BIG, EINVAL, ENOENT, ENXIO

PMU_V3 = 1 << 3
STOPPED_LATER = parse_case("create v0\ninit v0\ninit v0 features=sve,power_off\n")


@pytest.mark.parametrize(("kernel", "err"), [((6, 1), 0), ((6, 12), ENXIO), ((7, 2), ENXIO)])
def test_what_a_refused_init_leaves_behind(kernel: tuple[int, int], err: int) -> None:
    """A PMU, in 6.1."""
    text = "attr v0 has pmu attribute=1\n"
    case = parse_case(f"create v0\ninit v0 features=pmu_v3,bit41\n{text}init v0\n{text}")
    assert errs(case, kernel) == [0, ENOENT, err, 0, err]


def errs(case: Case, kernel: tuple[int, int]) -> list[int]:
    """How the ops of a case end that is judged in full."""
    profile = Profile(kernel=kernel, features=Profile().features | PMU_V3)
    trace = ModelTarget(profile).run(case)
    verdict = judge(case, trace, profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == len(case.ops)
    return [seen.err for seen in trace.observations]


@pytest.mark.parametrize(("kernel", "err"), [((6, 1), 0), ((6, 12), EINVAL)])
def test_vcpus_of_old_vms_have_features_of_their_own(kernel: tuple[int, int], err: int) -> None:
    text = "create v0\ncreate v1\ninit v0 features=sve\ninit v1 features=psci_0_2\n"
    with_sve = parse_case(text + "finalize v0\nget v0 z0\nget v0 id_aa64pfr0_el1\n")
    assert errs(with_sve, kernel) == [0, 0, 0, err, 0, 0, 0]
    if not err:
        without = parse_case(text + "get v1 z0\nfinalize v1\nget v1 v0\ninit v1 features=sve\n")
        assert errs(without, kernel)[4:] == [ENOENT, EINVAL, 0, EINVAL]
        wide = parse_case(text + "create v2\ninit v2 features=el1_32bit\n")
        assert errs(wide, kernel)[-1] == EINVAL


@pytest.mark.parametrize(("features", "judged"), [("sve", 4), ("sve,psci_0_2", 3)])
def test_what_a_vcpu_with_other_features_takes_of_a_migration_is_not_judged(
    features: str, judged: int
) -> None:
    text = f"create v0\ninit v0 features={features}\nfinalize v0\nmigrate v0 to=v1 features=sve\n"
    case, profile = parse_case(text), Profile(kernel=(6, 1))
    verdict = judge(case, ModelTarget(profile).run(case), profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == judged


def test_a_vcpu_may_have_sve_after_an_init_of_an_old_kernel_that_failed() -> None:
    case = parse_case(
        "create v0\ncreate v1\ninit v0\ninit v1 features=sve,ptrauth_address\n"
        "init v1 features=none\n"
    )
    profile = Profile(kernel=(6, 1))
    verdict = judge(case, ModelTarget(profile).run(case), profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == 4


@pytest.mark.parametrize(("kernel", "err"), [((6, 1), EINVAL), ((6, 12), 0)])
@pytest.mark.parametrize("second", ["v0", "v1"])
def test_a_refused_init_fixes_the_register_width_of_old_vms(
    kernel: tuple[int, int], err: int, second: str
) -> None:
    refused = "create v0\ncreate v1\ninit v0 features=el1_32bit,ptrauth_address\n"
    other = parse_case(f"{refused}init {second}\ninit {second} features=el1_32bit\n")
    assert errs(other, kernel) == [0, 0, EINVAL, err, 0 if err else EINVAL]


def test_a_refused_init_that_is_of_another_width_leaves_no_sve() -> None:
    wide = "init v1 features=el1_32bit,sve,ptrauth_address\n"
    case = parse_case(f"create v0\ncreate v1\ninit v0\n{wide}init v1 features=none\nfinalize v1\n")
    assert errs(case, (6, 1)) == [0, 0, 0, EINVAL, 0, EINVAL]


def test_with_sve_asked_for_it_does_not_matter_that_it_was_left() -> None:
    refused = "create v0\ninit v0 features=sve,ptrauth_generic\n"
    case = parse_case(f"{refused}init v0 features=sve\nfinalize v0\n")
    assert errs(case, (6, 1)) == [0, EINVAL, 0, 0]


@pytest.mark.parametrize(("kernel", "err"), [((6, 1), 22), ((6, 12), 0)])
def test_power_off_counts_as_a_feature_in_old_kernels(kernel: tuple[int, int], err: int) -> None:
    trace = ModelTarget(Profile(kernel=kernel)).run(STOPPED_LATER)
    assert [seen.err for seen in trace.observations] == [0, 0, err]


@pytest.mark.parametrize(("room", "err"), [("exact", 0), ("one_less", E2BIG)])
@pytest.mark.parametrize("features", ["sve", "none"])
def test_a_list_fits_into_as_much_room_as_was_told(room: str, err: int, features: str) -> None:
    ready = "finalize v0\n" if features == "sve" else ""
    case = parse_case(f"create v0\ninit v0 features={features}\n{ready}reg-list v0 room={room}\n")
    *before, seen = ModelTarget(Profile()).run(case).observations
    assert seen.err == err
    assert isinstance(judge(case, Trace((*before, seen)), Profile()), Agree)
    other = Observation(E2BIG - err, seen.aux, seen.data)
    verdict = judge(case, Trace((*before, other)), Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.op_index, verdict.label) == (len(case.ops) - 1, "errno")
