"""QEMU's command line: nothing else in the project knows it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from targets.transport import TransportError
from targets.vqs import ALL_VQS

VARIABLE = "VCPUFUZZ_QEMU"
PROGRAM = "qemu-system-aarch64"

CMDLINE = (
    "console=ttyAMA0 rdinit=/init"
    # WARN and worse, and the modes KVM announces are read from the log, not from here.
    " loglevel=5"
    " panic=-1 nokaslr"
    # A quarter of the instructions of a case on a stock kernel is KVM's debugfs tree.
    " debugfs=off"
    # Some cases end in a grace period of RCU when their VM is closed: else 15 ms of idling.
    " rcupdate.rcu_expedited=1"
)
"""Of every lab kernel; the leg's boot option follows."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What to boot. `vqs`: vector lengths of the emulated CPU, in quadwords."""

    kernel: Path
    initramfs: Path
    boot_options: str = ""
    vqs: tuple[int, ...] = ALL_VQS
    memory_mib: int = 512
    lpa2: bool = True
    """Whether addresses can have 52 bits."""
    narrow: Path | None = None
    """A plugin of QEMU by which the CPU has 40 bits of physical addresses (narrow.c)."""
    smp: int = 1
    """CPUs."""
    mte: bool = False
    """Whether memory has tags, which the CPU has instructions for."""
    icount: int | None = None
    """The clock goes by instructions, so many powers of two of a ns each; None: with the host's."""
    plugin: Path | None = None
    """Of QEMU, for kernel coverage (targets/kvm/lab/coverage)."""
    forward: int | None = None
    """A TCP port of this machine's loopback that leads to the same one of the emulated machine,
    which then has a network card and finds this machine at 10.0.2.2; None: it has no network."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Descriptors QEMU inherits: the shared page (and its size), one end of the serial line,
    the plugin's log if there is a plugin, and one end of the monitor's line."""

    memory_fd: int
    memory_size: int
    serial_fd: int
    log_fd: int = -1
    monitor_fd: int = -1


def find() -> str:
    """Path of QEMU: $VCPUFUZZ_QEMU or the first on PATH. Raises TransportError."""
    named = os.environ.get(VARIABLE)
    path = shutil.which(named or PROGRAM)
    if path is None:
        if named:
            raise TransportError(f"{VARIABLE} names {named}, which cannot be executed.")
        raise TransportError(
            f"{PROGRAM} is not installed: the lab runs in it (package qemu-system-arm)."
        )
    return path


def version(qemu: str) -> str:
    """Version number such as 7.2.22. Raises TransportError."""
    try:
        done = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise TransportError(f"{qemu} cannot be executed: {error.strerror}.") from error
    found = re.search(r"version (\d[\d.]*)", done.stdout)
    if found is None:
        raise TransportError(f"{qemu} does not tell its version, so it is no QEMU.")
    return found[1]


def cpu(vqs: Sequence[int]) -> str:
    """The CPU model with exactly the vector lengths `vqs`."""
    # The architected PAC algorithm is emulated several times slower than the own one.
    base = "max,sve=on,pauth-impdef=on"
    longest = max(vqs)
    if set(vqs) == set(range(1, longest + 1)):
        return f"{base},sve-max-vq={longest}"
    switches = (f"sve{128 * vq}={'on' if vq in vqs else 'off'}" for vq in ALL_VQS)
    return ",".join((base, *switches))


KEEP_PHASE = "vcpufuzz.keep_phase"
"""Has the guest begin what is disturbed always as far from its kernel's ticks (init.c)."""

_BOARD = "virt,virtualization=on,gic-version=3"
_TAGGED = ",mte=on"
_SAME_AGAIN = ",dtb-randomness=off"
"""No seeds that differ from boot to boot."""


def key(machine: Machine) -> str:
    """12 hexadecimal digits that change with anything of the machine but the files it boots
    and what watches it."""
    bare = replace(
        machine,
        kernel=Path("kernel"),
        initramfs=Path("initramfs"),
        narrow=machine.narrow and Path("narrow"),
        plugin=None,
    )
    text = "\0".join(command(PROGRAM, bare, Shared(0, 0, 0)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def command(qemu: str, machine: Machine, shared: Shared) -> list[str]:
    """The argv that boots `machine`."""
    timed = machine.icount is None
    options = CMDLINE, machine.boot_options, "" if timed else f"{KEEP_PHASE} norandmaps"
    argv = [
        qemu,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", _BOARD + (_TAGGED if machine.mte else "") + ("" if timed else _SAME_AGAIN)),
        *("-cpu", cpu(machine.vqs) + ("" if machine.lpa2 else ",lpa2=off")),
        *("-accel", "tcg", "-smp", str(machine.smp), "-m", str(machine.memory_mib)),
        *("-chardev", f"socket,id=line,fd={shared.serial_fd}", "-serial", "chardev:line"),
        "-object",
        f"memory-backend-file,id=page,share=on,size={shared.memory_size}"
        f",mem-path=/proc/self/fd/{shared.memory_fd}",
        *("-device", "ivshmem-plain,memdev=page"),
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initramfs)),
        *("-append", " ".join(filter(None, options))),
    ]
    if shared.monitor_fd >= 0:
        argv += ["-chardev", f"socket,id=monitor,fd={shared.monitor_fd}"]
        argv += ["-mon", "chardev=monitor,mode=control"]
    if not timed:
        argv += ["-icount", f"shift={machine.icount},sleep=off"]
        argv += ["-rtc", "base=2026-01-01,clock=vm"]
    if machine.forward is not None:
        port = machine.forward
        argv += ["-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:{port}"]
        argv += ["-device", "virtio-net-pci,netdev=net,romfile="]
    if machine.narrow:
        argv += ["-plugin", _escaped(machine.narrow)]
    if machine.plugin:
        path = _escaped(machine.plugin)
        argv += ["-plugin", f"{path},log={shared.log_fd},page={shared.memory_fd}"]
    return argv


def _escaped(path: Path) -> str:
    """A path as a part of an argument that has others."""
    return str(path).replace(",", ",,")
