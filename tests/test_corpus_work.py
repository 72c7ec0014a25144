"""Corpora as directories: what is enough, what is new, and files that are whole or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from corpus.case import Case
from corpus.inputs import case_of
from corpus.store import keep, kept_cases
from corpus.text import format_case, parse_case
from fuzz.campaign import shelf
from fuzz.campaign.bring import Bringing
from fuzz.campaign.distil import adding, smallest
from fuzz.cli import corpus as command
from fuzz.cli.main import main
from fuzz.generate.mutate import fresh
from targets.model.target import ModelTarget
from targets.profile import Profile

LIVES = ["create v0\n", "create v0\ninit v0\n", "create v0\ninit v0\nfinalize v0\n"]

many = st.dictionaries(st.integers(0, 30), st.frozensets(st.integers(0, 12)), max_size=12)


@given(many, st.randoms(use_true_random=False))
def test_the_smallest_set_has_everything_and_nothing_needless(
    features: dict[int, frozenset[int]], rng: random.Random
) -> None:
    size = {name: rng.randint(1, 9) for name in features}
    kept = smallest(features, size)
    everything = set().union(*features.values())
    assert set().union(*(features[name] for name in kept)) == everything
    for name in kept:
        others = set().union(*(features[other] for other in kept if other != name))
        assert others != everything


def test_of_two_cases_that_bring_the_same_the_smaller_is_kept() -> None:
    features = {"long": {1, 2}, "short": {1, 2}, "other": {3}}
    assert smallest(features, {"long": 9, "short": 3, "other": 9}) == ["short", "other"]


@given(many, st.sets(st.integers(0, 12)))
def test_merging_takes_what_is_new_and_once(
    features: dict[int, frozenset[int]], before: set[int]
) -> None:
    have: set[object] = set(before)
    chosen = adding(features, dict.fromkeys(features, 1), have)
    assert have == before.union(*features.values())
    seen = set(before)
    for name in chosen:
        assert features[name] - seen
        seen |= features[name]


def test_what_a_case_brings_is_told_by_source() -> None:
    leg = ModelTarget(Profile())
    case = parse_case(LIVES[2] + "read-all v0\n")
    by = {source: Bringing([leg], [source]).of(case) for source in ("rules", "semantic", "pairs")}
    assert ("rule", "finalize.ok") in by["rules"]
    assert ("op", "init", 0, "") in by["semantic"]
    assert any(str(feature).startswith("('pair'") for feature in by["pairs"])
    assert Bringing([leg]).of(case) == frozenset().union(*by.values())


def vcpufuzz(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["corpus", *map(str, args)])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def texts(folder: Path, *lives: str) -> Path:
    folder.mkdir()
    for number, text in enumerate(lives):
        (folder / f"{number}.case").write_text(text)
    return folder


def rules_of(folder: Path) -> set[object]:
    bringing = Bringing([ModelTarget(Profile())], ["rules", "semantic"])
    return set().union(*(bringing.of(case) for case in shelf.read([folder]).cases.values()))


@pytest.mark.long
def test_minimising_keeps_all_that_a_corpus_brings(tmp_path: Path) -> None:
    rng = random.Random(4)
    cases = [fresh(rng) for _ in range(60)] + list(kept_cases("seeds"))
    full = tmp_path / "full"
    for case in cases:
        keep(full, case)
    code, _ = vcpufuzz("minimize", tmp_path / "small", full)
    assert code == 0
    assert rules_of(tmp_path / "small") == rules_of(full)
    small = list((tmp_path / "small").iterdir())
    assert 0 < len(small) < len(list(full.iterdir()))
    for path in small:  # as libFuzzer names and reads them
        data = path.read_bytes()
        assert path.name == hashlib.sha1(data, usedforsecurity=False).hexdigest()
        assert case_of(data).encoded == data
    code, said = vcpufuzz("minimize", tmp_path / "small", full)
    assert (code, "not empty" in said) == (2, True)


def test_merging_adds_only_what_is_new_and_again_nothing(tmp_path: Path) -> None:
    into = tmp_path / "into"
    assert vcpufuzz("import", into, texts(tmp_path / "a", LIVES[2]))[0] == 0
    more = texts(tmp_path / "b", LIVES[1], LIVES[2] + "finalize v0\n")
    code, said = vcpufuzz("merge", into, more, "--json")
    assert (code, json.loads(said)) == (0, {"written": 1, "of": 2, "total": 2})
    code, said = vcpufuzz("merge", into, more, "--json")
    assert json.loads(said)["written"] == 0


def test_what_another_command_writes_meanwhile_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = texts(tmp_path / "a", LIVES[1]), parse_case(LIVES[2])

    def features(cases: Mapping[str, Case], *_: object) -> dict[str, frozenset[int]]:
        keep(tmp_path / "into", b)
        return {name: frozenset({1}) for name in cases}

    monkeypatch.setattr(command, "_features", features)
    code, said = vcpufuzz("minimize", tmp_path / "into", a)
    assert (code, "into: it is not empty" in said) == (2, True)
    (path,) = (tmp_path / "into").iterdir()
    path.unlink()
    code, said = vcpufuzz("merge", tmp_path / "into", a, "--json")
    assert (code, json.loads(said)) == (0, {"written": 1, "of": 1, "total": 2})


def test_stats_tell_doubles_and_what_is_no_case(tmp_path: Path) -> None:
    folder = texts(tmp_path / "a", LIVES[0], LIVES[1], LIVES[1], "nonsense\n")
    code, said = vcpufuzz("stats", folder, "--json")
    assert code == 0
    told = json.loads(said[said.index("{") :])
    assert (told["cases"], told["again"], told["refused"], told["needed"]) == (2, 1, 1, 1)
    assert told["ops"] == {"create": 2, "init": 1}
    assert "3.case" in said
    assert vcpufuzz("stats", folder)[1].count("\n") > 4
    empty = tmp_path / "empty"
    empty.mkdir()
    assert vcpufuzz("stats", empty)[0] == 0


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    folder = texts(tmp_path / "a", LIVES[0])
    for args in (
        ("stats", tmp_path / "nowhere"),
        ("stats", folder, "--by", "luck"),
        ("stats", folder, "--legs", "nothing"),
        ("merge", folder / "0.case", folder),
        ("merge", folder),
    ):
        code, said = vcpufuzz(*args)
        assert code == 2, said


def test_a_case_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = parse_case(LIVES[2])

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            keep(tmp_path, case)
    assert list(tmp_path.iterdir()) == []
    assert keep(tmp_path, case)
    assert not keep(tmp_path, case)
    damaged = next(tmp_path.iterdir())
    damaged.write_bytes(b"")
    assert keep(tmp_path, case)
    assert damaged.read_bytes() == case.encoded


def test_files_are_found_below_and_hidden_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".git").mkdir(parents=True)
    (tmp_path / "deep" / "a").write_text(LIVES[0])
    (tmp_path / "deep" / ".git" / "b").write_text(LIVES[1])
    (tmp_path / ".c").write_text(LIVES[1])
    found = shelf.read([tmp_path])
    assert [format_case(case) for case in found.cases.values()] == [LIVES[0]]
    assert isinstance(next(iter(found.cases.values())), Case)
