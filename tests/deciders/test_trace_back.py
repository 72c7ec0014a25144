"""Which op a divergence is traced back to, of all that could have caused it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from scripted import Scripted, agree, broken, diverge, sound

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.fault import Fault, FaultKind
from corpus.ops import GetReg, ReadAll, Run
from corpus.text import parse_case
from corpus.trace import Trace
from fuzz.followup.cause import (
    KEEPS,
    LENGTH,
    Cause,
    Traced,
    at_face_value,
    is_tail,
    slots_of,
    trace_back,
)
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge, Verdict
from targets.profile import Profile
from targets.spec.model import Model
from targets.spec.permitted import Context

Says = Callable[[Case], Diverge | None]


class Judged(Everywhere):
    """A leg `a`, of whose cases one after the other is wrong what `says` says, and then
    nothing; it keeps the cases."""

    def __init__(self, *says: Diverge | Says | None, leg: Scripted | None = None) -> None:
        super().__init__([leg or Scripted("a")])
        self.says = list(says)
        self.cases: list[Case] = []

    def judge_one(
        self, case: Case, name: str, trace: Trace, make: Callable[[Profile], Model] = Model
    ) -> Verdict:
        self.cases.append(case)
        said = self.says.pop(0) if self.says else None
        return (said(case) if callable(said) else said) or agree()


UP = "create v0\ninit v0\nfinalize v0\n"
ON = UP + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 15\n"
NOP, INDEX = "run v0 {\n nop\n}", "run v0 {\n index z1.b, #1, #1\n}"
HALF = MAX_OPS // 2
BASE = parse_case(UP + "set v0 z1 noise:1\nrun v0 {\n nop\n}\nget v0 z1\n")
SHOWN = diverge(op_index=5, rule="sve.z", label="z1")


def looks(case: Case) -> str:
    """A case in short: the letters of its ops, `.` for a look."""
    return "".join("." if isinstance(op, ReadAll) else op.word[0] for op in case.ops)


def look_after(text: str, **changed: object) -> Says:
    """The first look after the last such op is wrong."""
    (op,) = parse_case(text).ops

    def says(case: Case) -> Diverge:
        pairs = enumerate(pairwise(case.ops), start=1)
        index = [at for at, (before, _) in pairs if before == op][-1]
        return diverge(op_index=index, **changed)

    return says


def run_in(case: Case, index: int) -> Run:
    op = case.ops[index]
    assert isinstance(op, Run)
    return op


def traced(case: Case, verdict: Diverge, *says: Diverge | Says | None) -> Traced:
    return trace_back(case, "a", verdict, Judged(*says))


# -- where is looked ---------------------------------------------------------------------------


def looked_at(case: Case, verdict: Diverge) -> Case:
    """What is run first to find out where something went wrong."""
    legs = Judged()
    trace_back(case, "a", verdict, legs)
    return legs.cases[0] if legs.cases else Case(())


SMALL = (
    *("set v0 x1 1", "get v0 x1", "get-vls v0", "read-all v0", "reg-list v0"),
    *("read-mem 0x8000", "write-mem 0x8000 1", "create v0"),
)
BIG = (
    *("init v0", "finalize v0", "set-vls v0 1", "run v0 {\n nop\n}", "host-run v0 {\n nop\n}"),
    *("migrate v0 to=v0", "set-mp v0 stopped", "get-mp v0", "preferred-target"),
)


@pytest.mark.parametrize("op", [*SMALL, *BIG])
def test_small_ops_in_a_row_have_one_look_and_others_one_each(op: str) -> None:
    case = parse_case(f"create v0\npreferred-target\n{op}\n{op}\npreferred-target\n")
    one = looks(Case(case.ops[2:3]))
    between = "" if op in SMALL else "."
    expected = f"c.p.{one}{between}{one}.p"
    assert looks(looked_at(case, diverge(op_index=4))) == expected


def test_nobody_looks_in_between_what_two_threads_do() -> None:
    case = parse_case(
        "create v0\npreferred-target\nthreads {\ninit v0\nfinalize v0\n} {\nget-mp v0\n}\n"
        "get-mp v0\npreferred-target\n"
    )
    assert looks(looked_at(case, diverge(op_index=7))) == "c.p.tifg.g.p"


def test_every_vcpu_is_looked_at_and_nothing_behind_what_shows_it() -> None:
    case = parse_case("create v1\npreferred-target\nmigrate v1 to=v0\ncreate v2\nget-mp v1\n")
    found = looked_at(case, diverge(op_index=2))
    assert found.ops == (case.ops[0], ReadAll(1), case.ops[1], ReadAll(1), case.ops[2])
    found = looked_at(case, diverge(op_index=4))
    slots = [op.vcpu for op in found.ops if isinstance(op, ReadAll)]
    assert slots == [1, 0, 2] * 4  # whether they are there yet or not
    assert list(slots_of(case.ops)) == [1, 0, 2]


def test_what_a_case_requires_its_looks_do_too() -> None:
    assert looked_at(Case(BASE.ops, 4), SHOWN).min_vq == 4


def test_a_register_that_only_a_get_reads_is_looked_at_by_one() -> None:
    hidden, read = regs.REGISTERS["zcr_el2"].id, regs.X_IDS[1]
    case = Case((*BASE.ops[:3], GetReg(0, hidden)))
    for label, own in (("zcr_el2", True), ("errno", False), ("x1", False)):
        found = looked_at(case, diverge(op_index=3, label=label))
        assert [isinstance(op, GetReg) for op in found.ops[1:-1:2]] == [own] * 3
        assert found.ops[1] == (GetReg(0, hidden) if own else ReadAll(0))
    case = Case((*BASE.ops[:3], GetReg(0, read)))
    assert looked_at(case, diverge(op_index=3, label="x1")).ops[1] == ReadAll(0)


@pytest.mark.parametrize(
    ("ops", "count"),
    [
        *((MAX_OPS, 0), (MAX_OPS - 1, 1), (MAX_OPS - 2, 2)),
        *((HALF, HALF - 1), (HALF + 1, HALF - 1), (HALF + 2, HALF - 2)),
    ],
)
def test_where_there_is_no_room_for_all_looks_the_last_remain(ops: int, count: int) -> None:
    text = "create v0\n" + "preferred-target\n" * (ops - 1)
    found = looked_at(parse_case(text), diverge(op_index=ops - 1))
    if not count:
        assert not found.ops
        return
    assert len(found.ops) == ops + count <= MAX_OPS
    assert looks(found).endswith("p." * (count - (count == ops - 1)) + "p")


def test_two_vcpus_share_the_room() -> None:
    text = "create v0\ncreate v1\n" + "preferred-target\n" * (MAX_OPS - 7)
    found = looked_at(parse_case(text), diverge(op_index=MAX_OPS - 6))
    assert looks(found) == "cc" + "p" * (MAX_OPS - 10) + "p..p..p"


@pytest.mark.parametrize(
    ("text", "index"),
    [("create v0\nget-mp v0\n", 0), ("preferred-target\n" * 3, 2), ("create v0\nget v0 x1\n", 1)],
)
def test_without_an_op_or_a_vcpu_before_it_there_is_nothing_to_look_at(
    text: str, index: int
) -> None:
    case = parse_case(text)
    verdict = diverge(op_index=index)
    assert not looked_at(case, verdict).ops
    assert traced(case, verdict) == Traced(case, verdict, at_face_value(case, verdict))


# -- what is taken as it is seen ---------------------------------------------------------------


def test_a_fault_is_where_it_is_and_nothing_is_run_for_it() -> None:
    fault = Fault(FaultKind.WARN, "f", True)
    for case, verdict in (
        (BASE, diverge(op_index=4, fault=fault)),
        (Case(()), diverge()),
    ):
        legs = Judged(SHOWN)
        found = trace_back(case, "a", verdict, legs)
        assert found == Traced(case, verdict, at_face_value(case, verdict))
        assert not legs.cases


def test_what_no_look_shows_is_taken_as_it_is_seen() -> None:
    for case, index, at in ((BASE, 5, 10), (parse_case(f"{ON}{NOP}\nget v0 z1\n"), 6, 11)):
        shown = diverge(op_index=index, rule="sve.z", label="z1")
        for says in (None, diverge(op_index=at, rule="sve.z", label="z1")):
            assert traced(case, shown, says) == Traced(case, shown, at_face_value(case, shown))


def test_an_op_that_is_wrong_itself_before_is_where_it_ends() -> None:
    seen = diverge(op_index=4, rule="finalize.ok", label="errno")  # create . init . finalize
    case = Case(BASE.ops, 3)
    found = traced(case, SHOWN, seen)
    end = Case((*BASE.ops[:1], ReadAll(0), BASE.ops[1], ReadAll(0), BASE.ops[2]), 3)
    assert found == Traced(end, seen, at_face_value(end, seen))


def test_an_end_for_a_wrong_length_is_not_taken_as_it_is_seen() -> None:
    shown = diverge(op_index=5, rule="isa.nop", label="z1")
    again = diverge(op_index=5, rule="isa.rdvl", label="x28")
    # nothing shows in the looks; the op itself does; an earlier op does
    for first, tries in ((None, 2), (diverge(op_index=10), 2)):
        legs = Judged(first, again)
        found = trace_back(BASE, "a", shown, legs)
        assert found == Traced(legs.cases[1], again, LENGTH)
        assert len(legs.cases) == tries
    early = diverge(op_index=8, rule="isa.nop", label="z1")
    end = diverge(op_index=9, rule="isa.rdvl", label="x28")
    legs = Judged(early, end)
    assert trace_back(BASE, "a", shown, legs) == Traced(legs.cases[1], end, LENGTH)
    full = parse_case("get-mp v0\n" * (MAX_OPS - 2) + "run v0 {\n nop\n}\nget v0 z1\n")
    last = diverge(op_index=MAX_OPS - 1, rule="isa.nop", label="z1")
    again = diverge(op_index=MAX_OPS - 1, rule="isa.rdvl", label="x28")
    assert traced(full, last, again).cause == LENGTH  # there is no room for looks


def test_a_wrong_length_is_a_cause_of_its_own() -> None:
    assert Cause("run", "vl.as-asked", "length", "-") == LENGTH
    assert KEEPS == "keeps"


# -- which op --------------------------------------------------------------------------------


def test_the_first_look_that_shows_it_ends_the_case_with_its_op() -> None:
    found = traced(Case(BASE.ops, 3), SHOWN, look_after("finalize v0", rule="sve.z", label="z1"))
    assert found.case == Case((*BASE.ops[:3], ReadAll(0)), 3)
    assert (found.verdict.op_index, found.verdict.rule) == (3, "sve.z")
    assert found.cause == Cause("finalize", KEEPS, "vector")


OPS = {
    "run": "run v0 {\n nop\n}",
    "host-run": "host-run v0 {\n nop\n}",
    "init": "init v0 features=sve,psci_0_2",
    "finalize": "finalize v0 what=1",
    "migrate": "migrate v0 to=v0",
    "set": "set v0 x1 1",
    "set-vls": "set-vls v0 1",
    "get-mp": "get-mp v0",
}
GIVEN_BY = {
    "isa.nop": ("run", "host-run"),
    "exception.svc": ("run", "host-run"),
    "reset.vectors": ("init", "finalize"),
    "init.power-on": ("init",),
    "migrate.identity": ("migrate",),
    "reg.read-all": ("set",),
    "core.x": ("set",),
    "sve.z": ("set",),
    "sysreg.zcr": ("set",),
    "host.vl": tuple(OPS),
    "isa": ("run", "host-run"),
}


@pytest.mark.parametrize("word", list(OPS))
@pytest.mark.parametrize("rule", list(GIVEN_BY))
def test_a_wrong_value_is_the_op_s_own_where_such_an_op_gives_it(rule: str, word: str) -> None:
    case = parse_case(f"{UP}{OPS[word]}\npreferred-target\nget v0 x1\n")
    shown = diverge(op_index=5, rule=rule, label="something")
    found = traced(case, shown, look_after(OPS[word], rule=rule, label="something"))
    given = word in GIVEN_BY[rule]
    name = "run" if word == "host-run" else word
    assert found.cause == Cause(name, rule if given else KEEPS, "something")


@pytest.mark.parametrize(
    ("label", "what"),
    [
        *(("z1", "vector"), ("v1", "vector"), ("p1", "vector"), ("ffr", "vector")),
        *(("x1", "x"), ("zcr_el1", "zcr_el1"), ("fpsr", "fpsr"), ("errno", "")),
    ],
)
def test_vector_registers_that_an_op_spoils_are_one_cause(label: str, what: str) -> None:
    found = traced(BASE, SHOWN, look_after("finalize v0", rule="sve.z", label=label))
    assert found.cause == Cause("finalize", KEEPS, what)


# -- what was to be kept -----------------------------------------------------------------------


def kept(text: str, op: str, rule: str, label: str, shown: str = "get v0 x1\n") -> bool:
    """Whether a value that is wrong after `op` is one that `op` was to keep, if all before
    was right."""
    case = parse_case(f"{text}{op}\n{shown}")
    verdict = diverge(op_index=len(case.ops) - 1, rule=rule, label=label)
    cause = traced(case, verdict, look_after(op, rule=rule, label=label)).cause
    assert cause.rule in (KEEPS, rule)
    return cause.rule == KEEPS


def test_what_was_there_before_an_op_was_to_be_kept() -> None:
    text = ON + "set v0 z1 noise:1\nset v0 x1 7\n"
    assert kept(text, NOP, "isa.other", "z1")
    assert kept(text, NOP, "isa.other", "x1")
    assert kept(text, NOP, "exception.svc", "elr_el1")
    assert not kept(text, NOP, "isa.other", "nothing")  # is not looked at
    assert not kept(text, NOP, "exception.svc", "pc")  # has to change
    assert not kept(text, INDEX, "isa.other", "z1")  # does change, whatever the rule says
    assert not kept(ON, NOP, "isa.nop", "z1")  # written, if with the same


def test_what_was_written_anew_with_the_same_was_not_to_be_kept() -> None:
    up = "create v0\ninit v0\nfinalize v0\ncreate v1\ninit v1\nfinalize v1\n"
    on = "set v1 cpacr_el1 0x330000\nset v1 zcr_el1 15\n"
    run = INDEX.replace("v0", "v1")
    case = parse_case(f"{up}{on}{run}\nget-mp v1\n{run}\nget v1 z1\n")
    last = len(case.ops) - 1

    def says(looked: Case) -> Diverge:
        """The look at the second vcpu after the second run."""
        at = len(looked.ops) - 2
        return diverge(op_index=at, rule="isa.index_ii", label="z1")

    shown = diverge(op_index=last, rule="isa.index_ii", label="z1")
    assert traced(case, shown, says).cause == Cause("run", "isa.index_ii", "z")


def test_what_a_look_did_not_show_before_was_not_to_be_kept() -> None:
    assert not kept("", "create v0", "vcpu.create", "x1")
    assert not kept("create v0\n", "init v0", "reset.core", "x1")
    assert not kept("create v0\ninit v0\n", "finalize v0", "reset.vectors", "z1")
    assert kept("create v0\ninit v0\n", "finalize v0", "reset.core", "x1")
    assert kept(UP, "init v0", "reset.vectors", "z1")  # it stays finalised, and nought


def test_what_other_vcpus_hold_was_not_to_be_kept() -> None:
    two = "create v0\ncreate v1\ninit v0\ninit v1\nset v0 x1 7\nset v1 x1 8\n"
    case = parse_case(two + "get-mp v0\nget-mp v1\nget v1 x1\n")
    words = looks(looked_at(case, diverge(op_index=8)))
    assert words == "cc..i..i..ss..g..g..g"
    for slot, index in ((0, 15), (1, 16)):  # the looks after the first of the last two ops
        for own in (0, 1):
            seen = diverge(op_index=index, rule="host.vl", label="x1")
            found = traced(case, diverge(op_index=8, rule="host.vl", label="x1"), seen)
            assert found.cause == Cause("get-mp", KEEPS, "x"), (slot, own)


def test_a_register_that_only_a_get_reads_was_to_be_kept_too() -> None:
    assert kept(UP, NOP, "exception.svc", "tpidr_el1", "get v0 tpidr_el1\n")


def test_nothing_is_known_of_what_comes_after_the_end_of_a_trace() -> None:
    case = parse_case(f"{UP}{NOP}\nget v0 x1\n")
    shown = diverge(op_index=4, rule="isa.other", label="x1")
    says = look_after(NOP, rule="isa.other", label="x1")
    assert trace_back(case, "a", shown, Judged(says)).cause.rule == KEEPS
    fault = Fault(FaultKind.WARN, "f", True)
    for size in (4, 5, 6):
        ends = (
            lambda case, turn, size=size: broken(fault, seen=sound(case).observations[:size]),
            lambda case, turn, size=size: Trace(sound(case).observations[:size]),
        )
        for script in ends:
            legs = Judged(says, leg=Scripted("a", script))
            assert trace_back(case, "a", shown, legs).cause.rule == "isa.other"


# -- whose fault a value is that an instruction wrote ------------------------------------------

WRITTEN = parse_case(f"{ON}set v0 z2 noise:1\n{INDEX}\nget v0 z1\n")
LOOK = diverge(op_index=7, rule="isa.index_ii", label="z1")
AFTER = look_after(INDEX, rule="isa.index_ii", label="z1")


def test_an_instruction_s_own_fault_has_the_run_s_word_and_no_lengths() -> None:
    says = look_after(INDEX, rule="isa.index_ii", label="z1", context=Context(16, 32, 64))
    case = parse_case(f"{ON}set v0 z2 noise:1\n{INDEX}\npreferred-target\nget v0 z1\n")
    found = traced(case, diverge(op_index=8, rule="isa.index_ii", label="z1"), says)
    assert found.cause == Cause("run", "isa.index_ii", "z", "-")
    assert found.case == Case((*case.ops[:7], ReadAll(0)))


def test_a_wrong_length_comes_first() -> None:
    again = diverge(op_index=7, rule="isa.rdvl")
    legs = Judged(AFTER, again)
    found = trace_back(WRITTEN, "a", LOOK, legs)
    assert found == Traced(legs.cases[1], again, LENGTH)


def test_then_what_goes_wrong_beside_it() -> None:
    # the length is right before the instruction and after it
    again = diverge(op_index=11, rule="sve.z", label="z30")
    found = traced(WRITTEN, LOOK, AFTER, None, None, again)
    assert found.cause == Cause("run", KEEPS, "vector")
    assert found.verdict == again
    assert found.case.ops[-1] == GetReg(0, regs.Z_IDS[23])


def test_then_what_other_instructions_write() -> None:
    z30, z23 = (diverge(op_index=7, rule=f"isa.{name}") for name in ("index_ii", "dup_i"))
    case = parse_case(f"{ON}set v0 z2 noise:1\nrun v0 {{\n zip1 z1.b, z2.b, z2.b\n}}\nget v0 z1\n")
    op = "run v0 {\n zip1 z1.b, z2.b, z2.b\n}"
    says = look_after(op, rule="isa.zip1_z", label="z1")
    shown = diverge(op_index=7, rule="isa.zip1_z", label="z1")
    found = traced(case, shown, says, None, None, None, z30, z23)
    assert found.cause == Cause("run", KEEPS, "vector")
    assert found.verdict == z30


# -- little room -------------------------------------------------------------------------------


def test_where_the_first_look_shows_it_there_is_room_for_earlier_ones() -> None:
    early = "create v0\n" + "get-mp v0\n" * (MAX_OPS - 25)
    case = parse_case(early + "set-mp v0 runnable\n" + "get-mp v0\n" * 15)
    shown = diverge(op_index=len(case.ops) - 1, rule="mp.get", label="x1")
    at = len(case.ops) - MAX_OPS + len(case.ops)  # ops before the first look
    first = diverge(op_index=at, rule="mp.get", label="x1")
    legs = Judged(first, look_after("set-mp v0 runnable", rule="mp.get", label="x1"))
    found = trace_back(case, "a", shown, legs)
    assert [len(one.ops) for one in legs.cases] == [MAX_OPS, MAX_OPS]
    assert found.cause.op_word == "set-mp"
    assert len(found.case.ops) == MAX_OPS - 22


def test_the_first_look_is_at_every_vcpu() -> None:
    many = "get-mp v0\n" * (MAX_OPS - 10)
    case = parse_case("create v0\ncreate v1\n" + many + "preferred-target\n")
    shown = diverge(op_index=MAX_OPS - 8, rule="core.x", label="x1")
    for at, rounds in ((MAX_OPS - 10, 2), (MAX_OPS - 9, 2), (MAX_OPS - 7, 1)):
        legs = Judged(diverge(op_index=at, rule="core.x", label="x1"))
        trace_back(case, "a", shown, legs)
        assert isinstance(legs.cases[0].ops[at], ReadAll)
        assert len(legs.cases) == rounds


@pytest.mark.parametrize(
    ("ops", "index", "reason"),
    [
        (MAX_OPS - 8, MAX_OPS - 14, "it is not the first look"),
        (10, 1, "there was room for all"),
        (MAX_OPS - 1, MAX_OPS - 2, "nothing comes after"),
    ],
)
def test_else_one_look_round_has_to_do(ops: int, index: int, reason: str) -> None:
    case = parse_case("create v0\n" + "get-mp v0\n" * (ops - 1))
    shown = diverge(op_index=ops - 1, rule="mp.get", label="x1")
    legs = Judged(diverge(op_index=index, rule="core.x", label="x1"))
    found = trace_back(case, "a", shown, legs)
    assert isinstance(found.case.ops[-1], ReadAll)
    assert (len(legs.cases), found.cause.rule) == (1, KEEPS), reason


# -- at face value -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "wrong", "label", "named"),
    [
        ("isa.fadd_v", 1 << 128, "z1", "asimd.clears-tail"),
        ("isa.fmov_sw", 3 << 200, "z1", "asimd.clears-tail"),
        ("isa.fadd_v", 1 << 127, "z1", "isa.fadd_v"),
        ("isa.fadd_v", 0, "z1", "isa.fadd_v"),
        ("isa.fadd_v", 1 << 128, "v1", "isa.fadd_v"),
        ("isa.index_ii", 1 << 128, "z1", "isa.index_ii"),
        ("sve.z", 1 << 128, "z1", "sve.z"),
    ],
)
def test_that_asimd_clears_tails_is_one_statement(
    rule: str, wrong: int, label: str, named: str
) -> None:
    verdict = diverge(op_index=5, rule=rule, wrong=wrong, label=label)
    assert at_face_value(BASE, verdict).rule == named


@pytest.mark.parametrize(
    ("wrong", "tail"),
    [(1 << 128, True), (3 << 127, False), (0, False), (1 << 127, False), (1, False)],
)
def test_a_tail_is_all_above_the_low_128_bits(wrong: int, tail: bool) -> None:
    assert is_tail(wrong) is tail


def test_a_case_of_no_ops_goes_by_what_the_verdict_says() -> None:
    found = at_face_value(Case(()), diverge(op_word="get", label="errno"))
    assert found == Cause("get", "sve.z", "op:0x0->0x1", "-")


def test_a_fault_that_is_named_is_its_own_cause() -> None:
    named = Fault(FaultKind.WARN, "f", True, "WARNING: at f")
    assert named.named
    found = at_face_value(BASE, diverge(op_index=4, fault=named))
    assert found == Cause(named.place, named.rule, "", "-")


def test_what_an_earlier_instruction_left_is_that_ones_wherever_it_showed() -> None:
    case = parse_case(ON + "run v0 {\n add z1.d, z1.d, z2.d\n fmul z3.d, z1.d, z2.d\n}\n")
    first, last = (f"isa.{one.form.name}" for one in run_in(case, -1).program)
    below = Context(16, 32, 64)

    def cut(tried: Case) -> Diverge | None:
        wrong = diverge(op_index=len(tried.ops) - 1, rule=first, label="z1", context=below)
        is_cut = tried.ops[:-2] == case.ops[:-1] and isinstance(tried.ops[-1], ReadAll)
        return wrong if is_cut and len(run_in(tried, -2).program) == 1 else None

    seen = diverge(op_index=len(case.ops) - 1, rule=last, label="z3", context=below)
    found = trace_back(case, "a", seen, Judged(*[cut] * 20))
    assert found.verdict.rule == first
    assert found.cause == Cause("run", first, "z", "-")
    assert len(run_in(found.case, -2).program) == 1
