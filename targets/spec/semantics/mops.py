"""Semantics of memory that is copied or set (Arm ARM, CPYFP and on, CPYP and on, SETP and on).

A CPU has one of two ways to have the parts follow each other, option A and option B, between
which the flags tell. Where all three parts are done, all else is the same.
"""

from __future__ import annotations

from corpus.isa.mops import EITHER_WAY, FORMS, SET
from corpus.wire import RAM_SIZE
from targets.spec import stage1
from targets.spec.cpu import Cpu
from targets.spec.errors import UNDEFINED, Decides, GuestException, Unpredictable
from targets.spec.semantics.registry import SEMANTICS, Semantic
from targets.spec.sets import either

_N, _C = 0b1000, 0b0010
"""Flags that option B may set: the copy goes backwards; it is option B."""
FORKING = frozenset(form.name for form in FORMS)
"""Forms that may be UNDEFINED or not, where it is not known what KVM lets guests have."""
_BYTES = int.from_bytes(b"\1" * RAM_SIZE)
"""What a byte is times this, each byte of RAM is."""


def _check(cpu: Cpu) -> None:
    """Whether the guest has the instructions. Raises GuestException, Unpredictable."""
    if cpu.vm.protected:
        cpu.rules.add("protected.no-mops")
        raise _lacking(cpu)
    if cpu.vcpu.tagged:
        raise Unpredictable("memory copies with tags are not modelled", Decides.NOTHING)
    if cpu.keeps_hcrx:
        cpu.rules.add("mops.in-protected-mode")
        if cpu.forks.choose(2):
            raise _lacking(cpu)
        cpu.keeps_hcrx = False
    if cpu.el == 0:
        cpu.rules.add("mops.el0")
        raise GuestException(UNDEFINED)
    if cpu.is_below_el2():
        cpu.rules.add("mops.below-el2")
        raise GuestException(UNDEFINED)


def _lacking(cpu: Cpu) -> GuestException:
    """What the first part of a copy is then, and those behind it, should the guest come there."""
    cpu.lacks |= {FORMS[0].cap}
    return GuestException(UNDEFINED)


def _exact(cpu: Cpu, n: int) -> int:
    value, mask = cpu.x(n)
    if mask:
        raise Unpredictable("an address or a size is not known")
    return value


def _check_reach(cpu: Cpu, address: int, size: int, *, write: bool) -> None:
    """Raises Unpredictable where it matters in which portions memory is accessed."""
    if not cpu.reaches(address, size, write=write):
        raise Unpredictable("a memory copy that faults part of the way", Decides.NOTHING)
    if cpu.translates:
        if any(stage1.is_device(at) for at, _ in stage1.parts(address, size)):
            raise Unpredictable("a memory copy with Device memory", Decides.NOTHING)
    elif not cpu.unaligned:
        raise Unpredictable("a memory copy with the MMU off may fault on this machine")


def _flags(cpu: Cpu, perhaps: int) -> None:
    cpu.rules.add("mops.option")
    cpu.set_nzcv(0, perhaps)


def _copy(kind: str) -> Semantic:
    def run(cpu: Cpu, xd: int, xs: int, xc: int) -> None:
        _check(cpu)
        to, source, size = (_exact(cpu, n) for n in (xd, xs, xc))
        if size:
            _check_reach(cpu, source, size, write=False)
            _check_reach(cpu, to, size, write=True)
            value, mask = cpu.load(source, size)
            if kind != EITHER_WAY and source < to < source + size:
                cpu.rules.add("mops.overlap")
                value, mask = 0, (1 << 8 * size) - 1
            cpu.store(to, size, value, mask)
        backwards = _ways(kind, to, source, size)
        ends = (0,) if all(backwards) else (size,) if not any(backwards) else (size, 0)
        for n, start in ((xd, to), (xs, source)):
            cpu.set_x(n, start + ends[0])
            cpu.vcpu.x[n] = either((*cpu.vcpu.x[n], *(((start + end), 0) for end in ends[1:])))
        cpu.set_x(xc, 0)
        _flags(cpu, _C | (_N if any(backwards) else 0))

    return run


def _ways(kind: str, to: int, source: int, size: int) -> tuple[bool, ...]:
    """Whether the copy may go backwards: yes, no, or as the CPU likes where nothing overlaps."""
    if kind != EITHER_WAY or to < source < to + size:
        return (False,)
    if source < to < source + size:
        return (True,)
    return (False, True)


def _set(cpu: Cpu, xd: int, xs: int, xc: int) -> None:
    _check(cpu)
    to, size = _exact(cpu, xd), _exact(cpu, xc)
    value, mask = cpu.x(xs)
    if size:
        _check_reach(cpu, to, size, write=True)
        every = _BYTES & (1 << 8 * size) - 1
        cpu.store(to, size, (value & 0xFF) * every, (mask & 0xFF) * every)
    cpu.set_x(xd, to + size)
    cpu.set_x(xc, 0)
    _flags(cpu, _C)


for _form in FORMS:
    _kind = _form.name.partition("_")[0]
    SEMANTICS[_form.name] = _set if _kind == SET else _copy(_kind)
