"""Whether an instruction is to blame: what is tried in its place, and what that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from scripted import Scripted, broken, diverge, sound, wrong

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.fault import Fault, FaultKind
from corpus.fields import MAX_PROGRAM
from corpus.isa.table import insn
from corpus.ops import GetMp, GetReg, HostRun, Op, ReadAll, Run, SetReg
from corpus.text import parse_case
from corpus.trace import Trace
from corpus.values import Pattern
from fuzz.followup import blame
from fuzz.followup.blame import Bench, by_an_earlier_one, class_of, of_wrong_length, word_of, wrote
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge

Says = Callable[[Case], Diverge | None]


def nothing(_: Case) -> Diverge | None:
    """Nothing is wrong."""
    return None


@dataclass(frozen=True)
class Tried(Bench):
    """A bench on which of each case is wrong what `says` says; it keeps the cases."""

    name: str = "a"
    legs: Everywhere = field(default_factory=lambda: Everywhere([]))
    says: Says = nothing
    cases: list[Case] = field(default_factory=list)

    def run(self, case: Case) -> tuple[Trace, Diverge | None]:
        self.cases.append(case)
        return Trace(()), self.says(case)


def last(rule: str, **changed: object) -> Says:
    """The last op of each case is wrong, by `rule`."""
    return lambda case: diverge(op_index=len(case.ops) - 1, rule=rule, **changed)


def text(op: Op) -> str:
    """The instructions of a run, in short."""
    assert isinstance(op, Run | HostRun)
    return "; ".join(one.format() for one in op.program)


def always(verdict: Diverge | None) -> Says:
    """The same is wrong with each case."""
    return lambda _: verdict


UP = "create v0\ninit v0\nfinalize v0\n"
SHORT = parse_case(
    UP + "run v0 {\n add z1.d, z1.d, z2.d\n}\nget v0 z1\n",
)
RUN, LOOK = 3, 4
SEEN = diverge(op_index=LOOK, rule="isa.add", label="z1")


def program(*lines: str, word: str = "run", then: str = "get v0 z1\n") -> Case:
    body = "".join(f"    {line}\n" for line in lines)
    return parse_case(f"{UP}{word} v0 {{\n{body}}}\n{then}")


def rule_of(case: Case, at: int = 0) -> str:
    """The rule about an instruction of the run."""
    run = case.ops[RUN]
    assert isinstance(run, Run | HostRun)
    return f"isa.{run.program[at].form.name}"


@pytest.mark.parametrize(
    ("label", "what"),
    [
        *(("z3", "z"), ("v31", "v"), ("p15", "p"), ("x0", "x"), ("ffr", "ffr")),
        *(("zcr_el1", "zcr_el1"), ("q3", "q3"), ("z", "z"), ("z3+", "z3+"), ("errno", "")),
        *(("0x60300000001401f", "raw-id"), ("0x60 twice", "0x60 twice")),
    ],
)
def test_registers_that_differ_in_their_number_are_one_class(label: str, what: str) -> None:
    assert class_of(label) == what


def test_a_run_is_a_run_whoever_s_thread_it_is_on() -> None:
    assert [word_of(op) for op in (Run(0), HostRun(0), GetReg(0, 1))] == ["run", "run", "get"]


def test_a_run_wrote_what_one_of_its_instructions_is_to_write() -> None:
    ops = (insn("ptrue", 1, 0, 31), insn("rdvl", 1, 1))
    for run in (Run(0, 0, ops), HostRun(0, 16, program=ops)):
        assert wrote(run, "isa.ptrue")
        assert wrote(run, "isa.rdvl")
        assert not wrote(run, "isa.ptrues")
        assert not wrote(run, "sve.z")
    assert not wrote(GetReg(0, 1), "isa.ptrue")


def test_a_bench_tells_what_is_wrong_unless_the_machine_broke() -> None:
    fault = Fault(FaultKind.WARN, "f", True)
    scripts = {
        "right": sound,
        "wrong": lambda case, turn: wrong(case, 1),
        "broken": lambda case, turn: broken(fault),
    }
    legs = Everywhere([Scripted(name, script) for name, script in scripts.items()])
    found = {name: Bench(name, legs).run(SHORT) for name in scripts}
    verdict = found["wrong"][1]
    assert verdict is not None
    assert verdict.op_index == 1
    assert found["right"][1] is None
    assert found["broken"][1] is None
    assert found["broken"][0].fault == fault
    assert len(found["right"][0].observations) == len(SHORT.ops)


# -- the vector length -------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["run", "host-run"])
@pytest.mark.parametrize("index", [RUN, LOOK])
def test_a_length_is_read_where_the_instruction_was(word: str, index: int) -> None:
    case = program("mov x1, #1", "add z1.d, z1.d, z2.d", "mov x2, #2", word=word)
    rule = rule_of(case, 1)
    bench = Tried(says=last("isa.rdvl"))
    found = of_wrong_length(case, diverge(op_index=index, rule=rule), bench)
    assert found is not None
    shorter, again = found
    assert bench.cases == [shorter]
    assert shorter.ops[:RUN] == case.ops[:RUN]
    run = shorter.ops[RUN]
    assert run.word == word
    assert text(run).split("; ") == ["mov x1, #1", "rdvl x28, #1"]
    assert shorter.ops[LOOK:] == (GetReg(0, regs.X_IDS[28]),)
    assert again.op_index == LOOK


def test_a_case_may_begin_with_its_run() -> None:
    case = Case((Run(0, 0, (insn("ptrue", 1, 0, 31),)),), 2)
    found = of_wrong_length(
        case, diverge(op_index=0, rule="isa.ptrue"), Tried(says=last("isa.rdvl"))
    )
    assert found is not None
    assert found[0].min_vq == 2


def test_no_length_is_read_where_no_run_is_in_question() -> None:
    bench = Tried(says=last("isa.rdvl"))
    late = parse_case(f"{UP}run v0 {{\n ptrue p1.b\n}}\nget v0 z1\nget v0 z1\n")
    assert of_wrong_length(late, diverge(op_index=5, rule="isa.ptrue"), bench) is None
    ends_in_run = parse_case("create v0\nrun v0 {\n ptrue p1.b\n}\n")
    assert of_wrong_length(ends_in_run, diverge(op_index=0, rule="isa.ptrue"), bench) is None
    for index in (RUN, LOOK):
        assert of_wrong_length(SHORT, diverge(op_index=index, rule="sve.z"), bench) is None
    assert not bench.cases


@pytest.mark.parametrize(
    "says",
    [
        lambda case: None,
        last("isa.add"),
        lambda case: diverge(op_index=len(case.ops) - 2, rule="isa.rdvl"),
    ],
)
def test_a_length_is_wrong_only_if_reading_it_shows_that(says: Says) -> None:
    bench = Tried(says=says)
    assert of_wrong_length(SHORT, diverge(op_index=LOOK, rule=rule_of(SHORT)), bench) is None
    assert bench.cases


def tried_at(case: Case, rule: str) -> list[int]:
    """After how many instructions the length is read, in order."""
    bench = Tried()
    of_wrong_length(case, diverge(op_index=LOOK, rule=rule), bench)
    runs = [one.ops[RUN] for one in bench.cases]
    return [len(run.program) - 1 for run in runs if isinstance(run, Run)]


def test_where_a_length_is_read_the_likeliest_place_first() -> None:
    lines = ["mov x1, #1", "ptrue p1.b", "add z1.d, z1.d, z2.d", "ptrue p2.b", "mov x2, #2"]
    case = program(*lines)
    # last of the named first, then the other vector instructions from the start, then the end
    assert tried_at(case, rule_of(case, 1)) == [3, 1, 2, 5]
    assert tried_at(case, rule_of(case, 2)) == [2, 1, 3, 5]
    assert tried_at(case, "isa.other") == [1, 2, 3, 5]
    assert tried_at(program("mov x1, #1"), "isa.other") == [1]
    many = program(*["ptrue p1.b"] * 9)
    assert tried_at(many, "isa.other") == [0, 1, 2, 3]


def test_a_program_that_is_full_has_no_room_at_its_end() -> None:
    assert tried_at(program(*["mov x1, #1"] * MAX_PROGRAM), "isa.other") == []
    assert tried_at(program(*["mov x1, #1"] * (MAX_PROGRAM - 1)), "isa.other") == [MAX_PROGRAM - 1]


def test_a_case_that_is_full_has_no_room_to_read_a_length() -> None:
    for more, tries in ((0, 1), (1, 0)):
        case = parse_case("create v0\n" * (MAX_OPS - 2 + more) + "run v0 {\n ptrue p1.b\n}\n")
        bench = Tried()
        verdict = diverge(op_index=len(case.ops) - 1, rule="isa.ptrue")
        assert of_wrong_length(case, verdict, bench) is None
        assert len(bench.cases) == min(tries, 1) * 2  # before the instruction and behind it


# -- other registers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "others"),
    [
        *(("z1", ("z30", "z23", "z17")), ("z30", ("z23", "z17")), ("z23", ("z30", "z17"))),
        *(("z17", ("z30", "z23")), ("p1", ("p14", "p9")), ("p14", ("p9",)), ("p9", ("p14",))),
        *(("x1", ("x28", "x23")), ("x28", ("x23",)), ("x23", ("x28",))),
    ],
)
def test_registers_beside_the_one_that_is_wrong_are_filled_and_read(
    label: str, others: tuple[str, ...]
) -> None:
    bench = Tried()
    seen = diverge(op_index=LOOK, rule=rule_of(SHORT), label=label)
    assert blame.beside_the_writer(SHORT, seen, bench) is None
    (tried,) = bench.cases
    count = len(others)
    sets, run, gets = tried.ops[RUN : RUN + count], tried.ops[RUN + count], tried.ops[-count:]
    ids = [regs.REGISTERS[name].id for name in others]
    assert len(tried.ops) == RUN + 1 + 2 * count
    assert (tried.ops[:RUN], run) == (SHORT.ops[:RUN], SHORT.ops[RUN])
    assert [one.reg for one in gets if isinstance(one, GetReg)] == ids
    assert [one.reg for one in sets if isinstance(one, SetReg)] == ids
    values = [one.value for one in sets if isinstance(one, SetReg)]
    assert values == [Pattern("noise", 1 + n) for n in range(count)]


def test_registers_that_nothing_writes_go_wrong_too() -> None:
    size = RUN + 3 + 1 + 3
    for index in range(size - 3, size):
        again = diverge(op_index=index, rule="sve.z")
        found = blame.beside_the_writer(SHORT, seen_at_look(), Tried(says=always(again)))
        assert found is not None
        case, verdict = found
        assert len(case.ops) == index + 1
        assert isinstance(case.ops[-1], GetReg)
        assert verdict is again


def seen_at_look(label: str = "z1", **changed: object) -> Diverge:
    return diverge(op_index=LOOK, rule=rule_of(SHORT), label=label, **changed)


@pytest.mark.parametrize(
    "again",
    [
        None,
        diverge(op_index=RUN + 3, rule="sve.z"),  # the run itself
        diverge(op_index=RUN + 4, rule="isa.add"),  # an instruction wrote it after all
    ],
)
def test_registers_beside_it_that_are_right_leave_the_blame(again: Diverge | None) -> None:
    assert blame.beside_the_writer(SHORT, seen_at_look(), Tried(says=always(again))) is None


def test_only_classes_of_registers_that_have_their_like_are_tried() -> None:
    bench = Tried(says=last("sve.z"))
    for label in ("ffr", "fpsr", "zcr_el1", "errno", "v1"):
        assert blame.beside_the_writer(SHORT, seen_at_look(label), bench) is None
        assert blame.by_other_writers(SHORT, seen_at_look(label), bench) is None
    assert blame.by_other_writers(SHORT, seen_at_look("x1"), bench) is None
    assert not bench.cases


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        (SHORT, diverge(op_index=LOOK, rule="sve.z", label="z1")),
        (SHORT, diverge(op_index=RUN, rule=rule_of(SHORT), label="z1")),
        (Case(SHORT.ops[LOOK:]), diverge(op_index=0, rule="isa.add", label="z1")),
        (
            Case((*SHORT.ops[:RUN], *SHORT.ops[LOOK:])),
            diverge(op_index=RUN, rule="isa.add", label="z1"),
        ),
    ],
    ids=["no instruction is blamed", "the run itself", "a look alone", "no run before it"],
)
def test_others_are_tried_for_an_instruction_that_a_last_look_blames(
    case: Case, verdict: Diverge
) -> None:
    bench = Tried(says=last("sve.z"))
    assert blame.beside_the_writer(case, verdict, bench) is None
    assert blame.by_other_writers(case, verdict, bench) is None
    assert not bench.cases


def test_a_case_may_begin_with_the_run_and_end_with_the_look() -> None:
    case = Case(SHORT.ops[RUN:], 3)
    for way in (blame.beside_the_writer, blame.by_other_writers):
        bench = Tried()
        assert way(case, diverge(op_index=1, rule="isa.add", label="z1"), bench) is None
        assert [one.min_vq for one in bench.cases] == [3]


@pytest.mark.parametrize("word", ["run", "host-run"])
def test_a_run_on_a_host_thread_of_its_own_is_tried_the_same_way(word: str) -> None:
    case = program("ptrue p1.b", word=word, then="get v0 p1\n")
    seen = diverge(op_index=LOOK, rule="isa.ptrue", label="p1")
    bench = Tried()
    assert blame.beside_the_writer(case, seen, bench) is None
    assert blame.by_other_writers(case, seen, bench) is None
    assert [one.ops[-2].word for one in bench.cases] == ["get", word]


def full(more: int, label: str = "z1") -> tuple[Case, Diverge]:
    """A case of so many ops before its run, and what its look shows."""
    case = Case((*SHORT.ops[:1] * more, *SHORT.ops[RUN:]))
    return case, diverge(op_index=more + 1, rule="isa.add", label=label)


def test_a_case_that_is_full_has_no_room_for_registers_beside_it() -> None:
    fits = MAX_OPS - 7
    for more, tries in ((fits, 1), (fits + 1, 0)):
        bench = Tried()
        assert blame.beside_the_writer(*full(more), bench) is None
        assert len(bench.cases) == tries


# -- other instructions ------------------------------------------------------------------------

WRITERS = {
    "z": [("z30", "isa.index_ii"), ("z23", "isa.dup_i")],
    "p": [("p14", "isa.ptrue"), ("p9", "isa.ptrues")],
}


def other_instruction(case: Case) -> str:
    run = case.ops[-2]
    assert isinstance(run, Run | HostRun)
    return f"isa.{run.program[-1].form.name}"


def wrong_by_its_writer(case: Case) -> Diverge:
    return diverge(op_index=len(case.ops) - 1, rule=other_instruction(case))


@pytest.mark.parametrize("letter", list(WRITERS))
def test_what_is_wrong_whichever_instruction_wrote_it_is_the_run_s_fault(letter: str) -> None:
    bench = Tried(says=wrong_by_its_writer)
    found = blame.by_other_writers(SHORT, seen_at_look(f"{letter}1"), bench)
    assert found is not None
    first, second = bench.cases
    assert found[0] == first
    assert found[1].rule == WRITERS[letter][0][1]
    for tried, (register, rule) in zip((first, second), WRITERS[letter], strict=True):
        run = tried.ops[RUN]
        assert isinstance(run, Run)
        assert tried.ops[:RUN] == SHORT.ops[:RUN]
        assert tried.ops[LOOK:] == (GetReg(0, regs.REGISTERS[register].id),)
        assert len(run.program) == 2
        assert run.program[-1].args[0] == int(register[1:])
        assert other_instruction(tried) == rule


def test_other_instructions_write_every_element_at_any_length() -> None:
    for letter, words in {
        "z": ["index z30.b, #1, #1", "mov z23.b, #-1"],
        "p": ["ptrue p14.b", "ptrues p9.b"],
    }.items():
        bench = Tried(says=wrong_by_its_writer)
        blame.by_other_writers(Case((Run(0), SHORT.ops[LOOK])), seen_after_run(letter), bench)
        expected = [text(program(word).ops[RUN]) for word in words]
        assert [text(one.ops[0]) for one in bench.cases] == expected


def seen_after_run(letter: str) -> Diverge:
    return diverge(op_index=1, rule="isa.add", label=f"{letter}1")


@pytest.mark.parametrize("letter", list(WRITERS))
def test_an_instruction_is_not_tried_in_its_own_place(letter: str) -> None:
    for left, out in ((1, 0), (0, 1)):
        register, rule = WRITERS[letter][out]
        for label, blamed in ((register, "isa.add"), (f"{letter}1", rule)):
            bench = Tried(says=wrong_by_its_writer)
            seen = diverge(op_index=LOOK, rule=blamed, label=label)
            assert blame.by_other_writers(SHORT, seen, bench) is not None
            assert [other_instruction(one) for one in bench.cases] == [WRITERS[letter][left][1]]
    (one, _), (_, other) = WRITERS[letter]
    bench = Tried(says=wrong_by_its_writer)
    assert (
        blame.by_other_writers(SHORT, diverge(op_index=LOOK, rule=other, label=one), bench) is None
    )
    assert not bench.cases


def wrong_but_for(rule: str, instead: Diverge | None) -> Says:
    """As by their writers, but for one of those."""
    return lambda case: instead if other_instruction(case) == rule else wrong_by_its_writer(case)


@pytest.mark.parametrize("right", [0, 1])
def test_one_other_instruction_that_is_right_leaves_the_blame(right: int) -> None:
    rule = WRITERS["z"][right][1]
    for instead in (None, diverge(op_index=LOOK, rule="isa.add")):
        bench = Tried(says=wrong_but_for(rule, instead))
        assert blame.by_other_writers(SHORT, seen_at_look(), bench) is None
        assert len(bench.cases) == right + 1


def test_a_program_that_is_full_has_no_room_for_another_instruction() -> None:
    for size, tries in ((MAX_PROGRAM - 1, 2), (MAX_PROGRAM, 0)):
        case = program(*["mov x1, #1"] * size)
        bench = Tried(says=wrong_by_its_writer)
        blame.by_other_writers(case, seen_at_look(), bench)
        assert len(bench.cases) == tries


# -- an earlier instruction -----------------------------------------------------------------

LINES = ("mov x1, #1", "add z1.d, z1.d, z2.d", "mov x2, #2", "fmul z3.d, z1.d, z2.d")


def length(op: Op) -> int:
    """Of a run's program."""
    assert isinstance(op, Run | HostRun)
    return len(op.program)


