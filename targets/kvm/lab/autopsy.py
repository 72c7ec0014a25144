"""What to say of a guest that stopped serving: its kernel's words, and where it was."""

from __future__ import annotations

import re
from collections.abc import Callable

from corpus.fault import Fault, FaultKind
from corpus.wire import CODE_BASE, RAM_BASE, RAM_SIZE
from targets.kvm.lab.kernellog import MINE, at_fault
from targets.kvm.lab.monitor import Counter
from targets.kvm.lab.vm import Fate, GuestDied

Place = Callable[[Counter], str | None]

_NAME = re.compile(r"[\w.$]+")

BY_ITSELF = "ended because the guest reset or switched itself off"


def report(death: GuestDied, place: Place) -> tuple[str, Fault | None]:
    """The guest's last log with lines on what became of it, and the fault that they tell;
    None where the kernel's own words are all there is. `place` names where a CPU is."""
    said = [death.log.rstrip("\n")] if death.log.strip() else []
    lines, fault = _fate(death, place)
    said += [f"{MINE}{line}" for line in lines]
    return "\n".join(said) + "\n", fault


def _fate(death: GuestDied, place: Place) -> tuple[list[str], Fault | None]:
    if death.fate is Fate.HANG and death.counters:
        places = [where(counter, place) for counter in death.counters]
        lines = [_hung(*each) for each in zip(death.counters, places, strict=True)]
        function = _NAME.match(places[0])
        return lines, Fault(
            FaultKind.HANG, function[0] if function else "", True, f"{MINE}{lines[-1]}"
        )
    if death.fate is Fate.HANG:
        return _qemu("itself ", "tells no registers")
    if death.fate is Fate.SILENT:
        return _qemu("itself ", f"does not answer: {death.cause or 'no reason known'}")
    if death.cause:
        word = "" if death.cause.startswith(("ended", "closed")) else "was "
        return _qemu(word, death.cause)
    if at_fault(death.log):
        return [], None
    return _qemu("", BY_ITSELF, of_guest=True)


def _qemu(word: str, what: str, *, of_guest: bool = False) -> tuple[list[str], Fault]:
    line = f"QEMU {word}{what}"
    return [line], Fault(FaultKind.LOST, what[:80], of_guest, f"{MINE}{line}")


def _hung(counter: Counter, place: str) -> str:
    """`CPU 0 hung at kvm_arch_vcpu_load_fp+0x10/0x80 (EL2)`."""
    return f"CPU {counter.cpu} hung at {place} ({counter.level})"


def where(counter: Counter, place: Place) -> str:
    """One CPU's place: a function and an offset, or a name for what has no functions."""
    found = place(counter)
    if found:
        return found
    if counter.level in ("EL0", "EL1") and 0 <= counter.address - RAM_BASE < RAM_SIZE:
        return f"case_code{counter.address - CODE_BASE:+#x}"
    name = "executor" if counter.level == "EL0" else "unknown_code"
    return f"{name}+{counter.address:#x}"
