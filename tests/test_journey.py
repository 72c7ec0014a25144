"""Journeys: how they are written, what may differ on arrival, and vcpus that travel."""

from __future__ import annotations

import json
from dataclasses import replace
from errno import EBUSY, EINVAL, ENOENT, EPERM
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus import registers as regs
from corpus.domain import TextError
from corpus.fault import Fault, FaultKind
from corpus.journey import Journey, parse_journey
from corpus.text import parse_case
from corpus.trace import Ending
from corpus.wire import EVENTS
from fuzz.cli import migrate as command
from fuzz.cli.main import main
from fuzz.oracle.verdict import Agree, Diverge
from fuzz.suites.journey import Arrival, Saved, explained, machine, restore, save
from targets.base import WireTarget
from targets.legs import open_leg
from targets.spec.carried import (
    PHYSICAL_COUNT,
    VIRTUAL_COUNT,
    Carried,
    Difference,
    difference,
    spelling,
)
from targets.transport import Reply, TransportError

UP = "create v0\ninit v0 features=sve,psci_0_2\nfinalize v0\n"
FULL = UP + "set v0 z3 0xab*\nset v0 x5 77\n"
THERE = "get v0 x5\nrun v0 {\n    add x5, x5, #1\n}\nread-all v0\n"

MMFR1 = 0x6030_0000_0013_C039
MMFR2 = 0x6030_0000_0013_C03A
DFR0 = 0x6030_0000_0013_C028
VIRTUAL_CTL = 0x6030_0000_0013_DF19
VIRTUAL_CVAL = 0x6030_0000_0013_DF02
CNTKCTL = 0x6030_0000_0013_C708
PMCR = 0x6030_0000_0013_DCE0
AMAIR = 0x6030_0000_0013_C518
PSCI = 0x6030_0000_0014_0000


# -- the text form -----------------------------------------------------------------------


def test_a_departure_divides_a_case() -> None:
    journey = parse_journey(f"{FULL}migrate v0 to=kvm:6.1:nvhe:vq=1,2 features=sve # on\n{THERE}")
    assert journey.before == parse_case(FULL)
    assert journey.after == parse_case(THERE)
    assert (journey.vcpu, journey.to, journey.features) == (0, "kvm:6.1:nvhe:vq=1,2", 0x10)


def test_features_are_those_of_the_source_unless_said() -> None:
    journey = parse_journey(f"{FULL}\tmigrate v0 to=emulator:keep\n# over\n")
    assert (journey.features, journey.after.ops) == (None, ())
    assert travelled(f"{FULL}migrate v0 to=emulator:keep\n").features == 0x14
    made = f"{UP}migrate v0 to=v1 features=sve,psci_0_2\nmigrate v1 to=emulator:keep\n"
    assert travelled(made).features == 0x14
    refused = "create v0\ninit v0 features=sve\ninit v0 features=sve,el1_32bit\nfinalize v0\n"
    assert travelled(f"{refused}migrate v0 to=emulator:keep\n").features == 0x10


def travelled(text: str) -> Saved:
    """What leaves the emulator."""
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        return save(leg, parse_journey(text))


def test_a_case_that_names_no_leg_leaves_at_its_end() -> None:
    journey = parse_journey("# requires: vq>=2\n" + FULL)
    assert journey == Journey(parse_case("# requires: vq>=2\n" + FULL), 0, "", None, journey.after)
    assert journey.after.ops == ()
    assert parse_journey(FULL + "migrate v0 to=v2\n").to == ""  # to another vcpu, not another leg
    assert parse_journey(FULL + "migrate v0 to=v2 // not to=kvm:6.1\n").to == ""
    assert parse_journey(FULL + "// migrate v0 to=kvm:6.1\n").to == ""


