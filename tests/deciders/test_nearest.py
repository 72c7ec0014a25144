"""What only a finding's case executes: its neighbours, and the comparison with the nearest."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from scripted import Scripted, sound, wrong

from corpus.case import Case
from corpus.ops import Finalize, Init, Op
from corpus.text import parse_case
from corpus.trace import Trace
from fuzz.followup.nearest import MOST, PATIENCE_S, TURNS, Hint, hint, neighbours
from targets.codemap import CodeMap, Function
from targets.profile import Profile

CODE = CodeMap(
    *(0x1000, 0x4000),
    tuple(Function(64 * n, 64, name, "") for n, name in enumerate("abcdefghijkl")),
)
UP = "create v0\ninit v0 features=sve\nfinalize v0\n"
CASE = parse_case(f"{UP}get v0 x1\nfinalize v0\n")


class Covered(Scripted):
    """A leg whose kernel executes what a test says; `turn` counts the runs of one case."""

    def __init__(self, blocks: Callable[[Case, int], list[int]], fails: bool = False) -> None:
        super().__init__("kvm:a", self._does)
        self._blocks, self._fails = blocks, fails
        self.code = CODE
        self.turns: dict[Case, int] = {}

    def _does(self, case: Case, _: int) -> Trace:
        turn = self.turns[case] = self.turns.get(case, 0) + 1
        self.blocks = self._blocks(case, turn)
        return wrong(case, len(case.ops) - 1) if self._fails or case == CASE else sound(case)


def told(blocks: Callable[[Case, int], list[int]], fails: bool = False) -> Hint | None:
    return hint(CASE, Covered(blocks, fails), Profile())


def without(at: int) -> Case:
    return Case((*CASE.ops[:at], *CASE.ops[at + 1 :]))


def test_neighbours_are_one_step_away() -> None:
    ops = parse_case("create v0\ninit v0 features=sve,psci_0_2\nset v0 x1 0x77\n").ops
    made = list(neighbours(Case(ops, min_vq=3)))
    assert all(case.min_vq == 3 for case in made)
    shorter = [case for case in made if len(case.ops) < len(ops)]
    assert shorter == [Case(ops[:2], 3), Case((ops[0], ops[2]), 3), Case(ops[1:], 3)]
    simpler = made[: -len(shorter)]
    assert simpler
    assert len(set(made)) == len(made), "each costs a run"
    for case in simpler:
        assert len(case.ops) == len(ops)
        assert sum(a != b for a, b in zip(case.ops, ops, strict=True)) == 1


def test_features_of_a_vm_change_together() -> None:
    case = parse_case(
        "create v0\ncreate v1\ninit v0 features=sve,psci_0_2\ninit v1 features=sve,psci_0_2\n"
    )
    first = next(iter(neighbours(case)))
    features = {op.features for op in first.ops if isinstance(op, Init)}
    assert len(features) == 1
    assert features != {case.ops[2].features}  # type: ignore[attr-defined]
    apart = parse_case("create v0\ninit v0 features=sve\ncreate v1\ninit v1 features=psci_0_2\n")
    for other in neighbours(apart):
        if len(other.ops) == len(apart.ops):
            assert sum(a != b for a, b in zip(other.ops, apart.ops, strict=True)) == 1


def test_only_what_the_neighbour_never_executes_is_told() -> None:
    def blocks(case: Case, _: int) -> list[int]:
        return [0, 4, 64, 68, 132, 136, 4096] if case == CASE else [0, 68, 128]

    found = told(blocks)
    assert found is not None
    # `b` is entered by the case alone, `a` and `c` by both, or not at its beginning.
    assert [f.name for f in found.functions] == ["b"]
    assert found.blocks == (("a", 1), ("c", 2))
    assert found.neighbour != CASE


def test_functions_are_told_in_the_order_of_the_kernel() -> None:
    found = told(lambda case, _: [*range(0, 64 * 12, 64)] if case == CASE else [])
    assert found is not None
    assert [f.name for f in found.functions] == [*"abcdefghijkl"]
    later = told(lambda case, _: [*range(4, 64 * 12, 64)] if case == CASE else [])
    assert later is not None
    assert later.blocks == tuple((name, 1) for name in "abcdefghijkl")


def test_the_nearest_is_the_one_that_leaves_least() -> None:
    near = without(3)

    def blocks(case: Case, _: int) -> list[int]:
        if case == CASE:
            return [0, 64, 128]
        return [0, 64] if case == near else [0]

    found = told(blocks)
    assert found is not None
    assert found.neighbour == near
    assert [f.name for f in found.functions] == ["c"]


def test_of_several_as_near_the_first_is_taken() -> None:
    found = told(lambda case, _: [0, 64] if case == CASE else [0])
    agreeing = next(
        case for case in neighbours(CASE) if Covered(lambda *_: [], False)._does(case, 0)
    )
    assert found is not None
    assert found.neighbour == agreeing


def test_what_is_not_in_every_run_of_the_case_is_no_hint() -> None:
    found = told(lambda case, turn: [0, 64 if turn == 1 else 128] if case == CASE else [])
    assert found is not None
    assert [f.name for f in found.functions] == ["a"]


def test_what_is_in_any_run_of_the_neighbour_is_no_hint() -> None:
    def blocks(case: Case, turn: int) -> list[int]:
        # A neighbour's first run is the one that is judged.
        return [0, 64, 128] if case == CASE else [(0, 64, 128)[(turn - 2) % TURNS]]

    assert told(blocks) == Hint(next(iter(neighbours(CASE))), (), ())


def test_without_a_neighbour_that_agrees_there_is_no_hint() -> None:
    assert told(lambda *_: [0], fails=True) is None


def test_without_a_map_there_is_no_hint() -> None:
    leg = Covered(lambda *_: [0])
    leg.code = None
    assert hint(CASE, leg, Profile()) is None


def test_neighbours_that_are_judged_only_in_part_do_not_count() -> None:
    in_part = parse_case(f"{UP}set v0 sctlr_el1 0\nrun v0 {{\n nop\n}}\nfinalize v0\n")
    judged = [Case((*in_part.ops[:at], *in_part.ops[at + 1 :])) for at in range(5)]
    leg = Covered(lambda case, _: [] if case in judged else [0])  # and so are not the nearest
    found = hint(in_part, leg, Profile())
    assert found
    assert found.neighbour in judged


def test_no_more_than_some_neighbours_are_run() -> None:
    assert PATIENCE_S == 90
    ops: list[Op] = [*CASE.ops]
    ops[3:3] = [Finalize(0, 5 + n) for n in range(30)]
    case = Case(tuple(ops))
    assert sum(1 for _ in neighbours(case)) > MOST + 5
    leg = Covered(lambda *_: [0], fails=True)
    assert hint(case, leg, Profile()) is None
    assert len(leg.ran) == TURNS + MOST


def test_where_neighbours_take_long_few_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Slow(Covered):
        def _does(self, case: Case, turn: int) -> Trace:
            now[0] += 0 if case == CASE else PATIENCE_S / 3
            return super()._does(case, turn)

    leg = Slow(lambda _case, _turn: [0], fails=True)
    assert hint(CASE, leg, Profile()) is None
    assert len({case for case in leg.ran if case != CASE}) == 4
