"""What to say of a guest that stopped serving: its kernel's words, and where it was."""

from __future__ import annotations

from collections.abc import Callable

from corpus.wire import CODE_BASE, RAM_BASE, RAM_SIZE
from targets.kvm.lab import kernellog
from targets.kvm.lab.kernellog import BY_ITSELF, MINE
from targets.kvm.lab.monitor import Counter
from targets.kvm.lab.vm import Fate, GuestDied

Place = Callable[[Counter], str | None]


def report(death: GuestDied, place: Place) -> str:
    """The guest's last log and a line on what became of it; `place` names where a CPU is."""
    lines = [death.log.rstrip("\n")] if death.log.strip() else []
    if death.fate is Fate.HANG:
        lines += [f"{MINE}{where(counter, place)}" for counter in death.counters]
        if not death.counters:
            lines.append(f"{MINE}QEMU itself tells no registers")
    elif death.fate is Fate.SILENT:
        lines.append(f"{MINE}QEMU itself does not answer: {death.cause or 'no reason known'}")
    elif death.cause:
        word = "" if death.cause.startswith(("ended", "closed")) else "was "
        lines.append(f"{MINE}QEMU {word}{death.cause}")
    elif not kernellog.at_fault(death.log):
        lines.append(f"{MINE}QEMU {BY_ITSELF}")
    return "\n".join(lines) + "\n"


def where(counter: Counter, place: Place) -> str:
    """One CPU's place in words: `CPU 0 hung at kvm_arch_vcpu_load_fp+0x10/0x80 (EL2)`."""
    found = place(counter)
    if found:
        return f"CPU {counter.cpu} hung at {found} ({counter.level})"
    if counter.level in ("EL0", "EL1") and 0 <= counter.address - RAM_BASE < RAM_SIZE:
        offset = counter.address - CODE_BASE
        return f"CPU {counter.cpu} hung in case_code at {offset:+#x} ({counter.level})"
    if counter.level == "EL0":
        return f"CPU {counter.cpu} hung in executor at {counter.address:#x} (EL0)"
    return f"CPU {counter.cpu} hung in unknown_code at {counter.address:#x} ({counter.level})"