def writing(at: int, rule: str) -> Says:
    """The last op of a case whose run has so many instructions, or more, is wrong."""

    def says(case: Case) -> Diverge | None:
        late = length(case.ops[RUN]) >= at
        return diverge(op_index=len(case.ops) - 1, rule=rule) if late else None

    return says


@pytest.mark.parametrize("word", ["run", "host-run"])
@pytest.mark.parametrize("index", [RUN, LOOK])
def test_an_earlier_instruction_that_leaves_something_wrong_is_to_blame(
    word: str, index: int
) -> None:
    case = program(*LINES, word=word)
    bench = Tried(says=writing(2, rule_of(case, 1)))
    found = by_an_earlier_one(case, diverge(op_index=index, rule=rule_of(case, 3)), bench)
    assert found is not None
    shorter, again = found
    assert [length(each.ops[RUN]) for each in bench.cases] == [1, 2]
    assert bench.cases[-1] == shorter
    assert shorter.ops[:RUN] == case.ops[:RUN]
    assert shorter.ops[RUN].word == word
    assert text(shorter.ops[RUN]).split("; ")[0] == LINES[0]
    assert shorter.ops[LOOK:] == (ReadAll(0),)
    assert (again.op_index, again.rule) == (LOOK, rule_of(case, 1))


