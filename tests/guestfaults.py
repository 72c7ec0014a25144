"""Ways to break a lab guest from outside, for tests: through the page it shares with us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from targets.kvm.lab.channel import HeaderWord

_PAGE = "vcpufuzz-page"


def panic(pid: int) -> None:
    """Make the guest of this QEMU panic: its init looks for requests beyond the page, gets a
    signal for it, and a kernel without init panics."""
    _write_slots(pid, 0xFFFF_FFFF)


def ignore_requests(pid: int) -> None:
    """Make the guest of this QEMU hang: its init sees no request any more."""
    _write_slots(pid, 0)


def serves(pid: int) -> bool:
    """Whether the guest of this QEMU has booted. Raises OSError if the process is gone."""
    with _page(pid) as page:
        page.seek(4 * HeaderWord.READY)
        return any(page.read(4))


def _write_slots(pid: int, number: int) -> None:
    with _page(pid) as page:
        page.seek(4 * HeaderWord.SLOTS)  # which the guest believes
        page.write(number.to_bytes(4, "little"))


def _page(pid: int) -> BinaryIO:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        if _PAGE in os.readlink(descriptor):
            return open(descriptor, "r+b", buffering=0)
    raise FileNotFoundError(f"process {pid} shares no page of the lab")
