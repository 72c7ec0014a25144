"""How often a case is changed in which way, beside what `test_steering` says of each way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from corpus.case import MAX_OPS, Case
from corpus.isa.form import Insn
from corpus.isa.table import insn
from corpus.ops import GetMp, GetReg, Init, Op, ReadAll, Run
from corpus.text import parse_case
from fuzz.generate import el2, mutate

SEEDS = 400


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


def test_a_run_may_be_put_first_last_and_anywhere_between() -> None:
    ops = marks(3)
    places = set()
    for changed in changes(mutate._insert_run, ops):
        assert kept(changed, ops) == [0, 1, 2]
        assert len(changed) > 3
        new = [index for index, op in enumerate(changed) if op not in ops]
        assert new == list(range(new[0], new[0] + len(new)))
        places.add(new[0])
    assert places == {0, 1, 2, 3}


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


def test_of_five_deletions_three_are_of_one_op() -> None:
    ops, gone = marks(9), Counter[int]()
    for changed in changes(mutate._delete, ops, 2000):
        first = next(n for n in range(9) if ops[n] not in changed)
        if first <= 5:  # further on there are no four to be deleted
            gone[9 - len(changed)] += 1
    assert gone.total() > 1000
    assert 0.56 < gone[1] / gone.total() < 0.64
    assert 0.16 < gone[2] / gone.total() < 0.24
    assert 0.16 < gone[4] / gone.total() < 0.24


@pytest.mark.parametrize("features", [0, el2.HAS_EL2])
def test_a_run_that_is_put_in_knows_whether_there_is_an_el2(
    features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bool]] = []

    def random_run(rng: random.Random, slot: int, el2: bool) -> Op:
        asked.append((slot, el2))
        return Run(slot)

    monkeypatch.setattr(mutate, "random_run", random_run)
    monkeypatch.setattr(mutate, "fill_registers", lambda rng, slot: [GetReg(slot, 1)])
    monkeypatch.setattr(el2, "controls", lambda rng, slot: [GetMp(slot)])
    init = Init(0, features)
    (changed,) = changes(mutate._insert_run, [init], 1)
    changed.remove(init)
    assert changed == [GetReg(0, 1), *[GetMp(0)] * bool(features), Run(0)]
    assert asked == [(0, bool(features))]


def programs(change: object, length: int) -> Iterator[list[Insn]]:
    """What a change makes of a program of so many different instructions, by seed."""
    for seed in range(SEEDS):
        program = [insn("hvc", number) for number in range(length)]
        change(random.Random(seed), program)  # type: ignore[operator]
        yield program


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
    made.clear()
    monkeypatch.setattr(mutate, "_PROGRAM_CHANGES", (lambda *_: made.update(["else"]),))
    for _ in changes(mutate._program, [Init(0, el2.HAS_EL2), run], 20):
        pass
    assert made == {"else": 20}, "only what is put in may be another thing"


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
        mutate.mutated_case(Case((GetMp(0), ReadAll(0), GetMp(0))), random.Random(seed)).ops[-1]
        for seed in range(SEEDS)
    ]
    assert 0.2 < earlier.count(ReadAll(0)) / SEEDS < 0.4
    none = [mutate.mutated_case(Case(()), random.Random(seed)).ops for seed in range(SEEDS)]
    assert 0.2 < none.count((ReadAll(0),)) / SEEDS < 0.4
    full = Case((*[GetMp(0)] * (MAX_OPS - 1), GetMp(1)), 3)
    ends = {mutate.mutated_case(full, random.Random(seed)) for seed in range(40)}
    assert {(len(one.ops), one.min_vq) for one in ends} == {(MAX_OPS, 3)}
    assert {one.ops[-1] for one in ends} == {GetMp(1), ReadAll(0)}
    assert {one.ops[-2] for one in ends} == {GetMp(0)}


def test_new_cases_have_much_at_once_mostly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutate, "combined_case", lambda *_: Case((GetMp(1),)))
    monkeypatch.setattr(mutate, "random_case", lambda *_: Case((GetMp(0),)))
    made = [mutate.fresh(random.Random(seed)) for seed in range(SEEDS)]
    assert 0.85 < made.count(Case((GetMp(1),))) / SEEDS < 0.95


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


# -- how likely ------------------------------------------------------------------------------

MANY = 1500


def often(times: int, of: int = MANY) -> float:
    """A share in so many draws, to a digit behind the point that chance leaves certain."""
    return round(times / of, 1)


def at_the_end(change: object, ops: list[Op]) -> float:
    """How often a change leaves what there is in front."""
    return often(sum(one[: len(ops)] == ops for one in changes(change, ops, MANY)))


def test_every_place_for_an_op_is_as_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutate, "random_op", lambda _: GetMp(0))
    monkeypatch.setattr(mutate, "random_run", lambda *_, **__: Run(0))
    monkeypatch.setattr(mutate, "fill_registers", lambda *_: [GetMp(1)])
    assert at_the_end(mutate._insert, marks(1)) == 0.5
    assert at_the_end(mutate._insert_run, marks(1)) == 0.5
    # Of two ops the one at the end may be doubled in front of itself, too, and looks the same.
    assert (
        0.46
        < sum(c[:2] == marks(2) for c in changes(mutate._duplicate, marks(2), MANY)) / MANY
        < 0.54
    )


@pytest.mark.parametrize("change", ["_insn_insert", "_insn_of_el2"])
def test_every_place_for_an_instruction_is_as_likely(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = insn("hvc", 101)
    monkeypatch.setattr(mutate, "random_program", lambda *_: [new])
    for name in ("cross", "prelude", "host_prelude"):
        monkeypatch.setattr(el2, name, lambda _: [new])
    last = sum(
        changed[-1] == new
        for seed in range(MANY)
        for changed in [[insn("hvc", 1)]]
        if getattr(mutate, change)(random.Random(seed), changed) is None
    )
    assert often(last) == 0.5


def test_every_place_for_a_cut_is_as_likely() -> None:
    a, b = Case((GetMp(0),)), Case((GetMp(1),))
    made: Counter[tuple[Op, ...]] = Counter(
        mutate.crossed_cases(a, b, random.Random(seed)).ops for seed in range(MANY)
    )
    shares = {ops: count / MANY for ops, count in made.items()}
    assert set(shares) == {(), a.ops, b.ops, a.ops + b.ops}
    assert all(0.2 < share < 0.3 for share in shares.values())


def drawing(number: float, seed: int = 1) -> random.Random:
    """Draws this number whenever one between 0 and 1 is asked for."""
    rng = random.Random(seed)
    rng.random = lambda: number  # type: ignore[method-assign]
    return rng


BELOW = 1e-9


def test_a_share_is_of_the_numbers_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one more: a share of nought is never, of one always."""
    one, other = Case((GetMp(0),)), Case((GetMp(1),))
    monkeypatch.setattr(mutate, "combined_case", lambda *_: one)
    monkeypatch.setattr(mutate, "random_case", lambda *_: other)
    share = mutate._COMBINED
    assert mutate.fresh(drawing(share - BELOW)) == one
    assert mutate.fresh(drawing(share)) == other

    monkeypatch.setattr(mutate, "_FUNCTIONS", [lambda *_: None] * len(mutate._FUNCTIONS))
    share = mutate._LOOK_AGAIN
    assert mutate.mutated_case(one, drawing(share - BELOW)).ops == (GetMp(0), ReadAll(0))
    assert mutate.mutated_case(one, drawing(share)) == one

    a, b = Case((Run(0, 0, (insn("hvc", 1),)),)), Case((GetMp(0), Run(1, 0, (insn("hvc", 2),))))
    exchanged = Case((Run(0, 0, (insn("hvc", 2),)),))
    assert mutate.crossed_cases(a, b, drawing(0.4 - BELOW)) == exchanged
    joined = {mutate.crossed_cases(a, b, drawing(0.4, seed)) for seed in range(30)}
    assert exchanged not in joined

    made: list[str] = []
    insert = mutate._insn_insert
    monkeypatch.setattr(mutate, "_insn_of_el2", lambda *_: made.append("el2"))
    monkeypatch.setattr(mutate, "_PROGRAM_CHANGES", (insert,))
    for number in (0.5 - BELOW, 0.5):
        mutate._program(drawing(number), [Init(0, el2.HAS_EL2), Run(0, 0, (insn("hvc", 1),))])
        assert made == ["el2"]


@pytest.mark.parametrize("below", [True, False])
def test_a_new_case_is_made_below_its_share(below: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = drawing(mutate.FRESH - BELOW * below)
    monkeypatch.setattr(mutate, "fresh", lambda *_: Case((GetMp(1),)))
    monkeypatch.setattr(mutate, "mutated_case", lambda *_: Case((GetMp(0),)))
    monkeypatch.setattr(random, "Random", lambda _: rng)
    assert mutate.mutated(Case((GetMp(0),)).encoded, 1) == Case((GetMp(int(below)),))
