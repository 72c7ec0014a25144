"""The same seed, one worker and legs that always do the same: the same cases to the byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus.case import Case
from corpus.ops import CreateVcpu, Finalize, Init, ReadAll
from fuzz.cli.main import main
from fuzz.worker.steering import Steering
from targets.model.target import ModelTarget
from targets.profile import Profile

pytestmark = pytest.mark.slow

LEG = ModelTarget(Profile())


def _campaign(
    work: Path, seed: int, legs: str, corpus: Path | None = None, feedback: str = ""
) -> dict[str, Any]:
    work.mkdir(exist_ok=True)
    told = work / "told.json"
    arguments = ["run", "--legs", legs, "--cases", "150", "--seed", str(seed)]
    arguments += ["--db", f"sqlite:///{work / 'v.db'}", "--json", str(told)]
    arguments += ["--corpus", str(corpus)] if corpus else []
    arguments += ["--feedback", feedback] if feedback else []
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (0, 77), result.output
    found: dict[str, Any] = json.loads(told.read_text())
    return found


@pytest.mark.parametrize("legs", ["model", "model,emulator:keep,emulator:zero"])
def test_a_seed_makes_one_sequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legs: str
) -> None:
    runs = []
    # Names are hashed otherwise in each process: said, for what must not hang on it.
    for hashing, seed in enumerate((5, 5, 6), 1):
        monkeypatch.setenv("PYTHONHASHSEED", str(hashing))
        runs.append(_campaign(tmp_path / str(hashing), seed, legs))
    first, again, other = runs
    assert first["cases"] >= 150
    assert len(first["sequences"]) == 1
    assert first["sequences"] == again["sequences"] != other["sequences"]


def test_a_restart_from_the_same_corpus_makes_one_sequence(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    _campaign(tmp_path / "before", 5, "model", corpus)
    kept = sorted(corpus.iterdir())
    assert len(kept) > 20
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in reversed(kept):  # what a directory lists first may differ
        shutil.copy(path, copy)
    runs = [
        _campaign(tmp_path / str(n), 5, "model", directory)["sequences"]
        for n, directory in enumerate((corpus, copy))
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("source", ["model", "rules", "semantic"])
def test_each_source_has_libfuzzer_keep_cases(tmp_path: Path, source: str) -> None:
    corpus = tmp_path / "corpus"
    _campaign(tmp_path / "work", 5, "model", corpus, source)
    assert len(list(corpus.iterdir())) > 20


def _cases(seed: int, given: list[Case], count: int = 60) -> tuple[list[str], str]:
    steering = Steering(seed)
    for case in given:
        steering.note(case, [LEG.run(case)], 3)
    made = []
    for _ in range(count):
        case = steering.child()
        made.append(case.id)
        steering.note(case, [LEG.run(case)], 0)
    return made, steering.sequence


def test_the_order_of_the_corpus_does_not_matter() -> None:
    life = (CreateVcpu(0), Init(0), Finalize(0), ReadAll(0))
    given = [Case(life[:n]) for n in range(1, 5)]
    first, again = _cases(1, given), _cases(1, given[::-1])
    assert first == again
    assert _cases(2, given)[0] != first[0]
    assert _cases(1, given[:2])[1] != first[1]
