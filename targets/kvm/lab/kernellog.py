"""What an arm64 kernel prints when it finds itself at fault: which kind, where, which lines.

Formats are those of the kernel's own printing (kernel/panic.c, arch/arm64/kernel/traps.c,
arch/arm64/kvm/handle_exit.c, mm/kasan/report.c); older and newer kernels differ in detail.
All functions are pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from corpus.fault import Fault
from corpus.fault import FaultKind as Kind

MINE = "lab: "
"""Begins a line that is the lab's own, not the kernel's."""

MOST_LINES = 90
MOST_CHARACTERS = 12_000
"""Bounds of an excerpt."""
MOST_OF_A_LINE = 200


_HEADLINES: tuple[tuple[Kind, str], ...] = (
    (Kind.HYP_PANIC, r"nVHE hyp (?:BUG|panic)|HYP panic"),
    (Kind.KASAN, r"KASAN: "),
    (Kind.UBSAN, r"UBSAN: "),
    (Kind.LOCKUP, r"BUG: (?:soft lockup|workqueue lockup)|Watchdog detected hard LOCKUP"),
    (Kind.BUG, r"kernel BUG at|BUG: "),
    (Kind.WARN, r"WARNING: "),
    (
        Kind.OOPS,
        r"Internal error: |Unable to handle kernel|Insufficient stack space|Oops|"
        r"SError Interrupt on CPU",
    ),
    (Kind.PANIC, r"Kernel panic"),
)
"""The first line of each kind's report; a line that fits several is of the first."""

FAULTS = re.compile("|".join(f"(?:{pattern})" for _, pattern in _HEADLINES))

_KINDS = tuple((kind, re.compile(pattern)) for kind, pattern in _HEADLINES)
_STAMP = re.compile(r"^(?:<\d+>)?(?:\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])?\s?)?")
_PLACE = re.compile(r"\b([A-Za-z_][\w.$]*)\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?")
_PC = re.compile(r"\b(?:pc : |PC:)")
_FRAME = re.compile(r"^ (?:\[<[0-9a-f]+>\] )?\??\s*([A-Za-z_][\w.$]*)\+0x[0-9a-f]+")
_END = re.compile(r"---\[ end (?:trace|Kernel panic)|^Memory Limit: ")
_REGISTERS = re.compile(r"^(?:x\d+|sp |pstate|pmr_save|Code)\s*:")
_ADDRESS = re.compile(
    r"(?<![0-9a-z])(?:0x)?([0-9a-f]{16})\b>?+\]?+(?! ?\(|\s+[A-Za-z_][\w.$]*\+0x)"
)
"""Sixteen digits, in brackets or not, that no name follows."""

_HYP_OFFSET = re.compile(r"Hyp Offset: 0x([0-9a-f]+)")

_MACHINERY = re.compile(
    r"(__)?(dump_(backtrace|stack)|show_(stack|regs)|dump_stack_lvl|v?panic|warn|warn_printk"
    r"|report_bug|bug_handler|die|die_kernel_fault|print_\w+|kasan_\w+|ubsan_\w+|might_\w+"
    r"|lockdep_\w+|nvhe_hyp_panic_handler|asan_\w+|hwasan_\w+|schedule_bug|brk_handler"
    r"|call_break_hook|do_debug_exception|el\d\w*|check_noncircular|(__)?lock_acquire"
    r"|_?(_raw)?_?(mutex|spin|read|write|rwsem|down)_(lock|read|write)\w*)(\..*)?$"
)
"""What stands on top of a call trace because it prints it, or takes a lock for somebody."""

_ABOUT_LOCKS = re.compile(r"WARNING: [a-z -]*lock")
"""The headline of a report of lockdep that is about a lock, which the next lines name."""
_LOCK = re.compile(r"\{[-+.?]{4}\}\S*, at: ")
"""A lock in a report of lockdep, and who takes or took it."""


