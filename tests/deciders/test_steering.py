"""What libFuzzer is steered by, and how cases are changed for it."""

from __future__ import annotations

import ctypes
import random
from collections import Counter
from collections.abc import Callable

import atheris
import pytest
from scripted import agree, diverge, sound, wrong

from corpus import registers as regs
from corpus.case import MAX_OPS, Case, decode
from corpus.fields import MAX_PROGRAM
from corpus.isa.table import FORMS
from corpus.opfields import fields_of
from corpus.ops import CreateVcpu, Finalize, GetMp, HostRun, Init, Op, ReadAll, Run, SetReg
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from fuzz.generate import el2, mutate, random_insn
from fuzz.generate.facts import Tracker
from fuzz.generate.mutate import crossed, mutated
from fuzz.generate.pairs import Chooser, Pairs
from fuzz.oracle.verdict import Agree, Verdict
from fuzz.worker import feedback
from fuzz.worker.features import features_of, rules_of, share_judged
from fuzz.worker.feedback import BLOCKS, COUNTERS, BlockCounters, Feedback
from fuzz.worker.steering import Steering
from targets.spec.judge import Choices

CASE = parse_case(
    "create v0\ninit v0\nfinalize v0\nget v0 z3\nrun v0 {\n nop\n ptrue p0.b, all\n}\n"
)


# -- features --------------------------------------------------------------------------------


def features(case: Case, *traces: Trace, **verdicts: object) -> set[object]:
    return set(features_of(case, {str(n): t for n, t in enumerate(traces)}, verdicts))  # type: ignore[arg-type]


def test_rules_choices_and_reasons_are_features() -> None:
    agrees = Agree(1, frozenset("zyxdcba"), Choices(5, 2), "stopped at 0x1234")
    verdicts: dict[str, Verdict] = {
        "a": agrees,
        "b": agree(rules=["m"]),
        "c": diverge(rules=frozenset({"n"})),
    }
    assert list(rules_of(verdicts)) == [("rule", name) for name in "abcdmxyz"], "always alike"
    found = features(CASE, **verdicts)
    assert found == {("kept", "a", 3), ("cleared", "a", 2), ("stopped", "stopped at")}
    only_kept = Agree(1, frozenset(), Choices(1, 0))
    assert features(CASE, a=only_kept) == {("kept", "a", 1)}
    only_cleared = Agree(1, frozenset(), Choices(0, 1))
    assert features(CASE, a=only_cleared) == {("cleared", "a", 1)}


def test_ops_are_features_with_their_errno_and_what_their_vcpu_went_through() -> None:
    case = parse_case(
        "create v0\ninit v0\nget-mp v0\nfinalize v0\nrun v0 { }\ninit v1\nget-mp v0\nget-mp v1\n"
    )
    seen = [Observation(0)] * 5 + [Observation(9), Observation(0), Observation(7)]
    assert features(case, Trace(tuple(seen))) == {
        *(("op", "create", 0, ""), ("op", "init", 0, ""), ("op", "get-mp", 0, "i")),
        *(("op", "finalize", 0, "i"), ("op", "run", 0, "if"), ("op", "init", 9, "")),
        *(("op", "get-mp", 0, "ifr"), ("op", "get-mp", 7, "")),
    }


def test_how_much_was_judged_is_a_share_of_the_legs() -> None:
    whole, stopped = agree(), Agree(1, frozenset(), Choices(), "stopped")
    assert share_judged({"a": whole}) == 1
    assert share_judged({"a": whole, "b": stopped, "c": diverge(), "d": whole}) == 0.75
    assert share_judged({"a": stopped}) == 0


def test_a_case_that_is_judged_in_part_has_fewer_children() -> None:
    steering = Steering(3, by_pairs=False)
    steering.child()  # the corpus is read
    half, whole = (parse_case(f"create v{n}\ninit v{n}\n") for n in (2, 3))
    steering.note(half, [], 10, 0.0, 0.5)
    steering.note(whole, [], 10, 0.0, 1.0)
    made = [steering.child() for _ in range(300)]
    of = [sum(CreateVcpu(n) in child.ops for child in made) for n in (2, 3)]
    assert 0 < 1.5 * of[0] < of[1]


