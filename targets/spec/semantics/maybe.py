"""Memory accesses whose governing predicate is not known in every bit.

Each element of a load, and of a store whose elements lie apart, is accessed or not whatever
the others do. So what the least and the most that the predicate may be leave bounds all it may
leave: bits on which the two agree are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.errors import GuestException, RunFailed, Unpredictable
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.semantics import sve21_mem, sve_gather, sve_mem
from targets.spec.semantics.registry import SEMANTICS, Semantic
from targets.spec.sets import Candidate, Set, exact, join

_GROUPS = frozenset(
    {
        *("sve-load", "sve-load-structure", "sve-load-broadcast", "sve-gather"),
        *("ff-load", "nf-load", "ff-gather", "sve-store", "sve-store-structure", "sve-scatter"),
        *("sve21-quad-load", "sve21-quad-store", "sve21-load-structure", "sve21-store-structure"),
        "sve21-quad-gather",
    }
)
_SCATTER = "sve-scatter"
"""Two of its elements may have one address: the later one that is active is stored there, which
may be any of them."""


_FIRST_ELEMENT_DECIDES = frozenset({"ff-load", "nf-load", "ff-gather"})
"""Groups of loads that abort by their first active element alone, or never."""


def _either(semantic: Semantic, place: int, group: str) -> Semantic:
    """`semantic`, also where the predicate that operand `place` names is not known."""

    def run(cpu: Cpu, *args: int) -> None:
        _, mask = cpu.p(args[place])
        if not mask:
            semantic(cpu, *args)
        else:
            _both(cpu, args[place], lambda: semantic(cpu, *args), group)

    return run


def _both(cpu: Cpu, pg: int, access: Callable[[], None], group: str) -> None:
    """The access by the least that P register pg may be, and by the most, as one. Where the most
    aborts, whether it does is a choice. Raises Unpredictable where what aborts depends on what is
    accessed first."""
    vcpu, mem = cpu.vcpu, cpu.mem
    value, mask = cpu.p(pg)
    predicate, vectors, ffr, ram = vcpu.p[pg], list(vcpu.z), vcpu.ffr[0], mem.copy()
    most = value | mask
    vcpu.p[pg] = exact(most)
    try:
        access()
    except (RunFailed, GuestException) as stop:
        vcpu.p[pg] = predicate
        if group in _FIRST_ELEMENT_DECIDES:
            raise Unpredictable("the predicate of a memory access is not known") from None
        aborted = _Left(list(vcpu.z), mem.copy())
        before = _Left(vectors, ram)
        innocent = _without_abort(cpu, pg, access, before)
        if innocent is None or cpu.forks.choose(2):
            aborted.restore(cpu)
            raise _of_any_element(stop) from None
        before.restore(cpu)
        vcpu.p[pg] = exact(innocent)
        access()
        most = innocent
    if group == _SCATTER:
        vcpu.p[pg] = predicate
        _scattered(cpu, pg, most, access, _Left(vectors, ram))
        return
    written = [n for n, old in enumerate(vectors) if vcpu.z[n] is not old]
    highest, most_ram, most_ffr = [cpu.z(n) for n in written], mem.copy(), cpu.ffr()

    def as_it_was() -> None:
        vcpu.z[:], vcpu.ffr[0] = vectors, ffr

    as_it_was()
    if _surely_cleared(cpu.ffr(), most_ffr):
        vcpu.p[pg] = predicate
        raise Unpredictable("the predicate of a first-fault load that faults is not known")
    mem.become(ram)
    vcpu.p[pg] = exact(value)
    access()
    lowest, least_ffr = [cpu.z(n) for n in written], cpu.ffr()
    as_it_was()
    mem.unite(most_ram)
    vcpu.p[pg] = predicate
    for n, one, other in zip(written, lowest, highest, strict=True):
        cpu.set_z(n, *join((one, other)))
    both = join((least_ffr, most_ffr))
    if both != cpu.ffr():
        cpu.set_ffr(*both)


def _scattered(cpu: Cpu, pg: int, most: int, access: Callable[[], None], before: _Left) -> None:
    """The store by each element in question alone, as one."""
    vcpu, mem = cpu.vcpu, cpu.mem
    predicate = vcpu.p[pg]
    least = cpu.p(pg)[0]
    found: Memory | None = None
    for bit in (0, *(1 << n for n in range(most.bit_length()))):
        if bit & ~(most & ~least):
            continue
        before.restore(cpu)
        vcpu.p[pg] = exact(least | bit)
        access()
        if found is None:
            found = mem.copy()
        else:
            found.unite(mem)
    assert found
    mem.become(found)
    vcpu.p[pg] = predicate


@dataclass(slots=True)
class _Left:
    """What an access leaves of vectors and RAM."""

    z: list[Set]
    mem: Memory

    def restore(self, cpu: Cpu) -> None:
        """As it was."""
        cpu.vcpu.z[:] = self.z
        cpu.mem.become(self.mem)


def _without_abort(cpu: Cpu, pg: int, access: Callable[[], None], before: _Left) -> int | None:
    """The most that P register pg may be without an abort; None if what it surely has aborts.
    Each element aborts or not, whatever the others do."""
    vcpu = cpu.vcpu
    predicate = vcpu.p[pg]
    value, mask = cpu.p(pg)
    innocent = None if _aborts(cpu, pg, value, access, before) else value
    for bit in range(mask.bit_length()):
        one = mask & 1 << bit
        if innocent is not None and one and not _aborts(cpu, pg, value | one, access, before):
            innocent |= one
    vcpu.p[pg] = predicate
    return innocent


def _aborts(cpu: Cpu, pg: int, value: int, access: Callable[[], None], before: _Left) -> bool:
    """Whether the access does, by a predicate of this value, which is only tried."""
    before.restore(cpu)
    cpu.vcpu.p[pg] = exact(value)
    forks, cpu.forks = cpu.forks, Forks()
    try:
        access()
    except (RunFailed, GuestException):
        return True
    finally:
        cpu.forks = forks
    return False


def _of_any_element(stop: RunFailed | GuestException) -> RunFailed | GuestException:
    """An abort of which nobody knows which element's it is."""
    if isinstance(stop, RunFailed):
        return stop
    return GuestException(
        stop.esr,
        ret=stop.ret,
        to_el2=stop.to_el2,
        far_rule=stop.far_rule,
        esr_rule=stop.esr_rule,
    )


def _surely_cleared(before: Candidate, after: Candidate) -> bool:
    """Whether FFR lost a bit for certain, by an element that faults if it is accessed."""
    return bool((before[0] | before[1]) & ~(after[0] | after[1]))


def _place(form: Form) -> int | None:
    names = [operand.name for operand in form.operands]
    return names.index("pg") if "pg" in names else None


FORKING = frozenset(
    form.name
    for form in FORMS.values()
    if form.group in _GROUPS - _FIRST_ELEMENT_DECIDES and _place(form) is not None
)
"""Forms that may abort or not where their predicate is not known."""


def _register() -> None:
    assert all((sve_mem, sve_gather, sve21_mem))  # what is wrapped here must be there
    for form in FORMS.values():
        place = _place(form)
        if form.group in _GROUPS and place is not None:
            SEMANTICS[form.name] = _either(SEMANTICS[form.name], place, form.group)


_register()