def at_fault(log: str) -> bool:
    """Whether the kernel reports a defect of its own."""
    return FAULTS.search(log) is not None


def find(log: str) -> Fault | None:
    """What the kernel says of its first fault, if it reports one."""
    lines = _plain(log)
    for number, line in enumerate(lines):
        kind = _kind(line)
        if kind is not None:
            report = lines[number : _report_end(lines, number)]
            return Fault(kind, _function(kind, report), True, line.strip()[:MOST_OF_A_LINE])
    return None


def last_line(log: str) -> str:
    """The last line that says something, without its time."""
    said = (line.strip() for line in reversed(_plain(log)))
    return next((line for line in said if line), "")[:MOST_OF_A_LINE]


def excerpt(log: str) -> str:
    """The first report of a fault and what follows it, bounded; empty if there is none."""
    lines = log.splitlines()
    plain = _plain(log)
    first = next((n for n, line in enumerate(plain) if _kind(line)), None)
    return "" if first is None else bounded(lines[first:])


def bounded(lines: Iterable[str]) -> str:
    """The first of many lines: at most MOST_LINES and MOST_CHARACTERS."""
    kept: list[str] = []
    room = MOST_CHARACTERS
    every = list(lines)
    for line in every[:MOST_LINES]:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(every) - len(kept)
    if left:
        kept.append(f"[... {left} more lines]")
    return "\n".join(kept)


def unresolved(log: str) -> bool:
    """Whether there are addresses that a person would want named."""
    return any(_ADDRESS.search(line) for line in _plain(log) if not _REGISTERS.match(line))


def symbolise(log: str, name: Callable[[int], str | None]) -> str:
    """`log` with every bare address of code followed by its name in parentheses.

    Registers are left as they are: most hold data. The hypervisor of nVHE and protected
    mode runs elsewhere; where the log tells its offset, its addresses are named, too.
    """
    offset = _HYP_OFFSET.search(log)
    shift = int(offset[1], 16) if offset else 0

    def named(match: re.Match[str]) -> str:
        address = int(match[1], 16)
        found = name(address) or (shift and name((address + shift) & (1 << 64) - 1))
        return f"{match[0]} ({found})" if found else match[0]

    return "\n".join(
        line if _REGISTERS.match(_STAMP.sub("", line)) else _ADDRESS.sub(named, line)
        for line in log.split("\n")
    )


def _plain(log: str) -> list[str]:
    return [_STAMP.sub("", line) for line in log.splitlines()]


def _kind(line: str) -> Kind | None:
    return next((kind for kind, pattern in _KINDS if pattern.search(line)), None)


def _report_end(lines: list[str], start: int) -> int:
    """Where the report that begins at `start` ends: a later one is another's."""
    for number in range(start + 1, len(lines)):
        if _END.search(lines[number]):
            return number + 1
    return len(lines)


def _function(kind: Kind, report: list[str]) -> str:
    """The function at fault: named by the headline, at the program counter, who takes the lock
    that a report is about, or on top of the call trace."""
    headline = [_PLACE.search(report[0])]
    about = report if _ABOUT_LOCKS.search(report[0]) else ()
    locks = [_PLACE.search(line[at.end() :]) for line in about if (at := _LOCK.search(line))]
    counter = [_PLACE.search(line[pc.end() :]) for line in report if (pc := _PC.search(line))]
    trace = [_FRAME.match(line) for line in report]
    if kind is Kind.PANIC:
        counter = []  # of whatever panic() interrupted
    # The hypervisor's headline names the byte before, which may be another function's.
    order = counter + headline if kind is Kind.HYP_PANIC else headline + counter
    for place in order + locks + trace:
        if place and not _MACHINERY.match(place[1]):
            return _source_name(place[1])
    return ""


def _source_name(symbol: str) -> str:
    """Without what the compiler appends (.isra.0, .cold), which differs between builds."""
    return symbol.partition(".")[0] or symbol
