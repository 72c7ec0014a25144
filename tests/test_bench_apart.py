"""A measuring process is ended with what asked for it, and leaves nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from fuzz.bench.apart import Died, told_by

SCRIPT = """
import os, sys, tempfile, time
scratch = tempfile.mkdtemp()
os.write(int(sys.argv[1]), f"{os.getpid()}\\n{sys.argv[2]}\\n".encode())
if sys.argv[2] == "dies":
    sys.exit("the last word")
time.sleep(60)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return str(path)


def test_it_is_ended_and_its_scratch_is_gone(script: str, tmp_path: Path) -> None:
    with told_by(script, "waits") as lines:
        pid = int(next(lines))
        assert next(lines) == b"waits\n"
        assert [*tmp_path.glob("tmp/*/*")]
    assert not Path(f"/proc/{pid}").exists()
    assert not [*tmp_path.glob("tmp/*")]


def test_what_dies_says_why(script: str, tmp_path: Path) -> None:
    with pytest.raises(Died, match="the last word"), told_by(script, "dies") as lines:
        assert len([*lines]) == 2
    assert not [*tmp_path.glob("tmp/*")]