def test_a_life_is_remembered_for_six_steps() -> None:
    case = Case((Init(0),) * 9)
    found = features(case, Trace((Observation(0),) * 9))
    assert found == {("op", "init", 0, "i" * n) for n in range(7)}


def test_only_the_first_trace_tells_of_ops_and_only_as_far_as_it_goes() -> None:
    short = Trace((Observation(0),))
    found = features(CASE, short, wrong(CASE, 1))
    assert found == {("op", "create", 0, "")}
    of_vm = parse_case("preferred-target\n")
    assert features(of_vm, Trace((Observation(0),))) == {("op", "preferred-target", 0, "")}
    behind = parse_case("init v1\ninit v0\npreferred-target\n")  # by the first vcpu's life
    assert ("op", "preferred-target", 0, "i") in features(behind, Trace((Observation(0),) * 3))
    never = parse_case("init v1\npreferred-target\n")
    assert ("op", "preferred-target", 0, "") in features(never, Trace((Observation(0),) * 2))


# -- counters --------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Counters in place of libFuzzer's: how often each was traced."""
    traced: Counter[int] = Counter()
    reserved = iter(range(10**6))
    monkeypatch.setattr(atheris, "_reserve_counter", lambda: next(reserved), raising=False)
    monkeypatch.setattr(atheris, "_trace_branch", lambda n: traced.update([n]), raising=False)
    return traced


def test_each_feature_has_a_counter_of_its_own(counted: Counter[int]) -> None:
    steering = Feedback()
    assert steering.seen == 0
    assert steering.report(["a", "b", "a"]) == 2
    assert steering.report(["b", ("c", 1)]) == 1
    assert steering.seen == 3
    assert counted == {0: 2, 1: 2, 2: 1}


def test_branches_of_the_model_are_told_once_a_case(counted: Counter[int]) -> None:
    steering = Feedback(["model"])
    branch = atheris._trace_branch
    for number in (900, 901, 900):
        branch(number)
    assert counted == {}
    assert steering.report([]) == 2
    assert counted == {900: 1, 901: 1}
    branch(901)
    assert steering.report([]) == 0
    assert counted == {900: 1, 901: 2}
    assert steering.report([]) == 0
    assert steering.seen == 2
    other = Feedback(["rules"])
    atheris._trace_branch(902)
    assert other.report(["a"]) == 1
    assert 902 not in counted
    assert (set(other.sources), other.seen) == ({"rules"}, 1)
    assert Feedback().sources == set(feedback.SOURCES)


def test_branches_are_told_in_the_order_of_their_numbers(counted: Counter[int]) -> None:
    steering = Feedback(["model"])
    for number in (64, 8, 1, 0):
        atheris._trace_branch(number)
    steering.report([])
    assert list(counted) == [0, 1, 8, 64]