def test_the_last_instruction_is_no_earlier_one() -> None:
    case = program(*LINES)
    bench = Tried()
    assert by_an_earlier_one(case, diverge(op_index=LOOK, rule=rule_of(case, 3)), bench) is None
    assert [length(each.ops[RUN]) for each in bench.cases] == [1, 2, 3]


def test_what_is_wrong_by_another_rule_or_at_another_op_is_no_earlier_instruction() -> None:
    case = program(*LINES)
    seen = diverge(op_index=LOOK, rule=rule_of(case, 3))
    # The fourth is not in what is left of the program.
    for says in (writing(1, rule_of(case, 3)), writing(1, "run.exit")):
        assert by_an_earlier_one(case, seen, Tried(says=says)) is None
    at_run = Tried(says=always(diverge(op_index=RUN, rule=rule_of(case, 0))))
    assert by_an_earlier_one(case, seen, at_run) is None


def test_only_an_instruction_that_a_run_or_the_look_behind_it_blames_has_earlier_ones() -> None:
    case = program(*LINES, then="get v0 z1\nget v0 z1\n")
    for verdict in (
        diverge(op_index=LOOK, rule="run.exit"),
        diverge(op_index=LOOK + 1, rule=rule_of(case, 3)),
        diverge(op_index=0, rule=rule_of(case, 3)),
    ):
        bench = Tried(says=writing(1, rule_of(case, 0)))
        assert by_an_earlier_one(case, verdict, bench) is None
        assert bench.cases == []


