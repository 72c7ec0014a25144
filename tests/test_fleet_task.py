"""What a worker does in a slice that is no campaign, with legs that are not all there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from corpus.case import Case
from corpus.text import parse_case
from corpus.trace import Trace
from fuzz.fleet import task
from fuzz.fleet.corpus import CorpusStore
from fuzz.fleet.slices import Kind, Order
from fuzz.fleet.task import SliceFailed, perform
from targets.base import Target
from targets.legs import open_legs
from targets.model.target import ModelTarget
from targets.profile import Profile

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
