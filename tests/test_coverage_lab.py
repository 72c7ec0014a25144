"""Kernel coverage of unmodified kernels: what a case reaches, and no other case's blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.text import parse_case
from targets.base import WireTarget
from targets.kvm import legname
from targets.kvm.lab import plugins
from targets.kvm.lab.coverage.names import NVHE

pytestmark = pytest.mark.lab

UP = "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
SET_Z = UP + "set v0 z3 0xab*\n"
RUN = UP + "run v0 {\n    isb\n}\n"


def opened(name: str) -> WireTarget:
    return WireTarget(name, "kvm", legname.open_transport(legname.parse(name), coverage=True))


@pytest.fixture(scope="module")
def vhe() -> Iterator[WireTarget]:
    with opened("kvm:6.12:vhe") as leg:
        assert isinstance(leg, WireTarget)
        yield leg


def reached(leg: WireTarget, text: str) -> set[str]:
    leg.run(parse_case(text))
    assert leg.code is not None
    found = [leg.code.function_at(block) for block in leg.blocks]
    assert None not in found
    return {function.name.partition(".")[0] for function in found if function}


def test_a_run_reaches_the_run_ioctl_and_the_world_switch(vhe: WireTarget) -> None:
    names = reached(vhe, RUN)
    assert {"kvm_arch_vcpu_ioctl_run", "__kvm_vcpu_run", "__guest_enter"} <= names
    assert not {name for name in names if name.startswith("__kvm_nvhe_")}


def test_only_a_case_that_sets_a_z_register_reaches_that_code(vhe: WireTarget) -> None:
    # The compiler inlines set_sve_reg; what it calls to find the register is a function.
    assert "sve_reg_to_region" not in reached(vhe, UP)
    assert {"kvm_arm_set_reg", "sve_reg_to_region"} <= reached(vhe, SET_Z)
    assert "sve_reg_to_region" not in reached(vhe, UP)


def test_a_case_that_runs_nothing_does_not_reach_the_run_ioctl(vhe: WireTarget) -> None:
    assert "kvm_arch_vcpu_ioctl_run" not in reached(vhe, SET_Z)


def test_cases_in_flight_together_keep_their_blocks_apart(vhe: WireTarget) -> None:
    assert vhe.code is not None
    first, second = (vhe.submit(parse_case(text)) for text in (RUN, SET_Z))
    functions = []
    for ticket in (first, second):
        vhe.collect(ticket)
        found = [vhe.code.function_at(block) for block in vhe.blocks]
        functions.append({f.name.partition(".")[0] for f in found if f})
    assert "kvm_arch_vcpu_ioctl_run" in functions[0] - functions[1]
    assert "sve_reg_to_region" in functions[1] - functions[0]


def test_blocks_come_once_each_and_nearly_the_same_again(vhe: WireTarget) -> None:
    seen = []
    for _ in range(3):
        vhe.run(parse_case(SET_Z))
        assert len(set(vhe.blocks)) == len(vhe.blocks)
        seen.append(set(vhe.blocks))
    assert len(set.intersection(*seen)) > 0.95 * len(set.union(*seen))


def test_under_nvhe_hyp_text_is_recognised_and_the_rest_keeps_its_blocks(vhe: WireTarget) -> None:
    vhe.run(parse_case(RUN))
    with opened("kvm:6.12:nvhe") as leg:
        assert isinstance(leg, WireTarget)
        names = reached(leg, RUN)
        assert {"__kvm_nvhe___kvm_vcpu_run", "__kvm_nvhe___guest_enter"} <= names
        assert "__kvm_vcpu_run" not in names
        assert leg.code == vhe.code
        assert leg.code is not None
        areas = {f.area for b in leg.blocks if (f := leg.code.function_at(b))}
        assert NVHE in areas
        common = set(leg.blocks) & set(vhe.blocks)
        assert len(common) > 0.5 * len(vhe.blocks)


@pytest.mark.parametrize("name", ["kvm:newest:nested", "kvm:6.12:vhe:qemu=11"])
def test_a_newer_qemu_counts_too(name: str) -> None:
    # QEMU 10, in which nested legs run, has another way of counting without a call, and QEMU 11
    # tells of translations in another way.
    with opened(name) as leg:
        assert isinstance(leg, WireTarget)
        names = reached(leg, SET_Z)
        assert "kvm_arm_set_reg" in names
        assert "kvm_arch_vcpu_ioctl_run" not in names
        assert "kvm_arch_vcpu_ioctl_run" in reached(leg, RUN)


def test_without_a_compiler_a_leg_runs_and_says_why_it_has_no_coverage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plugins, "compiler", lambda: None)
    with opened("kvm:6.12:vhe") as leg:
        assert leg.run(parse_case(UP)).observations
        assert leg.code is None
        assert not leg.blocks
        assert leg.no_coverage.startswith("gcc is not installed")


def test_coverage_is_off_unless_asked_for() -> None:
    transport = legname.open_transport(legname.parse("kvm:6.12:vhe"))
    assert transport.code is None
    assert transport.no_coverage == ""


SIGNALS = UP + "".join(
    f"disturb signal after={delay} {{\n    run v0 {{\n        hvc-loop #30\n    }}\n}}\n"
    for delay in range(20_000, 200_000, 30_000)
)


def test_where_a_stranger_came_into_the_kernel_is_told(vhe: WireTarget) -> None:
    assert vhe.code is not None
    assert vhe.code.vectors
    found: set[int] = set()
    for _ in range(5):
        vhe.run(parse_case(SIGNALS))
        assert set(vhe.interrupted) <= set(vhe.blocks)
        found |= set(vhe.interrupted)
    stores_in_generated_code = plugins.interface(plugins.COVERAGE, vhe.fingerprint["lab.qemu"]) >= 7
    assert bool(found) == stores_in_generated_code