@pytest.mark.parametrize("comment", [" # there", " // there", "\t//there", ""])
def test_a_departure_may_have_a_comment(comment: str) -> None:
    journey = parse_journey(f"{FULL}  migrate v0 to=emulator:keep{comment}\n//over\n")
    assert (journey.to, journey.after.ops) == ("emulator:keep", ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FULL + "migrate v0 to=\n", "line 6: to= names no leg"),
        (FULL + "migrate v9 to=kvm:6.1\n", "line 6: .*v9"),
        (FULL + "migrate v0 v1 to=kvm:6.1\n", "line 6: a departure is written"),
        (FULL + "migrate v0 to=kvm:6.1 x=1\n", "line 6: a departure is written"),
        (FULL + "migrate v0 to=kvm:6.1 to=kvm\n", "line 6: a departure is written"),
        (FULL + "migrate v0 to=kvm:6.1 features=no\n", "line 6: .*no"),
        (FULL + "migrate v0 to=kvm:6.1\nfly v0\n", "line 7: 'fly' is no op"),
        (FULL + "migrate v0 to=kvm:6.1\n" * 2, "line 7: a case goes on on one other leg"),
        ("migrate v0 to=kvm:6.1\n" + UP, "no op"),
    ],
)
def test_what_is_not_understood_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(TextError, match=said):
        parse_journey(text)


def test_other_commands_say_who_runs_a_case_that_leaves() -> None:
    with pytest.raises(TextError, match="is a leg: vcpufuzz migrate runs"):
        parse_case(FULL + "migrate v0 to=kvm:6.1:nvhe\n")


# -- what may differ -----------------------------------------------------------------------


def carried(
    reg: int,
    saved: int = 1,
    found: int = 1,
    err: int = 0,
    *,
    listed: bool = True,
    same: bool = False,
) -> Difference | None:
    """Why a register of 8 bytes is not what it was."""
    values = (saved.to_bytes(8, "little"), err, 0, found.to_bytes(8, "little"))
    return difference(Carried(reg, *values, listed=listed, same=same))


def test_what_arrives_is_no_difference() -> None:
    assert carried(AMAIR) is None
    assert carried(AMAIR, same=True) is None


@pytest.mark.parametrize(
    ("rule", "one"),
    [
        ("carry.timers", carried(VIRTUAL_COUNT, 5, 9)),
        ("carry.timers", carried(VIRTUAL_COUNT, 5, 9, same=True)),
        ("carry.timers", carried(PHYSICAL_COUNT, 9, 5, same=True)),
        ("carry.timers", carried(VIRTUAL_CTL, 1, 5, same=True)),
        ("carry.timers", carried(VIRTUAL_CTL, 7, 3)),
        ("carry.unknown-register", carried(AMAIR, 1, 0, ENOENT, listed=False)),
        ("carry.id-register", carried(MMFR1, 1, 0, EINVAL)),
        ("carry.id-register", carried(MMFR1, 1, 0, EBUSY)),
        ("carry.id-dropped", carried(MMFR2, 0x1200_0000, 0x1000_0000)),
        ("carry.id-dropped", carried(DFR0, 0x1F06, 0x1006)),
        ("carry.id-dropped", carried(DFR0, 0x1006, 0xF << 36 | 0x1006)),
        ("carry.id-dropped", carried(PMCR, 0x4101_30AC, 0x30AC)),
        ("carry.firmware", carried(PSCI, 3, 2, EINVAL)),
    ],
)
def test_a_rule_says_why_it_may_differ(rule: str, one: Difference | None) -> None:
    assert one is not None
    assert (one.rule, one.permitted) == (rule, True)


