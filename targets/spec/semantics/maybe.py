"""Memory accesses whose governing predicate is not known in every bit.

Each element of a load, and of a store whose elements lie apart, is accessed or not whatever
the others do. So what the least and the most that the predicate may be leave bounds all it may
leave: bits on which the two agree are known.
"""

from __future__ import annotations

from collections.abc import Callable

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.errors import GuestException, MmioExit, RunFailed, Unpredictable
from targets.spec.semantics import sve_gather, sve_mem
from targets.spec.semantics.registry import SEMANTICS, Semantic
from targets.spec.sets import Candidate, exact, join

_GROUPS = frozenset(
    {
        *("sve-load", "sve-load-structure", "sve-load-broadcast", "sve-gather"),
        *("ff-load", "nf-load", "ff-gather", "sve-store", "sve-store-structure"),
    }
)
"""Scatters are none of them: two of their elements may have one address."""


def _either(semantic: Semantic, place: int) -> Semantic:
    """`semantic`, also where the predicate that operand `place` names is not known."""

    def run(cpu: Cpu, *args: int) -> None:
        _, mask = cpu.p(args[place])
        if not mask:
            semantic(cpu, *args)
        else:
            _both(cpu, args[place], lambda: semantic(cpu, *args))

    return run


def _both(cpu: Cpu, pg: int, access: Callable[[], None]) -> None:
    """The access by the least that P register pg may be, and by the most, as one. Raises
    Unpredictable where the most reaches beyond RAM."""
    vcpu, mem = cpu.vcpu, cpu.mem
    value, mask = cpu.p(pg)
    predicate, vectors, ffr, ram = vcpu.p[pg], list(vcpu.z), vcpu.ffr[0], mem.copy()
    vcpu.p[pg] = exact(value | mask)
    try:
        access()
    except (RunFailed, MmioExit, GuestException):
        vcpu.p[pg] = predicate
        raise Unpredictable("the predicate of a memory access is not known") from None
    written = [n for n, old in enumerate(vectors) if vcpu.z[n] is not old]
    most, most_ram, most_ffr = [cpu.z(n) for n in written], mem.copy(), cpu.ffr()

    def as_it_was() -> None:
        vcpu.z[:], vcpu.ffr[0] = vectors, ffr

    as_it_was()
    if _surely_cleared(cpu.ffr(), most_ffr):
        vcpu.p[pg] = predicate
        raise Unpredictable("the predicate of a first-fault load that faults is not known")
    mem.become(ram)
    vcpu.p[pg] = exact(value)
    access()
    least, least_ffr = [cpu.z(n) for n in written], cpu.ffr()
    as_it_was()
    mem.unite(most_ram)
    vcpu.p[pg] = predicate
    for n, one, other in zip(written, least, most, strict=True):
        cpu.set_z(n, *join((one, other)))
    both = join((least_ffr, most_ffr))
    if both != cpu.ffr():
        cpu.set_ffr(*both)


def _surely_cleared(before: Candidate, after: Candidate) -> bool:
    """Whether FFR lost a bit for certain, by an element that faults if it is accessed."""
    return bool((before[0] | before[1]) & ~(after[0] | after[1]))


def _place(form: Form) -> int | None:
    names = [operand.name for operand in form.operands]
    return names.index("pg") if "pg" in names else None


def _register() -> None:
    assert sve_mem, sve_gather  # what is wrapped here must be there
    for form in FORMS.values():
        place = _place(form)
        if form.group in _GROUPS and place is not None:
            SEMANTICS[form.name] = _either(SEMANTICS[form.name], place)


_register()
