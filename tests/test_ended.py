"""How processes end, and who is to blame."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from corpus.fault import FaultKind
from targets.ended import End, end_of, is_dying, is_stopped, state


@pytest.mark.parametrize(
    ("code", "sentence", "from_outside"),
    [
        (-signal.SIGKILL, "it was killed by SIGKILL", True),
        (-signal.SIGTERM, "it was killed by SIGTERM", True),
        (-signal.SIGHUP, "it was killed by SIGHUP", True),
        (-signal.SIGSEGV, "it was killed by SIGSEGV", False),
        (-signal.SIGABRT, "it was killed by SIGABRT", False),
        (2, "it ended with status 2", False),
        (0, "it ended", False),
    ],
)
def test_ends(code: int, sentence: str, from_outside: bool) -> None:
    end = end_of(code)
    assert (end.of("it"), end.from_outside) == (sentence, from_outside)
    fault = end.fault("it", idle=True)
    assert fault.line == f"{sentence} while it was idle"
    assert fault.kind is (FaultKind.LOST if from_outside else FaultKind.CRASH)
    assert fault.place == (end.cause if from_outside else "")


def test_other_causes() -> None:
    assert (
        End("closed its lines without ending").of("QEMU") == "QEMU closed its lines without ending"
    )


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def test_a_process_lives_is_stopped_and_dies(sleeper: int) -> None:
    assert not is_stopped(sleeper)
    assert not is_dying(sleeper)
    os.kill(sleeper, signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper, os.WSTOPPED | os.WNOWAIT)
    assert is_stopped(sleeper)
    assert not is_dying(sleeper)
    os.kill(sleeper, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper, os.WEXITED | os.WNOWAIT)
    assert is_dying(sleeper)
    assert not is_stopped(sleeper)
    assert state(sleeper) == "Z"


def test_a_process_that_is_no_more() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert (state(gone.pid), is_stopped(gone.pid), is_dying(gone.pid)) == ("", False, False)