@pytest.mark.parametrize("source", ["model", "rules"])
def test_what_atheris_puts_in_place_when_it_begins_is_told(
    counted: Counter[int], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = Feedback([source])
    told: Counter[int] = Counter()
    monkeypatch.setattr(atheris, "_trace_branch", lambda n: told.update([n]), raising=False)
    atheris._trace_branch(900)  # of the first case, which nobody gathers yet
    assert steering.report(["a"]) == 1
    assert told == {900: 1, 0: 1}
    atheris._trace_branch(901)
    gathers = source == "model"
    assert told == ({900: 1, 0: 1} if gathers else {900: 1, 0: 1, 901: 1})
    assert steering.report(["a"]) == gathers
    assert told == {900: 1, 0: 2, 901: 1}
    assert counted == {}


def test_features_share_counters_when_all_are_taken(
    counted: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert COUNTERS == 1 << 14
    monkeypatch.setattr(feedback, "COUNTERS", 2)
    steering = Feedback()
    assert steering.report(["a", "b", "c"]) == 3
    assert counted == {0: 2, 1: 1}


def test_kernel_blocks_are_counted_by_leg(counted: Counter[int]) -> None:
    steering = Feedback()
    assert list(steering.report_blocks("a", [8, 4, 8])) in ([8, 4, 8], [8, 4])
    steering = Feedback()
    assert list(steering.report_blocks("a", [8, 4])) == [8, 4]
    assert list(steering.report_blocks("a", [4, 12])) == [12]
    assert list(steering.report_blocks("b", [4])) == [4]
    assert list(steering.report_blocks("a", [])) == []
    assert steering.seen == 4
    steering.report(["x"])
    assert steering.seen == 5


def test_block_counters_are_an_array_that_libfuzzer_reads() -> None:
    blocks = BlockCounters()
    assert len(blocks._counters) == BLOCKS == 1 << 16
    assert blocks._places.shape == (BLOCKS, 2)
    assert len(set(blocks._places[:, 0].tolist())) == BLOCKS
    assert blocks._places[:, 1].max() == 0
    assert blocks._places[0, 0] == 1
    assert list(blocks.count("a", [4, 8])) == [4, 8]
    assert blocks._counters.nonzero()[0].tolist() == [1, 2]
    blocks._counters[:] = 0
    assert list(blocks.count("a", [8])) == []
    assert blocks._counters.nonzero()[0].tolist() == [2]
    assert set(blocks._counters.tolist()) == {0, 1}
    high = (1 << 26) + 4
    assert list(blocks.count("a", [high])) == [high]
    assert list(blocks.count("a", [4, 8, high])) == []
    assert blocks.seen == 3


def test_libfuzzer_is_told_where_both_arrays_begin_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, tuple[int | None, int | None]] = {}

    class Runtime:
        def __init__(self, _path: str) -> None:
            pass

        def __getitem__(self, name: str) -> Callable[[ctypes.c_void_p, ctypes.c_void_p], None]:
            def init(begin: ctypes.c_void_p, end: ctypes.c_void_p) -> None:
                told[name] = begin.value, end.value

            return init

    monkeypatch.setattr(ctypes, "CDLL", Runtime)
    blocks = BlockCounters()
    begins = blocks._counters.ctypes.data, blocks._places.ctypes.data
    assert told == {
        "__sanitizer_cov_8bit_counters_init": (begins[0], begins[0] + BLOCKS),
        "__sanitizer_cov_pcs_init": (
            begins[1],
            begins[1] + BLOCKS * 2 * ctypes.sizeof(ctypes.c_void_p),
        ),
    }


def test_a_block_may_be_the_first_of_its_kernel_or_right_behind_all_before() -> None:
    blocks = BlockCounters()
    assert list(blocks.count("a", [0])) == [0]
    behind = 4 * len(blocks._numbers["a"])
    assert list(blocks.count("a", [behind - 4])) == [behind - 4]
    assert list(blocks.count("a", [behind])) == [behind]
    assert list(blocks.count("a", [0, behind - 4, behind])) == []
    assert blocks.seen == 3


def test_blocks_share_counters_when_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "BLOCKS", 2)
    blocks = BlockCounters()
    assert list(blocks.count("a", [4, 8, 12])) == [4, 8, 12]
    assert blocks._counters.tolist() == [1, 1]


# -- mutation --------------------------------------------------------------------------------


def on(
    change: Callable[[random.Random, list[Op]], None], ops: list[Op], times: int = 200
) -> list[list[Op]]:
    """What `change` makes of `ops` with many seeds."""
    results = []
    for seed in range(times):
        changed = list(ops)
        change(random.Random(seed), changed)
        results.append(changed)
    return results


OPS: list[Op] = list(CASE.ops)


def is_within(part: list[Op], whole: list[Op]) -> bool:
    rest = iter(whole)
    return all(op in rest for op in part)


def test_an_op_can_be_inserted_anywhere() -> None:
    results = on(mutate._insert, OPS)
    assert all(len(ops) == len(OPS) + 1 and is_within(OPS, ops) for ops in results)
    places = {
        next(i for i, op in enumerate(ops) if i == len(OPS) or op != OPS[i]) for ops in results
    }
    assert {0, len(OPS)} <= places


def test_a_run_is_inserted_with_registers_to_work_on() -> None:
    results = on(mutate._insert_run, OPS)
    assert all(is_within(OPS, ops) for ops in results)
    new = [[op for op in ops if op not in OPS] for ops in results]
    assert all(isinstance(ops[-1], Run | HostRun) for ops in new)
    assert any(isinstance(op, SetReg) for ops in new for op in ops)
    ids = {regs.REGISTERS[name].id for name in regs.EL2_NAMES}
    assert not any(isinstance(op, SetReg) and op.reg in ids for ops in new for op in ops)
    places = {ops.index(OPS[0]) == 0 for ops in results}
    assert places == {True, False}


