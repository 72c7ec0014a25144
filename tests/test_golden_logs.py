"""Logs that kernels really printed (tests/golden/produce.py), and the fault found in each."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.fault import FaultKind
from targets.kvm.lab import kernellog

FOLDER = Path(__file__).parent / "golden"
PLANTED, HYP = "kvm_arch_vcpu_ioctl_get_mpstate", "__kvm_nvhe___kvm_vcpu_run"
CAVE, CALLER = "vgic_its_save_tables_v0", "kvm_vcpu_ioctl"
RELEASES = ("6.1", "6.12", "newest", "small-6.12")

EXPECTED: dict[str, tuple[FaultKind, str, str]] = {
    "oops": (FaultKind.OOPS, PLANTED, "Internal error: Oops - Undefined instruction"),
    "null": (FaultKind.OOPS, PLANTED, "Unable to handle kernel NULL pointer dereference"),
    "warn": (FaultKind.WARN, CAVE, "WARNING: "),
    "bug": (FaultKind.BUG, CAVE, "kernel BUG at "),
    "panic": (FaultKind.PANIC, CALLER, "Kernel panic - not syncing: Linux version "),
    "hyp": (FaultKind.HYP_PANIC, HYP, "kvm [1]: nVHE hyp panic at: "),
    "hang": (FaultKind.LOCKUP, PLANTED, "watchdog: BUG: soft lockup - CPU#0 stuck for "),
}
"""By what was put into the kernel: kind, place, and how the line begins that people see first."""

GETS, SETS = PLANTED, "kvm_arch_vcpu_ioctl_set_mpstate"
LOCKDEP: dict[str, tuple[FaultKind, str, str]] = {
    "deadlock": (FaultKind.WARN, SETS, "WARNING: possible circular locking dependency detected"),
    "held": (FaultKind.WARN, GETS, "WARNING: lock held when returning to user space!"),
    "rcu": (FaultKind.WARN, GETS, "WARNING: suspicious RCU usage"),
    "sleeping": (FaultKind.BUG, GETS, "BUG: sleeping function called from invalid context at"),
}
"""Of a kernel with lockdep: who takes the lock, or does what must not be done, is at fault."""

SILENT = {"small-6.12-hang", "newest-hang"}
"""Kernels that say nothing when they hang, before the lab does."""

NAMES = [f"{release}-{fault}" for release in RELEASES for fault in EXPECTED]
NAMES += [f"lockdep-6.12-{fault}" for fault in LOCKDEP]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SILENT])
def test_the_fault_is_found_in_what_the_kernel_said(name: str) -> None:
    log = (FOLDER / f"{name}.log").read_text()
    found = kernellog.find(log)
    kind, place, line = (EXPECTED | LOCKDEP)[name.rpartition("-")[2]]
    assert found
    assert (found.kind, found.place, found.of_guest) == (kind, place, True)
    assert found.line.startswith(line)
    assert kernellog.at_fault(log)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SILENT])
def test_what_comes_before_and_behind_does_not_matter(name: str) -> None:
    log = (FOLDER / f"{name}.log").read_text()
    noise = "[    0.1] Booting Linux on physical CPU 0x0000000000\n[    1.0] init: ready\n"
    assert kernellog.find(noise + log + noise) == kernellog.find(log)
    told = kernellog.excerpt(noise + log)
    assert "init: ready" not in told
    assert kernellog.find(told) == kernellog.find(log)
    assert len(told) <= kernellog.MOST_CHARACTERS + 100


@pytest.mark.parametrize("name", ["6.1-hang", "6.12-oops", "newest-warn"])
def test_stamps_are_no_part_of_what_is_said(name: str) -> None:
    log = (FOLDER / f"{name}.log").read_text()
    plain = "\n".join(line.partition("] ")[2] or line for line in log.splitlines())
    assert kernellog.find(plain) == kernellog.find(log)


def test_a_stall_that_rcu_reports_alone_is_no_fault() -> None:
    # A busy host can cause one.
    stall = (FOLDER / "6.1-hang.log").read_text().partition("watchdog: BUG")[0]
    assert "rcu_sched detected stalls" in stall
    assert kernellog.find(stall) is None


def test_every_log_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.log")} == set(NAMES) - SILENT
