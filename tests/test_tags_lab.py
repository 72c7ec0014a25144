"""Memory tagging on real KVM: machines with tags and without, and tags that do not outlive a VM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.case import Case
from corpus.store import load_case
from corpus.text import parse_case
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Agree
from targets.base import Target
from targets.legs import open_legs

pytestmark = pytest.mark.lab

SEEDS = Path(__file__).parents[1] / "corpus" / "seeds"
WITH, WITHOUT = "kvm:6.12:vhe:mte:qemu=11", "kvm:6.12:vhe:qemu=11"
TAGS = """enable-cap mte
create v0
init v0
finalize v0
set v0 x7 0x0700000040008100
run v0 {
    stage-1-on
    tag-checks off
    ldg x2, [x7]
    stg x7, [x7]
    ldg x3, [x7]
}
get v0 x2
get v0 x3
"""


@pytest.fixture(scope="module")
def legs() -> Iterator[dict[str, Target]]:
    opened = open_legs([WITH, WITHOUT])
    yield {leg.name: leg for leg in opened}
    for leg in opened:
        leg.close()


def _judged(legs: dict[str, Target], case: Case) -> dict[str, int]:
    """How many ops are judged on each leg, all of which agree."""
    verdicts = Everywhere(list(legs.values()), Knowledge.shipped()).look(case).verdicts
    judged = {name: v.judged for name, v in verdicts.items() if isinstance(v, Agree)}
    assert judged.keys() == legs.keys(), verdicts
    return judged


@pytest.mark.parametrize(
    ("name", "without"),
    [("tags-of-memory", True), ("tags-not-for-the-guest", True), ("tags-are-checked", False)],
)
def test_seeds_are_judged_to_their_end(legs: dict[str, Target], name: str, without: bool) -> None:
    case = load_case(SEEDS / f"{name}.case")
    judged = _judged(legs, case)
    assert judged[WITH] == len(case.ops)
    assert (judged[WITHOUT] == len(case.ops)) == without


def test_a_machine_tells_what_it_has(legs: dict[str, Target]) -> None:
    assert [legs[name].profile.mte for name in (WITH, WITHOUT)] == [2, 1]


def test_tags_are_gone_with_their_vm(legs: dict[str, Target]) -> None:
    case = parse_case(TAGS)
    for _ in range(2):
        *_, before, after = legs[WITH].run(case).observations
        assert (before.data[7], after.data[7]) == (0, 7)