def test_a_run_of_a_vcpu_with_el2_comes_with_its_controls() -> None:
    ops: list[Op] = [CreateVcpu(0), Init(0, el2.HAS_EL2 | 1 << 4)]
    ids = {regs.REGISTERS[name].id for name in regs.EL2_NAMES}
    results = on(mutate._insert_run, ops)
    assert any(isinstance(op, SetReg) and op.reg in ids for one in results for op in one)
    assert mutate._has_el2(ops)
    assert not mutate._has_el2(OPS)
    assert not mutate._has_el2([])
    assert not mutate._has_el2([Init(0, 1 << 8)])


def test_ops_are_deleted_but_not_the_only_one() -> None:
    results = on(mutate._delete, OPS)
    assert {len(OPS) - len(ops) for ops in results} == {1, 2, 3, 4}
    assert all(is_within(ops, OPS) for ops in results)
    assert {OPS[0] in ops for ops in results} == {True, False}
    assert {OPS[-1] in ops for ops in results} == {True, False}
    assert on(mutate._delete, OPS[:1]) == [OPS[:1]] * 200
    assert on(mutate._delete, [], 5) == [[]] * 5
    two = on(mutate._delete, OPS[:2])
    assert {len(ops) for ops in two} <= {0, 1}


def test_an_op_is_duplicated_anywhere() -> None:
    results = on(mutate._duplicate, OPS)
    assert all(len(ops) == len(OPS) + 1 and is_within(OPS, ops) for ops in results)
    assert {Counter(ops).most_common(1)[0][0] for ops in results} == set(OPS)
    assert {ops[0] == ops[1] == OPS[0] for ops in results} == {True, False}
    assert any(ops[-1] == OPS[0] for ops in results)
    assert on(mutate._duplicate, [], 5) == [[]] * 5
    assert all(len(ops) == 2 for ops in on(mutate._duplicate, OPS[:1]))


def test_two_ops_are_swapped() -> None:
    results = on(mutate._swap, OPS)
    assert all(Counter(ops) == Counter(OPS) for ops in results)
    assert {sum(a != b for a, b in zip(ops, OPS, strict=True)) for ops in results} == {0, 2}
    two = on(mutate._swap, OPS[:2])
    assert OPS[1::-1] in two
    assert on(mutate._swap, OPS[:1], 5) == [OPS[:1]] * 5
    assert on(mutate._swap, [], 5) == [[]] * 5


def test_one_field_of_one_op_is_drawn_anew() -> None:
    results = on(mutate._field, OPS, 600)
    changed: set[tuple[int, str]] = set()
    for ops in results:
        assert [type(op) for op in ops] == [type(op) for op in OPS]
        differing = [
            (index, field.name)
            for index, (old, new) in enumerate(zip(OPS, ops, strict=True))
            for field in fields_of(type(old))
            if getattr(old, field.name) != getattr(new, field.name)
        ]
        assert len(differing) <= 1
        changed.update(differing)
    every = {(index, field.name) for index, op in enumerate(OPS) for field in fields_of(type(op))}
    assert changed == every
    bare = list(parse_case("preferred-target\n").ops)
    assert on(mutate._field, bare, 5) == [bare] * 5
    assert on(mutate._field, [], 5) == [[]] * 5


def test_a_field_gets_bytes_enough_for_a_program() -> None:
    results = on(mutate._field, [Run(0, 0, ())], 300)
    assert max(len(op.program) for ops in results for op in ops if isinstance(op, Run)) > 8


PROGRAM = list(CASE.ops[4].program)  # type: ignore[attr-defined]


def on_program(
    change: Callable[..., None], program: list[object], times: int = 200
) -> list[list[object]]:
    results = []
    for seed in range(times):
        changed = list(program)
        change(random.Random(seed), changed)
        results.append(changed)
    return results


def test_instructions_are_inserted_anywhere_up_to_three() -> None:
    results = on_program(mutate._insn_insert, PROGRAM)
    assert {len(program) - len(PROGRAM) for program in results} == {1, 2, 3}
    assert all(is_within(PROGRAM, program) for program in results)  # type: ignore[arg-type]
    assert {program[0] == PROGRAM[0] for program in results} == {True, False}
    assert {program[-1] == PROGRAM[-1] for program in results} == {True, False}
    assert all(on_program(mutate._insn_insert, [], 20))


