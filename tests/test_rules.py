"""The table of rules: no row without use, no use without a row, and rows that changed."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase

import pytest

from corpus.wire import Stranger
from fuzz.generate import random_case
from fuzz.generate.strangers import Beside, sometimes
from fuzz.oracle.conformance import judge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.rules import RULES, by_kernel, in_force, is_strict
from targets.spec.rules.needs import NEEDS, reachable

OTHERWISE_EXERCISED = {
    "core.v-set": "only reads and writes of V on vcpus without SVE reach it",
    "init.aarch32-el2": "needs a machine that offers both features",
    "psci.suspend": "costs a KVM leg half a second, so nothing generates it on purpose",
    "psci.cpu-off": "as psci.suspend",
    "psci.waits": "as psci.suspend",
    "init.aarch32-mte": "takes a VM with memory tagging; tests/test_model_mte.py",
    "init.strict-alone": "about a feature of 7.3; tests/test_model_devices.py",
    "events.goes-to-el2": "below EL2; tests/test_model_events.py",
    "init.forgets-aborts": "on kernels that have aborts pend; tests/test_model_injected_aborts.py",
    "run.timer-trap": "a loop beside something, at EL0; tests/test_model_waiting.py",
    "legs.agree": "about several legs, and the model is one",
    "exception.no-memory-at-vectors": "takes an INIT between the parts of another thread's run",
    "ending.ok": "about traces, and the model's own always end well",
}
PROFILES = (
    Profile(),
    Profile(vqs=0b1011, features=0x35, el0_32bit=False),
    Profile(
        features=0x1F,
        kernel=(0, 0),
        host_thread=False,
        pauth=False,
        mte=0,
        gic=False,
        lacks=frozenset({"sve2", "bf16", "i8mm", "pauth", "mte"}),
    ),
    Profile(kernel=(6, 1), mte=1),
    Profile(strangers=frozenset({"thread", "signal", "step"}), threads=True, svqs=0x808B),
)
BESIDE = Beside(tuple(Stranger), threads=True, sme=True)


def test_there_are_enough_and_each_says_something() -> None:
    assert len(RULES) >= 150
    assert len({rule.text for rule in RULES.values()}) == len(RULES)
    assert all(rule.source and rule.cls in ("ARCH", "ABI", "IMPL") for rule in RULES.values())


@pytest.mark.long
def test_generated_cases_reach_the_rules() -> None:
    rng = random.Random(20)
    # tests/test_model_el2.py, test_journey.py, test_model_devices.py, test_model_protected.py and
    # test_model_mte.py, test_selfsame.py, test_model_gic.py
    elsewhere: tuple[str, ...] = (
        "el2.",
        "carry.",
        "attr.",
        "protected.",
        "vm.type-",
        "mte.",
        "self.",
    )
    elsewhere += "gic.", "id.gic-comes"
    missed = {r for r in RULES if not r.startswith(elsewhere)} - set(OTHERWISE_EXERCISED)
    for number in range(6000):
        profile = PROFILES[number % len(PROFILES)]
        case = sometimes(rng, random_case(rng), BESIDE)
        missed -= judge(case, ModelTarget(profile).run(case), profile).rules
        if len(missed) <= 0.05 * len(RULES):
            return
    pytest.fail(f"none of 6000 cases reaches {sorted(missed)}")


@pytest.mark.parametrize(
    ("kernel", "bits"), [((6, 1), 0x7F), ((6, 12), 0x7F), ((7, 2), 0x1FF), ((7, 3), 0x3FF)]
)
def test_assigned_features_by_kernel(kernel: tuple[int, int], bits: int) -> None:
    assert by_kernel("init.unknown-feature", kernel) == bits


def test_a_rule_holds_from_its_first_kernel_on() -> None:
    assert not in_force("init.vm-wide-features", (6, 1))
    assert in_force("init.vm-wide-features", (6, 12))
    assert in_force("init.vm-wide-features", (0, 0))


def test_instruction_rules_and_promises_are_strict() -> None:
    assert is_strict("isa.ptrue")
    assert is_strict("finalize.twice")
    assert not is_strict("core.hole")


@pytest.mark.parametrize("pattern", NEEDS)
def test_what_a_rule_needs_is_said_of_rules_that_there_are(pattern: str) -> None:
    assert any(fnmatchcase(rule, pattern) for rule in RULES)


def test_a_machine_reaches_the_rules_about_what_it_has() -> None:
    plain = Profile(features=0x35, el0_32bit=False)
    beyond = {rule for rule in RULES if not reachable(rule, plain)}
    assert {"el2.init", "init.aarch32-el2", "host.no-thread", "vl.rounded-down"} <= beyond
    assert not {"vcpu.create", "host.prctl", "init.unsupported-feature", "sve.z"} & beyond


@pytest.mark.long
def test_no_rule_that_a_trace_was_held_to_is_out_of_reach() -> None:
    rng = random.Random(4)
    for number in range(1500):
        profile = PROFILES[number % len(PROFILES)]
        case = sometimes(rng, random_case(rng), BESIDE)
        used = judge(case, ModelTarget(profile).run(case), profile).rules
        assert [rule for rule in used if not reachable(rule, profile)] == []
