"""Logs of the recorder that are kept: of tests/vmm/mistaken.c, and of Debian's QEMU 10 with two
vcpus, whose guest writes to its serial port and powers off."""

from __future__ import annotations

import lzma
from pathlib import Path

HERE = Path(__file__).parent / "recorded"


def text(name: str) -> str:
    """The log of that name."""
    return lzma.decompress((HERE / f"{name}.log.xz").read_bytes()).decode()