def test_a_long_program_is_looked_at_at_its_beginning() -> None:
    lines = [f"mov x{number}, #1" for number in range(20)]
    case = program(*lines, "fmul z3.d, z1.d, z2.d")
    bench = Tried()
    assert by_an_earlier_one(case, diverge(op_index=LOOK, rule=rule_of(case, 20)), bench) is None
    tried = [length(each.ops[RUN]) for each in bench.cases]
    assert tried == list(range(1, 13))


def test_a_case_that_is_full_has_room_for_a_look_in_the_place_of_what_was_behind() -> None:
    run = Run(0, 0, (insn("hvc", 1), insn("ptrue", 1, 0, 31)))
    verdict = "isa.ptrue"
    for before, tried in ((MAX_OPS - 2, 1), (MAX_OPS - 1, 0)):
        case = Case((*[GetMp(0)] * before, run), 2)
        bench = Tried()
        assert by_an_earlier_one(case, diverge(op_index=before, rule=verdict), bench) is None
        assert len(bench.cases) == tried
        assert all(each.min_vq == 2 for each in bench.cases)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (f"get v0 {regs.VLS_ID:#x}", "get-vls"),
        (f"set v0 {regs.VLS_ID:#x} 1", "set-vls"),
        ("read-all v0", "get"),
        ("get v0 x1", "get"),
        ("set v0 x1 1", "set"),
        ("get-vls v0", "get-vls"),
        ("set-vls v0 1", "set-vls"),
        ("host-run v0 {\n}", "run"),
        ("get-mp v0", "get-mp"),
    ],
)
def test_what_ops_are_called_in_causes(line: str, word: str) -> None:
    assert word_of(parse_case(f"{line}\n").ops[0]) == word
