"""An emulated arm64 machine with a network in which vcpufuzz runs as on hardware."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from targets.kvm.lab import modules, newer_qemu, qemu
from targets.kvm.lab.process import Process
from targets.kvm.lab.userland import whole

HOST = "10.0.2.2"
"""This machine, as it is seen from there."""

LOOK_S = 1.0


class Arm64Machine:
    """Runs a command with files beside it, and hears the console, until it is closed. `port`: of
    this machine's loopback that leads there."""

    def __init__(
        self, command: Sequence[str], brought: Mapping[str, bytes], port: int, folder: Path
    ) -> None:
        initramfs = folder / "initramfs"
        initramfs.write_bytes(whole.archive(command, brought))
        kernel = modules.fetch().image
        machine = qemu.Machine(kernel, initramfs, memory_mib=whole.MEMORY_MIB, smp=2, forward=port)
        self._heard = bytearray()
        self._line, theirs = socket.socketpair()
        page = os.memfd_create("page")
        os.ftruncate(page, 1 << 20)
        argv = qemu.command(
            newer_qemu.program_for("vhe"), machine, qemu.Shared(page, 1 << 20, theirs.fileno())
        )
        self._process = Process(argv, [page, theirs.fileno()])
        os.close(page)
        theirs.close()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        while data := self._line.recv(1 << 16):
            self._heard += data

    @property
    def said(self) -> str:
        """All that the console said."""
        return self._heard.decode("utf-8", "replace").replace("\r\n", "\n")

    def await_word(self, word: str, seconds: float) -> None:
        """Wait until the console said it."""
        end = time.monotonic() + seconds
        while word not in self.said:
            assert whole.ENDED not in self.said, self.said
            assert self._process.running, self._process.said
            assert time.monotonic() < end, self.said
            time.sleep(LOOK_S)

    def close(self) -> None:
        """Turn it off."""
        self._process.close()
        self._thread.join(10)
        self._line.close()
