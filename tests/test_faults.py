"""What is made of a fault's log: its kind and place, and what a person gets to see."""

from __future__ import annotations

import pytest

from corpus.case import Case
from corpus.fault import BY_KERNEL, Fault, FaultKind
from fuzz.oracle.culprit import responsible
from fuzz.oracle.verdict import Diverge
from targets.kvm.lab import autopsy, kernellog, monitor, pace
from targets.kvm.lab.monitor import Counter
from targets.kvm.lab.vm import Fate, GuestDied

WARN = """\
[    2.1] ------------[ cut here ]------------
[    2.1] WARNING: CPU: 0 PID: 1 at arch/arm64/kvm/fpsimd.c:90 kvm_arch_vcpu_load_fp+0x44/0x60
[    2.1] CPU: 0 UID: 0 PID: 1 Comm: init Not tainted 6.12.107 #1
[    2.1] pc : kvm_arch_vcpu_load_fp+0x44/0x60
[    2.1] lr : kvm_arch_vcpu_load+0x1c0/0x2c0
[    2.1] ---[ end trace 0000000000000000 ]---
[    2.2] afterwards
"""
NEW_WARN = "WARNING: arch/arm64/kvm/fpsimd.c:90 at vcpu_load_fp+0x44/0x60, CPU#0: init/1\n"
OOPS = """\
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008
Mem abort info:
Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP
pc : sve_set_vq.isra.0+0x0/0x10
lr : fpsimd_restore_current_state+0x10/0x20
Call trace:
 sve_set_vq+0x0/0x10
Kernel panic - not syncing: Oops: Fatal exception
"""
KASAN = """\
BUG: KASAN: slab-out-of-bounds in kvm_arm_set_reg+0x10/0x20
Write of size 8 at addr ffff000012345678 by task init/1
Call trace:
 kasan_report+0xd0/0x120
 kvm_arm_set_reg+0x10/0x20
"""
PANIC = """\
[    3.4] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
[    3.4] Call trace:
[    3.4]  dump_backtrace+0xd8/0x130
[    3.4]  show_stack+0x20/0x38
[    3.4]  dump_stack_lvl+0x60/0x80
[    3.4]  dump_stack+0x18/0x28
[    3.4]  panic+0x164/0x378
[    3.4]  do_exit+0xa2c/0xa38
"""
HYP = """\
kvm [1]: nVHE hyp panic at: [<ffff8000802f788c>] __kvm_nvhe___kvm_vcpu_run+0x0/0x4a8!
kvm [1]: nVHE call trace:
kvm [1]:  [<ffff8000802f788c>] __kvm_nvhe___kvm_vcpu_run+0x0/0x4a8
kvm [1]: Hyp Offset: 0xfffe7ffffde00000
Kernel panic - not syncing: HYP panic:
PS:000003c9 PC:00010000824f788c ESR:0000000002000000
"""
VHE_HYP = """\
Kernel panic - not syncing: HYP panic:
PS:600003c9 PC:ffff8000802f0010 ESR:96000005
"""
LOCKDEP = """\
WARNING: possible circular locking dependency detected
Call trace:
 dump_stack_lvl+0x60/0x80
 print_circular_bug+0x1/0x2
 kvm_vcpu_ioctl+0x1/0x2
"""


@pytest.mark.parametrize(
    ("log", "kind", "function"),
    [
        (WARN, "warn", "kvm_arch_vcpu_load_fp"),
        (NEW_WARN, "warn", "vcpu_load_fp"),
        (OOPS, "oops", "sve_set_vq"),
        (KASAN, "kasan", "kvm_arm_set_reg"),
        (PANIC, "panic", "do_exit"),
        (HYP, "hyp-panic", "__kvm_nvhe___kvm_vcpu_run"),
        (HYP.replace("788c ESR", "788c (begins+0x0/0x8) ESR"), "hyp-panic", "begins"),
        (LOCKDEP, "warn", "kvm_vcpu_ioctl"),
        ("kernel BUG at virt/kvm/kvm_main.c:1!\npc : kvm_put_kvm+0x0/0x8\n", "bug", "kvm_put_kvm"),
        ("UBSAN: array-index-out-of-bounds in a.c:1:2\n", "ubsan", ""),
        ("watchdog: BUG: soft lockup - CPU#0 stuck\npc : f+0x1/0x2\n", "lockup", "f"),
        ("boots\n" + PANIC + WARN, "panic", "do_exit"),
    ],
)
def test_a_log_tells_kind_and_function(log: str, kind: str, function: str) -> None:
    found = kernellog.find(log)
    assert found is not None
    assert (found.kind, found.place, found.of_guest) == (kind, function, True)
    assert found.line
    assert kernellog.at_fault(log)


def test_a_quiet_log_tells_nothing() -> None:
    assert kernellog.find("random: crng init done\n") is None
    assert kernellog.excerpt("random: crng init done\n") == ""


def test_an_excerpt_begins_at_the_fault_and_is_bounded() -> None:
    assert kernellog.excerpt("boots\n" + PANIC) == PANIC.rstrip("\n")
    long = kernellog.excerpt(PANIC + "x" * 100 + "\n" * 5000)
    assert len(long.splitlines()) == kernellog.MOST_LINES + 1
    assert long.splitlines()[-1].endswith("more lines]")
    assert len(kernellog.excerpt(PANIC + ("y" * 999 + "\n") * 50)) < 13_000


def name(address: int) -> str | None:
    return f"f+{address & 0xFFF:#x}/0x1000" if address >> 12 == 0xFFFF8000802F7 else None


