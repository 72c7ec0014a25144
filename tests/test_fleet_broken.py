"""A commit of a watched branch that broke something is found in a slice, and noted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from test_db_store import KVM, MODEL, RECORD
from treekit import Tree

from db.records import LegRecord, StoredFinding
from db.store import Store
from fuzz.fleet import broken, slices
from fuzz.fleet.dispatch import Asked, Dispatch
from fuzz.fleet.heads import Branch, grown, newest
from fuzz.fleet.slices import Kind, Order
from fuzz.fleet.task import perform
from fuzz.fleet.watch import trial
from fuzz.followup import origin
from fuzz.followup.retest import PASSES, SHOWS
from fuzz.suites.attempt import Attempt
from fuzz.suites.bisect import Answer
from targets.kvm.lab import build, kernels
from targets.kvm.lab.shadow import Revision

SEEN = replace(RECORD, deviating=("kvm:linux@0123456789ab:vhe",))


class Faked(Attempt):
    """Machines that do what the Image says."""

    def __call__(self, revision: Revision) -> Answer:
        image = self.build(revision).kernel.path.read_text()
        outcome = SHOWS if "bad" in image.split() else PASSES
        return Answer({spec.mode: outcome for spec in self.legs}, "", 1, True)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Five commits, of which the fourth breaks it."""
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "TOOLS", {"make": "make"})
    monkeypatch.setattr(broken, "Attempt", Faked)
    made = Tree(tmp_path / "linux")
    for number, text in enumerate(["fine"] * 3 + ["bad"] * 2, 1):
        made.commit(f"C{number}", f"{number} {text}\n")
    return made


@pytest.mark.long
def test_a_new_head_with_a_new_bucket_is_bisected(tree: Tree, tmp_path: Path) -> None:
    head = grown(Branch(tree.path, "HEAD"))
    assert head.leg == f"kvm:linux@{head.version}:vhe"
    before = tree.git("rev-parse", "HEAD~4").strip()[:12]
    _, searched = trial(head, 60.0, before)
    with Store.open(str(tmp_path / "t.db")) as store:
        campaign = store.begin_campaign(1, [MODEL, KVM], {})
        stored = store.add_finding(campaign, SEEN)
        assert isinstance(stored, StoredFinding)
        dispatch = Dispatch(store, Asked(("model", "kvm:6.12:vhe")))
        wanted = {one.kind: one for one in dispatch.after(searched, [stored])}
        assert wanted.keys() == {Kind.MINIMISE, Kind.MATRIX, Kind.BISECT}
        one = wanted[Kind.BISECT]
        assert slices.demand(one.spec["legs"])["lab"] == 1
        finding = store.finding(stored.finding_id)
        done = perform(Order(one.id, one.kind, one.leg, one.spec, "", finding)).delivery
        assert done.result["commits"] == [tree.git("rev-parse", "HEAD~1").strip()]
        store.plan_slices([one])
        store.deliver(one.id, "w", done)
        (noted,) = store.bucket(stored.bucket_id).notes
        commit = tree.git("rev-parse", "HEAD~1").strip()[:12]
        (said,) = origin.told([noted.text])  # as `triage report` does
        assert said.startswith(f'A search by commits: broken by {commit} ("C4", Dev, ')
        assert noted.author == "fleet"


def test_what_was_seen_on_the_lab_and_on_a_worker_s_own_kvm_is_asked_of_each(
    tree: Tree, tmp_path: Path
) -> None:
    native = LegRecord("kvm:native", "kvm", {"release": "6.12.1"})
    both = replace(RECORD, deviating=(KVM.name, native.name))
    with Store.open(str(tmp_path / "t.db")) as store:
        campaign = store.begin_campaign(1, [MODEL, KVM, native], {})
        stored = store.add_finding(campaign, both)
        assert isinstance(stored, StoredFinding)
        dispatch = Dispatch(store, Asked(("model", "kvm:6.12:vhe", "kvm:native")))
        _, searched = trial(grown(Branch(tree.path, "HEAD")), 60.0, "")
        wanted = [*dispatch.after(searched, [stored]), *dispatch.retests(10)]
        kinds = Counter(one.kind for one in wanted)
        assert kinds == {Kind.MINIMISE: 1, Kind.MATRIX: 2, Kind.RETEST: 2}
        assert len({one.id for one in wanted}) == len(wanted)
        for one in wanted:
            assert len(slices.demand(one.spec["legs"]).keys() & {"lab", "arm64-kvm"}) == 1
        store.plan_slices(wanted)
        assert list(dispatch.retests(10)) == []


@pytest.mark.long
def test_a_search_goes_on_where_it_was_lost(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    class Dying(Faked):
        """Machines of a worker that is killed at the third commit."""

        def __call__(self, revision: Revision) -> Answer:
            if len(tried) == 2:
                tried.append("")
                raise KeyboardInterrupt
            tried.append(revision.commit)
            return Faked.__call__(self, revision)

    monkeypatch.setattr(broken, "Attempt", Dying)
    with Store.open(str(tmp_path / "t.db")) as store:
        stored = store.add_finding(store.begin_campaign(1, [MODEL, KVM], {}), SEEN)
        finding = store.finding(stored.finding_id)
    ends = tree.path, "HEAD~4", "HEAD"
    with pytest.raises(KeyboardInterrupt):
        broken.broken_by(finding, *ends)
    ((first, _),) = broken.broken_by(finding, *ends)
    assert first.commit == tree.git("rev-parse", "HEAD~1").strip()
    assert len(tried) == len(set(tried))


def test_ends_that_are_alike_are_no_failure(tree: Tree, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "t.db")) as store:
        stored = store.add_finding(store.begin_campaign(1, [MODEL, KVM], {}), SEEN)
        finding = store.finding(stored.finding_id)
    spec = {"finding": finding.id, "tree": str(tree.path), "good": "HEAD~4", "bad": "HEAD~2"}
    order = Order("x", Kind.BISECT, "kvm", spec | {"legs": []}, "", finding)
    done = perform(order).delivery
    assert kernels.of_trees() == []  # what was built for it
    assert done.note == ""
    assert "which should be bad, is not" in done.result["said"]


def test_a_tree_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    listed = newest((), [Branch(tmp_path / "gone", "main")])
    assert listed.heads == ()
    assert "gone" in listed.trouble[0]