def test_instructions_of_el2_are_inserted_anywhere() -> None:
    results = on_program(mutate._insn_of_el2, PROGRAM)
    assert all(is_within(PROGRAM, program) for program in results)  # type: ignore[arg-type]
    assert max(len(program) for program in results) > len(PROGRAM)
    assert {program[0] == PROGRAM[0] for program in results} == {True, False}
    assert {program[-1] == PROGRAM[-1] for program in results} == {True, False}
    names = {insn.form.name for program in results for insn in program}  # type: ignore[attr-defined]
    assert {"hvc", "eret_to"} & names


def test_an_instruction_is_deleted() -> None:
    results = on_program(mutate._insn_delete, PROGRAM)
    assert {tuple(program) for program in results} == {(PROGRAM[0],), (PROGRAM[1],)}
    assert on_program(mutate._insn_delete, [], 3) == [[]] * 3


def test_operands_are_drawn_anew_in_the_same_form() -> None:
    results = on_program(mutate._insn_operand, [PROGRAM[1]])
    assert {program[0].form.name for program in results} == {PROGRAM[1].form.name}  # type: ignore[attr-defined]
    assert len({program[0] for program in results}) > 5
    both = on_program(mutate._insn_operand, PROGRAM)
    assert all(len(program) == 2 for program in both)
    assert on_program(mutate._insn_operand, [], 3) == [[]] * 3


def test_an_instruction_is_replaced_by_any_other() -> None:
    results = on_program(mutate._insn_replace, PROGRAM)
    assert all(len(program) == 2 for program in results)
    assert {program[0] == PROGRAM[0] for program in results} == {True, False}
    assert {program[1] == PROGRAM[1] for program in results} == {True, False}
    assert len({program[0].form.name for program in results}) > 20  # type: ignore[attr-defined]
    assert on_program(mutate._insn_replace, [], 3) == [[]] * 3


def test_a_change_within_a_program_leaves_the_rest_and_stays_short() -> None:
    results = on(mutate._program, OPS, 300)
    for ops in results:
        assert ops[:4] == OPS[:4]
        assert isinstance(ops[4], Run)
        assert ops[4].vcpu == 0
    assert {len(ops[4].program) for ops in results if isinstance(ops[4], Run)} >= {1, 2, 3}
    rng = random.Random(1)
    long = Run(0, 0, tuple(random_insn(rng, FORMS["nop"]) for _ in range(MAX_PROGRAM)))
    lengths = {
        len(ops[0].program) for ops in on(mutate._program, [long]) if isinstance(ops[0], Run)
    }
    assert max(lengths) == MAX_PROGRAM
    without = on(mutate._program, OPS[:3], 20)
    assert all(any(isinstance(op, Run | HostRun) for op in ops) for ops in without)


def test_programs_of_vcpus_with_el2_also_get_its_instructions() -> None:
    plain, nested = (
        [Init(0, features), Run(0, 0, ())] for features in (1 << 4, 1 << 4 | el2.HAS_EL2)
    )

    def crossing(ops: list[Op]) -> int:
        results = on(mutate._program, ops, 600)
        programs = [op.program for one in results for op in one if isinstance(op, Run)]
        return sum(
            any(insn.form.name in ("hvc", "eret_to") for insn in program) for program in programs
        )

    assert crossing(nested) > 3 * crossing(plain) + 20


def test_what_changes_is_chosen_by_weight() -> None:
    table = {change.__name__: weight for weight, change in mutate._CHANGES}
    assert table == {
        "_insert": 2,
        "_insert_run": 3,
        "insert_look": 2,
        "_delete": 2,
        "_duplicate": 1,
        "_swap": 2,
        "_field": 4,
        "_program": 6,
    }
    assert list(table.values()) == mutate._WEIGHTS
    assert [change.__name__ for change in mutate._FUNCTIONS] == list(table)
    inside = Counter(change.__name__ for change in mutate._PROGRAM_CHANGES)
    assert inside == {"_insn_insert": 2, "_insn_delete": 1, "_insn_operand": 2, "_insn_replace": 1}


@pytest.mark.parametrize("min_vq", [0, 3, 16])
def test_what_a_case_needs_of_its_host_stays(min_vq: int) -> None:
    data = Case(CASE.ops, min_vq).encoded
    rng = random.Random(5)
    assert {mutate.mutated_case(decode(data), rng).min_vq for _ in range(200)} == {min_vq}
    crossings = {crossed(data, CASE.encoded, seed).min_vq for seed in range(50)}
    assert crossings == {min_vq}