def test_bare_addresses_of_code_get_names() -> None:
    told = kernellog.symbolise(
        "pc : ffff8000802f788c\n [<ffff8000802f7890>] 0xffff8000802f7890\n", name
    )
    assert told == (
        "pc : ffff8000802f788c (f+0x88c/0x1000)\n"
        " [<ffff8000802f7890>] (f+0x890/0x1000) 0xffff8000802f7890 (f+0x890/0x1000)\n"
    )
    data = "x29: ffff8000802f788c x28: ffff8000802f7890\nvirtual address ffff000012345678\n"
    assert kernellog.symbolise(data, name) == data


def test_addresses_of_the_hypervisor_are_shifted() -> None:
    told = kernellog.symbolise(HYP, name)
    assert "PC:00010000824f788c (f+0x88c/0x1000) ESR" in told
    assert "[<ffff8000802f788c>] __kvm_nvhe" in told  # has its name already
    found = kernellog.find(kernellog.symbolise(VHE_HYP, lambda _: "vhe_run+0x10/0x20"))
    assert found
    assert (found.kind, found.place) == (FaultKind.HYP_PANIC, "vhe_run")


REGISTERS = """\r
CPU#0\r
 PC=ffff8000802ebb48 X00=0000000000000005 X01=ffff00001ffce920\r
PSTATE=610000c9 -ZC- EL2h  SVCR=00000000 --  BTYPE=0     FPCR=00000000 FPSR=00000000\r
P00=0000\r
\r
CPU#1\r
 PC=0000000040001000 X00=0000000000000000\r
PSTATE=600003c5 -ZC- NS EL1h    SVCR=00000000 --\r
"""


def test_registers_of_qemu_are_read() -> None:
    assert monitor.parse_registers(REGISTERS) == [
        (0, 0xFFFF8000802EBB48, "EL2"),
        (1, 0x40001000, "EL1"),
    ]
    assert monitor.parse_registers("nonsense") == []


KILLED = "killed by SIGKILL"


def hung(address: int, level: str) -> GuestDied:
    return GuestDied(Fate.HANG, "", counters=[Counter(0, address, level, None)])


@pytest.mark.parametrize(
    ("death", "kind", "place", "of_guest"),
    [
        (GuestDied(Fate.EXIT, PANIC), "panic", "do_exit", True),
        (GuestDied(Fate.EXIT, PANIC, KILLED, True), "panic", "do_exit", True),
        (GuestDied(Fate.EXIT, "", KILLED, True), "lost", KILLED, False),
        (GuestDied(Fate.EXIT, "", "ended with status 1"), "lost", "ended with status 1", False),
        (GuestDied(Fate.EXIT, "quiet\n"), "lost", autopsy.BY_ITSELF, True),
        (GuestDied(Fate.SILENT, "", "stopped", True), "lost", "does not answer: stopped", False),
        (hung(0xFFFF8000802F7000, "EL2"), "hang", "f", True),
        (hung(0x40001008, "EL1"), "hang", "case_code", True),
        (hung(0x400123, "EL0"), "hang", "executor", True),
        (hung(0x123456789, "EL2"), "hang", "unknown_code", True),
    ],
)
def test_a_death_is_told_and_understood(
    death: GuestDied, kind: str, place: str, of_guest: bool
) -> None:
    log, told = autopsy.report(death, lambda counter: name(counter.address))
    fault = kernellog.find(log) or told
    assert fault is not None
    assert (fault.kind, fault.place, fault.of_guest) == (kind, place, of_guest)
    assert fault.line


def test_only_a_kernel_or_a_place_names_a_fault() -> None:
    assert not Fault(FaultKind.CRASH, line="worker ended by SIGABRT").named
    assert not Fault(FaultKind.HANG).named
    assert Fault(FaultKind.LOST, "killed by SIGKILL").named
    assert all(Fault(kind).named for kind in BY_KERNEL)
    assert FaultKind.PANIC in BY_KERNEL


def test_a_hang_may_be_caught_anywhere_in_its_loop() -> None:
    one, other = Fault(FaultKind.HANG, "f", True), Fault(FaultKind.HANG, "g", True)
    assert one.is_like(other)
    assert not one.is_like(Fault(FaultKind.OOPS, "f", True))
    assert not Fault(FaultKind.OOPS, "f", True).is_like(Fault(FaultKind.OOPS, "g", True))


def test_the_limit_follows_the_leg() -> None:
    leg = pace.Pace()
    assert leg.limit == pace.FLOOR_S
    leg.note_boot(16.0)
    assert leg.limit == 80.0
    assert leg.is_hang(81)
    assert not leg.is_hang(79)
    for _ in range(200):
        leg.note(0.01)
    assert leg.limit == pace.FLOOR_S
    for _ in range(600):
        leg.note(60.0)
    assert leg.limit == pace.CEILING_S


def test_a_fault_is_known_by_kind_and_place() -> None:
    fault = Fault(FaultKind.WARN, "vgic_load", True, "WARNING: ...")
    verdict = Diverge(
        *("ending", 0, "run", "ending.ok", "ending", "ok", "host-log", ""),
        strict=True,
        fault=fault,
    )
    assert responsible(Case(()), verdict) == "ending.warn@vgic_load"


def test_a_cpu_is_where_it_is_most_often() -> None:
    loop, interrupt = (0, 0x100, "EL2"), (0, 0x900, "EL2")
    assert monitor.usual([[interrupt], [loop], [loop], [interrupt], [loop]]) == [loop]
    assert monitor.usual([[loop], [interrupt]]) == [loop]
    assert monitor.usual([[]]) == []
