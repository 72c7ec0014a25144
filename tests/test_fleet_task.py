"""What a worker does in a slice that is no campaign, with legs that are not all there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from corpus.case import Case
from corpus.text import parse_case
from corpus.trace import Trace
from db.store import Store
from fuzz.fleet import task
from fuzz.fleet.corpus import CorpusStore
from fuzz.fleet.slices import Kind, Order, make
from fuzz.fleet.task import SliceFailed, perform
from fuzz.followup.investigate import Investigator
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.base import Target
from targets.legs import open_legs
from targets.model.target import ModelTarget
from targets.profile import Profile

PADDED = parse_case(
    """
create v0
preferred-target
init v0 features=sve,psci_0_2
set v0 x1 5
finalize v0
get v0 x1
finalize v0
read-all v0
"""
)
LEGS = ["model", "mutant:finalize-twice"]
ONE = parse_case("create v0\ninit v0\nset v0 x1 5\n")
OTHER = parse_case("create v0\ninit v0\nset v0 x1 6\n")


class Counted(ModelTarget):
    """The model as a leg under test that records coverage: each case reaches a block of its own."""

    kind = "emulator"

    def __init__(self, *, coverage: bool) -> None:
        super().__init__(Profile(), "counted")
        self._coverage = coverage

    def run(self, case: Case) -> Trace:
        self.blocks = (int(case.id[:8], 16),) if self._coverage else ()
        return super().run(case)


def merged(corpus: CorpusStore, snapshot: str, *cases: Case) -> str:
    """The snapshot after a merge of some cases."""
    spec = {"legs": ["model", "counted"], "snapshot": snapshot, "fresh": corpus.put(cases)}
    done = perform(Order("x", Kind.MERGE, "counted", spec, corpus.url)).delivery
    return str(done.result["snapshot"])


def test_a_case_that_only_reaches_a_new_block_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(
        names: Sequence[str], *, coverage: bool = False, missing: dict[str, str]
    ) -> list[Target]:
        return [ModelTarget(Profile()), Counted(coverage=coverage)]

    monkeypatch.setattr(task, "open_legs", opened)
    monkeypatch.setattr(task, "kept_cases", lambda _: [])
    corpus = CorpusStore(str(tmp_path))
    first = merged(corpus, "", ONE)
    second = merged(corpus, first, OTHER)
    assert corpus.load(second).cases == (ONE.id, OTHER.id)
    assert merged(corpus, second, OTHER) == second


def test_a_merge_without_one_of_its_legs_drops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(names: Sequence[str], *, coverage: bool, missing: dict[str, str]) -> list[Target]:
        missing["counted"] = "it does not boot"
        return open_legs(["model"])

    monkeypatch.setattr(task, "open_legs", opened)
    corpus = CorpusStore(str(tmp_path))
    with pytest.raises(SliceFailed, match="it does not boot"):
        merged(corpus, "", ONE)
    assert not (tmp_path / "snapshots").exists()


def test_a_padded_finding_is_made_smaller_and_counts_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        legs = Everywhere([stack.enter_context(leg) for leg in open_legs(LEGS)])
        verdict = legs.look(PADDED).verdicts[LEGS[1]]
        assert isinstance(verdict, Diverge)
        found = Investigator(legs, lambda _: None, 0.0).recorded(PADDED, LEGS[1], verdict)
    with Store.open(str(tmp_path / "t.db")) as store:
        stored = store.add_finding(store.begin_campaign(1, [], {}), found)
        spec = {"finding": stored.finding_id, "legs": LEGS, "seconds": 5.0}
        one = make(Kind.MINIMISE, LEGS[1], spec)
        order = Order(one.id, one.kind, one.leg, one.spec, "", store.finding(stored.finding_id))
        done = perform(order).delivery
        assert done.smaller is not None
        store.plan_slices([one])
        store.deliver(one.id, "w", done)
        bucket = store.bucket(stored.bucket_id)
        assert bucket.count == 1
        best = store.finding(store.best_finding(bucket.id))
        assert best.minimal == done.smaller.minimal
        assert len(best.minimal.ops) < len(PADDED.ops)
