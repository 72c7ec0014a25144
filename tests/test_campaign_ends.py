"""However a campaign ends, what it found is told, its row is closed, and nothing is left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from fuzz import stopping

pytestmark = pytest.mark.slow

LEGS = ("--legs", "model,model:zero")
VCPUFUZZ = str(Path(sys.executable).with_name("vcpufuzz"))


def wait_for(what: Callable[[], object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: list[int]) -> bool:
    return not any(_state(pid) != "Z" for pid in pids)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


class Run:
    """A campaign on two models, in a directory of its own, with its own place for temporaries."""

    def __init__(
        self,
        folder: Path,
        *args: str,
        stdout: int = subprocess.PIPE,
        before: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        (folder / "tmp").mkdir(exist_ok=True)
        env = {**os.environ, "TMPDIR": str(folder / "tmp"), "TERM": "xterm", "PYTHONUTF8": "1"}
        env = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*before, VCPUFUZZ, "run", *LEGS, "--json", "out.json", *args],
            cwd=folder,
            env=env,
            stdin=stdout if stdout != subprocess.PIPE else subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=stdout == subprocess.PIPE,
            preexec_fn=_default_signals if stdout == subprocess.PIPE else _own_terminal,  # noqa: PLW1509
        )

    def began(self) -> bool:
        """Whether it counts cases; it must not have ended."""
        assert self.process.poll() is None, self.process.communicate()
        return self.cases() > 0

    def cases(self) -> int:
        try:
            with Store.read(str(self.folder / "vcpufuzz.db")) as store:
                campaigns = store.campaigns()
        except RuntimeError:  # not there, or half made
            return 0
        return int(campaigns[0].statistics.get("cases", 0)) if campaigns else 0

    def totals(self) -> dict[str, object]:
        told: dict[str, object] = json.loads((self.folder / "out.json").read_text())
        return told

    def reason(self) -> tuple[bool, str]:
        with Store.open(str(self.folder / "vcpufuzz.db")) as store:
            campaign = store.campaigns()[0]
        return campaign.ended is not None, campaign.reason


def _default_signals() -> None:
    for number in stopping.ENDING:
        signal.signal(number, signal.SIG_DFL)


def _own_terminal() -> None:
    import fcntl  # noqa: PLC0415
    import termios  # noqa: PLC0415

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _default_signals()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*args: str, **how: Any) -> Run:
        runs.append(Run(tmp_path, *args, **how))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()
        if run.process.stdout:
            run.process.stdout.close()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "terminated"),
        (signal.SIGHUP, "hung up"),
        (signal.SIGQUIT, "failed"),
    ],
)
def test_a_signal_ends_a_campaign_in_order(
    started: Callable[..., Run], number: signal.Signals, reason: str
) -> None:
    run = started()
    wait_for(run.began)
    workers = children(run.process.pid)
    assert workers
    run.process.send_signal(number)
    out, _ = run.process.communicate(timeout=120)
    assert run.process.returncode == 128 + number
    assert re.search(rb"\n[1-9]\d* cases? in ", out)
    assert run.totals()["cases"]
    assert run.reason() == (True, reason)
    assert os.listdir(run.folder / "tmp") == []
    assert gone(workers)


def test_a_signal_before_the_first_case_leaves_a_word(started: Callable[..., Run]) -> None:
    run = started("--legs", "model,emulator:keep")
    assert run.process.stdout is not None
    begun = run.process.stdout.readline()
    assert begun.startswith(b"#0\tpulse")
    run.process.send_signal(signal.SIGTERM)
    out, _ = run.process.communicate(timeout=120)
    assert run.process.returncode == 128 + signal.SIGTERM
    assert b"0 cases in 0:00" in out
    assert run.totals()["ended"] == "terminated"


def test_a_second_signal_ends_at_once(started: Callable[..., Run]) -> None:
    run = started()
    wait_for(run.began)
    (worker,) = children(run.process.pid)
    os.kill(worker, signal.SIGSTOP)  # one that does not finish its case
    run.process.send_signal(signal.SIGTERM)
    time.sleep(1.0)
    assert run.process.poll() is None
    run.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, _ = run.process.communicate(timeout=120)
    assert time.monotonic() - began < 10
    assert run.process.returncode == 128 + signal.SIGTERM
    assert b"cases in" in out
    assert run.totals()["cases"]
    assert gone([worker])
    assert os.listdir(run.folder / "tmp") == []


def test_workers_do_not_outlive_a_campaign_that_is_killed(started: Callable[..., Run]) -> None:
    run = started()
    wait_for(run.began)
    workers = children(run.process.pid)
    run.process.kill()
    wait_for(lambda: gone(workers), 20)
    assert run.reason() == (False, "")
    assert run.cases() > 0


def test_a_worker_that_somebody_stops_is_replaced(started: Callable[..., Run]) -> None:
    run = started("--legs", "model,mutant:finalize-twice")
    wait_for(run.began)
    (stopped,) = children(run.process.pid)
    os.kill(stopped, signal.SIGTERM)
    wait_for(lambda: children(run.process.pid) not in ([stopped], []))
    so_far = run.cases()
    wait_for(lambda: run.cases() > so_far)
    run.process.send_signal(signal.SIGINT)
    out, _ = run.process.communicate(timeout=90)
    assert b"was told to stop by SIGTERM; restarting it" in out
    assert run.totals()["ended"] == "interrupted"


def test_a_database_that_is_deleted_is_missed(started: Callable[..., Run]) -> None:
    run = started()
    wait_for(run.began)
    (run.folder / "vcpufuzz.db").unlink()
    out, _ = run.process.communicate(timeout=120)
    assert run.process.returncode == 3
    assert b"vcpufuzz.db was deleted while it was in use" in out
    assert b"cases in" in out
    assert run.totals()["cases"]
    assert not (run.folder / "vcpufuzz.db").exists()


def test_a_reader_that_leaves_ends_a_campaign_in_order(started: Callable[..., Run]) -> None:
    run = started()
    wait_for(run.began)
    assert run.process.stdout is not None
    run.process.stdout.close()
    wait_for(lambda: run.process.poll() is not None)
    assert run.process.returncode == 141
    assert run.totals()["ended"] == "nobody reads the output any more"
    assert run.reason()[0]


# -- on a terminal ---------------------------------------------------------------------------


class Terminal:
    """The other side of the campaign's terminal."""

    ENTER, LEAVE, SHOW = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.seen = b""

    def read(self, seconds: float = 0.0) -> bytes:
        """All that was shown so far; hearing it keeps the other side going."""
        deadline = time.monotonic() + seconds
        while select.select([self.ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                self.seen += os.read(self.ours, 1 << 16)
            except OSError:
                break
        return self.seen

    def usable(self) -> bool:
        """Whether the second screen was left and the cursor is there."""
        shown = self.read()
        return shown.rfind(self.LEAVE) > shown.rfind(self.ENTER) and shown.rfind(
            self.SHOW
        ) > shown.rfind(b"\x1b[?25l")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    for descriptor in (made.ours, made.theirs):
        try:
            os.close(descriptor)
        except OSError:
            continue


_SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(0, job.pid)
sys.exit(job.wait())
"""
"""What a shell does to a job: only one with a parent in its session can be stopped by a key."""


def _on(terminal: Terminal, started: Callable[..., Run], shell: str = "") -> Run:
    run = started(stdout=terminal.theirs, before=(sys.executable, "-c", shell) if shell else ())
    os.close(terminal.theirs)

    def running() -> bool:
        return terminal.ENTER in terminal.read() and run.began()

    wait_for(running)
    assert not terminal.usable()
    return run


@pytest.mark.parametrize(
    ("key", "code"), [(b"\x03", 130), (b"\x1c", 131)], ids=["ctrl-c", "ctrl-backslash"]
)
def test_a_key_ends_a_campaign_and_gives_the_terminal_back(
    started: Callable[..., Run], terminal: Terminal, key: bytes, code: int
) -> None:
    run = _on(terminal, started)
    os.write(terminal.ours, key)
    wait_for(lambda: (terminal.read(), run.process.poll() is not None)[1])
    assert run.process.returncode == code
    assert terminal.usable()
    assert b"cases in" in terminal.seen.rpartition(terminal.LEAVE)[2]
    assert run.totals()["cases"]


def test_ctrl_z_gives_the_terminal_back_and_takes_it_again(
    started: Callable[..., Run], terminal: Terminal
) -> None:
    run = _on(terminal, started, _SHELL)
    (campaign,) = children(run.process.pid)
    os.write(terminal.ours, b"\x1a")
    wait_for(lambda: _state(campaign) == "T")
    assert terminal.usable()
    before = len(terminal.seen)
    os.kill(campaign, signal.SIGCONT)
    wait_for(lambda: terminal.ENTER in terminal.read()[before:])
    os.write(terminal.ours, b"\x03")
    wait_for(lambda: (terminal.read(), run.process.poll() is not None)[1])
    assert run.process.returncode == 130
    assert terminal.usable()


def test_a_closed_terminal_ends_a_campaign_in_order(
    started: Callable[..., Run], terminal: Terminal
) -> None:
    run = _on(terminal, started)
    os.close(terminal.ours)
    wait_for(lambda: run.process.poll() is not None)
    assert run.process.returncode == 129
    assert run.totals()["cases"]
    assert run.reason()[0]
    assert os.listdir(run.folder / "tmp") == []
