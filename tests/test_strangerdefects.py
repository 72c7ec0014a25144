"""The defects that are hunted by hand: each is an edit of its own, for a leg that there is."""

from __future__ import annotations

import pytest
from strangerdefects import DEFECTS, SOURCE, Defect

from targets.kvm import legname

EACH = pytest.mark.parametrize("defect", DEFECTS, ids=[defect.edit.name for defect in DEFECTS])


def test_no_two_are_alike() -> None:
    edits = [defect.edit for defect in DEFECTS]
    assert len({edit.name for edit in edits}) == len(edits)
    assert len({(edit.file, edit.new, edit.more) for edit in edits}) == len(edits)


@EACH
def test_the_leg_on_which_one_shows_can_be_named(defect: Defect) -> None:
    name = f"kvm:small-{SOURCE}:{defect.mode}"
    assert legname.parse(name).name == name


@EACH
def test_one_changes_what_it_names_and_nothing_else(defect: Defect) -> None:
    pairs = ((defect.edit.old, defect.edit.new), *defect.edit.more)
    around = "/* between */\n"
    text = around.join(["", *(old for old, _ in pairs), ""])
    changed = defect.edit.applied(text)
    assert changed == around.join(["", *(new for _, new in pairs), ""])
    assert changed != text
