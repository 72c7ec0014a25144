"""The program of the guest with a userland: its end of the shared page, and what goes in."""

from __future__ import annotations

import ast
import errno
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import pytest

from corpus.trace import Ending
from targets.kvm.lab.channel import DOORBELL, Channel, Command, Layout, SlotWord, State
from targets.kvm.lab.image import find_compiler
from targets.kvm.lab.userland import guest, image, packages
from targets.kvm.lab.userland.guest import Broken, Page, serve
from targets.transport import Reply, Transport, TransportError

LAYOUT = Layout(slots=3, request_cap=64, response_cap=128)


class Echo(Transport):
    """Answers with the request; one of them breaks it."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def start(self) -> Mapping[str, str]:
        return {}

    def submit(self, request: bytes) -> int:
        self.requests.append(request)
        return len(self.requests) - 1

    def collect(self, ticket: int) -> Reply:
        request = self.requests[ticket]
        if request == b"crash":
            return Reply(Ending.CRASH, None, "killed by SIGSEGV", 0.1)
        return Reply(Ending.OK, request[::-1], "", 0.1)

    def restart(self) -> None:
        pass

    def close(self) -> None:
        pass


class Guest:
    """The guest's loop in a thread, and the host's end of its page and line."""

    def __init__(self) -> None:
        memory = bytearray(LAYOUT.size)
        self.channel = Channel(memoryview(memory), LAYOUT)
        self.line, self._theirs = socket.socketpair()
        self.line.settimeout(10)
        self.echo, self.raised = Echo(), ""
        self._page = Page(memoryview(memory))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            serve(self._page, self._theirs.fileno(), self.echo)
        except Broken as broken:
            self.raised = str(broken)

    def post(self, slot: int, sequence: int, request: bytes, command: Command) -> None:
        self.channel.post(slot, sequence, command, request)

    def rings(self, count: int) -> None:
        for _ in range(count):
            assert self.line.recv(1) == DOORBELL

    def ended(self) -> bool:
        self._thread.join(10)
        return not self._thread.is_alive()

    def close(self) -> None:
        self.line.close()
        assert self.ended()
        self._theirs.close()
        self._page.release()
        self.channel.release()


@pytest.fixture
def running() -> Iterator[Guest]:
    opened = Guest()
    yield opened
    opened.close()


def test_requests_are_served_in_order(running: Guest) -> None:
    running.post(2, 5, b"first", Command.EXECUTE)
    running.post(0, 6, b"second", Command.EXECUTE)
    running.post(1, 7, b"third", Command.EXECUTE)
    running.start()
    running.rings(4)  # that it is ready, and thrice that it is done
    assert running.channel.ready
    assert running.echo.requests == [b"first", b"second", b"third"]
    assert running.channel.progress == 3
    assert running.channel.take(2) == (0, b"tsrif")
    assert running.channel.take(1) == (0, b"driht")
    assert running.channel.state(0) is State.DONE


def test_a_sleeping_guest_is_woken(running: Guest) -> None:
    running.start()
    running.rings(1)
    end = time.monotonic() + 10
    while not running.channel.sleeping:
        assert time.monotonic() < end
        time.sleep(0.001)
    running.post(0, 1, b"ab", Command.EXECUTE)
    running.line.send(DOORBELL)
    running.rings(1)
    assert running.channel.take(0) == (0, b"ba")


def test_what_only_the_small_guest_can_is_refused(running: Guest) -> None:
    running.start()
    running.post(0, 1, b"/proc/kallsyms", Command.READ_FILE)
    running.rings(2)
    assert running.channel.take(0) == (errno.ENOSYS, b"")


def test_a_broken_executor_ends_the_guest(running: Guest) -> None:
    running.start()
    running.post(0, 1, b"crash", Command.EXECUTE)
    assert running.ended()
    assert running.raised == "the executor ended in a crash: killed by SIGSEGV"
    assert running.channel.state(0) is State.RUNNING


def test_a_page_without_a_channel_is_a_sentence() -> None:
    with pytest.raises(TransportError, match="no channel"):
        Page(memoryview(bytearray(4096)))


def test_the_modules_that_go_in_are_all_that_the_program_imports(tmp_path: Path) -> None:
    """Asked of an interpreter that sees nothing else of the project."""
    for own in image.MODULES:
        copy = tmp_path / own
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((image.ROOT / own).read_bytes())
    code = f"import sys; sys.path.insert(0, '.'); import {guest.__name__}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_of_the_packages_goes_in() -> None:
    kept = ("usr/bin/python3.13", "usr/lib/ld-linux-aarch64.so.1", "usr/lib/python3.13/os.py")
    left_out = (
        *("usr/bin/python3", "usr/bin/dpkg", "usr/share/doc/x", "etc/passwd"),
        *("usr/lib/python3.13/test/x.py", "usr/lib/aarch64-linux-gnu/gconv/BIG5.so"),
    )
    assert all(image.is_kept(path) for path in kept)
    assert not any(image.is_kept(path) for path in left_out)


@pytest.mark.long
def test_directories_come_before_what_they_hold(tmp_path: Path) -> None:
    entries = image._entries(packages.fetch(), find_compiler(), tmp_path)
    seen = {"."}
    for entry in entries:
        assert str(PurePosixPath(entry.name).parent) in seen, entry.name
        if stat.S_ISDIR(entry.mode):
            seen.add(entry.name)
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)
    assert {"init", "lib", "dev/console", "vcpufuzz/targets/kvm/native.py"} <= set(names)
    kept = [name for name in names if name.startswith("cache/native/")]
    (extension,) = (name for name in kept if name.endswith(".so"))
    assert extension.endswith("/_vcpufuzz_executor.cpython-313-aarch64-linux-gnu.so")
    assert f"{extension}.digest" in kept


def test_requests_posted_during_one_look_are_served_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host posts slot 0, then slot 1, when the first look has passed slot 0 already."""
    memory = memoryview(bytearray(LAYOUT.size))
    channel, page = Channel(memory, LAYOUT), Page(memory)
    word = Layout.word
    posted: list[int] = []

    def look(layout: Layout, slot: int, index: SlotWord) -> int:
        if slot == 1 and not posted:
            posted.extend((0, 1))
            monkeypatch.undo()
            for each in posted:
                channel.post(each, each + 1, Command.EXECUTE, b"x")
        return word(layout, slot, index)

    monkeypatch.setattr(Layout, "word", look)
    assert page.pending() == 0
    assert posted == [0, 1]


def test_the_guest_gets_whatever_its_program_imports() -> None:
    root = Path(__file__).parents[1]
    wanted, todo = set(), ["targets/kvm/lab/userland/guest.py"]
    while todo:
        one = todo.pop()
        wanted.add(one)
        for node in ast.walk(ast.parse((root / one).read_text())):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                path = name.replace(".", "/") + ".py"
                if name.startswith(("corpus", "targets")) and (root / path).exists():
                    todo += [path] if path not in wanted else []
    assert {path for path in wanted if path not in image.MODULES} == set()
