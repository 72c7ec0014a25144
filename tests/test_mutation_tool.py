"""The hunt for mutants that no test sees goes on where it was ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutation import __main__ as tool
from mutation import survivors
from mutation.covering import Covering
from mutation.forks import Fate
from mutation.operators import Mutant, mutants
from mutation.remembered import KEPT, Remembered

TEXT = "def f(a, b):\n    return a < b\n"


def _tree(root: Path) -> Path:
    for name in ("corpus", "tests"):
        (root / name).mkdir()
        (root / name / "one.py").write_text(TEXT)
    return root


def _first() -> Mutant:
    return next(mutants("corpus/one.py", TEXT))


def test_what_was_found_out_is_known_again(tmp_path: Path) -> None:
    root, folder = _tree(tmp_path), tmp_path / "kept"
    one = Remembered(folder, root, ["m"])
    assert one.covering() is None
    assert one.fates() == {}
    one.keep_covering(Covering(seconds={"t": 1.5}))
    for mutant, fate in zip(mutants("corpus/one.py", TEXT), Fate, strict=False):
        one.keep_fate(mutant, fate)
    other = Remembered(folder, root, ["m"])
    known = other.covering()
    assert known is not None
    assert known.seconds == {"t": 1.5}
    assert list(other.fates().values()) == list(Fate)
    assert other.fates()[_first().key] is Fate.SURVIVED


def test_a_line_that_was_cut_says_nothing(tmp_path: Path) -> None:
    root, folder = _tree(tmp_path), tmp_path / "kept"
    one = Remembered(folder, root, [])
    one.keep_covering(Covering())
    one.keep_fate(_first(), Fate.KILLED)
    with (one.folder / "fates.jsonl").open("a") as file:
        file.write('["corpus/one.py", "f", "a <')
    assert dict(Remembered(folder, root, []).fates()) == {_first().key: Fate.KILLED}


def test_little_is_kept_of_what_was(tmp_path: Path) -> None:
    root, folder = _tree(tmp_path), tmp_path / "kept"
    folder.mkdir()
    (folder / "last.json").write_text("[]")
    for n in range(KEPT + 2):
        Remembered(folder, root, [str(n)]).keep_covering(Covering())
    known = [n for n in range(KEPT + 2) if Remembered(folder, root, [str(n)]).covering()]
    assert known == [*range(2, KEPT + 2)]
    assert (folder / "last.json").exists()


@pytest.mark.parametrize("changed", ["corpus/one.py", "tests/one.py", "tests/two.py"])
def test_nothing_is_known_of_another_tree(tmp_path: Path, changed: str) -> None:
    root, folder = _tree(tmp_path), tmp_path / "kept"
    Remembered(folder, root, []).keep_covering(Covering())
    assert Remembered(folder, root, ["other tests"]).covering() is None
    (root / changed).write_text(TEXT + "\n")
    assert Remembered(folder, root, []).covering() is None


def test_which_survivors_are_listed_changes_nothing_that_is_known(tmp_path: Path) -> None:
    root, folder = _tree(tmp_path), tmp_path / "kept"
    Remembered(folder, root, []).keep_covering(Covering())
    (root / "tests" / survivors.FILE.name).write_text("")
    assert Remembered(folder, root, []).covering() is not None


@pytest.mark.parametrize("tried", [False, True])
def test_a_listed_survivor_is_tried_only_if_asked_for(
    tmp_path: Path, tried: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "LAST", tmp_path / "last.json")
    monkeypatch.setattr(survivors, "load", lambda: {_first().key: "a reason"})
    found = [*mutants("corpus/one.py", TEXT)]
    known = Remembered(tmp_path / "kept", _tree(tmp_path), [])
    hunt = tool.Hunt(found, 1, 1.0, known, listed=tried)
    assert (_first() in hunt.fates) is not tried
    hunt.fates = dict.fromkeys(found, Fate.KILLED) | hunt.fates
    assert hunt.tell(complete=False) == 0
    out = capsys.readouterr().out
    assert ("is listed, and a test kills it" in out) is tried
    assert f"{len(found) - (not tried)} of {len(found)} mutants killed" in out