@pytest.mark.parametrize(
    ("rule", "one"),
    [
        ("carry.others", carried(VIRTUAL_COUNT, 9, 5)),  # it went back
        ("carry.others", carried(VIRTUAL_CTL, 1, 0)),
        ("carry.same", carried(VIRTUAL_CTL, 1, 7, same=True)),
        ("carry.same", carried(VIRTUAL_CVAL, 5, 0, same=True)),
        ("carry.same", carried(CNTKCTL, 3, 0, same=True)),
        ("carry.same", carried(VIRTUAL_COUNT, 5, 9, EINVAL, same=True)),
        ("carry.others", carried(AMAIR, 1, 0)),
        ("carry.others", carried(AMAIR, 1, 0, ENOENT)),  # it is listed there
        ("carry.others", carried(AMAIR, 1, 0, EPERM, listed=False)),
        ("carry.others", carried(MMFR1, 1, 0)),  # taken, and dropped
        ("carry.others", carried(PMCR, 0x4101_30AC, 0x302C)),
        ("carry.others", carried(MMFR2, 0x1300_0001, 0x1000_0000)),
        ("carry.same", carried(MMFR1, 1, 0, EINVAL, same=True)),
        ("carry.same", carried(AMAIR, 1, 0, ENOENT, listed=False, same=True)),
        ("carry.same", carried(PSCI, 3, 2, EINVAL, same=True)),
    ],
)
def test_else_it_is_wrong(rule: str, one: Difference | None) -> None:
    assert one is not None
    assert (one.rule, one.permitted) == (rule, False)
    assert one.strict is (rule == "carry.same")
    assert rule in explained(one)


def test_registers_without_a_name_are_spelled() -> None:
    assert spelling(MMFR2) == "s3_0_c0_c7_2"
    assert spelling(regs.REGISTERS["zcr_el1"].id) == "zcr_el1"
    assert spelling(PSCI) == hex(PSCI)


# -- journeys -----------------------------------------------------------------------


def travel(text: str, source: str, goal: str) -> Arrival:
    """A journey from a leg to another."""
    journey = parse_journey(text)
    with open_leg(source) as leg:
        assert isinstance(leg, WireTarget)
        saved = save(leg, journey)
    with open_leg(goal) as leg:
        assert isinstance(leg, WireTarget)
        return restore(leg, journey, saved)


def test_a_vcpu_goes_on_where_it_arrives() -> None:
    one = travel(f"{FULL}migrate v0 to=emulator:zero\n{THERE}", "emulator:keep", "emulator:zero")
    assert one.wrong == ()
    assert (one.refused, one.differences, one.more) == ("", (), ())
    assert isinstance(one.after, Agree)
    assert (one.after.judged, one.after.reason) == (3, "")


def test_the_destination_is_judged_by_what_was_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    journey = parse_journey(f"{FULL}migrate v0 to=emulator:keep\n{THERE}")
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        saved = save(leg, journey)
        wrong = Journey(journey.before, 0, "", journey.features, parse_case("get v0 x5\n"))
        assert restore(leg, wrong, saved).wrong == ()
        lost = _without(leg, monkeypatch)
        (told,) = restore(leg, wrong, saved).wrong
    assert lost
    assert "x5 = " in told
    assert "rule core.x" in told


