"""Each way in which a rule may be broken breaks that, and nothing else."""

from __future__ import annotations

import pytest

from corpus.text import parse_case
from corpus.trace import Observation
from fuzz.followup.hypotheses import HYPOTHESES
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errno import EINVAL
from targets.spec.vcpu import MP_RUNNABLE, MP_STOPPED

UP = "create v0\ninit v0 features=sve\nfinalize v0\n"
ON = "movz x0, #0x33, lsl #16\nmsr cpacr_el1, x0\nisb\n"
ACCESS = f"run v0 {{\n{ON}rdvl x1, #1\n}}\n"
NO_ACCESS = "run v0 {\nnop\n}\n"
STOPPED, RUNNABLE = MP_STOPPED, MP_RUNNABLE


def seen(text: str, name: str | None = None, vqs: int = 0xFFFF) -> tuple[Observation, ...]:
    """What a specification permits: one that is wrong in a way, or the right one."""
    leg = ModelTarget(Profile(vqs=vqs))
    if name is not None:
        leg = ModelTarget(Profile(vqs=vqs), make=HYPOTHESES[name])
    return leg.run(parse_case(text)).observations


def value(text: str, name: str | None = None, vqs: int = 0xFFFF) -> int:
    """What the last op reads."""
    return int.from_bytes(seen(text, name, vqs)[-1].data, "little")


def length(zcr: int, name: str | None = None) -> int:
    """The vector length that a guest finds, in bytes."""
    run = f"run v0 {{\n{ON}rdvl x1, #1\n}}\n"
    return value(f"{UP}set v0 zcr_el1 {zcr}\n{run}get v0 x1\n", name)


@pytest.mark.parametrize(
    ("name", "longest", "shortest"),
    [
        ("the effective VL is one step too short", 240, 16),
        ("the effective VL is the vcpu's maximum", 256, 256),
        ("the effective VL is 128 bits", 16, 16),
    ],
)
def test_the_effective_length_is_another(name: str, longest: int, shortest: int) -> None:
    assert (length(15), length(0)) == (256, 16)
    assert (length(15, name), length(0, name)) == (longest, shortest)


@pytest.mark.parametrize("name", sorted(HYPOTHESES))
def test_each_is_a_specification_that_goes_through_a_life(name: str) -> None:
    leg = ModelTarget(Profile(), make=HYPOTHESES[name])
    text = f"{UP}set v0 x1 5\n{ACCESS}get v0 x1\ncreate v0\nget v1 x1\nset-mp v2 99\nset-vls v1 1\n"
    assert len(leg.run(parse_case(text)).observations) == 10


@pytest.mark.parametrize("vqs", [0b1, 0b1011, 0x7FFF])
def test_the_host_has_one_length_more(vqs: int) -> None:
    name, asks = "the host's longest VL is a step longer than KVM says", f"{UP}get-vls v0\n"
    assert value(asks, None, vqs) & 0xFFFF == vqs
    assert value(asks, name, vqs) & 0xFFFF == vqs | 1 << vqs.bit_length()
    assert value(asks, name) == value(asks) == 0xFFFF, "none is longer than the architecture's"


@pytest.mark.parametrize("bit", range(4))
def test_an_exit_loses_a_bit_of_what_was_loaded(bit: int) -> None:
    name = f"an exit loses bit {bit} of ZCR_EL1"
    for run, left in ((ACCESS, 15 & ~(1 << bit)), (NO_ACCESS, 15)):
        text = f"{UP}set v0 zcr_el1 15\n{run}get v0 zcr_el1\n"
        assert (value(text), value(text, name)) == (15, left)


@pytest.mark.parametrize("bit", range(4))
def test_the_other_bits_and_vcpus_without_sve_keep_theirs(bit: int) -> None:
    name = f"an exit loses bit {bit} of ZCR_EL1"
    assert f"an exit loses bit {4 + bit} of ZCR_EL1" not in HYPOTHESES
    kept = 15 & ~(1 << bit)
    assert value(f"{UP}set v0 zcr_el1 {kept}\n{ACCESS}get v0 zcr_el1\n", name) == kept
    plain = f"create v0\ninit v0\nset v0 x5 7\nrun v0 {{\n{ON}}}\nget v0 x5\n"
    assert value(plain, name) == 7
    case = parse_case(f"{UP}set v0 zcr_el1 0\n{ACCESS}")
    wrong = HYPOTHESES[name]
    trace = ModelTarget(Profile(), make=wrong).run(case)
    verdict = judge(case, trace, Profile(), wrong)
    assert isinstance(verdict, Agree)
    assert "tail.after-exit" in verdict.rules
    # Registers are saved when a guest is left.
    run = f"run v0 {{\n{ON}ptrue p0.b\nadd z1.b, z1.b, #3\n}}\n"
    z1 = f"{UP}set v0 zcr_el1 0\n{run}get v0 z1\n"
    assert value(z1, name) == value(z1)


def test_what_the_first_access_brings_is_brought_all_the_same() -> None:
    name = "ZCR_EL1 is lost at the first vector access"
    text = f"{UP}set v0 z1 0x1234\nrun v0 {{\n{ON}umov x1, v1.d[0]\n}}\nget v0 x1\n"
    assert (value(text), value(text, name)) == (0x1234, 0x1234)