def test_a_mutation_changes_little_or_starts_anew() -> None:
    base = Case((GetMp(2),) * 8)
    children = [mutated(base.encoded, seed) for seed in range(400)]
    fresh = sum(child.ops.count(GetMp(2)) < 2 for child in children)
    assert 0.75 * mutate.FRESH <= fresh / len(children) <= 1.25 * mutate.FRESH + 0.1
    changed = [mutate.mutated_case(base, random.Random(seed)) for seed in range(400)]
    assert sum(abs(len(child.ops) - len(base.ops)) <= 2 for child in changed) > 200
    assert all(child.ops.count(GetMp(2)) >= 1 for child in changed)
    looks = sum(child.ops[-1] == ReadAll(0) for child in changed) / len(changed)
    assert 0.2 < looks < 0.5
    assert len({child.encoded for child in children}) > 300
    assert mutated(CASE.encoded, 3) == mutated(CASE.encoded, 3)
    assert mutated(b"", 1) != mutated(b"", 2)
    assert mutated(b"x", 1).ops


def test_a_child_stays_within_the_limits() -> None:
    full = Case((GetMp(0),) * MAX_OPS)
    sizes = {len(mutate.mutated_case(full, random.Random(seed)).ops) for seed in range(300)}
    assert max(sizes) == MAX_OPS
    assert min(sizes) >= MAX_OPS - 12
    for seed in range(60):
        assert len(mutate.mutate(CASE.encoded, 20, seed)) <= 20
    assert mutate.mutate(CASE.encoded, 4096, 5) == mutated(CASE.encoded, 5).encoded


def test_new_cases_have_el2_as_often_as_they_are_told() -> None:
    def having(share: float) -> int:
        return sum(mutate._has_el2(list(mutated(b"", seed, share).ops)) for seed in range(150))

    assert having(0.0) < 15
    assert having(1.0) > 100
    assert having(el2.SHARE) < 40


def test_a_crossing_joins_head_and_tail_or_exchanges_programs() -> None:
    a = parse_case("create v0\ninit v0\nrun v0 {\n nop\n}\n")
    b = parse_case("get-mp v0\nget-mp v1\nrun v1 {\n ptrue p0.b, all\n}\nget-mp v2\n")
    heads, tails, programs = set(), set(), 0
    for seed in range(300):
        child = crossed(a.encoded, b.encoded, seed)
        if len(child.ops) == 3 and child.ops[:2] == a.ops[:2] and isinstance(child.ops[2], Run):
            programs += child.ops[2] == Run(0, 0, b.ops[2].program)  # type: ignore[attr-defined]
        cut = next((n for n in range(4) if child.ops[n:] in [b.ops[k:] for k in range(5)]), None)
        if cut is not None and child.ops[:cut] == a.ops[:cut]:
            heads.add(cut)
            tails.add(len(child.ops) - cut)
    assert heads == {0, 1, 2, 3}
    assert tails == {0, 1, 2, 3, 4}
    assert 70 < programs < 160
    no_run = parse_case("get-mp v0\n")
    assert all(len(crossed(a.encoded, no_run.encoded, seed).ops) <= 4 for seed in range(50))
    full = Case((GetMp(0),) * MAX_OPS).encoded
    assert max(len(crossed(full, full, seed).ops) for seed in range(50)) == MAX_OPS


def test_the_model_is_what_traces_here_come_from() -> None:
    assert decode(CASE.encoded) == CASE
    assert len(sound(CASE).observations) == len(CASE.ops)
    assert any(isinstance(op, Finalize) for op in CASE.ops)


def test_a_draft_that_asks_for_a_length_there_is_not_counts_as_the_longest() -> None:
    tracker = Tracker()
    for op in parse_case("create v0\ninit v0\nset-vls v0 1-512\n").ops:
        tracker.done(op, 0)
    assert tracker.lengths(0) == (16, 1)
    assert tracker.lengths(1) == (0, 0)
    chosen = Chooser(random.Random(1), Pairs()).form(lambda: FORMS["nop"], *tracker.lengths(0))
    assert chosen is FORMS["nop"]
