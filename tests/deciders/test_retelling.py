"""How a case is told otherwise, what has to be the same then, and what may differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted import sound

from corpus import registers as regs
from corpus.case import Case
from corpus.fields import MAX_PROGRAM
from corpus.ops import Disturb, GetReg, HostRun, Migrate, Op, ReadAll, Run, SetReg
from corpus.readgroups import READ_GROUPS
from corpus.text import format_op, parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.values import Pattern
from corpus.wire import (
    HOST_THREAD_DATA,
    MMIO_BASE,
    RUN_DATA,
    RUN_TIMED_OUT,
    Stranger,
    pack_groups,
)
from fuzz.oracle.facts import leaves_to_chance
from fuzz.oracle.selfsame import (
    READING,
    SET_ORDER,
    SPLIT_RUN,
    WRITING_BACK,
    Retold,
    compare,
    retellings,
)
from targets.spec.rules import RULES

UP = "create v0\ninit v0\nfinalize v0\n"
NOP = "run v0 {\n nop\n}\n"


def told(case: Case, trace: Trace | None = None) -> dict[str, Retold]:
    """The retellings of a case, by rule."""
    return {one.rule: one for one in retellings(case, trace or sound(case))}


def ops_of(case: Case) -> list[str]:
    return [format_op(op) for op in case.ops]


def ends(reason: int = 6, address: int = MMIO_BASE, flags: int = 0, err: int = 0) -> Observation:
    return Observation(err, 0, RUN_DATA.pack(reason, 1, address, 7, 8, flags))


# -- when --------------------------------------------------------------------------------------


def test_only_cases_that_ran_well_to_their_end_are_told_otherwise() -> None:
    case = parse_case(UP + "set v0 z1 1\nset v0 z2 1\n")
    trace = sound(case)
    assert set(told(case)) == {SET_ORDER}
    assert not told(case, replace(trace, ending=Ending.HOST_LOG))
    assert not told(case, replace(trace, observations=trace.observations[:-1]))


def test_each_way_of_telling_is_a_rule() -> None:
    assert {SET_ORDER, READING, WRITING_BACK, SPLIT_RUN} <= RULES.keys()


# -- the order of SETs -------------------------------------------------------------------------


def order_of(text: str) -> list[str] | None:
    found = told(parse_case(UP + text)).get(SET_ORDER)
    return ops_of(found.case)[3:] if found else None


@pytest.mark.parametrize("name", ["z5", "p5", "ffr", "zcr_el1", "fpcr", "fpsr"])
def test_vector_registers_and_their_controls_are_a_table(name: str) -> None:
    sets = [f"set v0 {name} 0", "set v0 z1 1"]
    assert order_of("\n".join(sets)) == sets[::-1]
    assert order_of("\n".join(sets[::-1])) == sets


@pytest.mark.parametrize(
    "name", ["x5", "sp", "pc", "pstate", "cpacr_el1", "sctlr_el1", "tpidr_el0", "vls"]
)
def test_other_registers_are_no_table(name: str) -> None:
    assert order_of(f"set v0 {name} 0\nset v0 z1 1\n") is None
    assert order_of(f"set v0 z1 1\nset v0 {name} 0\n") is None


def test_v_registers_are_a_table_too() -> None:
    text = "create v0\ninit v0 features=psci_0_2\nset v0 v1 0x1\nset v0 v2 0x2\n"
    found = told(parse_case(text))[SET_ORDER]
    assert ops_of(found.case)[2:] == ["set v0 v2 2", "set v0 v1 1"]


def test_blocks_of_two_vcpus_stay_apart() -> None:
    lines = ["set v0 z1 1", "set v0 z2 2", "set v1 z3 3", "set v1 z4 4"]
    assert order_of("\n".join(lines)) == [lines[i] for i in (1, 0, 3, 2)]
    mixed = [lines[0], lines[2], lines[1]]
    assert order_of("\n".join(mixed)) is None


def test_each_op_has_its_place_in_the_other_telling() -> None:
    lines = ["set v0 z1 0x1", "set v0 z2 0x2", "set v0 z1 0x3", "get v0 z1", "set v0 z4 0x4"]
    case = parse_case(UP + "\n".join(lines))
    found = told(case)[SET_ORDER]
    assert found.places == (0, 1, 2, 4, 3, 5, 6, 7)
    assert found.how == "with its SETs in another order"
    for index, place in enumerate(found.places):
        assert place is not None
        assert found.case.ops[place] == case.ops[index]


def test_what_a_case_requires_its_tellings_do_too() -> None:
    text = UP + "set v0 z1 1\nset v0 z2 1\nget v0 x1\nrun v0 {\n nop\n nop\n}\nget v0 x1\n"
    case = Case(parse_case(text).ops, 2)
    found = told(case)
    assert set(found) == {SET_ORDER, READING, WRITING_BACK, SPLIT_RUN}
    assert [one.case.min_vq for one in found.values()] == [2] * 4


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        *("get v0 z1", "get-vls v0", "get-mp v0", "get-events v0"),
        *("reg-list v0", "read-all v0", "read-mem 0x8000"),
    ],
)
def test_what_only_reads_is_left_out(read: str) -> None:
    found = told(parse_case(f"{UP}{read}\nset v0 x1 1\n{read}\n"))[READING]
    assert [op.split()[0] for op in ops_of(found.case)[3:]] == ["set", read.partition(" ")[0]]
    assert found.places == (0, 1, 2, None, 3, 4)
    assert READING not in told(parse_case(f"{UP}{read}\n"))  # the last op stays


@pytest.mark.parametrize("op", ["set v0 z1 0x1", "write-mem 0x8000 1", "preferred-target", NOP])
def test_what_does_more_is_not(op: str) -> None:
    assert READING not in told(parse_case(f"{UP}{op}\n{op}\n"))


@pytest.mark.parametrize("word", ["run", "host-run"])
@pytest.mark.parametrize(
    ("line", "calls"),
    [("hvc #0", True), ("nop", False), ("svc #0", False), (".inst 0x6400d000", True)],
)
def test_a_case_with_calls_is_read_as_it_is(word: str, line: str, calls: bool) -> None:
    case = parse_case(f"{UP}get v0 x1\n{word} v0 {{\n nop\n {line}\n}}\nget v0 x1\n")
    observations = (Observation(0),) * len(case.ops)
    assert (READING not in told(case, Trace(observations))) is calls


# -- setting what was read ---------------------------------------------------------------------


def set_back(name: str, data: bytes, text: str = "get v0 {}\n", err: int = 0) -> Pattern | None:
    """The value that is set again where a GET read `data`."""
    case = parse_case(UP + text.format(name))
    trace = Trace((*sound(case).observations[:3], Observation(err, 0, data)))
    found = told(case, trace).get(WRITING_BACK)
    if found is None:
        return None
    assert found.places == (0, 1, 2, 3)
    assert len(found.case.ops) == 5
    get, back = found.case.ops[3:]
    assert isinstance(get, GetReg)
    assert isinstance(back, SetReg)
    assert (back.vcpu, back.reg, back.edge) == (get.vcpu, get.reg, None)
    assert back.value.expand(len(data)) == data
    return back.value


@pytest.mark.parametrize(
    "name", ["z3", "p3", "ffr", "v3", "zcr_el1", "fpcr", "fpsr", "sp", "x0", "x30"]
)
def test_registers_that_hold_what_they_are_set_to_are_set_again(name: str) -> None:
    assert set_back(name, bytes(range(1, 9))) == Pattern("int", 0x0807060504030201)


@pytest.mark.parametrize("name", ["pc", "pstate", "sctlr_el1", "0x6030000000123456", "esr_el1"])
def test_others_are_not(name: str) -> None:
    assert set_back(name, bytes(range(1, 9))) is None


def test_only_what_can_be_written_down_is_set_again() -> None:
    assert set_back("z3", b"\xab" * 256) == Pattern("fill", 0xAB)
    assert set_back("z3", b"\xff" * 8 + bytes(8)) == Pattern("int", (1 << 64) - 1)
    assert set_back("z3", bytes(8) + b"\1" + bytes(7)) is None  # 1 << 64
    assert set_back("z3", b"\xff" * 8 + b"\1" + bytes(7)) is None
    assert set_back("x3", bytes(8), err=22) is None
    assert set_back("x3", b"") is None
    assert set_back("x3", b"\1" * 8, "get v0 {} edge=4\n") is None


# -- one run or two ----------------------------------------------------------------------------


def split_at(
    lines: list[str], seen: Observation | None = None, words: str = "run v0"
) -> int | None:
    """Behind how many instructions a program is split."""
    body = "".join(f" {line}\n" for line in lines)
    case = parse_case(f"{UP}{words} {{\n{body}}}\nget v0 x1\n")
    trace = Trace((*[Observation(0)] * 3, seen or ends(), Observation(0, 0, bytes(8))))
    found = told(case, trace).get(SPLIT_RUN)
    if found is None:
        return None
    first, second = found.case.ops[3:5]
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert isinstance(case.ops[3], Run)
    assert (*first.program, *second.program) == case.ops[3].program
    assert found.case.ops[5:] == case.ops[4:]
    assert found.places == (0, 1, 2, 4, 5)
    assert found.how == f"with the run of op 3 in two, behind {len(first.program)} instructions"
    return len(first.program)


MOV, SYS = "mov x1, #1", "isb"


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        *(([], None), ([MOV], None), ([MOV] * 2, 1), ([MOV] * 3, 2), ([MOV] * 5, 3)),
        ([MOV] * MAX_PROGRAM, MAX_PROGRAM // 2),
        *(([SYS], None), ([SYS, MOV], None), ([MOV, SYS], None), ([SYS, MOV, MOV], 2)),
        *(([MOV, SYS, MOV, MOV], 3), ([SYS, SYS, MOV, MOV, MOV, MOV], 4)),
        ([SYS, MOV, SYS, MOV, MOV], 4),
    ],
)
def test_a_run_is_split_in_the_middle_of_what_may_stand_alone(
    lines: list[str], at: int | None
) -> None:
    assert split_at(lines) == at


@pytest.mark.parametrize(
    ("line", "splits"),
    [
        *(("ldr b1, [x1, #0]", False), ("str b1, [x1, #0]", False)),
        *(("ldr x2, [x1, #0]", False), ("str x2, [x1, #0]", False)),
        *(("ldraa x2, [x1, #8]", False), ("ldff1b {z1.b}, p0/z, [x1, x2]", False)),
        ("ld1sb {z1.s}, p0/z, [x1, z2.s, uxtw]", False),
        ("st1b {z1.s}, p0, [x1, z2.s, uxtw]", False),
        *(("ldr z1, [x1, #0, mul vl]", False), ("str z1, [x1, #0, mul vl]", False)),
        *(("ptrue p1.b", True), ("fadd v1.4s, v2.4s, v3.4s", True)),
    ],
)
def test_what_looks_at_memory_may_look_at_the_code(line: str, splits: bool) -> None:
    for lines in ([line, MOV, MOV, MOV], [MOV, MOV, MOV, line]):
        assert (split_at(lines) is not None) is splits


def test_what_uses_the_exit_s_register_stays_with_what_comes_before() -> None:
    link = "add x2, x30, x30"
    assert split_at([link, MOV, MOV]) == 2
    assert split_at([MOV, MOV, link]) is None
    assert split_at([MOV, MOV, "add x30, x1, x1"]) is None
    assert split_at([MOV, MOV, "add x1, x1, x30"]) is None
    assert split_at([MOV, MOV, "add z30.d, z30.d, z30.d"]) == 2
    assert split_at([MOV, MOV, "mov x2, #30"]) == 2


@pytest.mark.parametrize("branch", ["brab-next x21, x11", "blraaz-next x3", "retaa-next"])
def test_what_leaves_behind_where_it_is_stays_there(branch: str) -> None:
    assert split_at([branch, MOV, MOV]) == 2
    assert split_at([MOV, MOV, branch]) is None


def test_a_handler_that_returns_is_for_one_run() -> None:
    assert split_at(["return-vectors", MOV, MOV, MOV]) is None


def test_only_a_run_that_ended_as_runs_do_is_split() -> None:
    two = [MOV, MOV]
    assert split_at(two, ends(err=4)) is None
    assert split_at(two, ends(address=MMIO_BASE + 8)) is None
    assert split_at(two, ends(address=MMIO_BASE | 1 << 56)) is None
    assert split_at(two, ends(reason=9)) == 1  # its address tells
    assert split_at(two, words="run v0 immediate=yes") is None
    assert split_at(two, words="host-run v0") is None


def test_the_first_run_that_can_be_is_split() -> None:
    case = parse_case(f"{UP}{NOP}run v0 {{\n nop\n nop\n}}\nrun v0 {{\n nop\n nop\n}}\n")
    trace = Trace((*[Observation(0)] * 3, *[ends()] * 3))
    assert told(case, trace)[SPLIT_RUN].places == (0, 1, 2, 3, 5, 6)


# -- what has to be the same -------------------------------------------------------------------

READ = parse_case(UP + "get v0 x1\nget v0 x1\n")


def facts(rule: str, op: Op, seen: Observation) -> dict[str, str]:
    """What of an op has to be the same in a telling by `rule`."""
    texts = {
        SET_ORDER: UP + "set v0 z1 1\nset v0 z2 1\n",
        READING: UP + "get v0 x1\nget v0 x1\n",
        WRITING_BACK: UP + "get v0 x1\n",
        SPLIT_RUN: UP + "run v0 {\n nop\n nop\n}\n",
    }
    return told(parse_case(texts[rule]))[rule].facts(op, seen)


VALUES = pack_groups(READ_GROUPS)


def look(**values: int) -> Observation:
    """A look at all of a vcpu whose registers are nought but for some."""
    case = parse_case(UP + "".join(f"set v0 {k} {v}\n" for k, v in values.items()) + "read-all v0")
    return sound(case).observations[-1]


@pytest.mark.parametrize("rule", [SET_ORDER, READING, WRITING_BACK])
def test_while_no_guest_runs_all_that_an_op_returns_is_the_same(rule: str) -> None:
    x1, raw = GetReg(0, regs.X_IDS[1]), GetReg(0, 0x6030000000123456)
    seen = Observation(0, 3, b"\1" * 8)
    assert facts(rule, x1, seen) == {"errno": "success", "aux": "0x3", "data": "01" * 8}
    assert facts(rule, raw, seen) == {"errno": "success", "aux": "0x3"}
    moved = facts(rule, Migrate(0), seen)
    assert moved == {"errno": "success", "aux": "0x3", "stage": "3"}
    struck = facts(rule, Disturb(Stranger.SIGNAL, 5), seen)  # when it did is chance
    assert struck == {"errno": "success", "aux": "0x3"}
    found = facts(rule, ReadAll(0), look(x1=7))
    assert {"data", "x1", "z1", "registers read"} <= found.keys()
    ran = facts(rule, Run(0), ends())
    assert {"data", "exit reason", "mmio address"} <= ran.keys()
    host = Observation(
        0, 0, RUN_DATA.pack(6, 1, MMIO_BASE, 0, 8, 0) + HOST_THREAD_DATA.pack(*[0] * 6)
    )
    found = facts(rule, HostRun(0), host)
    assert "mmio address" in found
    assert "data" not in found


def test_of_a_run_in_two_only_what_no_exit_changes_is_the_same() -> None:
    get = GetReg(0, regs.X_IDS[1])
    assert facts(SPLIT_RUN, get, Observation(0, 3, b"\1" * 8)).keys() == {"errno", "x1"}
    pc = GetReg(0, regs.REGISTERS["pc"].id)
    assert facts(SPLIT_RUN, pc, Observation(0, 0, bytes(8))).keys() == {"errno"}
    found = facts(SPLIT_RUN, ReadAll(0), look(x1=7))
    assert {"errno", "x1", "z1", "sp", "registers read"} <= found.keys()
    assert "pc" not in found
    assert facts(SPLIT_RUN, Run(0), ends()) == {"errno": "a run"}


# -- what is told of a difference --------------------------------------------------------------


def test_a_difference_is_told_with_both_values_and_the_rule() -> None:
    trace = sound(READ)
    short = told(READ)[READING]
    other = replace(sound(short.case), observations=(*trace.observations[:3], Observation(22)))
    found = compare(READ, trace, short, other)
    assert found is not None
    assert (found.oracle, found.op_index, found.op_word, found.rule) == ("self", 4, "get", READING)
    assert (found.label, found.expected, found.observed) == ("errno", "success", "EINVAL")
    assert found.rules == {READING}
    assert found.strict
    assert found.explanation == (
        "op 4 (get): errno is success, but EINVAL when the case is told without reading before "
        "its end; rule self.reading says that this changes nothing"
    )


def test_what_one_telling_alone_shows_counts() -> None:
    case = parse_case(UP + "set v0 z1 1\nset v0 z2 1\nget v0 x1\n")
    trace = sound(case)
    retold = told(case)[SET_ORDER]
    split = replace(retold, facts=told(parse_case(UP + "run v0 {\n nop\n nop\n}"))[SPLIT_RUN].facts)
    fails = Trace((*trace.observations[:-1], Observation(0, 0, bytes(8))))
    none = Trace((*trace.observations[:-1], Observation(22)))
    for one, other in ((fails, none), (none, fails)):
        found = compare(case, one, split, other)
        assert found is not None
        assert found.label == "errno"
    # an errno that is the same, and a value in one telling only
    odd = replace(retold, facts=lambda op, seen: {"value": "7"} if seen.data else {})
    for one, other, told_as in ((fails, none, ("7", "nothing")), (none, fails, ("nothing", "7"))):
        found = compare(case, one, odd, other)
        assert found is not None
        assert (found.label, found.expected, found.observed) == ("value", *told_as)


def test_tellings_that_broke_or_ran_out_of_time_say_nothing() -> None:
    case = parse_case(f"{UP}get v0 x1\n{NOP}get v0 x1\n")
    start, late = [Observation(0)] * 3, ends(err=4, flags=RUN_TIMED_OUT)
    value, other = Observation(0, 0, bytes(8)), Observation(0, 0, b"\1" * 8)

    def first(run: Observation) -> Trace:
        return Trace((*start, value, run, value))

    def second(run: Observation) -> Trace:
        return Trace((*start, run, other))

    retold = told(case, first(ends()))[READING]
    differs = compare(case, first(ends()), retold, second(ends()))
    assert differs is not None
    assert differs.op_index == 5
    assert compare(case, first(late), retold, second(ends())) is None
    assert compare(case, first(ends()), retold, second(late)) is None
    broke = replace(second(ends()), ending=Ending.HOST_LOG)
    assert compare(case, first(ends()), retold, broke) is None


@pytest.mark.parametrize(
    ("around", "is_chance"),
    [
        ("disturb step {{\n{}}}\n", True),
        ("disturb softirq after=5000 {{\n{}}}\n", False),
        ("{}threads {{\nget v0 x1\n}} {{\nget-mp v0\n}}\n", True),
        ("{}", False),
    ],
)
def test_what_is_chance_is_not_told_otherwise(around: str, is_chance: bool) -> None:
    """A debugger that steps leaves SS of PSTATE in what an exception saves, or does not."""
    case = parse_case(UP + around.format("get v0 x1\nrun v0 {\nundef-loop #3\n}\n") + "get v0 x1\n")
    seen = Trace(tuple(Observation(0, 0, bytes(8)) for _ in case.ops))
    assert bool(list(retellings(case, seen))) != is_chance
    assert leaves_to_chance(case) == is_chance


def test_a_tag_that_is_given_at_random_is_chance() -> None:
    for line, is_chance in (("irg x1, x2, x3", True), ("addg x1, x2, #16, #3", False)):
        for run in ("run v0", "host-run v0 vl=16"):
            case = parse_case(f"{UP}get v0 x1\n{run} {{\n{line}\n}}\nget v0 x1\n")
            assert leaves_to_chance(case) == is_chance
            seen = Trace(tuple(Observation(0, 0, bytes(8)) for _ in case.ops))
            assert bool(list(retellings(case, seen))) != is_chance


ASKED = "mov x0, #83\nmovk x0, #33792, lsl #16"


@pytest.mark.parametrize(
    ("given", "program", "is_chance"),
    [
        ("", f"{ASKED}\nhvc #0", True),
        ("", f"{ASKED}\nnop", False),
        ("", f"{ASKED.replace('83', '84')}\nhvc #0", False),
        ("set v0 x0 0x84000053\n", "hvc #0", True),
        ("set v0 x1 0x84000053\n", "hvc #0", False),
        ("set v0 x0 0x84000054\n", "hvc #0", False),
        ("", "movz x0, #33792, lsl #16\nmovk x0, #83\nhvc #0", True),
        ("set v0 x0 0x84000153\n", "hvc #0", False),
        ("set v0 x0 0x53\n", "movk x0, #33792, lsl #16\nhvc #0", True),
        ("set v0 x0 0x84ff0053\n", "movk x0, #33792, lsl #16\nhvc #0", True),
    ],
)
def test_numbers_that_a_guest_asked_for_are_chance(
    given: str, program: str, is_chance: bool
) -> None:
    for run in ("run v0", "host-run v0 vl=16"):
        case = parse_case(f"{UP}{given}get v0 x1\n{run} {{\n{program}\n}}\nget v0 x1\n")
        assert leaves_to_chance(case) == is_chance
        seen = Trace(tuple(Observation(0, 0, bytes(8)) for _ in case.ops))
        assert bool(list(retellings(case, seen))) != is_chance
