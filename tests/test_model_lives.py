"""Lives of vcpus whose rules differ between kernels."""

from __future__ import annotations

import pytest

from corpus.text import parse_case
from corpus.trace import Observation, Trace
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errno import E2BIG

REFUSED = parse_case("create v0\ninit v0 features=pmu_v3,bit41\ninit v0\ninit v0\n")
HALF_PTRAUTH = parse_case("create v0\ninit v0 features=el1_32bit,ptrauth_address\ninit v0\n")
STOPPED_LATER = parse_case("create v0\ninit v0\ninit v0 features=sve,power_off\n")


@pytest.mark.parametrize(("kernel", "judged"), [((6, 1), 2), ((6, 12), 4), ((7, 2), 4)])
def test_what_a_refused_init_leaves_behind(kernel: tuple[int, int], judged: int) -> None:
    profile = Profile(kernel=kernel)
    verdict = judge(REFUSED, ModelTarget(profile).run(REFUSED), profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == judged
    assert ("left a part of its features" in verdict.reason) == (judged == 2)


@pytest.mark.parametrize(("kernel", "judged"), [((6, 1), 2), ((6, 12), 3)])
def test_a_refused_init_fixes_the_register_width_of_old_vms(
    kernel: tuple[int, int], judged: int
) -> None:
    profile = Profile(kernel=kernel)
    verdict = judge(HALF_PTRAUTH, ModelTarget(profile).run(HALF_PTRAUTH), profile)
    assert isinstance(verdict, Agree)
    assert verdict.judged == judged


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
