"""What a search by commits leaves as a note, and what is read from it."""

from __future__ import annotations

from fuzz.followup.origin import note, told
from targets.kvm.lab.shadow import Revision

FIRST = Revision("0123456789abcdef", "01234567", "arm64: break it")
SECOND = Revision("fedcba9876543210", "fedcba98", "arm64: more")
ONE, TWO = (FIRST, "A B, 2026-01-31"), (SECOND, "C D, 2026-02-01")


def test_one_commit_is_told_as_the_one() -> None:
    said = note(7, True, [ONE])
    assert said == ('bisect of F7: broken by 0123456789ab ("arm64: break it", A B, 2026-01-31).')
    assert note(7, False, [ONE]).startswith("bisect of F7: fixed by 0123456789ab (")


def test_several_are_told_as_such() -> None:
    said = note(7, True, [ONE, TWO])
    assert "broken by one of these, which could not be told apart: 0123456789ab (" in said
    assert '; fedcba987654 ("arm64: more", C D, 2026-02-01).' in said


def test_only_such_notes_are_read_and_all_of_them() -> None:
    first, second = note(7, True, [ONE]), note(12, False, [TWO])
    assert told([first, "looked at it", f" {second}\n", "see bisect of F7: x", ""]) == [
        f"A search by commits: {first.partition(': ')[2]}",
        f"A search by commits: {second.partition(': ')[2]}",
    ]
    assert told([]) == []
