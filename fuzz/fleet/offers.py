"""What a worker on this machine has to offer, in the terms of `slices.demand`."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from targets.kvm.lab.qemu import PROGRAM

MB = 1 << 20


def memory_mb() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MB


def offered(memory: int) -> dict[str, float]:
    """What a worker that may take `memory` MB offers."""
    found: dict[str, float] = {"memory": memory}
    if shutil.which(PROGRAM):
        found["lab"] = 1
    if platform.machine() == "aarch64" and os.access("/dev/kvm", os.R_OK | os.W_OK):
        found["arm64-kvm"] = 1
    return found


def scratch_directory() -> Path:
    """Where a worker keeps what Dask writes; slices take directories of their own."""
    return Path(os.environ.get("TMPDIR", "/tmp")) / f"vcpufuzz-fleet-{os.getuid()}"