def test_the_first_access_may_clear_tails_all_the_same() -> None:
    name = "ZCR_EL1 is lost at the first vector access"
    clears = ModelTarget(Profile(), make=HYPOTHESES[name], choose=lambda found: len(found) - 1)
    text = f"{UP}set v0 z1 0xab*\nrun v0 {{\n{ON}umov x1, v1.d[0]\n}}\nget v0 z1\n"
    left = clears.run(parse_case(text)).observations[-1].data
    assert left == b"\xab" * 16 + bytes(240)


def test_the_first_access_loses_zcr() -> None:
    name = "ZCR_EL1 is lost at the first vector access"
    for run, left in ((ACCESS, 0), (NO_ACCESS, 3)):
        text = f"{UP}set v0 zcr_el1 3\n{run}get v0 zcr_el1\n"
        assert (value(text), value(text, name)) == (3, left)


SETS = "set returns 0 and does nothing"
INITS = "init returns 0 and does nothing"
LENGTHS = "set-vls returns 0 and does nothing"


@pytest.mark.parametrize(
    ("name", "text", "right", "wrong"),
    [
        (SETS, f"{UP}set v0 x1 7\nget v0 x1\n", 7, 0),
        (INITS, f"{UP}set v0 x1 7\ninit v0 features=sve\nget v0 x1\n", 0, 7),
        (LENGTHS, "create v0\ninit v0 features=sve\nset-vls v0 1\nget-vls v0\n", 1, 0xFFFF),
    ],
)
def test_a_call_does_nothing_and_others_do(name: str, text: str, right: int, wrong: int) -> None:
    assert (value(text), value(text, name)) == (right, wrong)
    assert all(not one.err for one in seen(text, name))
    for other in {SETS, INITS, LENGTHS} - {name}:
        assert value(text, other) == right


def test_a_call_that_is_refused_is_so_where_others_do_nothing() -> None:
    text = f"{UP}set v0 0x6030000000100099 1\ncreate v1\nset v1 x1 7\nset-vls v0 1\n"
    for name in (SETS, LENGTHS):
        assert [one.err for one in seen(text, name)] == [one.err for one in seen(text)]


def test_of_what_may_end_in_any_way_nothing_is_undone() -> None:
    text = f"{UP}set v0 0x6030000000138010 1\nset v0 x1 7\nget v0 x1\n"
    assert [one.err for one in seen(text, LENGTHS)] == [one.err for one in seen(text, SETS)]
    assert (value(text, LENGTHS), value(text, SETS)) == (7, 0)


BAD, GOOD = "set-mp v0 99\n", "set-mp v0 runnable\n"
OFF = "create v0\ninit v0 features=sve,power_off\nfinalize v0\n"
STOPS = "a refused SET_MP_STATE stops the vcpu"
RUNS = "a refused SET_MP_STATE makes the vcpu run"
SHORTEST = "a refused SVE_VLS leaves the shortest length"


@pytest.mark.parametrize(
    ("name", "before", "state", "wrong"),
    [(STOPS, UP, RUNNABLE, STOPPED), (RUNS, OFF, STOPPED, RUNNABLE)],
)
def test_a_refused_state_is_taken_in_part(name: str, before: str, state: int, wrong: int) -> None:
    text = f"{before}{BAD}get-mp v0\n"
    assert seen(text, name)[3].err == seen(text)[3].err == EINVAL
    assert (value(text), value(text, name)) == (state, wrong)
    for harmless in ("finalize v0\n", "get-mp v0\n", "set v0 x1 5\n"):
        assert value(f"{before}{harmless}get-mp v0\n", name) == state


def test_a_state_that_is_taken_is_not_refused() -> None:
    assert value(f"{UP}{GOOD}get-mp v0\n", STOPS) == RUNNABLE
    assert value(f"{UP}set-mp v0 stopped\nget-mp v0\n", RUNS) == STOPPED


def test_refused_lengths_leave_the_shortest() -> None:
    run = f"set v0 zcr_el1 15\nrun v0 {{\n{ON}rdvl x1, #1\n}}\nget v0 x1\n"
    refused = f"{UP}set-vls v0 1-2\n{run}"
    assert (value(refused), value(refused, SHORTEST)) == (256, 16)
    assert value(f"{UP}set-vls v0 1-2\nget-vls v0\n", SHORTEST) == 1
    assert value(f"{UP}finalize v0\n{run}", SHORTEST) == 256
    taken = f"create v0\ninit v0 features=sve\nset-vls v0 1-2\nfinalize v0\n{run}"
    assert value(taken, SHORTEST) == 32


def test_init_forgets_to_power_off() -> None:
    text = f"{OFF}get-mp v0\n"
    both = "create v0\ninit v0 features=sve,power_off,psci_0_2\nfinalize v0\ninit v0 features={}\n"
    for features, err in (("sve,psci_0_2", 0), ("sve", EINVAL), ("psci_0_2", EINVAL)):
        told = seen(both.format(features), "INIT does not power off")
        assert told[-1].err == err, features
    assert (value(text), value(text, "INIT does not power off")) == (STOPPED, RUNNABLE)
    assert value(f"{UP}get-mp v0\n", "INIT does not power off") == RUNNABLE
