"""The fuzzer of the text form works, and finds nothing in a short run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import text_inputs

from corpus.text import parse_case

SCRIPT = Path(text_inputs.__file__).with_name("fuzz_text.py")


def fuzz(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *args]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.long
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    done = fuzz("--runs", "1500", "--seed", "7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    totals = dict(re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1]))
    seen = {kind: int(count) for count, kind in totals.items()}
    assert seen.pop("inputs") == sum(seen.values()) == 1500
    assert seen["text"] > 100
    assert seen["refused"] > 100


def test_what_it_finds_can_be_run_again(tmp_path: Path) -> None:
    (tmp_path / "found").write_text("create v0\n")
    done = fuzz("found", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "found: text\n"), done.stderr


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: (_ for _ in ()).throw(ValueError("no TextError")),
        lambda text: parse_case("create v1\n") if "v0" in text else parse_case(text),
    ],
    ids=["another error", "another case"],
)
def test_it_sees_a_parser_that_is_wrong(broken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    text_inputs.check(b"create v0\n")
    monkeypatch.setattr(text_inputs, "parse_case", broken)
    with pytest.raises((AssertionError, ValueError)):
        text_inputs.check(b"create v0\n")
