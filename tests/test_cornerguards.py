"""Guards that are drawn for a kernel, and the table of those that a search met."""

from __future__ import annotations

from collections import Counter

import pytest
from cornerguards import FEWEST, MOST, SITES, Guard, Predicate, draw, edits
from reach_corners import Reach, table

from targets.codemap import CodeMap, Function
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.transport import TransportError

GUARDS = draw(3, 120)


def test_a_seed_draws_the_same_guards_and_another_one_others() -> None:
    assert draw(3, 120) == GUARDS
    assert draw(4, 120) != GUARDS
    assert draw(3, 60) == GUARDS[:60]


def test_each_site_has_as_many_of_each_number_of_predicates() -> None:
    kinds = Counter((guard.site, len(guard.predicates)) for guard in GUARDS)
    assert len(kinds) == len(SITES) * (MOST - FEWEST + 1)
    assert max(kinds.values()) - min(kinds.values()) <= 1


def test_no_guard_asks_for_what_cannot_be_at_once() -> None:
    for guard in draw(5, 600):
        assert len({one.about for one in guard.predicates}) == len(guard.predicates)
        assert len({one.sve for one in guard.predicates} - {None}) <= 1, str(guard)


def test_each_guard_is_put_at_its_site_and_calls_a_function_that_is_there() -> None:
    changes = edits(GUARDS)
    assert len({change.file for change in changes}) == len(changes) == 3
    text = {change.file: change.old + "".join(old for old, _ in change.more) for change in changes}
    after = {change.file: change.applied(text[change.file]) for change in changes}
    for site in SITES:
        assert site.anchor in after[site.file]
    everything = "".join(after.values())
    for guard in GUARDS:
        assert everything.count(f"\t\t{guard.function}();\n") == 1
        assert everything.count(f"noinline void {guard.function}(void) {{") == 1


def _leg(names: list[str]) -> ModelTarget:
    """A leg whose kernel has these functions, 16 bytes each."""
    leg = ModelTarget(Profile(), "kvm:x:vhe")
    functions = tuple(Function(16 * n, 16, name, "kvm") for n, name in enumerate(names))
    leg.code = CodeMap(0, 16 * len(names), functions)
    return leg


def test_a_guard_is_met_when_its_function_is_begun_for_the_first_time() -> None:
    reach = Reach(GUARDS[:2], _leg(["other", "kvm_met_0", "kvm_met_1"]))
    reach.note([0, 20], 1)
    assert reach.first == {}
    reach.note([0, 32], 3)
    reach.note([16, 32], 5)
    assert reach.first == {1: 3, 0: 5}


def test_a_kernel_without_the_guards_is_refused() -> None:
    with pytest.raises(TransportError, match="1 guards are not in the kernel"):
        Reach(GUARDS[:2], _leg(["other", "kvm_met_0"]))
    with pytest.raises(TransportError, match="no kernel coverage"):
        Reach(GUARDS[:2], ModelTarget(Profile(), "kvm:x:vhe"))


def test_the_table_says_when_how_many_were_met_and_which_were_not() -> None:
    ones = tuple(Predicate(str(n), f"p{n}") for n in range(MOST))
    guards = [Guard(0, "A", ones[:2]), Guard(1, "A", ones[:2]), Guard(2, "B", ones[:3])]
    assert list(table(guards, {0: 0, 1: 150}, 400)) == [
        "predicates         0      100      300      400 cases",
        "         2    1 of 2   1 of 2   2 of 2   2 of 2",
        "         3    0 of 1   0 of 1   0 of 1   0 of 1",
        "         4    0 of 0   0 of 0   0 of 0   0 of 0",
        "not met: B: p0 && p1 && p2",
    ]
