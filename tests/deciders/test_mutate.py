"""How a case is changed: where, by how much, and how often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Insn
from corpus.isa.table import insn
from corpus.opfields import fields_of
from corpus.ops import GetMp, GetReg, HostRun, Init, Op, ReadAll, Run
from corpus.text import parse_case
from fuzz.generate import el2, mutate

SEEDS = 400
LIFE = "create v0\ninit v0 features=sve\nfinalize v0\nset v0 x1 5\nget-mp v0\n"


def changes(change: object, ops: list[Op], count: int = SEEDS) -> Iterator[list[Op]]:
    """What a kind of change makes of ops, by seed."""
    for seed in range(count):
        changed = list(ops)
        change(random.Random(seed), changed)  # type: ignore[operator]
        yield changed


def marks(count: int) -> list[Op]:
    """Ops that can be told apart."""
    return [GetReg(0, number) for number in range(count)]


def kept(changed: list[Op], ops: list[Op]) -> list[int]:
    """Which of the marks are left, in their new order."""
    return [ops.index(op) for op in changed if op in ops]


@pytest.mark.parametrize("change", [mutate._insert, mutate._insert_run])
def test_what_is_put_in_may_be_first_last_and_anywhere_between(change: object) -> None:
    ops = marks(3)
    places = set()
    for changed in changes(change, ops):
        assert kept(changed, ops) == [0, 1, 2]
        assert len(changed) > 3
        new = [index for index, op in enumerate(changed) if op not in ops]
        assert new == list(range(new[0], new[0] + len(new)))
        places.add(new[0])
    assert places == {0, 1, 2, 3}


def test_a_run_has_controls_of_el2_where_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(el2, "controls", lambda *_: [GetMp(3)])
    for features, there in ((el2.HAS_EL2, True), (0, False)):
        for changed in changes(mutate._insert_run, [Init(0, features)], 20):
            assert (GetMp(3) in changed) == there
            run = changed[changed.index(GetMp(3)) + 1] if there else changed[-1]
            assert not there or isinstance(run, Run | HostRun)


def test_few_are_deleted_one_mostly_and_the_last_never() -> None:
    ops = marks(9)
    gone: Counter[int] = Counter()
    first = set()
    for changed in changes(mutate._delete, ops):
        left = kept(changed, ops)
        assert left == sorted(left)
        missing = sorted(set(range(9)) - set(left))
        assert missing == list(range(missing[0], missing[0] + len(missing)))
        gone[len(missing)] += 1
        first.add(missing[0])
    assert first == set(range(9))
    assert set(gone) == {1, 2, 3, 4}
    assert gone[1] > SEEDS * 0.5
    assert gone[2] < SEEDS * 0.35
    assert all(changed == marks(1) for changed in changes(mutate._delete, marks(1), 20))
    assert all(not changed for changed in changes(mutate._delete, [], 5))
    assert {len(changed) for changed in changes(mutate._delete, marks(2), 40)} == {0, 1}


def test_one_is_there_twice_or_two_change_places() -> None:
    ops = marks(4)
    for changed in changes(mutate._duplicate, ops):
        (twice,) = [number for number, count in Counter(kept(changed, ops)).items() if count == 2]
        rest = list(changed)
        rest.remove(ops[twice])
        assert len(rest) == 4
        assert sorted(kept(rest, ops)) == [0, 1, 2, 3]
    exchanged = Counter(
        sum(a is not b for a, b in zip(changed, ops, strict=True))
        for changed in changes(mutate._swap, ops)
    )
    assert set(exchanged) == {0, 2}
    assert exchanged[2] > exchanged[0]
    # Of two, either stays where it is or goes to the other's place.
    assert {tuple(kept(c, ops)) for c in changes(mutate._swap, ops[:2], 40)} == {(0, 1), (1, 0)}
    for change in (mutate._duplicate, mutate._swap):
        assert all(not changed for changed in changes(change, [], 3))


def test_one_field_is_drawn_anew() -> None:
    ops = list(parse_case(LIFE).ops)
    seen = set()
    for changed in changes(mutate._field, ops):
        differ = [i for i, (a, b) in enumerate(zip(changed, ops, strict=True)) if a != b]
        assert len(differ) <= 1
        for at in differ:
            names = [field.name for field in fields_of(type(ops[at]))]
            other = [n for n in names if getattr(changed[at], n) != getattr(ops[at], n)]
            assert len(other) == 1
            seen.add((ops[at].word, other[0]))
    assert {("create", "vcpu"), ("init", "features"), ("set", "reg"), ("set", "value")} <= seen


def programs(change: object, length: int) -> Iterator[list[Insn]]:
    """What a change makes of a program of so many different instructions, by seed."""
    for seed in range(SEEDS):
        program = [insn("hvc", number) for number in range(length)]
        change(random.Random(seed), program)  # type: ignore[operator]
        yield program


def test_a_program_gets_a_few_more_anywhere() -> None:
    places, counts = set(), Counter[int]()
    for program in programs(mutate._insn_insert, 3):
        ours = [insn("hvc", number) for number in range(3)]
        new = [index for index, one in enumerate(program) if one not in ours]
        places.add(new[0] if new else -1)
        counts[len(program) - 3] += 1
    assert {0, 1, 2, 3} <= places
    assert max(counts) == 3
    assert min(counts) >= 1


def test_a_program_loses_one_or_has_one_replaced() -> None:
    ours = [insn("hvc", number) for number in range(3)]
    lost = {tuple(one.args[0] for one in p) for p in programs(mutate._insn_delete, 3)}
    assert lost == {(0, 1), (0, 2), (1, 2)}
    other_operand = Counter(
        tuple(a == b for a, b in zip(program, ours, strict=True))
        for program in programs(mutate._insn_operand, 3)
    )
    assert {(False, True, True), (True, False, True), (True, True, False)} <= set(other_operand)
    assert all(one.count(False) <= 1 for one in other_operand)
    for program in programs(mutate._insn_operand, 3):
        assert all(one.form.name == "hvc" for one in program)
    places = {
        tuple(a == b for a, b in zip(program, ours, strict=True)).index(False)
        for program in programs(mutate._insn_replace, 3)
        if program != ours
    }
    assert places == {0, 1, 2}
    for change in (mutate._insn_delete, mutate._insn_operand, mutate._insn_replace):
        assert all(not program for program in programs(change, 0))


def test_below_el2_half_of_what_is_put_in_crosses_levels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: Counter[str] = Counter()
    monkeypatch.setattr(mutate, "_insn_of_el2", lambda *_: made.update(["el2"]))
    insert = mutate._insn_insert

    def plain(rng: random.Random, program: list[Insn]) -> None:
        made.update(["plain"])
        insert(rng, program)

    monkeypatch.setattr(mutate, "_insn_insert", plain)
    monkeypatch.setattr(mutate, "_PROGRAM_CHANGES", (plain,))
    run = Run(0, 0, (insn("hvc", 1),))
    for _ in changes(mutate._program, [Init(0, el2.HAS_EL2), run]):
        pass
    assert SEEDS * 0.4 < made["el2"] < SEEDS * 0.6
    made.clear()
    for _ in changes(mutate._program, [Init(0, 0), run]):
        pass
    assert made == {"plain": SEEDS}


def test_a_change_to_a_program_is_to_one_and_there_is_one_then() -> None:
    runs: list[Op] = [Run(0, 0, (insn("hvc", 1), insn("hvc", 2))), GetMp(0), Run(1, 0, ())]
    for changed in changes(mutate._program, runs):
        assert sum(a != b for a, b in zip(changed, runs, strict=True)) <= 1
    for changed in changes(mutate._program, [GetMp(0)], 20):
        assert any(isinstance(op, Run | HostRun) for op in changed)


def test_what_is_no_case_makes_a_new_one() -> None:
    for seed in range(30):
        assert mutate.mutated(b"", seed) == mutate.mutated(b"x", seed)
    case = parse_case("set v1 x9 0x1234567\nset v1 x8 0x7654321\nset v1 x7 0x7777771\n")
    near = sum(
        bool(set(mutate.mutated(case.encoded, seed).ops) & set(case.ops)) for seed in range(SEEDS)
    )
    assert 0.3 < near / SEEDS < 0.75


@pytest.mark.parametrize("size", [2, 5, 40])
def test_two_bytes_may_be_a_case(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []

    def note(data: bytes) -> Case:
        taken.append(data)
        return Case((GetMp(0),))

    monkeypatch.setattr(mutate, "case_of", note)
    for seed in range(60):
        mutate.mutated(bytes(size), seed)
    assert 15 < len(taken) < 45


def test_a_mutation_has_a_few_changes_and_often_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[int] = Counter()
    calls = 0

    def nothing(_rng: random.Random, _ops: list[Op]) -> None:
        nonlocal calls
        calls += 1

    monkeypatch.setattr(mutate, "_FUNCTIONS", [nothing] * len(mutate._FUNCTIONS))
    looked = 0
    for seed in range(SEEDS):
        calls = 0
        case = mutate.mutated_case(Case((GetMp(0), GetMp(1))), random.Random(seed))
        made[calls] += 1
        looked += case.ops[-1] == ReadAll(0)
        assert case.ops[:2] == (GetMp(0), GetMp(1))
        assert len(case.ops) <= 3
        one = mutate.mutated_case(Case((GetMp(0), ReadAll(0))), random.Random(seed))
        assert one.ops == (GetMp(0), ReadAll(0))
    assert set(made) == {1, 2, 3}
    assert 0.4 < made[1] / SEEDS < 0.6
    assert 0.15 < made[2] / SEEDS < 0.35
    assert 0.2 < looked / SEEDS < 0.4
    # A look that is not at the end says nothing of what is behind it.
    earlier = [
        mutate.mutated_case(Case((ReadAll(0), GetMp(0))), random.Random(seed)).ops[-1]
        for seed in range(SEEDS)
    ]
    assert 0.2 < earlier.count(ReadAll(0)) / SEEDS < 0.4
    full = Case((*[GetMp(0)] * (MAX_OPS - 1), GetMp(1)), 3)
    ends = {mutate.mutated_case(full, random.Random(seed)) for seed in range(40)}
    assert {(len(one.ops), one.min_vq) for one in ends} == {(MAX_OPS, 3)}
    assert {one.ops[-1] for one in ends} == {GetMp(1), ReadAll(0)}
    assert {one.ops[-2] for one in ends} == {GetMp(0)}


def test_two_cases_are_joined_anywhere_or_exchange_their_programs() -> None:
    a = Case((GetMp(0), GetMp(1), Run(0, 0, (insn("hvc", 1),))), 2)
    b = Case((GetMp(2), Run(2, 0, (insn("hvc", 7),)), GetMp(3)))
    heads, tails, exchanged = set(), set(), 0
    for seed in range(SEEDS):
        case = mutate.crossed_cases(a, b, random.Random(seed))
        assert case.min_vq == 2
        if case.ops == (*a.ops[:2], Run(0, 0, (insn("hvc", 7),))):
            exchanged += 1
            continue
        mine = [op for op in case.ops if op in a.ops]
        its = [op for op in case.ops if op in b.ops]
        assert case.ops == (*mine, *its)
        assert tuple(mine) == a.ops[: len(mine)]
        assert tuple(its) == b.ops[len(b.ops) - len(its) :]
        heads.add(len(mine))
        tails.add(len(its))
    assert (heads, tails) == ({0, 1, 2, 3}, {0, 1, 2, 3})
    assert 0.3 < exchanged / SEEDS < 0.5
    without = Case((GetMp(2),))
    joined = {mutate.crossed_cases(a, without, random.Random(s)).ops for s in range(40)}
    assert len(joined) == 8


def test_new_cases_have_much_at_once_mostly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutate, "combined_case", lambda *_: Case((GetMp(1),)))
    monkeypatch.setattr(mutate, "random_case", lambda *_: Case((GetMp(0),)))
    made = [mutate.fresh(random.Random(seed)) for seed in range(SEEDS)]
    assert 0.85 < made.count(Case((GetMp(1),))) / SEEDS < 0.95


SHARES = {
    "_insert": 2,
    "_insert_run": 3,
    "insert_look": 2,
    "_delete": 2,
    "_duplicate": 1,
    "_swap": 2,
    "_field": 4,
    "_program": 6,
}
PROGRAM_SHARES = {"_insn_insert": 2, "_insn_delete": 1, "_insn_operand": 2, "_insn_replace": 1}


def near(made: Counter[str], shares: dict[str, int]) -> bool:
    """Whether each was made about as often as it should."""
    whole, total = sum(made.values()), sum(shares.values())
    return made.keys() == shares.keys() and all(
        abs(made[name] / whole - share / total) < 0.03 for name, share in shares.items()
    )


def test_each_kind_of_change_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()
    spies = [
        lambda _rng, _ops, name=change.__name__: made.update([name]) for change in mutate._FUNCTIONS
    ]
    monkeypatch.setattr(mutate, "_FUNCTIONS", spies)
    for seed in range(4 * SEEDS):
        mutate.mutated_case(Case((GetMp(0),)), random.Random(seed))
    assert near(made, SHARES)


def test_each_kind_of_change_to_a_program_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()
    spies = [
        lambda _rng, _program, name=change.__name__: made.update([name])
        for change in mutate._PROGRAM_CHANGES
    ]
    monkeypatch.setattr(mutate, "_PROGRAM_CHANGES", spies)
    for _ in changes(mutate._program, [Run(0, 0, (insn("hvc", 1),))], 4 * SEEDS):
        pass
    assert near(made, PROGRAM_SHARES)


def test_what_has_no_field_is_left_alone() -> None:
    ops: list[Op] = [*parse_case("preferred-target\n").ops, GetMp(0)]
    assert not fields_of(type(ops[0]))
    seen = {changed[1] for changed in changes(mutate._field, ops, 60)}
    assert len(seen) > 1
    assert all(changed[0] == ops[0] for changed in changes(mutate._field, ops, 60))
    assert all(changed == ops[:1] for changed in changes(mutate._field, ops[:1], 5))


def test_what_is_there_twice_may_be_first_and_last() -> None:
    ops = marks(3)
    places = set()
    for changed in changes(mutate._duplicate, ops):
        for at in range(4):
            if changed[:at] + changed[at + 1 :] == ops:
                places.add(at)
    assert places == {0, 1, 2, 3}


def test_a_change_to_a_program_is_kept_and_leaves_it_short_enough() -> None:
    full = Run(0, 0, tuple(insn("hvc", number) for number in range(MAX_PROGRAM)))
    lengths: Counter[int] = Counter()
    differ = 0
    for changed in changes(mutate._program, [full]):
        (run,) = changed
        assert isinstance(run, Run)
        lengths[len(run.program)] += 1
        differ += run != full
    assert set(lengths) == {MAX_PROGRAM, MAX_PROGRAM - 1}
    assert differ > SEEDS * 0.7


def test_what_crosses_levels_may_be_anywhere_and_is_of_three_kinds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = {"cross": 101, "prelude": 102, "host_prelude": 103}
    for name, number in kinds.items():
        monkeypatch.setattr(el2, name, lambda _rng, number=number: [insn("hvc", number)])
    seen = set()
    for program in programs(mutate._insn_of_el2, 2):
        numbers = [one.args[0] for one in program]
        (new,) = [number for number in numbers if number > 100]
        assert [number for number in numbers if number < 100] == [0, 1]
        seen.add((new, numbers.index(new)))
    assert seen == {(number, at) for number in kinds.values() for at in range(3)}


def test_new_cases_are_as_often_begun_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutate, "fresh", lambda *_: Case((GetMp(1),)))
    monkeypatch.setattr(mutate, "mutated_case", lambda *_: Case((GetMp(0),)))
    data = Case((GetMp(0),)).encoded
    new = [mutate.mutated(data, seed) for seed in range(SEEDS)].count(Case((GetMp(1),)))
    assert 0.42 < new / SEEDS < 0.58
