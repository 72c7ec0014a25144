"""Running a command under the recorder in the lab, with Debian's packages around it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from corpus.domain import TextError
from targets.kvm import legname
from targets.kvm.lab import cpio, image
from targets.kvm.lab.boot import Booted, Bootloader, read_file
from targets.kvm.lab.channel import Command, Layout, ended
from targets.kvm.lab.cpio import Entry
from targets.kvm.lab.pace import Pace
from targets.kvm.lab.transport import LabTransport
from targets.kvm.lab.userland import programs
from targets.kvm.lab.userland.tree import below, files, with_directories
from targets.kvm.lab.vm import GuestDied
from targets.kvm.recorder import build, elf
from targets.kvm.recorder.recorded import Recorded
from targets.transport import TransportError

MEMORY_MIB = 2048
WORK = "work"
"""Where the command runs, and finds what is brought."""
LOG = "/log"
LIMIT_S = 60
"""After which a command is told to end, unless somebody says otherwise."""
_LAYOUT = Layout(slots=1, request_cap=4 << 20)
_MOST_WORDS, _MOST_BYTES = 250, 60_000
"""Of a command: start.c has room for some more."""
_LATER_S = 120
"""How much longer than it may run a command may take until it has ended."""


class _Patience(Pace):
    """A command makes no progress that can be seen until it ends."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def is_hang(self, seconds: float) -> bool:
        return seconds > self._seconds


def run(
    leg: str,
    command: Sequence[str],
    seconds: int,
    packages: Sequence[str] = (),
    brought: Sequence[Path] = (),
) -> Recorded:
    """A command on a leg of the lab. Its first word is a file that is brought if it has a slash
    in it; what is brought lies in its directory under its own name. Raises TransportError,
    OSError, and TextError for a leg that is none of the lab."""
    if not legname.is_lab(leg):
        raise TextError(f"{leg} is no leg of the lab.")
    opened = legname.open_transport(legname.parse(leg))
    assert isinstance(opened, LabTransport)
    words = list(command)
    brought = list(brought)
    if "/" in words[0]:
        brought.append(Path(words[0]))
        words[0] = f"./{brought[-1].name}"
        why = elf.trouble(brought[-1].read_bytes()[: elf.HEAD], bool(packages))
        if why:
            raise TextError(f"{command[0]} {why}.")
    brought = list({path.resolve(): path for path in brought}.values())
    named = [path.name for path in brought]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise TextError(f"two files that are brought are called {twice}.")
    text = _words("/recorder", LOG, str(seconds), *words)
    if len(words) > _MOST_WORDS or len(text) > _MOST_BYTES:
        raise TextError(f"the command is too long: {_MOST_WORDS} words and {_MOST_BYTES} bytes.")
    inside = [
        Entry("recorder", stat.S_IFREG | 0o755, build.build().read_bytes()),
        Entry("command", stat.S_IFREG | 0o644, text),
        *(cpio.executable(f"{WORK}/{path.name}", path.read_bytes()) for path in brought),
        Entry("lib", stat.S_IFLNK | 0o777, b"usr/lib"),
        Entry("bin", stat.S_IFLNK | 0o777, b"usr/bin"),
    ]
    if packages:
        root = programs.tree(packages)
        inside += files(root, "", [path for path in below(root) if len(path.parts) > 1])
    with tempfile.TemporaryDirectory(prefix="vcpufuzz-") as place:
        archive = Path(place, "initramfs")
        base = image.build()
        added = [cpio.directory(WORK), *with_directories(inside)]
        archive.write_bytes(base.path.read_bytes() + cpio.archive(added))
        made = image.Image(archive, base.key)
        spec = replace(opened.spec, memory_mib=MEMORY_MIB, initramfs=lambda: made)
        loader = Bootloader(spec, _LAYOUT)
        loader.pace = _Patience(seconds + _LATER_S)
        booted = loader.boot()
        with closing(booted.vm):
            return _recorded(booted, leg)


def _words(*words: str) -> bytes:
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _recorded(booted: Booted, leg: str) -> Recorded:
    vm = booted.vm
    try:
        vm.post(build.build(build.START).read_bytes(), Command.PROGRAM)
        end = ended(vm.channel.take(vm.next_completion().slot)[1])
        code = end.code if end.signal is None else 128 + end.signal
        log = read_file(vm, LOG).decode("utf-8", "replace")
    except GuestDied as death:
        raise TransportError(f"the machine broke while the command ran ({death}).") from death
    return Recorded(code, log, end.output, leg)