def _without(leg: WireTarget, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Let the leg lose what it is to write to X5."""
    dropped: list[bytes] = []
    submit = leg.transport.submit
    head = regs.X_IDS[5].to_bytes(8, "little")

    def losing(request: bytes) -> int:
        at = request.index(head)
        value = at + 16  # behind `a` and `b`
        dropped.append(request[value : value + 8])
        return submit(request[:value] + bytes(8) + request[value + 8 :])

    monkeypatch.setattr(leg.transport, "submit", losing)
    return dropped


def test_lengths_that_a_host_lacks_are_refused_there() -> None:
    one = travel(FULL, "emulator:keep", "emulator:keep:vq=1,2")
    assert (one.refused, one.wrong) == ("set-vls", ())
    assert isinstance(one.arriving, Agree)


def test_what_cannot_be_saved_is_said() -> None:
    one = travel("create v0\ninit v0\n", "emulator:keep", "emulator:keep")
    assert one.refused == "its registers cannot be listed"


def test_a_stopped_vcpu_with_an_serror_arrives_as_such() -> None:
    text = UP + "set-events v0 serror=yes\nset-mp v0 stopped\n"
    text += "migrate v0 to=emulator:keep\nget-mp v0\nget-events v0\nrun v0 { }\n"
    one = travel(text, "emulator:keep", "emulator:keep")
    assert one.wrong == ()
    assert isinstance(one.after, Agree)
    assert (one.after.judged, one.after.reason) == (3, "")


def test_a_divergence_before_the_departure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    journey = parse_journey(FULL + "get v0 x5\n")
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        assert save(leg, journey).wrong == ()
        _without(leg, monkeypatch)
        (told,) = save(leg, journey).wrong
    assert "rule core.x" in told


class Breaks:
    """A leg whose machine breaks at the `turn`th request, with what it had answered by then if
    `answers`."""

    def __init__(self, leg: WireTarget, turn: int, ending: Ending, *, answers: bool) -> None:
        self._collect, self._turn = leg.transport.collect, turn
        self._ending, self._answers = ending, answers

    def __call__(self, ticket: int) -> Reply:
        reply = self._collect(ticket)
        self._turn -= 1
        if self._turn:
            return reply
        fault = Fault(FaultKind.WARN, "kvm_arm_set_reg", True, "WARNING: it broke")
        response = reply.response if self._answers else None
        return replace(reply, response=response, ending=self._ending, fault=fault, at=4)


BAD = [(Ending.CRASH, False), (Ending.HANG, False), (Ending.HOST_LOG, True)]


@pytest.mark.parametrize(("ending", "answers"), BAD)
@pytest.mark.parametrize("turn", [1, 2])
def test_a_machine_that_breaks_while_a_vcpu_is_saved_is_told(
    ending: Ending, answers: bool, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey = parse_journey(f"{FULL}migrate v0 to=emulator:keep\n{THERE}")
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        monkeypatch.setattr(leg.transport, "collect", Breaks(leg, turn, ending, answers=answers))
        saved = save(leg, journey)
        assert bool(saved.why) is not answers
        (told,) = restore(leg, journey, saved).wrong
    assert "ending.ok" in told
    assert "it broke" in told


@pytest.mark.parametrize(("ending", "answers"), BAD)
@pytest.mark.parametrize("options", ["", " features=psci_0_2"])
def test_a_machine_that_breaks_while_a_vcpu_arrives_is_told(
    ending: Ending, answers: bool, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With features that the destination refuses it does not come to the restoring."""
    journey = parse_journey(f"{FULL}migrate v0 to=emulator:keep{options}\n{THERE}")
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        saved = save(leg, journey)
        monkeypatch.setattr(leg.transport, "collect", Breaks(leg, 1, ending, answers=answers))
        one = restore(leg, journey, saved)
    (told,) = one.wrong
    assert "ending.ok" in told
    assert "it broke" in told
    if not answers:
        assert isinstance(one.ended, Diverge)
        assert one.ended.op_index == 4


def test_a_register_that_cannot_be_read_is_told() -> None:
    journey = parse_journey(FULL)
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        saved = save(leg, journey)
        first, *others = saved.registers
        one = restore(leg, journey, replace(saved, registers=((first[0], EINVAL, b""), *others)))
    assert f"rule migrate.saves: GET of {spelling(first[0])} gives EINVAL" in one.wrong
    assert first[0] not in one.more


def test_what_was_not_judged_before_is_not_known_afterwards() -> None:
    word = "run v0 {\n    .inst 0xd5182020\n}\n"  # msr tcr_el1, x0
    assert travelled(f"{FULL}{word}").beyond
    assert not travelled(FULL).beyond


def test_an_serror_that_is_refused_is_said() -> None:
    journey = parse_journey(f"{UP}set-events v0 serror=yes\n")
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        saved = save(leg, journey)
        told = EVENTS.pack(1, 1, *[0] * 3, 7, *[0] * 12)
        assert restore(leg, journey, saved).refused == ""
        assert restore(leg, journey, replace(saved, events=told)).refused == "set-events"


def test_another_cpu_is_another_machine() -> None:
    with open_leg("emulator:keep") as leg:
        assert isinstance(leg, WireTarget)
        mine = machine(leg)
        leg.fingerprint = {**leg.fingerprint, "id_aa64isar0": "0x1"}
        assert machine(leg) != mine


def _run(tmp_path: Path, text: str, *options: str) -> tuple[int, str, str]:
    path = tmp_path / "j.case"
    path.write_text(text)
    done = CliRunner().invoke(main, ["migrate", str(path), *options])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_a_matrix(tmp_path: Path) -> None:
    legs = "model,emulator:keep,emulator:zero:vq=1"
    code, out, _ = _run(tmp_path, FULL, "--legs", legs)
    assert code == 0
    rows = [line.split("  ") for line in out.splitlines()[:3]]
    assert rows[0][0] == "FROM"
    assert "refused: set-vls" in out
    assert out.count("arrives") == 3
    code, out, _ = _run(tmp_path, FULL, "--legs", legs, "--json")
    found = json.loads(out)
    assert [(one["from"], one["to"]) for one in found] == [
        ("emulator:keep", "emulator:keep"),
        ("emulator:zero:vq=1", "emulator:keep"),
        ("emulator:keep", "emulator:zero:vq=1"),
        ("emulator:zero:vq=1", "emulator:zero:vq=1"),
    ]
    assert found[2]["refused"] == "set-vls"


def test_what_a_leg_lacks_costs_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    legs = "emulator:keep,emulator:keep:vq=1,emulator:zero"
    code, out, err = _run(tmp_path, "# requires: vq>=4\n" + FULL, "--legs", legs)
    assert code == 3
    assert out.count("arrives") == 4
    assert err == "emulator:keep:vq=1: the case needs vq>=4, emulator:keep:vq=1 has 1.\n"

    def dies(leg: WireTarget, journey: Journey, saved: Saved) -> Arrival:
        if (saved.leg, leg.name) == ("emulator:zero", "emulator:keep"):
            raise TransportError("it did not come back.")
        return restore(leg, journey, saved)

    monkeypatch.setattr(command, "restore", dies)
    code, out, err = _run(tmp_path, FULL, "--legs", "emulator:keep,emulator:zero")
    assert code == 3
    assert (out.count("arrives"), "  -" in out) == (3, True)
    assert err == "emulator:keep: it did not come back.\n"


@pytest.mark.parametrize(
    ("text", "legs", "said"),
    [
        (FULL + "migrate v0 to=nowhere:1\n", "emulator:keep", "no leg is called 'nowhere:1'"),
        (FULL + "migrate v0 to=model\n", "emulator:keep", "between KVM legs or emulators"),
        (FULL, "model", "between KVM legs or emulators"),
        (FULL + "fly\n", "emulator:keep", "line 6: 'fly' is no op"),
        ("# requires: vq>=4\n" + FULL, "emulator:keep:vq=1,2", "the case needs vq>=4"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, legs: str, said: str) -> None:
    code, _, err = _run(tmp_path, text, "--legs", legs)
    assert code in (2, 3)
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.lab
def test_a_vcpu_travels_between_kernels_and_modes() -> None:
    text = f"{FULL}migrate v0 to=kvm:6.12:nvhe\n{THERE}"
    one = travel(text, "kvm:6.1:vhe", "kvm:6.12:nvhe")
    assert one.wrong == ()
    assert {each.rule for each in one.differences} <= {"carry.timers", "carry.id-register"}
    assert one.more  # 6.12 lists what 6.1 does not know
    assert isinstance(one.after, Agree)
    assert (one.after.judged, one.after.reason) == (3, "")
